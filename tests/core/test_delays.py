"""However a vendor writes a wait, it is read as a wait of at most a day, and the rate limit store stays usable."""

from __future__ import annotations

import json
import logging
import random
import secrets
import sqlite3
from email.utils import formatdate
from pathlib import Path

import pytest
import requests
import requests_mock
from quota_stores import STORES, forget, quota_store

from airflow_provider_segexport.errors import RateLimited, RetryableError, SegexportError, WaitTooLong
from airflow_provider_segexport.http.client import RetryLimits, Sender
from airflow_provider_segexport.http.errors import bounded_retry
from airflow_provider_segexport.model import RemainingQuota, Request, Response
from airflow_provider_segexport.ratelimit.backends import open_store
from airflow_provider_segexport.ratelimit.limiter import RateLimiter
from airflow_provider_segexport.ratelimit.windows import WindowState
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


@pytest.fixture(params=STORES)
def store(request, tmp_path):
    url = quota_store(request.param, tmp_path / "quotas")
    yield url
    forget(url, NAME)


@pytest.fixture
def task(store):
    """Make a task of a dotdigital account whose clock does not move; a wait shows as `RateLimited`."""
    opened = []

    def make(vendor="dotdigital", **options):
        counts = open_store(store, NAME, VENDORS[vendor].limits, **options)
        pace = RateLimiter(
            VENDORS[vendor], counts, max_wait_s=0, sleep=_no_sleep, clock=lambda: NOW, raise_if_stopped=lambda: None
        )
        opened.append(pace)
        return pace

    yield make
    for pace in opened:
        pace.close()


def _no_sleep(seconds):
    raise AssertionError(seconds)


READ = Request("GET", URL)
ALLOWANCES = [
    {"x-ratelimit-remaining": left, "x-ratelimit-reset": reset}
    for left, reset in [
        ("0", "4102444800"),
        ("0", str(int(NOW * 1e3) * 10)),
        ("0", "nan"),
        ("0", "1e999"),
        ("0", "-7"),
        ("0", "2058-01-01T00:00:00Z"),
        ("nan", "1e999"),
        ("1e300", str(NOW + 5)),
        ("-3", str(NOW + 5)),
        ("99999999999999999999999", str(NOW + 5)),
        ("", ""),
    ]
]


@pytest.mark.parametrize("headers", ALLOWANCES)
@pytest.mark.parametrize("status", [200, 429])
def test_no_header_stops_the_account_for_longer_than_a_day(task, status, headers):
    """The next task of the account goes on, today or within a day."""
    pace = task()
    pace(READ)
    pace.record_response(READ, Response(status, headers, b"{}", URL))
    try:
        task()(READ)
    except RateLimited as spent:
        assert 0 < spent.retry_after_s <= MAX_WAIT_S  # noqa: PT017 - either is right


@pytest.mark.parametrize(
    "scope", ["_last_call_ms", "_scheduled", "'; drop table window_states --", "x" * 5000, "\x00", "ü"]
)
def test_no_name_of_a_pool_harms_the_store(task, scope):
    """The store's own names cannot be taken by a header."""
    headers = {"x-ratelimit-remaining": "5000", "x-ratelimit-reset": str(NOW + 5), "x-ratelimit-scope": scope}
    pace = task()
    for _ in range(3):
        pace(READ)
        pace.record_response(READ, Response(200, headers, b"{}", URL))
    assert task()(READ) == 0
    assert task(backfill=True)(READ) == 0


STORED = [(0, 2_777_000_000.0, 0, 100), (0, NOW * 1000, 0, 1), (0, float("inf"), 0, 0), (5, float("nan"), 0, 0)]


@pytest.mark.parametrize("fields", STORED[:3])
def test_a_store_that_holds_such_a_value_already_recovers(store, task, fields):
    """A wait that an earlier version stored no longer stops the account, and is overwritten."""
    pace = task()
    pace(READ)
    pace.close()
    _put(store, fields)
    pace = task()
    assert pace(READ) == 0
    pace.record_response(READ, Response(429, {"retry-after": "20"}, b"{}", URL))
    with pytest.raises(RateLimited) as spent:
        task()(READ)
    assert spent.value.retry_after_s == pytest.approx(20, abs=0.5)


def _put(store, fields):
    """Write a window state of the account past the code that guards it."""
    if store.startswith("redis"):
        import redis  # noqa: PLC0415 - only with its server

        with redis.Redis.from_url(store) as client:
            client.hset(f"segexport:{{{NAME}}}:window_states", "all", json.dumps(fields))
    elif store.startswith("postgresql"):
        import psycopg  # noqa: PLC0415 - only with its server

        with psycopg.connect(store) as connection:
            connection.execute("delete from segexport_window_states where account = %s", [NAME])
            connection.execute(
                "insert into segexport_window_states values (%s, 'all', %s, %s, %s, %s)", [NAME, *fields]
            )
    else:
        with sqlite3.connect(Path(store) / f"{NAME}.sqlite") as connection:
            connection.execute("replace into window_states values ('all', ?, ?, ?, ?)", fields)


@pytest.mark.parametrize(
    "fields", [*STORED, (), (1, 2), "text", (None, None, None, None), ("a", "b", "c", "d"), (1, [], 2, 3)]
)
def test_a_stored_note_that_means_nothing_is_an_empty_note(fields):
    """It is read as if there were none."""
    assert WindowState.read(fields, NOW) == WindowState()


def test_a_stored_note_of_today_is_kept():
    """The bound takes nothing from a note that a vendor can mean."""
    assert WindowState.read((3, NOW + 3_600, 1, 9), NOW) == WindowState(3, NOW + 3_600, 1, 9)
    assert WindowState.read((3, NOW - 10 * MAX_WAIT_S, 1, 9), NOW) == WindowState(3, NOW - 10 * MAX_WAIT_S, 1, 9)


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


def test_an_allowance_with_an_absurd_time_is_logged(task, caplog):
    """The log names the pool."""
    with caplog.at_level(logging.WARNING):
        open_pace = task()
        open_pace(READ)
        open_pace.record_response(READ, Response(200, ALLOWANCES[0], b"{}", URL))
    assert "Ignoring a reset time that is not within a day" in caplog.text


def test_the_book_itself_refuses_what_no_vendor_can_mean(store):
    """The bound is in the one function through which every store is written, whatever calls it."""
    counts = open_store(store, NAME, VENDORS["dotdigital"].limits)
    for until in (float("nan"), float("inf"), NOW * 1000, NOW - 5):
        counts.record_remaining("all", RemainingQuota(0, until), NOW)
    pace = RateLimiter(
        VENDORS["dotdigital"], counts, max_wait_s=0, sleep=_no_sleep, clock=lambda: NOW, raise_if_stopped=lambda: None
    )
    try:
        assert pace(READ) == 0
    except SegexportError as error:
        raise AssertionError(error) from None
    finally:
        pace.close()
