"""The one border where HTTP's exceptions and responses become ours, and what a call carries."""

from __future__ import annotations

import inspect
import threading
from dataclasses import replace

import pytest
import requests
from core.factories import PLAIN
from core.sender_harness import OK, PERSON, URL, SenderHarness
from requests import exceptions as foreign

from airflow_provider_segexport.errors import (
    InvalidConnection,
    RetryableError,
    SegexportError,
    UnexpectedResponse,
    VendorUnavailable,
)
from airflow_provider_segexport.http.client import Sender
from airflow_provider_segexport.http.errors import redact_url, translate_error
from airflow_provider_segexport.http.prepare import RequestPreparer
from airflow_provider_segexport.http.response_limits import READ_BYTES
from airflow_provider_segexport.model import Request, Response
from airflow_provider_segexport.vendors.operations import run_operation
from airflow_provider_segexport.vendors.registry import VENDORS

KINDS = [kind for _, kind in inspect.getmembers(foreign, inspect.isclass) if issubclass(kind, foreign.RequestException)]


@pytest.mark.parametrize("kind", KINDS)
def test_every_exception_of_requests_is_mapped(kind):
    """None of them leaves the border as it is; what a person must mend stops, everything else is tried again."""
    made = kind("secret words", "doc", 0) if issubclass(kind, foreign.JSONDecodeError) else kind("secret words")
    ours = translate_error(made, f"{URL}?email=jane.secret@example.com")
    person_must_act = {
        foreign.SSLError,
        foreign.URLRequired,
        foreign.InvalidURL,
        foreign.MissingSchema,
        foreign.InvalidSchema,
        foreign.InvalidHeader,
        foreign.InvalidProxyURL,
        foreign.UnrewindableBodyError,
        foreign.InvalidJSONError,
        foreign.JSONDecodeError,
    }
    assert type(ours) is (InvalidConnection if kind in person_must_act else VendorUnavailable)
    assert "plain.test" in str(ours)
    assert "secret" not in str(ours)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://user:s3cret@plain.test/a/b?email=jane@example.com", "https://plain.test/a/b"),
        ("https://plain.test", "https://plain.test"),
        ("https://plain.test/email/jane%40example.com/lists", "https://plain.test/email/***/lists"),
        ("https://plain.test/email/jane@example.com", "https://plain.test/email/***"),
        ("plain.test/a", "plain.test/a"),
    ],
)
def test_an_address_in_a_log(url, expected):
    """Neither query nor credentials nor a person in the path are shown."""
    assert redact_url(url) == expected


def test_an_exception_does_not_quote_what_it_was_sent():
    """The library's own words hold the query, which holds a person: they are not chained to ours."""
    harness = SenderHarness([{"exc": foreign.ConnectionError(f"Max retries exceeded with url: {PERSON.query}")}])
    with pytest.raises(VendorUnavailable) as caught:
        harness.send(PERSON)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__
    assert "jane" not in str(caught.value)


def test_a_long_answer_is_read_whole():
    """Also one that is longer than what is read at a time."""
    body = bytes(range(256)) * (2 * READ_BYTES // 256) + b"end"
    assert SenderHarness([{"content": body}]).send(PERSON).body == body


def test_a_redirect_is_not_followed():
    """Credentials go to no other host; the error says where to put the new address."""
    harness = SenderHarness([{"status_code": 302, "headers": {"Location": "https://evil.test/"}}])
    with pytest.raises(InvalidConnection, match=r"redirect.*base URL"):
        harness.send(PERSON)
    assert len(harness.calls) == 1


@pytest.mark.parametrize("body", [b"", b"{}", b" [1] ", b'"[key]"', b"12", b"true", b"null\n"])
def test_whole_replies_pass(body):
    """Whatever JSON ends in, and nothing at all."""
    answer = {"content": body, "headers": {"Content-Type": "application/json"}}
    assert SenderHarness([answer]).send(PERSON).body == body


def test_an_error_about_a_body_that_is_not_json_does_not_quote_it():
    """A proxy's page may quote the request."""
    response = Response(403, {"content-type": "text/html"}, b"<html>jane.secret@example.com</html>", URL)
    with pytest.raises(VendorUnavailable, match=r"403 with a body that is not JSON \(36 bytes, text/html\)") as caught:
        response.mapping()
    assert "jane" not in str(caught.value)
    with pytest.raises(UnexpectedResponse, match="no object"):
        Response(200, {}, b"[]", URL).mapping()


def test_a_renewed_sign_in_is_used_once():
    """A 401 renews and calls again; a second 401 is the vendor's answer."""
    renewed = []
    harness = SenderHarness(
        [{"status_code": 401}, OK], renew_auth=lambda response: renewed.append(response.status) or True
    )
    assert harness.send(PERSON).status == 200
    assert SenderHarness([{"status_code": 401}], renew_auth=lambda _: True).send(PERSON).status == 401
    assert SenderHarness([{"status_code": 401}], renew_auth=lambda _: False).send(PERSON).status == 401
    assert renewed == [401]


def test_an_unsigned_call_carries_no_credentials():
    """A token request is not signed, and a 401 to it renews nothing."""
    harness = SenderHarness([{"status_code": 401}], renew_auth=lambda _: pytest.fail("renewed for an unsigned call"))
    harness.send(replace(PERSON, authenticated=False))
    harness.send.close()
    signed = SenderHarness([OK])
    signed.send(PERSON)
    assert "Authorization" not in harness.calls[0].headers
    assert signed.calls[0].headers["Authorization"].startswith("Basic ")


def test_the_session_s_own_certificates_win(monkeypatch):
    """`REQUESTS_CA_BUNDLE` in the environment does not replace what the connection says."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/etc/ssl/other.pem")
    harness = SenderHarness([OK])
    original = harness.session

    def session():
        made = original()
        made.verify = "/etc/ssl/company.pem"
        return made

    harness.send = Sender(session, PLAIN)
    harness.send(PERSON)
    assert harness.calls[0].verify == "/etc/ssl/company.pem"


@pytest.mark.parametrize(
    ("host", "is_proxied"),
    [
        ("api.createsend.com", True),
        ("127.0.0.1.example.com", True),
        ("10.0.0.1", True),
        ("127.0.0.1:8100", False),
        ("127.8.9.1", False),
        ("[::1]:8100", False),
        ("[::ffff:127.0.0.1]:8100", False),
        ("vendor.localhost:8100", False),
        ("api.vendor.com\\@localhost", True),
        ("localhost:8100", False),
    ],
)
def test_a_proxy_of_the_environment_is_not_used_for_this_machine(monkeypatch, host, is_proxied):
    """A simulator on a loopback port is reached in a CI whose calls to the outside go through a proxy."""
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTP_PROXY", "http://proxy.test:3128")
    monkeypatch.setenv("http_proxy", "http://proxy.test:3128")
    transport = RequestPreparer().transport(requests.Session(), f"http://{host}/api/v3.3/lists.json")
    assert bool(transport["proxies"]) is is_proxied
    session = requests.Session()
    session.proxies = {"http": "http://of-the-connection.test:3128"}
    assert RequestPreparer().transport(session, f"http://{host}/")["proxies"]["http"] == session.proxies["http"]


@pytest.mark.parametrize(
    "proxies", [{}, {"https": "http://own.test:1"}, {"http://other.test": "http://own.test:1"}, {"http": None}]
)
def test_a_proxy_of_the_environment_is_used_where_the_connection_has_none(monkeypatch, proxies):
    """The connection's proxies of another scheme or host do not let a call pass the company's proxy by."""
    monkeypatch.setenv("http_proxy", "http://proxy.test:3128")
    session = requests.Session()
    session.proxies = proxies
    transport = RequestPreparer().transport(session, "http://api.vendor.test/v1/lists")
    assert transport["proxies"]["http"] == "http://proxy.test:3128"


def test_timeouts_are_the_vendor_s():
    """An import may take its two minutes; connecting may not."""
    harness = SenderHarness([OK], VENDORS["dotdigital"])
    harness.send(PERSON)
    assert harness.calls[0].timeout == (10.0, 121)


@pytest.mark.parametrize(
    "url", ["plain.test", "ftp://plain.test", "https://", "https://[", "https://\ud800.test", "https://.test"]
)
def test_a_bad_base_url(url):
    """The error says to check the base URL, whatever the response is."""
    with pytest.raises(InvalidConnection, match="base URL"):
        SenderHarness([OK]).send(Request("GET", url))


def test_a_credential_that_no_header_can_hold():
    """A line break copied along with a key; the error does not show the key."""
    harness = SenderHarness([OK])
    with pytest.raises(InvalidConnection) as caught:
        harness.send(Request("GET", URL, headers={"Authorization": "Bearer s3cret-word\nX: y"}))
    assert "s3cret" not in str(caught.value)
    assert caught.value.__suppress_context__


def test_every_thread_has_a_session_and_all_are_closed():
    """A session is not shared between threads, and is kept alive in its own."""
    harness = SenderHarness([OK])
    harness.send(PERSON)
    harness.send(PERSON)
    thread = threading.Thread(target=harness.send, args=(PERSON,))
    thread.start()
    thread.join()
    assert len(harness.sessions) == 2
    closed = []
    for session in harness.sessions:
        session.close = lambda: closed.append(1)
    harness.send.close()
    harness.send.close()
    assert closed == [1, 1]


@pytest.mark.parametrize(
    "error", [KeyError("jane.secret@example.com"), TypeError(), ValueError(), AttributeError(), IndexError()]
)
def test_a_response_of_another_shape_is_an_unexpected_response(error):
    """A vendor that changes its replies stops the export with its address, and without the reply."""

    def operation():
        yield PERSON
        raise error

    with pytest.raises(UnexpectedResponse, match=f"plain.test/people answered 200 .*{type(error).__name__}") as caught:
        run_operation(operation(), lambda _: Response(200, {}, b"{}", URL))
    assert "jane" not in str(caught.value)
    assert caught.value.__suppress_context__


def test_errors_by_what_the_caller_does_next():
    """Try again, halve the batch, or stop: each of ours is one of them."""
    from airflow_provider_segexport import errors  # noqa: PLC0415

    ours = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, SegexportError)]
    roots = (RetryableError, errors.BatchRejected, errors.FatalError)
    assert [kind for kind in ours if not issubclass(kind, roots) and kind is not SegexportError] == []
    drawn = errors.__doc__ or ""
    assert [kind.__name__ for kind in ours if kind.__name__ not in drawn] == []


@pytest.mark.parametrize(
    "code", ["ERROR_CONTACT_INVALID", "contacts:badRequest", "contacts.api.validation.error", "204", "invalid_grant"]
)
def test_a_code_of_a_vendor_is_shown(code):
    """A log says which error it was."""
    from airflow_provider_segexport.errors import public_code  # noqa: PLC0415

    assert public_code(code) == code


@pytest.mark.parametrize(
    "code",
    [
        "jane@example.com",
        "jane%40example.com",
        '"jane doe"',
        "Jane Doe",
        "+44 20 7946 0958",
        "442079460958",
        "x4420794609",
        "jäne",
        "ERROR\n",
        "x" * 81,
        "",
        None,
        {"email": "jane"},
    ],
)
def test_what_is_no_code_is_not_shown(code):
    """An address in any spelling, a name, a phone number or a second line never pass for a code."""
    from airflow_provider_segexport.errors import BatchRejected, public_code  # noqa: PLC0415

    shown = public_code(code)
    assert shown in {"unknown", "None"}
    assert "jane" not in str(BatchRejected(str(code), "about jane%40example.com")).lower()
