"""Consent records of a contact (contacts spec 3.4.3, read 2026-11)."""

from __future__ import annotations

import ipaddress
import re
from datetime import datetime
from typing import TYPE_CHECKING

from .checking import Row

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_RECORDS = 5  # maxItems of `consentRecordsToBeInserted`
NOT_APPLIED = "consentRecordsNotApplied"
NOT_APPLIED_TEXT = "The provided consent records could not be applied as they were incorrectly formatted"

_MOMENT = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?(Z|[+-]\d{2}:\d{2})", re.IGNORECASE)
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[!-~]+")


def _is_moment(value: str) -> bool:
    try:
        return _MOMENT.fullmatch(value) is not None and datetime.fromisoformat(value) is not None
    except ValueError:
        return False


def _is_address(value: str) -> bool:
    try:
        return bool(ipaddress.ip_address(value)) and "%" not in value
    except ValueError:
        return False


_FORMS: dict[str, Callable[[str], bool]] = {
    "text": bool,
    "dateTimeConsented": _is_moment,
    "url": lambda value: _URI.fullmatch(value) is not None,
    "ipAddress": _is_address,
    "userAgent": bool,
}
"""The check of each member of a consent record. All members are required; others are not allowed."""


def records_of(row: Row) -> list[Row] | None:
    """Return the consent records of a row, [] if it has none, or None if they are incorrectly formatted."""
    records = row.get("consentRecords")
    if records is None:
        return []
    if not isinstance(records, list) or not 1 <= len(records) <= MAX_RECORDS or not all(map(_is_valid, records)):
        return None
    return records


def _is_valid(record: object) -> bool:
    if not isinstance(record, dict) or record.keys() != _FORMS.keys():
        return False
    return all(isinstance(record[name], str) and check(record[name]) for name, check in _FORMS.items())
