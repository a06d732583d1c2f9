"""Applies the rows of an import, a single add or an update to a list."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_provider_segexport.simulator.people import is_email, pack, unpack

from .errors import refused
from .state import Subscriber

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .state import Account, CustomField, MailingList

Row = dict[str, object]

VALUE_LENGTH = 250  # campaignmonitor.com/api/v3-3/subscribers, read 2026-08; assumed: longer values are cut
_CONSENT = frozenset({"yes", "no", "unchanged"})
_STATE_CODES = {"Deleted": 205, "Unsubscribed": 206, "Bounced": 207, "Unconfirmed": 208}
# Dates outside 1900/01/01..2076/06/06 are ignored; same page. Assumed: dates in other forms are ignored.
_DATE = re.compile(r"(\d{4})/(\d{2})/(\d{2})")
_DATE_RANGE = ("1900/01/01", "2076/06/06")
_CLEARED_DATE = "0000-00-00"
_MOBILE = re.compile(r"\+[1-9]\d{6,14}")  # E.164: error registry, codes 220 and 221


@dataclass(frozen=True, slots=True)
class Flags:
    """Options of an import or an add; `confirm` makes new people wait for their confirmation."""

    resubscribe: bool = False
    queue_autoresponders: bool = False
    restart_autoresponders: bool = False
    confirm: bool = False


def check_rows(rows: Sequence[object]) -> list[Row]:
    """Return the rows; reject the entire batch if one cannot be deserialised."""
    checked: list[Row] = []
    for row in rows:
        if not isinstance(row, dict) or not _readable(row):
            raise refused(400)  # one bad row rejects the batch: createsend-python#6, createsend-php#40
        checked.append(row)
    return checked


def _readable(row: Row) -> bool:
    for name in ("EmailAddress", "Name", "ConsentToTrack", "MobileNumber"):
        value = row.get(name)
        if value is not None and not isinstance(value, str):
            return False
    pairs = row.get("CustomFields")
    if pairs is None:
        return True
    if not isinstance(pairs, list):
        return False
    for pair in pairs:
        if not isinstance(pair, dict) or not isinstance(pair.get("Key"), str):
            return False
        if isinstance(pair.get("Value"), (dict, list)):
            return False
    return True


class Importer:
    """Applies rows to one list, and counts the results and the dropped values.

    Args:
        account: the vendor's account.
        target: the list.
        flags: options of the call.
        now: time in epoch seconds.
    """

    def __init__(self, account: Account, target: MailingList, flags: Flags, now: float) -> None:
        self._account = account
        self._list = target
        self._flags = flags
        self._now = now
        self._added = ((now, "imported"),)
        self._updated = (now, "updated")
        self.new = 0
        self.existing = 0
        self.resubscribed = 0
        self.unknown_keys: Counter[str] = Counter()
        self.bad_values: Counter[str] = Counter()

    def apply(self, row: Row) -> int:
        """Apply one row; return 0, or the error code of a rejected row."""
        email, mobile = row.get("EmailAddress"), row.get("MobileNumber")
        has_bad_mobile = isinstance(mobile, str) and mobile != "" and not _MOBILE.fullmatch(mobile)
        if not isinstance(email, str) or not is_email(email):
            return 221 if has_bad_mobile else 1
        if has_bad_mobile:
            return 220
        code = self._consent(row.get("ConsentToTrack"))
        existing = self._list.subscribers.get(self._account.key(email))
        code = code or self._status_code(email.lower(), existing) or self._field_code(row)
        if code:
            return code
        if existing is None:
            self._add(email, row)
        else:
            self._update(existing, row)
        return 0

    def _consent(self, consent: object) -> int:
        if consent is None:
            return 214 if self._account.settings.import_requires_consent else 0
        return 0 if isinstance(consent, str) and consent.lower() in _CONSENT else 215

    def _status_code(self, key: str, existing: Subscriber | None) -> int:
        settings = self._account.settings
        is_unconfirmed = existing is not None and existing.state == "Unconfirmed"
        rule = settings.unconfirmed_rows if is_unconfirmed else settings.inactive_rows
        if self._flags.resubscribe or rule == "add":
            return 0
        if key in self._account.client.suppressed:  # takes precedence over the state in the list: error registry
            return 204
        return _STATE_CODES.get(existing.state, 0) if existing else 0

    def _field_code(self, row: Row) -> int:
        """Return the error code of a row with an unknown field or a decimal number, if the settings reject these."""
        settings, pairs = self._account.settings, row.get("CustomFields")
        for pair in pairs if isinstance(pairs, list) else ():
            field = self._list.accepted_keys.get(str(pair["Key"]))
            if field is None and settings.unknown_field == "fail_batch":
                raise refused(400)
            if field is None and settings.unknown_field == "fail_row":
                return 1
            if field is not None and field.kind == "Number" and settings.values == "fail_row" and "." in str(pair):
                return 1
        return 0

    def _add(self, email: str, row: Row) -> None:
        state = "Unconfirmed" if self._flags.confirm else "Active"
        person = Subscriber(email, state, self._now, self._added)
        self._fill(person, row)
        self._list.join(person, self._account.key(email))
        self.new += 1
        self._lift_suppression(person)
        if self._flags.confirm:
            self._list.mail(person, "confirmation", self._now)
        elif self._flags.queue_autoresponders:
            self._list.mail(person, "autoresponder", self._now)

    def _update(self, person: Subscriber, row: Row) -> None:
        self.existing += 1
        person.history += (self._updated,)
        self._fill(person, row)
        is_resubscribed = person.state != "Active"
        if is_resubscribed:
            previous = person.state.lower()
            self._list.move(person, "Active", self._now, f"resubscribed, was {previous}")
            self.resubscribed += 1
            self._lift_suppression(person)
        queued = is_resubscribed and self._flags.queue_autoresponders
        if queued or self._flags.restart_autoresponders:
            self._list.mail(person, "autoresponder", self._now)

    def _lift_suppression(self, person: Subscriber) -> None:
        """Remove the person from the suppression list, as `Resubscribe` does (vendor page on adding)."""
        if self._flags.resubscribe and self._account.client.unsuppress(person.email):
            person.history += ((self._now, "resubscribed, was suppressed"),)
            self.resubscribed += 1

    def _fill(self, person: Subscriber, row: Row) -> None:
        """Update the values that the row has; the others are kept (vendor page, read 2026-08)."""
        name = row.get("Name")
        if isinstance(name, str):
            person.name = name
        consent = row.get("ConsentToTrack")
        if isinstance(consent, str) and consent.lower() != "unchanged":
            person.consent = consent.capitalize()
        pairs = row.get("CustomFields")
        if isinstance(pairs, list) and pairs:
            person.fields = pack(self._merged(unpack(person.fields), pairs))

    def _merged(self, values: dict[str, object], pairs: Sequence[Mapping[str, object]]) -> dict[str, object]:
        accepted = self._list.accepted_keys
        chosen: dict[str, tuple[str, ...]] = {}
        for pair in pairs:
            key = pair["Key"]
            field = accepted.get(key) if isinstance(key, str) else None
            if field is None:
                self.unknown_keys[str(key)] += 1  # silently dropped: createsend-php#59
                continue
            given = pair.get("Value")
            clear = pair.get("Clear") is True
            if field.kind == "Text" and isinstance(given, str) and not clear:
                if given:
                    values[field.bare] = given[:VALUE_LENGTH]
                continue
            text = given if isinstance(given, str) else _text(given)
            if clear or text == _CLEARED_DATE:
                values.pop(field.bare, None)
                chosen.pop(field.bare, None)
            elif field.kind == "MultiSelectMany" and text in field.options:
                chosen[field.bare] = (*chosen.get(field.bare, ()), text)
            elif text:
                self._keep_typed(values, field, text)
        return values | chosen if chosen else values

    def _keep_typed(self, values: dict[str, object], field: CustomField, text: str) -> None:
        stored = _typed(field, text)
        if stored is not None and field.kind == "Number" and self._account.settings.values == "cut":
            stored = stored.partition(".")[0]
        if stored is None:
            self.bad_values[field.bare] += 1
        else:
            values[field.bare] = stored


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


def _typed(field: CustomField, text: str) -> str | None:
    """Return the value to store, or None for one that the vendor skips (reseller help text, 2026-08)."""
    if field.kind == "Number":
        return text if re.fullmatch(r"-?\d+(\.\d+)?", text) else None
    if field.kind == "Date":
        is_valid = _DATE.fullmatch(text) and _DATE_RANGE[0] <= text <= _DATE_RANGE[1]
        return text.replace("/", "-") if is_valid else None
    if field.kind in ("MultiSelectOne", "MultiSelectMany"):
        return text if text in field.options else None
    return text[:VALUE_LENGTH]
