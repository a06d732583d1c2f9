"""One profile a person -> segments, by these definitions; the days count back from the beginning of the day.

- ``high_value``: has spent 250 or more, and ordered in the last 365 days.
- ``newsletter_active``: agreed to the newsletter, and was heard of in the last 120 days.
- ``lapsed``: has ordered, but not in the last 270 days.

Someone can be in several. A profile without an address that can be written to is in, too: whoever exports the
segment says by name whom it could not deliver.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from unification.days import as_of
from unification.landing import PART, land, segment_folder

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import date

    Flags = pd.Series[bool]

HIGH_VALUE_FROM = 250.0
HIGH_VALUE_DAYS = 365
ACTIVE_DAYS = 120
LAPSED_DAYS = 270


def high_value(profiles: pd.DataFrame, now: pd.Timestamp) -> Flags:
    """Spent much, and not long ago."""
    spent = profiles["lifetime_value"] >= HIGH_VALUE_FROM
    return spent & _since(profiles["last_order_at"], now, HIGH_VALUE_DAYS)


def newsletter_active(profiles: pd.DataFrame, now: pd.Timestamp) -> Flags:
    """Wants the newsletter, and is still there."""
    return profiles["newsletter"] & _since(profiles["updated_at"], now, ACTIVE_DAYS)


def lapsed(profiles: pd.DataFrame, now: pd.Timestamp) -> Flags:
    """Was a customer, and has not come back."""
    return (profiles["orders"] > 0) & ~_since(profiles["last_order_at"], now, LAPSED_DAYS)


DEFINITIONS: dict[str, Callable[[pd.DataFrame, pd.Timestamp], Flags]] = {
    "high_value": high_value,
    "newsletter_active": newsletter_active,
    "lapsed": lapsed,
}
READ_BY_DEFINITIONS = ("lifetime_value", "orders", "last_order_at", "newsletter", "updated_at")


def members(profiles: pa.Table, segment: str, day: date) -> pa.Table:
    """The profiles that the segment's definition takes in on that day."""
    now = pd.Timestamp(as_of(day)).tz_localize(None)
    flags = DEFINITIONS[segment](profiles.select(READ_BY_DEFINITIONS).to_pandas(), now)
    return profiles.filter(pa.array(flags))


def write_segment(segment: str, profiles_path: str, root: str, day: date) -> dict[str, Any]:
    """Write the segment's folder of the day; what is returned is what readers need to find and trust it."""
    table = members(pq.read_table(profiles_path, partitioning=None), segment, day)
    folder = segment_folder(root, segment, day)
    land(table, f"{folder}/{PART}")
    return {"rows": table.num_rows, "path": folder, "day": day.isoformat(), "as_of": as_of(day).isoformat()}


def _since(column: pd.Series[Any], now: pd.Timestamp, days: int) -> Flags:
    """Which moments lie in the last so many days; a missing one does not."""
    return column >= now - pd.Timedelta(days=days)
