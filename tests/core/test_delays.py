"""However a vendor writes a wait, it is read as a wait of at most a day, or ends in a final error."""

from __future__ import annotations

import logging
import random
import secrets
from email.utils import formatdate

import pytest
import requests
import requests_mock

from airflow_provider_segexport.errors import RetryableError, WaitTooLong
from airflow_provider_segexport.http.client import RetryLimits, Sender
from airflow_provider_segexport.http.errors import bounded_retry
from airflow_provider_segexport.model import Request, Response
from airflow_provider_segexport.ratelimit.backends import open_store
from airflow_provider_segexport.ratelimit.limiter import RateLimiter
from airflow_provider_segexport.vendors.delays import MAX_WAIT_S, bounded, is_too_long, seconds_until
from airflow_provider_segexport.vendors.registry import VENDORS

NOW = 1_767_225_600.0  # 2026-01-01T00:00:00Z
NAME = f"delays-{secrets.token_hex(4)}"
URL = "https://plain.test/people"

READABLE = [
    ("0", 0),
    ("20", 20),
    (" 20 ", 20),
    ("1.5", 1.5),
    (str(int(NOW) + 30), 30),
    (str((int(NOW) + 30) * 1000), 30),
    (str((int(NOW) + 30) * 1_000_000), 30),
    (str(int(NOW) - 30), 0),
    (formatdate(NOW + 90, usegmt=True), 90),
    (formatdate(NOW - 90, usegmt=True), 0),
    ("Thursday, 01-Jan-26 00:01:00 GMT", 60),
    ("Thu Jan  1 00:01:00 2026", 60),
    ("2026-01-01T00:01:00Z", 60),
    ("2026-01-01T01:01:00+01:00", 60),
    ("2026-01-01 00:01:00", 60),
]
UNREADABLE = [
    "",
    " ",
    "-1",
    "-inf",
    "nan",
    "inf",
    "1e999",
    "-0.5",
    "soon",
    "12 s",
    "120, 120",
    "0x10",
    "\x00",
    "9" * 400,
]
TOO_LONG = ["90000", "172800", "31536000", "1e8", formatdate(NOW + 172_800, usegmt=True), "2058-01-01T00:00:00Z"]


@pytest.mark.parametrize(("text", "seconds"), READABLE)
def test_a_wait_is_read_in_each_form_that_vendors_write(text, seconds):
    """Spans, epoch times of any unit and dates give the same seconds."""
    assert seconds_until(text, NOW) == pytest.approx(seconds, abs=0.01)


@pytest.mark.parametrize("text", UNREADABLE)
def test_text_that_is_no_wait_is_none(text):
    """It is None, never a guess."""
    assert seconds_until(text, NOW) is None


def test_whatever_the_text_is_the_bounded_wait_lies_within_a_day():
    """Random headers never raise and never give more than the bound."""
    random.seed(7)
    pieces = [*"0123456789.,-+eE:TZ /", "nan", "inf", "GMT", "Jan", "2026", "1767225600"]
    for _ in range(5_000):
        text = "".join(random.choices(pieces, k=random.randint(0, 12)))
        seconds = bounded(seconds_until(text, NOW))
        assert seconds is None or 0 <= seconds <= MAX_WAIT_S


def test_a_day_by_another_clock_is_a_day():
    """A daily quota may seem to end a little later than in 24 hours."""
    assert bounded(MAX_WAIT_S + 30) == MAX_WAIT_S
    assert is_too_long(MAX_WAIT_S + 61)
    assert bounded(MAX_WAIT_S + 61) is None


@pytest.mark.parametrize("header", ["retry-after", "x-ratelimit-reset", "x-rate-limit-reset"])
@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("text", [*UNREADABLE, *TOO_LONG, *(text for text, _ in READABLE)])
@pytest.mark.parametrize("name", sorted(VENDORS))
def test_every_vendors_refusal_ends_in_a_bounded_wait_or_a_final_error(name, text, status, header):
    """Whichever vendor, header and value: no error of another kind, and no wait beyond a day."""
    response = Response(status, {header: text}, b"{}", URL)
    later = VENDORS[name].retry_hint(response, NOW)
    assert later is not None
    error = bounded_retry(later, response)
    assert isinstance(error, WaitTooLong) or (
        isinstance(error, RetryableError) and 0 <= (error.retry_after_s or 0) <= MAX_WAIT_S
    )


@pytest.mark.parametrize("retry_after", ["NaN", "1e999", "-5", "true", "1" + "0" * 400, '"soon"', "[1]", "{}", "null"])
def test_a_wait_in_omnisends_body_is_bounded_too(retry_after):
    """JSON can hold numbers that no clock can."""
    response = Response(429, {}, b'{"retryAfter": ' + retry_after.encode() + b"}", URL)
    later = VENDORS["omnisend"].retry_hint(response, NOW)
    assert later is not None
    assert 0 <= (bounded_retry(later, response).retry_after_s or 0) <= MAX_WAIT_S


READ = Request("GET", URL)


class Account:
    """A sender of Campaign Monitor whose answers are given, with a store of its own."""

    def __init__(self, folder, answers):
        adapter = requests_mock.Adapter()
        adapter.register_uri(requests_mock.ANY, requests_mock.ANY, answers)
        self.slept = []

        def session():
            made = requests.Session()
            made.mount("https://", adapter)
            return made

        vendor = VENDORS["campaign_monitor"]
        counts = open_store(str(folder), NAME, vendor.limits)
        pace = RateLimiter(
            vendor, counts, max_wait_s=60, sleep=self.slept.append, clock=lambda: NOW, raise_if_stopped=lambda: None
        )
        self.send = Sender(
            session,
            vendor,
            retry_limits=RetryLimits(attempts=3),
            rate_limiter=pace,
            sleep=self.slept.append,
            clock=lambda: NOW,
        )


@pytest.mark.parametrize("text", TOO_LONG)
def test_a_wait_of_more_than_a_day_is_a_final_error_that_says_so(tmp_path, text):
    """The error names the span and what to do; nothing is waited, and the next call goes out."""
    account = Account(tmp_path, [{"status_code": 429, "headers": {"Retry-After": text}}, {"json": {}}])
    with pytest.raises(WaitTooLong, match=r"asks to wait for .*To fix: ask the vendor"):
        account.send(READ)
    assert account.slept == []
    assert account.send(READ).status == 200


@pytest.mark.parametrize("text", ["-5", "nan", "soon", "1e999"])
def test_a_wait_that_cannot_be_read_is_logged_and_the_call_made_again(tmp_path, text, caplog):
    """The usual jitter applies, as if the vendor had said nothing; the log says that something was ignored."""
    account = Account(tmp_path, [{"status_code": 429, "headers": {"Retry-After": text}}, {"json": {}}])
    with caplog.at_level(logging.WARNING):
        assert account.send(READ).status == 200
    assert sum(account.slept) <= 60
    assert "Ignoring a wait that cannot be read" in caplog.text
