"""The two import activities, JSON and CSV. As at the vendor, rows above the limits are dropped silently."""

from __future__ import annotations

import csv
import io
import json
import re
from typing import TYPE_CHECKING

from airflow_provider_segexport.counted import counted
from airflow_provider_segexport.simulator.wire import Call, Reply

from .errors import UNSUPPORTED, api_refused, invalid, not_found
from .lists import body_of
from .multipart import Part, read_parts
from .rows import MAX_LISTS, RowImport

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from .activities import Activity, ActivityRoutes
    from .records import ContactList
    from .rows import Row
    from .state import Account

_BETWEEN = re.compile(r"[\s,]*")


class ImportRoutes:
    """The import routes."""

    def __init__(self, account: Account, activities: ActivityRoutes) -> None:
        self._account = account
        self._activities = activities

    def json(self, call: Call) -> Reply:
        """Handle POST /activities/contacts_json_import."""
        self._activities.check_room(call.now)
        body = body_of(call)
        rows = body.get("import_data")
        if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
            raise invalid("import_data must be an array of contacts")
        if self._account.settings.unknown_custom_field == "refuse":
            self._check_columns(rows)
        list_ids = body.get("list_ids")
        lists = self.lists(list_ids if isinstance(list_ids, list) else [])
        taken = min(self._within(call.body, len(rows)), self._account.settings.max_import_rows)
        if taken < len(rows):
            call.note(f"{len(rows) - taken} of {counted(len(rows), 'contact')} silently dropped")
            call.count("dropped", len(rows) - taken)
        text = call.body
        return self._accept(call, lists, taken, lambda: _json_rows(text, taken))

    def _check_columns(self, rows: Sequence[dict[str, object]]) -> None:
        """Reject an import with a custom field that does not exist."""
        unknown = {name for row in rows for name in row if name.startswith("cf:")} - {
            f"cf:{name}" for name in self._account.fields
        }
        if unknown:
            raise invalid("Unrecognized property: a custom field does not exist")

    def csv(self, call: Call) -> Reply:
        """Handle POST /activities/contacts_file_import."""
        self._activities.check_room(call.now)
        if not call.headers.get("content-type", "").startswith("multipart/form-data"):
            raise api_refused(UNSUPPORTED, "Content-Type must be multipart/form-data", 415)
        parts = read_parts(call)
        part = parts.get("file")
        if part is None:
            raise invalid("file is required")
        if not part.file_name.lower().endswith(".csv"):
            raise api_refused(UNSUPPORTED, "The file must be of type .csv", 415)
        given = parts["list_ids"].text(call.body) if "list_ids" in parts else ""
        lists = self.lists([text.strip() for text in given.split(",")], file=True)
        content, rows = self._file(call, part)
        max_rows = self._account.settings.max_import_rows - 1  # the header counts as one of the 40,000 lines
        taken = min(rows, max_rows)
        if taken < rows:
            call.note(f"{rows - taken} of {counted(rows, 'row')} silently dropped")
            call.count("dropped", rows - taken)
        return self._accept(call, lists, taken, lambda: _csv_rows(content, taken), part.file_name)

    def lists(self, list_ids: Sequence[object], *, file: bool = False) -> list[ContactList]:
        """Return the lists with these ids; reject an unknown id with the status that the swagger declares."""
        ids = [list_id for list_id in list_ids if list_id != ""]
        if not 1 <= len(ids) <= MAX_LISTS:
            raise invalid(f"list_ids takes 1 to {MAX_LISTS} list ids")
        targets = []
        for list_id in dict.fromkeys(ids):
            target = self._account.find_list(list_id)
            if target is None:
                raise not_found() if file else invalid(f"list_ids: unknown list {list_id}")
            targets.append(target)
        return targets

    def _accept(
        self,
        call: Call,
        lists: Sequence[ContactList],
        rows: int,
        read: Callable[[], Iterator[Row]],
        file_name: str = "",
    ) -> Reply:
        def work(activity: Activity, moment: float) -> None:
            row_import = RowImport(self._account, [target for target in lists if target.deleted is None], moment)
            row_import.apply(read())
            activity.errors = row_import.errors
            activity.status = self._counters(row_import)
            call.facts |= {what: number for what, number in row_import.facts.items() if number}
            call.notes += [
                f"unknown column {name!r} in {counted(number, 'row')}" for name, number in row_import.unknown.items()
            ]

        status: dict[str, object] = {"items_total_count": rows + 1}
        activity = self._activities.accept(call, rows, status, work)
        activity.file_name = file_name
        return self._activities.created(activity)

    def _counters(self, row_import: RowImport) -> dict[str, object]:
        wrong = row_import.facts["correctable"] + row_import.facts["errors"]
        counts_all = self._account.settings.person_count == "all"
        return {
            "items_total_count": row_import.rows + 1,
            "person_count": row_import.people if counts_all else row_import.people - wrong,
            "error_count": row_import.facts["errors"],
            "correctable_count": row_import.facts["correctable"],
            "cannot_add_to_list_count": row_import.facts["cannot_add"],
        }

    def _within(self, body: bytes, rows: int) -> int:
        """Return the number of contacts that are complete within the first 4 MB (swagger 3.0.178)."""
        max_bytes = self._account.settings.max_import_bytes
        if len(body) < max_bytes:
            return rows
        text = body[:max_bytes].decode("utf-8", "ignore")
        at = text.find("[", text.find('"import_data"')) + 1
        decoder, complete_rows = json.JSONDecoder(), 0
        while complete_rows < rows:
            try:
                _, at = decoder.raw_decode(
                    text, at + len(text[at : at + 64]) - len(text[at : at + 64].lstrip(" ,\r\n\t"))
                )
            except ValueError:
                break
            complete_rows += 1
        return complete_rows

    def _file(self, call: Call, part: Part) -> tuple[bytes, int]:
        """Return the part of the file within the size limit, and its number of rows."""
        content = call.body[part.start : part.end]
        rows = sum(1 for row in csv.reader(io.StringIO(content.decode("utf-8", "replace"), newline="")) if row) - 1
        max_bytes = self._account.settings.max_import_bytes
        header = content.partition(b"\n")[0].decode("utf-8-sig", "replace")
        names = next(csv.reader([header.strip()]), [])
        if "email" not in names and "sms_number" not in names:
            raise invalid("The file must have a column email or sms_number")
        if part.end < max_bytes:
            return content, rows
        cut = call.body[part.start : max_bytes]
        complete_lines = cut[: cut.rfind(b"\n") + 1]
        lost = rows - (sum(1 for row in csv.reader(io.StringIO(complete_lines.decode("utf-8", "replace"))) if row) - 1)
        call.note(f"{lost} of {counted(rows, 'row')} silently dropped: beyond {counted(max_bytes, 'byte')}")
        call.count("dropped", lost)
        return complete_lines, rows - lost


def _json_rows(body: bytes, taken: int) -> Iterator[Row]:
    for row in json.loads(body)["import_data"][:taken]:
        yield tuple(row), list(row.values())


def _csv_rows(content: bytes, taken: int) -> Iterator[Row]:
    lines = csv.reader(io.StringIO(content.decode("utf-8-sig", "replace"), newline=""))
    shape = tuple(name.strip() for name in next(lines))
    row_count = 0
    for values in lines:
        if values and row_count < taken:
            row_count += 1
            yield shape, values
