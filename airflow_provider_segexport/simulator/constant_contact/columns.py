"""Columns of an import: their names, limits and formats."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from airflow_provider_segexport.counted import noun

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .records import CustomField
    from .state import Account

MAX_CUSTOM_FIELDS = 25  # in a row; swagger 3.0.178, read 2026-08
_CUSTOM_LENGTH = 255
_DATES = re.compile(r"(\d{4})[-/](\d{1,2})[-/](\d{1,2})|(\d{1,2})[-/](\d{1,2})[-/](\d{4})")
_NUMBER = re.compile(r"-?\d+(\.\d+)?")
_MONTH_DAYS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)

# Names and maximum lengths: JsonImportContact, swagger 3.0.178. Names that are synonyms according to the vendor are
# stored under one name: `home_city` under `city`, `other_phone` under `phone`. The swagger writes `home country`.
_PLAIN = {
    "first_name": 50,
    "last_name": 50,
    "job_title": 50,
    "company_name": 50,
    "phone": 50,
    "home_phone": 50,
    "work_phone": 50,
    "mobile_phone": 50,
    **{f"{kind}street": 255 for kind in ("", "work_", "other_")},
    **{f"{kind}street2": 255 for kind in ("", "work_", "other_")},
    **{f"{kind}{part}": 50 for kind in ("", "work_", "other_") for part in ("city", "state", "zip", "country")},
}
_SYNONYMS = {
    "other_phone": "phone",
    "home country": "country",
    **{f"home_{part}": part for part in ("street", "street2", "city", "state", "zip", "country")},
}


class ValueProblem(Exception):
    """A value that the vendor rejects; a `correctable` one can be corrected in the vendor's UI."""

    def __init__(self, text: str, *, correctable: bool = False) -> None:
        super().__init__(text)
        self.text = text
        self.correctable = correctable


@dataclass(frozen=True, slots=True)
class Column:
    """Position of a value in a row, its stored name, its maximum length, and its check."""

    position: int
    name: str
    max_length: int
    check: Callable[[str], object] | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """How rows with the same column names are read.

    `email` is the position of the address. `unknown` has the names of ignored columns, `custom` is the number of custom
    fields, and `birthday` is true if there is a birthday column.
    """

    email: int | None
    columns: tuple[Column, ...]
    unknown: tuple[str, ...]
    custom: int
    birthday: bool

    def read(self, values: Sequence[object], account: Account) -> dict[str, object]:
        """Return the fields that a row sets; raise `ValueProblem` for an invalid value."""
        fields: dict[str, object] = {}
        clear = account.settings.empty_value == "clear"
        for column in self.columns:
            value = values[column.position]
            if value is None or value == "":
                if clear:
                    fields[column.name] = ""
                continue
            text = value if isinstance(value, str) else _text(value)
            if len(text) > column.max_length:
                raise ValueProblem(
                    f"{column.name} is longer than {column.max_length} {noun(column.max_length, 'character')}"
                )
            if column.check is None:
                fields[column.name] = text
                continue
            try:
                fields[column.name] = column.check(text)
            except ValueProblem as problem:
                if problem.correctable or account.settings.bad_value == "error":
                    raise
        if self.birthday:
            _check_birthday(fields)
        return fields


def plan(account: Account, names: Sequence[str]) -> Plan:
    """Return how rows with these column names are read."""
    columns: list[Column] = []
    unknown: list[str] = []
    email = None
    for position, name in enumerate(names):
        stored_name = _SYNONYMS.get(name, name)
        if name == "email":
            email = position
        elif stored_name in _PLAIN:
            columns.append(Column(position, stored_name, _PLAIN[stored_name]))
        elif name in _CHECKS:
            columns.append(Column(position, name, 10, _CHECKS[name]))
        elif name.startswith("cf:") and name[3:] in account.fields:
            check = _custom(account.fields[name[3:]], account.settings.decimals)
            columns.append(Column(position, name, _CUSTOM_LENGTH, check))
        else:
            unknown.append(name)
    custom = sum(name.startswith("cf:") for name in names)
    birthday = any(column.name.startswith("birthday_") for column in columns)
    return Plan(email, tuple(columns), tuple(unknown), custom, birthday)


def _text(value: object) -> str:
    if isinstance(value, (dict, list)):
        raise ValueProblem("Invalid value: not a string")
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _month(text: str) -> object:
    if text.isdigit() and 1 <= int(text) <= len(_MONTH_DAYS):
        return int(text)
    raise ValueProblem("Invalid birthday", correctable=True)


def _day(text: str) -> object:
    if text.isdigit() and 1 <= int(text) <= max(_MONTH_DAYS):
        return int(text)
    raise ValueProblem("Invalid birthday", correctable=True)


def _check_birthday(fields: dict[str, object]) -> None:
    """Require month and day together (swagger 3.0.178); assumed: a day that the month does not have is invalid."""
    month, day = fields.get("birthday_month"), fields.get("birthday_day")
    if (month is None) != (day is None):
        raise ValueProblem("Invalid birthday", correctable=True)
    if isinstance(month, int) and isinstance(day, int) and day > _MONTH_DAYS[month - 1]:
        raise ValueProblem("Invalid birthday", correctable=True)


def _date(text: str) -> str:
    match = _DATES.fullmatch(text)
    if match is None:
        raise ValueError(text)
    year, month, day = (match[1], match[2], match[3]) if match[1] else (match[6], match[4], match[5])
    return datetime(int(year), int(month), int(day)).date().isoformat()  # noqa: DTZ001 - a date has no time zone


def _anniversary(text: str) -> object:
    try:
        return _date(text)
    except ValueError:
        raise ValueProblem("Invalid anniversary", correctable=True) from None


_CHECKS: dict[str, Callable[[str], object]] = {
    "birthday_month": _month,
    "birthday_day": _day,
    "anniversary": _anniversary,
}


def _custom(field: CustomField, decimals: str) -> Callable[[str], object] | None:
    """Return the check of a custom field's type; formats that the swagger does not describe are assumed."""
    if field.kind in ("string", "text_area") or (field.kind == "date" and field.version == 1):  # stored as a string
        return None

    def check(text: str) -> object:
        if _is_valid(field, text) and not (decimals == "error" and "." in text):
            return text.partition(".")[0] if decimals == "cut" and field.kind == "number" else text
        raise ValueProblem(f"Invalid value for custom field {field.name}")

    return check


def _is_number(field: CustomField, text: str) -> bool:
    integers_only = field.metadata.get("integer") is True and field.kind == "number"
    max_decimals = field.metadata.get("decimal_places")
    too_precise = isinstance(max_decimals, int) and len(text.partition(".")[2]) > max_decimals
    is_number = _NUMBER.fullmatch(text) is not None and not (integers_only and "." in text) and not too_precise
    return is_number and (not text.startswith("-") or field.metadata.get("allow_negative") is True)


def _is_valid(field: CustomField, text: str) -> bool:
    if field.kind in ("number", "currency"):
        return _is_number(field, text)
    if field.kind == "boolean":
        return text.lower() in ("true", "false", "yes", "no")
    if field.kind == "single_select":
        return text in field.choices
    if field.kind == "multi_select":
        return all(choice.strip() in field.choices for choice in text.split(","))
    try:
        datetime.fromisoformat(text) if field.kind == "datetime" else _date(text)
    except ValueError:
        return False
    return True
