"""Import jobs: the request is validated as a unit; its rows are applied when the job is due, and reported singly."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

from airflow_provider_segexport.counted import counted
from airflow_provider_segexport.simulator.wire import Call, Reply

from .checking import Row, import_body
from .consent import NOT_APPLIED, NOT_APPLIED_TEXT, records_of
from .errors import bad_request, v3_refused
from .reads import identifiers_of
from .upserting import RowError, Upsert

if TYPE_CHECKING:
    from .state import Account, Contact

_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
# Failure codes in the table of the getimportstatus page that differ from the spec's examples by more than the case of
# the first letter; both read 2026-08.
_TABLE_CODES = {"duplicateIdentifier": "Duplicate"}
_COUNTERS = {"globallySuppressed": "globallySuppressed", "duplicateIdentifier": "duplicateIdentifiers"}


class Import:
    """One import: its rows, and its report after they are applied.

    Args:
        account: the vendor's account.
        option: how a contact is merged.
        rows: the contacts of the request.
        call: the request.
    """

    def __init__(self, account: Account, option: str, rows: list[Row], call: Call) -> None:
        self._account = account
        self._option = option
        self._rows = rows
        self._facts, self._notes = call.facts, call.notes  # the job adds its outcome to the request log
        self._created: list[Contact] = []
        self._updated: list[Contact] = []
        self._failures: list[tuple[Row, int | None, RowError]] = []

    def work(self, moment: float) -> str:
        """Apply the rows, and return the final state of the job."""
        rows, self._rows = self._rows, []
        limit = self._account.settings.contact_limit
        upsert = Upsert(self._account, self._option, moment)
        if limit is not None and self._contacts_after(upsert, rows) > limit:
            return "ExceedsAllowedContactLimit"  # assumed: no row is imported
        repeated = self._repeated(rows) if self._account.settings.duplicates == "none" else set()
        seen: set[str] = set()
        for row in rows:
            self._apply(upsert, row, seen, repeated)
        self._log_counts(upsert)
        return "Finished"

    def _apply(self, upsert: Upsert, row: Row, seen: set[str], repeated: set[str]) -> None:
        contact = None
        try:
            key, contact = upsert.match(row)
            if key in repeated or key in seen:
                self._failures.append((row, None, _duplicate(row, key)))
                return
            contact, new = upsert.apply(row, contact)
            seen.add(key)
            (self._created if new else self._updated).append(contact)
            if records_of(row) is None:  # the contact is imported without them
                self._failures.append((row, contact.id, RowError(NOT_APPLIED, NOT_APPLIED_TEXT)))
        except RowError as refused:
            self._failures.append((row, contact.id if contact else None, refused))

    def _contacts_after(self, upsert: Upsert, rows: list[Row]) -> int:
        """Return the number of contacts that the account would have after the import."""
        new_keys: set[str] = set()
        for row in rows:
            try:
                key, contact = upsert.match(row)
            except RowError:
                continue
            if contact is None:
                new_keys.add(key)
        return len(self._account.contacts.by_id) + len(new_keys)

    @staticmethod
    def _repeated(rows: list[Row]) -> set[str]:
        emails: Counter[str] = Counter()
        for row in rows:
            identifiers = row["identifiers"]
            if row["matchIdentifier"] == "email" and isinstance(identifiers, dict):
                emails[str(identifiers.get("email")).lower()] += 1
        return {email for email, number in emails.items() if number > 1}

    def _log_counts(self, upsert: Upsert) -> None:
        counts = {"created": len(self._created), "updated": len(self._updated)}
        counts |= {"failures": len(self._failures), **upsert.facts}
        self._facts |= {what: number for what, number in counts.items() if number}
        for name, number in upsert.unknown_fields.items():
            self._notes.append(f"unknown data field {name!r} in {counted(number, 'contact')}")
        for name, number in upsert.bad_values.items():
            self._notes.append(f"bad value for data field {name!r} in {counted(number, 'contact')}")

    def report(self) -> dict[str, object]:
        """Return the import's report: counts, and the result of each row."""
        codes = Counter(_COUNTERS.get(error.code, "invalidEntries") for _, _, error in self._failures)
        return {
            "summary": {
                "newContacts": len(self._created),
                "updatedContacts": len(self._updated),
                "globallySuppressed": codes["globallySuppressed"],
                "invalidEntries": codes["invalidEntries"],
                "duplicateIdentifiers": codes["duplicateIdentifiers"],
            },
            "created": [_reference(contact) for contact in self._created],
            "updated": [_reference(contact) for contact in self._updated],
            "failures": [self._failure(*item) for item in self._failures],
        }

    def _failure(self, row: Row, contact_id: int | None, refused: RowError) -> dict[str, object]:
        code = refused.code
        if self._account.settings.failure_codes == "table":
            code = _TABLE_CODES.get(code, code[0].upper() + code[1:])
        shown: dict[str, object] = {} if contact_id is None else {"contactId": contact_id}
        identifiers = row["identifiers"]
        return shown | {
            "matchIdentifier": row["matchIdentifier"],
            "identifiers": identifiers,
            "failures": [{"failureCode": code, "description": refused.description}],
        }


def _duplicate(row: Row, key: str) -> RowError:
    text = f"Duplicate identifier detected for {row['matchIdentifier']} '{key}'"
    return RowError("duplicateIdentifier", text)


def _reference(contact: Contact) -> dict[str, object]:
    return {"contactId": contact.id, "identifiers": identifiers_of(contact)}


class ImportRoutes:
    """The two import routes."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._reports: dict[str, Import] = {}

    def accept(self, call: Call) -> Reply:
        """Handle PUT /contacts/v3/import."""
        settings = self._account.settings
        # 25 active imports: importcontacts page, read 2026-08
        if self._account.imports.active(call.now) >= settings.max_active_imports:
            text = (
                "Your import request cannot be accepted as too many imports are being processed for "
                "you account. Please wait for an import to complete and then resubmit."
            )
            raise v3_refused("tooManyActiveImports", text, 429)
        option, rows = import_body(call, settings)
        if settings.unknown_field == "fail_request":
            self._check_names(rows)
        job_id = self._account.ids.guid()
        work = self._reports[job_id] = Import(self._account, option, rows, call)
        seconds = settings.job_seconds + settings.job_seconds_per_row * len(rows)
        self._account.imports.add(job_id, call.now, seconds, work.work, settings.job_states)
        return Reply.json({"importId": job_id}, 202)

    def _check_names(self, rows: list[Row]) -> None:
        for row in rows:
            given = row.get("dataFields")
            for name in given if isinstance(given, dict) else ():
                if name not in self._account.fields:
                    raise bad_request(f"The data field '{name}' does not exist", name)

    def status(self, call: Call) -> Reply:
        """Handle GET /contacts/v3/import/{importId}."""
        job_id = call.params["id"]
        if not _GUID.fullmatch(job_id):
            text = f"The id value '{job_id}' is invalid for the identifier 'importId'"
            raise v3_refused("invalidId", text)
        job = self._account.imports.poll(job_id, call.now)
        if job is None:
            text = f"The import request '{job_id}' could not be found!"
            raise v3_refused("importNotFound", text, 404)
        shown: dict[str, object] = {"importId": job.id, "status": job.state}
        if job.state == "Finished":
            shown |= self._reports[job_id].report()
        return Reply.json(shown)
