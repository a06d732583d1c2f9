"""Selects the profiles of each segment. Numbers of days are counted back from the beginning of the segment's day.

- ``high_value``: revenue of 250 or more, and an order in the last 365 days.
- ``newsletter_active``: consent to the newsletter, and an update in the last 120 days.
- ``lapsed``: at least one order, but none in the last 270 days.

A profile can be in several segments. Profiles without a valid email address are included, because the export reports
each of them as rejected.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from unification.data_files import PART, segment_folder, write_atomically
from unification.days import as_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import date

    Flags = pd.Series[bool]

HIGH_VALUE_FROM = 250.0
HIGH_VALUE_DAYS = 365
ACTIVE_DAYS = 120
LAPSED_DAYS = 270


def high_value(profiles: pd.DataFrame, now: pd.Timestamp) -> Flags:
    """Return which profiles have a high revenue and a recent order."""
    spent = profiles["lifetime_value"] >= HIGH_VALUE_FROM
    return spent & _since(profiles["last_order_at"], now, HIGH_VALUE_DAYS)


def newsletter_active(profiles: pd.DataFrame, now: pd.Timestamp) -> Flags:
    """Return which profiles want the newsletter and were updated recently."""
    return profiles["newsletter"] & _since(profiles["updated_at"], now, ACTIVE_DAYS)


def lapsed(profiles: pd.DataFrame, now: pd.Timestamp) -> Flags:
    """Return which profiles have ordered, but not recently."""
    return (profiles["orders"] > 0) & ~_since(profiles["last_order_at"], now, LAPSED_DAYS)


# Function that selects the profiles of a segment, by the segment's name.
DEFINITIONS: dict[str, Callable[[pd.DataFrame, pd.Timestamp], Flags]] = {
    "high_value": high_value,
    "newsletter_active": newsletter_active,
    "lapsed": lapsed,
}
# Columns that the functions read.
COLUMNS = ("lifetime_value", "orders", "last_order_at", "newsletter", "updated_at")


def members(profiles: pa.Table, segment: str, day: date) -> pa.Table:
    """Return the profiles of a segment on a day.

    Args:
        profiles: all profiles of the day.
        segment: name of the segment, a key of DEFINITIONS.
        day: the day of the snapshot.
    """
    now = pd.Timestamp(as_of(day)).tz_localize(None)
    flags = DEFINITIONS[segment](profiles.select(COLUMNS).to_pandas(), now)
    return profiles.filter(pa.array(flags))


def write_segment(segment: str, profiles_path: str, root: str, day: date) -> dict[str, Any]:
    """Write the segment's folder of a day.

    Args:
        segment: name of the segment.
        profiles_path: file with all profiles of the day.
        root: root of the example's data.
        day: the day of the snapshot.

    Returns:
        The extra of the asset event: number of rows, path, day and `as_of`.
    """
    table = members(pq.read_table(profiles_path, partitioning=None), segment, day)
    folder = segment_folder(root, segment, day)
    write_atomically(table, f"{folder}/{PART}")
    return {"rows": table.num_rows, "path": folder, "day": day.isoformat(), "as_of": as_of(day).isoformat()}


def _since(column: pd.Series[Any], now: pd.Timestamp, days: int) -> Flags:
    """Return which timestamps are in the last `days` days; a missing timestamp is not."""
    return column >= now - pd.Timedelta(days=days)
