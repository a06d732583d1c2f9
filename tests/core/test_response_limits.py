"""Hostile and broken responses over real sockets: every one ends, soon, with an error of ours that names the limit."""

from __future__ import annotations

import gc
import gzip
import socket
import threading
import tracemalloc
from contextlib import contextmanager
from dataclasses import replace

import pytest
import requests
from core.factories import PLAIN

from airflow_provider_segexport.errors import UnexpectedResponse, VendorUnavailable, clean_text
from airflow_provider_segexport.http.client import RetryLimits, Sender
from airflow_provider_segexport.model import Audience, Reason, Request, Response, RowRejection
from airflow_provider_segexport.vendors import repeated_reads
from airflow_provider_segexport.vendors.base import ResponseLimits
from airflow_provider_segexport.vendors.campaign_monitor.responses import next_page
from airflow_provider_segexport.vendors.operations import run_operation

MIB = 2**20
SMALL = ResponseLimits(seconds=0.6, wire_bytes=2 * MIB, body_bytes=4 * MIB)


@contextmanager
def server(*parts, pause=0.0, endless=False):
    """Answers each connection with these bytes, a pause before each part; the base URL."""
    stopped = threading.Event()
    listener = socket.create_server(("127.0.0.1", 0))

    def serve():
        while not stopped.is_set():
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=answer, args=(connection,), daemon=True).start()

    def answer(connection):
        with connection:
            try:
                connection.recv(65536)
                for part in parts:
                    stopped.wait(pause)
                    connection.sendall(part)
                while endless and not stopped.is_set():
                    connection.sendall(parts[-1])
                if pause:
                    stopped.wait(30)
            except OSError:
                return

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/people"
    finally:
        stopped.set()
        listener.close()


def fetch(url, limits=SMALL, timeout_s=5.0):
    vendor = replace(PLAIN, limits=replace(PLAIN.limits, response=limits, timeout_s=timeout_s))
    sender = Sender(requests.Session, vendor, retry_limits=RetryLimits(attempts=1))
    try:
        return sender(Request("GET", url))
    finally:
        sender.close()


def head(*headers):
    return "\r\n".join(["HTTP/1.1 200 OK", "content-type: application/json", *headers, "", ""]).encode()


def chunk(content):
    return b"%x\r\n%s\r\n" % (len(content), content)


DRIPS = {
    "the body": [head("content-length: 500"), *[b" "] * 400],
    "the chunks": [head("transfer-encoding: chunked"), *[chunk(b" ")] * 400],
    "one chunk": [head("transfer-encoding: chunked"), b"fff\r\n", *[b" "] * 400],
    "the headers": [bytes([byte]) for byte in head("x-a: " + "b" * 400, "content-length: 0")],
    "the status line": [b"H", b"T", b"T", *[b"P"] * 400],
}


@pytest.mark.parametrize("parts", DRIPS.values(), ids=DRIPS)
def test_a_response_that_comes_a_byte_at_a_time_ends_at_the_limit(parts):
    """Each byte arrives well within the read timeout; the response as a whole does not."""
    with server(*parts, pause=0.02) as url, pytest.raises(VendorUnavailable, match=r"not complete after 0\.6 s"):
        fetch(url)


BROKEN = {
    "a chunk of negative size": [head("transfer-encoding: chunked"), b"-5\r\nabc\r\n"],
    "a chunk of 22 digits": [head("transfer-encoding: chunked"), b"f" * 22 + b"\r\nabc\r\n"],
    "a chunk without a size": [head("transfer-encoding: chunked"), b"1;" * 1000],
    "two lengths": [head("content-length: 2", "content-length: 5"), b"{}abc"],
    "a length of 23 digits": [head("content-length: 99999999999999999999999"), b"{}"],
    "fifty compressions": [head("content-encoding: " + ", ".join(["gzip"] * 50), "content-length: 3"), b"abc"],
    "no gzip": [head("content-encoding: gzip", "content-length: 3"), b"abc"],
    "no status line": [b"{}"],
    "a negative status": [b"HTTP/1.1 -200 OK\r\ncontent-length: 2\r\n\r\n{}"],
    "5,000 headers": [b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 5000 + b"\r\n{}"],
    "a header of 200 kB": [b"HTTP/1.1 200 OK\r\nx: " + b"y" * 200_000 + b"\r\n\r\n{}"],
}


@pytest.mark.parametrize("parts", BROKEN.values(), ids=BROKEN)
def test_a_response_that_is_no_http_is_tried_again(parts):
    """A proxy or a fault is the cause, and not the connection's base URL or its credentials."""
    with server(*parts) as url, pytest.raises(VendorUnavailable, match="broke off"):
        fetch(url)


@pytest.mark.parametrize(
    "parts",
    [[b"HTTP/1.1 100 Continue\r\n\r\n"], [head("transfer-encoding: chunked") + b"0\r\n", b"x: y\r\n"]],
    ids=["interim responses", "trailers"],
)
def test_interim_responses_and_trailers_without_end_stop(parts):
    """They count as bytes of the response."""
    with server(*parts, endless=True) as url, pytest.raises((VendorUnavailable, UnexpectedResponse)):
        fetch(url)


def test_silence_ends_at_the_read_timeout():
    """The limit between two reads still holds, with its own message."""
    with server(b"", pause=20) as url, pytest.raises(VendorUnavailable, match="did not respond in time"):
        fetch(url, replace(SMALL, seconds=30), timeout_s=0.2)


ENDLESS = {
    "a body without length": [head(), b" " * 65536],
    "chunks": [head("transfer-encoding: chunked"), chunk(b" " * 65536)],
    "headers": [b"HTTP/1.1 200 OK\r\n", b"x-a: " + b"b" * 60_000 + b"\r\n"],
}


@pytest.mark.parametrize("parts", ENDLESS.values(), ids=ENDLESS)
def test_a_response_without_end_is_cut_off(parts):
    """It is an error of ours, whichever limit it meets first: ours, or the HTTP library's on headers."""
    with server(*parts, endless=True) as url, pytest.raises((UnexpectedResponse, VendorUnavailable)):
        fetch(url, replace(SMALL, seconds=20))


@pytest.mark.parametrize("layers", [1, 2])
def test_a_gzip_bomb_is_noticed_after_the_limit_and_costs_no_memory(layers):
    """100 KB that become 100 MB, once and twice compressed."""
    body = gzip.compress(b"[" + b" " * (100 * MIB) + b"]")
    for _ in range(layers - 1):
        body = gzip.compress(body)
    encoding = ", ".join(["gzip"] * layers)
    with server(head(f"content-encoding: {encoding}", f"content-length: {len(body)}"), body) as url:
        tracemalloc.start()
        try:
            with pytest.raises(UnexpectedResponse, match="4 MiB after decompression"):
                fetch(url, replace(SMALL, seconds=20))
            assert tracemalloc.get_traced_memory()[1] < 40 * MIB
        finally:
            tracemalloc.stop()


def test_an_ordinary_response_is_read_as_before():
    """Within the limits nothing changes, compressed or not, twice over one connection's session."""
    body = b'{"fine": true}'
    for content, headers in ((body, []), (gzip.compress(body), ["content-encoding: gzip"])):
        with server(head(f"content-length: {len(content)}", *headers), content) as url:
            assert fetch(url).json() == {"fine": True}


UNUSABLE = {
    "deep lists": (b"[" * 200_000 + b"]" * 200_000, "hundreds of levels"),
    "deep objects": (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "hundreds of levels"),
    "deep, and short": (b"[" * 5_000 + b"]" * 5_000, "hundreds of levels"),
    "a number beyond doubles": (b'{"NumberOfPages": 1e999}', "1.8e308"),
    "minus as well": (b"[-1e400]", "1.8e308"),
    "5,000 digits": (b'{"id": ' + b"1" * 5_000 + b"}", "thousands of digits"),
    "NaN": (b'{"count": NaN}', "NaN"),
    "Infinity": (b'{"count": -Infinity}', "-Infinity"),
}


@pytest.mark.parametrize(("body", "limit"), UNUSABLE.values(), ids=UNUSABLE)
def test_json_beyond_what_can_be_read_stops_with_the_limit(body, limit):
    """No RecursionError and no infinity gets past the border."""
    with server(head(f"content-length: {len(body)}"), body) as url:
        response = fetch(url, replace(SMALL, seconds=20))
        gc.collect()
        gc.disable()  # other tests' objects would be deleted at the deepest level, where their destructors fail
        try:
            with pytest.raises(UnexpectedResponse, match=limit):
                response.json()
        finally:
            gc.enable()


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (rb'{"m": "a\ud800b"}', "a\ufffdb"),
        (rb'{"m": "\udfff"}', "\ufffd"),
        (rb'{"m": "\ud83d\ude00"}', "\U0001f600"),
        (rb'{"m": ["\ud83d"], "\udc00": 1}', None),
    ],
)
def test_half_characters_do_not_get_past_the_border(body, text):
    """Whatever is read can be stored and logged as UTF-8."""
    value = Response(200, {}, body).json()
    assert text is None or text == value["m"]
    str(value).encode()


def test_bytes_that_are_not_utf_8_are_not_json():
    """Python's own reader lets encoded half characters pass."""
    with pytest.raises(VendorUnavailable, match="not JSON"):
        Response(200, {}, b'{"m": "\xed\xa0\x80"}').json()


TEXTS = {
    "newlines": ("first\nsecond\r\nthird", "first second third"),
    "escape sequences": ("\x1b[31mred\x1b[0m", "[31mred [0m"),
    "half characters": ("a\ud800b", "a b"),
    "right to left": ("a\u202egnp.exe", "a gnp.exe"),
    "HTML": ("<p>Not <b>here</b><script>alert(1)</script></p>", "Not here alert(1)"),
    "comparisons stay": ("1 < 2", "1 < 2"),
    "50 MB": ("x" * 50_000_000, "x" * 500),
    "plain": ("Größe: 42 €", "Größe: 42 €"),
}


@pytest.mark.parametrize(("text", "clean"), TEXTS.values(), ids=TEXTS)
def test_a_vendor_s_text_is_one_line_of_printable_characters(text, clean):
    """Wherever it is kept: of a row, of an audience, of an account."""
    assert clean == clean_text(text)
    assert clean == RowRejection(0, Reason.INVALID_VALUE, "1", text).message
    target = Audience("https://plain.test", "1", text, "2", text)
    assert (clean, clean) == (target.account_name, target.audience_name)
    assert len(RowRejection(0, Reason.INVALID_VALUE, text, "").code) <= 100


def pages(*urls):
    """An operation that reads these addresses, in this order."""

    def operation():
        for url in urls:
            yield Request("GET", url)

    return operation()


def answer(request):
    return Response(200, {}, b"{}", request.url)


@pytest.mark.parametrize("length", [1, 2, 7])
def test_pages_that_lead_in_a_circle_stop(length):
    """A next link, or a cursor, that repeats after some pages."""
    urls = [f"https://plain.test/people?cursor={n % length}" for n in range(50)]
    with pytest.raises(UnexpectedResponse, match="circle"):
        run_operation(pages(*urls), answer)


def test_pages_without_end_stop(monkeypatch):
    """Cursors that are new each time."""
    monkeypatch.setattr(repeated_reads, "MAX_CALLS", 1_000)
    urls = [f"https://plain.test/{n}" for n in range(1_001)]
    run_operation(pages(*urls[:-1]), answer)
    with pytest.raises(UnexpectedResponse, match="1,000 calls"):
        run_operation(pages(*urls), answer)


def test_the_same_read_after_a_change_or_a_wait_is_no_circle():
    """A look, a call that changes something, and a look again."""

    def operation():
        from airflow_provider_segexport.model import Sleep  # noqa: PLC0415

        for between in (Sleep(1), Request("POST", "https://plain.test/tags")):
            yield Request("GET", "https://plain.test/people")
            yield between
            yield Request("GET", "https://plain.test/people")
            yield Sleep(1)

    run_operation(operation(), answer, lambda _: None)


def test_a_billion_empty_pages_are_not_read():
    """Campaign Monitor's page count is held against what the pages hold."""
    assert next_page({"NumberOfPages": 1_000_000_000, "Results": [{}]}, 1) == 2
    assert next_page({"NumberOfPages": 1, "Results": []}, 1) == 0
    with pytest.raises(UnexpectedResponse, match="page 7 of 1,000,000,000 is empty"):
        next_page({"NumberOfPages": 1_000_000_000, "Results": []}, 7)
