"""Log records of the libraries beneath, while one of our calls runs, hold nothing that could be a person's."""

from __future__ import annotations

import http.client
import logging
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import requests

from airflow_provider_segexport.http.client import Sender
from airflow_provider_segexport.http.quiet_logs import LIBRARIES, quiet
from airflow_provider_segexport.model import Request
from airflow_provider_segexport.vendors.campaign_monitor import VENDOR

EMAIL = "canary.planted@example.com"


@pytest.fixture
def server():
    """A vendor whose header is malformed, so that urllib3 warns with the whole URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nbroken header line\r\n\r\n{}")

        def log_message(self, *_):
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as made:
        threading.Thread(target=made.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{made.server_port}"
        made.shutdown()


def test_a_call_at_debug(server, caplog, capfd, monkeypatch):
    """Address in query and path, a credential in a header: neither urllib3 nor http.client shows them."""
    caplog.set_level(logging.DEBUG)
    logging.getLogger("urllib3.connectionpool").setLevel(logging.DEBUG)
    monkeypatch.setattr(http.client.HTTPConnection, "debuglevel", 1)
    sender = Sender(requests.Session, VENDOR)
    key = {"authorization": "Planted-s3cret"}
    sender(Request("GET", f"{server}/contacts/v3/email/{EMAIL}", query={"email": EMAIL}, headers=key))
    sender.close()
    shown = caplog.text + "".join(capfd.readouterr())
    assert "Message withheld (library=urllib3)" in shown
    assert [] == [text for text in ("canary", "Planted") if text in shown]


def test_the_search_would_find_it(server, caplog, capfd, monkeypatch):
    """The same call without us is in the log with its address."""
    caplog.set_level(logging.DEBUG)
    monkeypatch.setattr(http.client.HTTPConnection, "debuglevel", 1)
    requests.get(f"{server}/contacts", params={"email": EMAIL}, headers={"authorization": "Planted-s3cret"}, timeout=5)
    assert "canary" in caplog.text
    assert "Planted" in capfd.readouterr().out


@pytest.mark.parametrize("name", sorted(LIBRARIES))
@pytest.mark.parametrize("level", [logging.DEBUG, logging.WARNING, logging.CRITICAL])
def test_every_library_at_every_level(caplog, name, level):
    """Loggers that are made within the block, in other threads, with an exception: all of it."""
    caplog.set_level(logging.DEBUG)

    def speak():
        logger = logging.getLogger(f"{name}.made.{level}")
        logger.log(level, "about %s", EMAIL, exc_info=ValueError(EMAIL), stack_info=True)

    with quiet():
        thread = threading.Thread(target=speak)
        thread.start()
        thread.join()
    assert "canary" not in caplog.text
    assert "Message withheld" in caplog.text


def test_others_and_other_times(caplog):
    """Loggers of other programs, and these libraries when no call of ours runs, say what they have to say."""
    caplog.set_level(logging.DEBUG)
    with quiet():
        logging.getLogger("shop").warning("the shop's own %s", "words")
        with quiet():
            logging.getLogger("s3fs").debug("inner")
        logging.getLogger("s3fs").debug("outer")
    logging.getLogger("s3fs").debug("afterwards")
    assert "the shop's own words" in caplog.text
    assert "afterwards" in caplog.text
    assert "inner" not in caplog.text
    assert "outer" not in caplog.text


def test_a_factory_of_another_library_put_in_between(caplog, monkeypatch):
    """It is wrapped again, once."""
    with quiet():
        pass
    monkeypatch.setattr(logging, "_logRecordFactory", logging.LogRecord)
    with quiet():
        made = logging.getLogRecordFactory()
        logging.getLogger("urllib3").warning("about %s", EMAIL)
        with quiet():
            assert made is logging.getLogRecordFactory()
    assert "canary" not in caplog.text
