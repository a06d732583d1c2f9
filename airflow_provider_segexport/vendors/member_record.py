"""A vendor's record of one person: membership, the reason why no mail is sent, and field values."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from airflow_provider_segexport.model import Reason
from airflow_provider_segexport.trimming import trimmed
from airflow_provider_segexport.vendors.responses import as_text
from airflow_provider_segexport.yes_no import yes_no

NUMBER = re.compile(r"[+-]?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")
DATE = re.compile(r"(\d{1,4})[-/.](\d{1,2})[-/.](\d{1,4})(?:[T ].*)?")


@dataclass(frozen=True, slots=True)
class MemberRecord:
    """The vendor's record of a person.

    Attributes:
        is_member: whether the person is in the audience; None if the record does not say.
        reason: why a person gets no mail from the audience; None for a person who may get mail.
        status: the vendor's term for the person's state, one of a known set; empty if the record has none.
        values: field values by the vendor's key, in the form of `as_values`.
    """

    is_member: bool | None
    reason: Reason | None = None
    status: str = ""
    values: Mapping[str, str] = field(default_factory=dict)


def as_values(members: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Return values as text, by prefixed key in lower case. Values that are null, objects or lists are left out."""
    return {
        f"{prefix}{key}".casefold(): str(value).lower() if isinstance(value, bool) else as_text(value)
        for key, value in members.items()
        if value is not None and not isinstance(value, dict | list)
    }


def differing_keys(sent: Mapping[str, str], stored: Mapping[str, str]) -> list[str]:
    """Return the keys whose value at the vendor differs from the value that an export sends.

    Keys that the export does not send are not compared. Vendors reformat numbers, dates, booleans and white space, so
    these are compared by meaning.
    """
    return sorted(key for key, value in sent.items() if not _is_same(value, stored.get(key, "")))


def _is_same(sent: str, stored: str) -> bool:
    sent, stored = (" ".join(trimmed(text).split()) for text in (sent, stored))
    if sent == stored:
        return True
    if not sent or not stored:
        return False
    return any(form(sent) is not None and form(sent) == form(stored) for form in (_number, _date, yes_no))


def _number(text: str) -> Decimal | None:
    """Return an exact number; None for text such as `00712`, whose leading zeros are part of a code."""
    return Decimal(text) if NUMBER.fullmatch(text) else None


def _date(text: str) -> list[int] | None:
    """Return the numbers of a date in ascending order, because vendors write day, month and year in any order."""
    match = DATE.fullmatch(text)
    return sorted(map(int, match.groups())) if match else None
