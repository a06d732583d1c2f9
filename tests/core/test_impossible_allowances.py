"""Allowances and stored waits that no vendor can mean leave the rate limit store usable."""

from __future__ import annotations

import json
import logging
import secrets
import sqlite3
from pathlib import Path

import pytest
from quota_stores import STORES, forget, quota_store

from airflow_provider_segexport.errors import RateLimited, SegexportError
from airflow_provider_segexport.model import RemainingQuota, Request, Response
from airflow_provider_segexport.ratelimit.backends import open_store
from airflow_provider_segexport.ratelimit.limiter import RateLimiter
from airflow_provider_segexport.ratelimit.windows import WindowState
from airflow_provider_segexport.vendors.delays import MAX_WAIT_S
from airflow_provider_segexport.vendors.registry import VENDORS

NOW = 1_767_225_600.0  # 2026-01-01T00:00:00Z
NAME = f"delays-{secrets.token_hex(4)}"
URL = "https://plain.test/people"


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
