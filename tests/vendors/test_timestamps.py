"""Times as vendors write and ask for them."""

from __future__ import annotations

import pytest

from airflow_provider_segexport.vendors.timestamps import day_before, is_since_or_unknown, to_epoch_s, to_iso

NEW_YEAR = 1_767_225_600.0  # 2026-01-01T00:00:00Z


def test_a_day_is_asked_for_from_the_day_before():
    """An account far from UTC has begun its day earlier, or begins it later."""
    assert day_before(NEW_YEAR) == "2025-12-31"
    assert day_before(NEW_YEAR + 86_399) == "2025-12-31"


@pytest.mark.parametrize("since", [0.0, -5.0, 946_684_800.0])
def test_from_the_beginning_is_no_date_before_vendors_were(since):
    """A vendor may refuse a date of 1970."""
    assert (to_iso(since), day_before(since)) == ("2000-01-01T00:00:00Z", "1999-12-31")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-01-01T00:00:00Z", NEW_YEAR),
        ("2026-01-01T00:00:00.000Z", NEW_YEAR),
        ("2025-12-31T19:00:00-05:00", NEW_YEAR),
        ("2026-01-01 00:00:00", None),
        ("yesterday", None),
        ("", None),
    ],
)
def test_a_time_is_read_where_it_tells_its_zone(text, expected):
    """Without one it might be any hour of a day; then it is not left out for being too early."""
    assert to_epoch_s(text) == expected
    assert is_since_or_unknown(text, NEW_YEAR)
    assert is_since_or_unknown(text, NEW_YEAR + 1) == (expected is None)


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00Z", "1970-01-01T00:00:00Z", "1999-12-31T23:59:59Z"])
def test_a_default_is_no_time(text):
    """A vendor that writes an unknown time as a default does not thereby say that it is long ago."""
    assert is_since_or_unknown(text, NEW_YEAR)
