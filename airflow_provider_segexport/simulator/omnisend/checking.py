"""Validation of a contact; the response lists all errors (responses page, read 2026-08)."""

from __future__ import annotations

import re
from datetime import date, datetime
from typing import TYPE_CHECKING

from airflow_provider_segexport.counted import noun
from airflow_provider_segexport.simulator.people import is_email

from .errors import FieldError, invalid
from .records import STATUSES

if TYPE_CHECKING:
    from collections.abc import Callable

Json = dict[str, object]

TEXTS = ("firstName", "lastName", "address", "city", "state", "postalCode", "country")
_TEXTS = frozenset(TEXTS)
MAX_TAGS = 100  # contacts OpenAPI 2026-03-15
_PHONE = re.compile(r"\+[1-9]\d{6,14}")
CONSENT_MEMBERS = ("source", "createdAt", "ip", "userAgent")  # ContactConsentRequest, contacts OpenAPI 2026-03-15
_MOMENT = re.compile(r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}:\d{2}(\.\d+)?([Zz]|[+-]\d{2}:\d{2})")  # RFC 3339
_BIRTHDATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_COUNTRY = re.compile(r"[A-Za-z]{2}")
_SCALARS = frozenset({str, int, float, bool})
_NAME_LENGTH = 128  # of a custom property's name, as in the official plugin; read 2026-08
CONTACT_MEMBERS = frozenset(
    (*TEXTS, "identifiers", "gender", "birthdate", "countryCode", "tags", "customProperties", "createdAt")
)


def _birthdate(value: object) -> bool:
    if not isinstance(value, str) or not _BIRTHDATE.fullmatch(value):
        return False
    try:
        date.fromisoformat(value)
    except ValueError:
        return False
    return True


def is_moment(value: object) -> bool:
    """Whether a value is an RFC 3339 timestamp."""
    return isinstance(value, str) and _MOMENT.fullmatch(value) is not None and is_day_or_moment(value)


def is_day_or_moment(value: str) -> bool:
    """Whether a text is a date or a timestamp, the two forms that filters allow."""
    try:
        datetime.fromisoformat(value)
    except ValueError:
        return False
    return True


_FORMS: dict[str, tuple[Callable[[object], bool], str, str]] = {
    **{name: (lambda v: isinstance(v, str), "invalid_type", "Must be a string") for name in TEXTS},
    "gender": (lambda v: v in ("m", "f"), "invalid_value", "Must be one of: m, f"),
    "birthdate": (_birthdate, "invalid_format", "Must be a date in YYYY-MM-DD format"),
    "countryCode": (
        lambda v: isinstance(v, str) and _COUNTRY.fullmatch(v) is not None,
        "invalid_format",
        "Must be an ISO 3166-1 alpha-2 code",
    ),
    "createdAt": (is_moment, "invalid_format", "Must be an RFC 3339 timestamp"),
}


def check_contact(item: object, tag_length: int, *, identified: bool = True) -> Json:
    """Return a valid contact; raise a `Problem` with all errors of an invalid one.

    Args:
        item: the contact.
        tag_length: maximum length of a tag.
        identified: require `identifiers`.
    """
    if not isinstance(item, dict):
        raise invalid(FieldError("", "invalid_type", "Must be an object"))
    errors: list[FieldError] = []
    for name, value in item.items():
        if name in _TEXTS and type(value) is str:
            continue  # a fast path for most values
        form = _FORMS.get(name)
        if form and value is not None and not form[0](value):
            errors.append(FieldError(name, form[1], form[2]))
    identifiers = item.get("identifiers")
    if identifiers is not None or identified:
        _check_identifiers(identifiers, errors)
    if item.get("tags") is not None:
        check_tags(item["tags"], errors, tag_length, min_count=0)
    if item.get("customProperties") is not None:
        _check_custom(item["customProperties"], errors)
    if errors:
        raise invalid(*errors)
    return item


def _check_identifiers(identifiers: object, errors: list[FieldError]) -> None:
    if not isinstance(identifiers, list) or not identifiers:
        errors.append(FieldError("identifiers", "required", "At least one identifier is required"))
        return
    for number, row in enumerate(identifiers):
        at = f"identifiers.{number}"
        kind, value = (row.get("type"), row.get("id")) if isinstance(row, dict) else (None, None)
        if kind not in ("email", "phone"):
            errors.append(FieldError(f"{at}.type", "invalid_value", "Must be one of: email, phone"))
        elif kind == "email" and not (isinstance(value, str) and is_email(value)):
            errors.append(FieldError(f"{at}.id", "invalid_format", "Must be a valid email address"))
        elif kind == "phone" and not is_phone(value):
            errors.append(FieldError(f"{at}.id", "invalid_format", "Must be a phone number in E.164 format"))
        if isinstance(row, dict) and ("channels" in row or "sendWelcomeMessage" in row):
            _check_channels(row, at, errors)
        if isinstance(row, dict) and row.get("consent") is not None:
            _check_consent(row["consent"], f"{at}.consent", errors)


def is_phone(value: object) -> bool:
    """Whether a value is a phone number in E.164 format."""
    return isinstance(value, str) and _PHONE.fullmatch(value) is not None


def _check_channels(row: Json, at: str, errors: list[FieldError]) -> None:
    if not isinstance(row.get("sendWelcomeMessage"), (bool, type(None))):
        errors.append(FieldError(f"{at}.sendWelcomeMessage", "invalid_type", "Must be a boolean"))
    channels = row.get("channels")
    if channels is None:
        return
    if not isinstance(channels, dict):
        errors.append(FieldError(f"{at}.channels", "invalid_type", "Must be an object"))
        return
    for name, channel in channels.items():
        path = f"{at}.channels.{name}"
        if not isinstance(channel, dict) or channel.get("status") not in STATUSES:
            errors.append(FieldError(f"{path}.status", "invalid_value", f"Must be one of: {', '.join(STATUSES)}"))
        elif channel.get("statusChangedAt") is not None and not is_moment(channel["statusChangedAt"]):
            errors.append(FieldError(f"{path}.statusChangedAt", "invalid_format", "Must be an RFC 3339 timestamp"))


def _check_consent(consent: object, at: str, errors: list[FieldError]) -> None:
    """Add the errors of a consent, which has four strings; one of them is a timestamp."""
    if not isinstance(consent, dict):
        errors.append(FieldError(at, "invalid_type", "Must be an object"))
        return
    for name in CONSENT_MEMBERS:
        value = consent.get(name)
        if value is not None and not isinstance(value, str):
            errors.append(FieldError(f"{at}.{name}", "invalid_type", "Must be a string"))
        elif name == "createdAt" and value is not None and not is_moment(value):
            errors.append(FieldError(f"{at}.{name}", "invalid_format", "Must be an RFC 3339 timestamp"))


def check_tags(tags: object, errors: list[FieldError], length: int, *, min_count: int = 1) -> None:
    """Add the errors of a list of tags to `errors`.

    Args:
        tags: the value to check.
        errors: receives the errors.
        length: maximum length of a tag.
        min_count: minimum number of tags.
    """
    if not isinstance(tags, list) or not min_count <= len(tags) <= MAX_TAGS:
        errors.append(FieldError("tags", "invalid_length", f"Must have {min_count} to {MAX_TAGS} items"))
        return
    for number, tag in enumerate(tags):
        if not isinstance(tag, str) or not 1 <= len(tag.strip()) <= length:
            errors.append(
                FieldError(f"tags.{number}", "invalid_length", f"Must have 1 to {length} {noun(length, 'character')}")
            )


def _check_custom(properties: object, errors: list[FieldError]) -> None:
    if not isinstance(properties, dict):
        errors.append(FieldError("customProperties", "invalid_type", "Must be an object"))
        return
    for name, value in properties.items():
        if type(value) in _SCALARS and 1 <= len(name) <= _NAME_LENGTH:
            continue
        texts = isinstance(value, list) and all(isinstance(text, str) for text in value)
        plain = value is None or isinstance(value, (str, int, float, bool))
        if not 1 <= len(name) <= _NAME_LENGTH or not (plain or texts):
            message = "Must be a string, a number, a boolean or an array of strings"
            errors.append(FieldError(f"customProperties.{name}", "invalid_type", message))
