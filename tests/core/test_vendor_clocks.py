"""A machine's clock may be wrong by hours or days: absolute times in responses are compared with the vendor's clock."""

from __future__ import annotations

import json
import random
from email.utils import formatdate

import pytest

from airflow_provider_segexport.errors import RateLimited, RetryableError, VendorUnavailable
from airflow_provider_segexport.http.errors import bounded_retry
from airflow_provider_segexport.model import Response
from airflow_provider_segexport.vendors.delays import MAX_WAIT_S, date_to_epoch_s
from airflow_provider_segexport.vendors.omnisend.account import server_clock
from airflow_provider_segexport.vendors.registry import VENDORS

NOW = 1_767_225_600.0 + 43_200  # 2026-01-01T12:00:00Z, the vendor's time
HOUR, DAY = 3600.0, 86_400.0
URL = "https://plain.test/people"
SKEWS = [HOUR, -HOUR, DAY, -DAY, *(random.Random(3).uniform(-400 * DAY, 400 * DAY) for _ in range(8))]
"""Seconds by which a machine's clock is ahead of the vendor's."""


def moment(seconds: float, form: int) -> str:
    """Return a time, so many seconds after the vendor's present, in one of the forms that vendors write."""
    epoch = NOW + seconds
    return [str(int(epoch)), str(int(epoch * 1000)), formatdate(epoch, usegmt=True)][form]


WAITS = [
    (vendor, status, header)
    for vendor, headers in {
        "campaign_monitor": ["retry-after", "x-ratelimit-reset"],
        "constant_contact": ["retry-after"],
        "dotdigital": ["retry-after", "x-ratelimit-reset"],
        "omnisend": ["retry-after", "x-rate-limit-reset"],
    }.items()
    for header in headers
    for status in (429, 503)
    if (vendor, status) != ("constant_contact", 429)  # it has no header, and waits for a second
    if (vendor, status, header) != ("omnisend", 503, "x-rate-limit-reset")
]


def wait(vendor: str, response: Response, skew: float) -> float:
    """Return the seconds that a machine with a wrong clock waits."""
    hint = VENDORS[vendor].retry_hint(response, NOW + skew)
    assert hint is not None
    error = bounded_retry(hint, response)
    assert isinstance(error, RetryableError), error
    assert error.retry_after_s is not None
    return error.retry_after_s


@pytest.mark.parametrize("form", range(3), ids=["seconds", "milliseconds", "date"])
@pytest.mark.parametrize(("vendor", "status", "header"), WAITS)
def test_a_time_in_a_header_is_a_wait_by_the_vendors_clock(vendor, status, header, form):
    """The same wait, whatever the machine's clock says."""
    for number, skew in enumerate(SKEWS):
        seconds = 20 + 30 * number
        headers = {"date": formatdate(NOW, usegmt=True), header: moment(seconds, form)}
        assert wait(vendor, Response(status, headers, b"{}", URL), skew) == pytest.approx(seconds, abs=1)


@pytest.mark.parametrize("skew", SKEWS)
def test_the_remaining_quota_of_dotdigital_ends_by_the_vendors_clock(skew):
    """The time is moved to the machine's clock, because the store compares it with that."""
    headers = {
        "date": formatdate(NOW, usegmt=True),
        "x-ratelimit-remaining": "0",
        "x-ratelimit-reset": str(int(NOW) + 40),
    }
    read = VENDORS["dotdigital"].remaining_quota
    assert read is not None
    reported = read(Response(200, headers, b"{}", URL), NOW + skew)
    assert reported is not None
    assert reported.until - (NOW + skew) == pytest.approx(40, abs=1)


@pytest.mark.parametrize("skew", SKEWS)
def test_constant_contacts_day_ends_at_the_vendors_midnight(skew):
    """No header says when; the response's own time does."""
    response = Response(429, {"date": formatdate(NOW, usegmt=True)}, b'{"error": "quota_exceeded"}', URL)
    assert wait("constant_contact", response, skew) == 12 * HOUR + 1


@pytest.mark.parametrize("skew", SKEWS)
def test_a_time_in_omnisends_body(skew):
    """`retryAfter` may be an epoch time too."""
    body = json.dumps({"retryAfter": int(NOW) + 25}).encode()
    assert wait("omnisend", Response(429, {"date": formatdate(NOW, usegmt=True)}, body, URL), skew) == 25


@pytest.mark.parametrize(
    "date",
    [
        "",
        "soon",
        "Thu, 01 Jan 1970 00:00:00 GMT",
        "Mon, 01 Jan 0001 00:00:00 GMT",
        "Thu, 01 Jan 99999999999 00:00:00 GMT",
        "Thu, 01 Jan 2026 00:00:00 +9999",
        "\x00",
        "9" * 400,
    ],
)
@pytest.mark.parametrize(("vendor", "status", "header"), WAITS)
def test_a_date_that_means_nothing_leaves_the_machines_clock(vendor, status, header, date):
    """A cached page's date is days old, and another program's may be none."""
    headers = {"date": date, header: str(int(NOW) + 50)}
    seconds = wait(vendor, Response(status, headers, b"{}", URL), 0.0)
    assert seconds == pytest.approx(50, abs=1) or (date.startswith("Thu, 01 Jan 2026") and 0 <= seconds <= MAX_WAIT_S)


@pytest.mark.parametrize("date", ["Fri, 31 Dec 9999 23:59:59 GMT", "Mon, 01 Jan 0001 00:00:00 GMT", "Fri, 31 Dec 9999"])
@pytest.mark.parametrize("vendor", sorted(VENDORS))
def test_a_date_at_the_end_of_time_ends_in_a_bounded_wait(vendor, date):
    """No error of another kind."""
    for body in (b'{"error": "quota_exceeded"}', b"{}"):
        headers = {"date": date, "x-ratelimit-reset": str(int(NOW)), "retry-after": str(int(NOW))}
        response = Response(429, headers, body, URL)
        hint = VENDORS[vendor].retry_hint(response, NOW)
        assert hint is not None
        error = bounded_retry(hint, response)
        assert isinstance(error, RateLimited | VendorUnavailable)
        assert 0 <= (error.retry_after_s or 0) <= MAX_WAIT_S
    assert set(server_clock(Response(200, {"date": date}, b"", URL))) in ({"since", "checked_at"}, set())


def test_a_date_without_a_zone_is_utc():
    """`-0000` says that the zone is unknown."""
    assert date_to_epoch_s("Thu, 01 Jan 2026 12:00:00 -0000") == NOW
