"""Batches of up to 100 contacts: accepted as a unit, applied later one item at a time, and reported by item."""

from __future__ import annotations

import re
import zlib
from collections import Counter, deque
from itertools import islice
from random import Random
from typing import TYPE_CHECKING

from airflow_provider_segexport.counted import counted, noun
from airflow_provider_segexport.simulator.clock import iso, iso_seconds
from airflow_provider_segexport.simulator.wire import Call, Reply

from .batch import FAILED, Batch, ItemFault
from .errors import FieldError, Problem, invalid
from .segments import body_of
from .upserting import Upsert

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .reads import Reader
    from .state import Account

Json = dict[str, object]

_DAY = 86_400.0
_ENDPOINTS = ("products", "contacts", "events", "categories")  # batches OpenAPI 2026-03-15
_STATUSES = ("pending", "inProgress", "finished", "stopped")
_QUERY = ("offset", "limit", "status", "dateFrom", "dateTo", "endpoint")
_MAX_PAGE_SIZE, _DEFAULT_PAGE_SIZE = 250, 100
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


class BatchRoutes:
    """The routes below /batches. `faults` and `stops` are scripted failures of items and early ends of batches."""

    def __init__(self, account: Account, reader: Reader) -> None:
        self._account = account
        self._reader = reader
        self._batches: dict[str, Batch] = {}
        self.faults: list[ItemFault] = []
        self.stops: deque[int] = deque()

    def create(self, call: Call) -> Reply:
        """Handle POST /batches."""
        settings = self._account.settings
        body = body_of(call)
        errors = []
        if body.get("method") != "POST":
            errors.append(FieldError("method", "invalid_value", "Must be POST for contacts"))
        if body.get("endpoint") != "contacts":
            errors.append(FieldError("endpoint", "invalid_value", "Only contacts is simulated"))
        items = body.get("items")
        if not isinstance(items, list) or not 1 <= len(items) <= settings.max_batch_items:
            message = f"Must have 1 to {settings.max_batch_items} {noun(settings.max_batch_items, 'item')}"
            errors.append(FieldError("items", "invalid_length", message))
        if errors or not isinstance(items, list):
            raise invalid(*errors)
        batch_id = self._account.ids.hex(24)
        facts, notes = call.facts, call.notes

        def work(moment: float) -> str:
            return self._apply(self._batches[batch_id], moment, facts, notes)

        seconds = settings.start_seconds + settings.job_seconds + settings.job_seconds_per_row * len(items)
        job = self._account.batches.add(batch_id, call.now, seconds, work, settings.job_states)
        packed = zlib.compress(call.body, 1)
        stop_after = self.stops.popleft() if self.stops else None
        origin = str(body.get("origin", "api"))
        self._batches[batch_id] = Batch(job, len(items), packed, origin, seconds, stop_after)
        call.count("rows", len(items))
        return Reply.json({"batchID": batch_id, "totalCount": len(items)}, 201)

    def _apply(self, batch: Batch, moment: float, facts: dict[str, int], notes: list[str]) -> str:
        """Apply the items; return `finished`, or `stopped` after too many errors or at a scripted stop."""
        upsert = Upsert(self._account, moment, "batch")
        max_errors = self._account.settings.stop_after_errors
        state = "finished"
        for number, item in enumerate(batch.items()):
            too_many = max_errors is not None and len(batch.failures) >= max_errors
            if too_many or batch.stop_after == number:
                state = "stopped"
                break
            try:
                self._apply_faults(item)
                contact, new = upsert.post(item)
                batch.outcomes.append(2 * contact.number + new)
            except Problem as problem:
                batch.outcomes.append(FAILED)
                batch.failures[number] = (problem.status, problem.as_json(f"{batch.job.id}-{number}"))
        counts = upsert.facts | Counter(failures=len(batch.failures), unprocessed=batch.total - len(batch.outcomes))
        facts |= {what: number for what, number in counts.items() if number}
        notes += [
            f"unknown field {name!r} ignored in {counted(number, 'item')}" for name, number in upsert.unknown.items()
        ]
        return state

    def _apply_faults(self, item: object) -> None:
        for fault in self.faults:
            if fault.applies_to(item):
                raise Problem(fault.status, "Please try again later.")

    def single(self, call: Call) -> Reply:
        """Handle GET /batches/{batchID}."""
        return Reply.json(self._show(self._named(call), call.now))

    def items(self, call: Call) -> Reply:
        """Handle GET /batches/{batchID}/items: the processed items, in no particular order."""
        batch = self._named(call)
        shown = self._show(batch, call.now)
        errors: list[Json] = []
        responses: list[Json] = []
        for number, (item, outcome) in enumerate(zip(batch.items(), batch.outcomes, strict=False)):
            if outcome == FAILED:
                code, response = batch.failures[number]
            else:
                code, response = (201 if outcome % 2 else 200), self._contact(outcome // 2, call.now)
            row: Json = {
                "itemID": f"{batch.job.id[:16]}{number * 7919:08x}",
                "request": item,
                "response": response,
                "responseCode": code,
                "status": "finished",
            }
            (errors if outcome == FAILED else responses).append(row)
        if self._account.settings.shuffle_items:
            for rows in (errors, responses):
                Random(batch.job.id).shuffle(rows)  # noqa: S311 - repeatable, not secret
        call.count("rows", len(errors) + len(responses))
        return Reply.json({**shown, "errors": errors, "responses": responses})

    def all(self, call: Call) -> Reply:
        """Handle GET /batches, newest first (the order is assumed)."""
        self._check_query(call)
        self._forget(call.now)
        offset, limit = int(call.query.get("offset", "0")), int(call.query.get("limit", str(_DEFAULT_PAGE_SIZE)))
        matching = self._matching(call)
        page = list(islice(matching, offset, offset + limit + 1))
        more, page = len(page) > limit, page[:limit]
        paging: dict[str, object] = {"limit": limit, "offset": offset}
        if more:
            paging["next"] = self._link(call, offset + limit)
        if offset:
            paging["previous"] = self._link(call, max(0, offset - limit))
        return Reply.json({"batches": [self._show(batch, call.now) for batch in page], "paging": paging})

    def _matching(self, call: Call) -> Iterator[Batch]:
        status, first, last = (call.query.get(name) for name in ("status", "dateFrom", "dateTo"))
        if call.query["endpoint"] != "contacts":
            return
        for batch in reversed(self._batches.values()):
            day = iso(batch.job.begun)[:10]
            if (first and day < first) or (last and day > last):
                continue
            if status is None or self._state(batch, call.now) == status:
                yield batch

    @staticmethod
    def _check_query(call: Call) -> None:
        errors = [FieldError(n, "unknown_parameter", "Unknown parameter") for n in call.query if n not in _QUERY]
        limit, offset = call.query.get("limit", "1"), call.query.get("offset", "0")
        if not limit.isdigit() or not 1 <= int(limit) <= _MAX_PAGE_SIZE:
            errors.append(FieldError("limit", "out_of_range", f"Must be between 1 and {_MAX_PAGE_SIZE}"))
        if not offset.isdigit():
            errors.append(FieldError("offset", "out_of_range", "Must be at least 0"))
        if call.query.get("endpoint") not in _ENDPOINTS[:3]:
            errors.append(FieldError("endpoint", "required", "Endpoint is required"))
        if call.query.get("status", "pending") not in _STATUSES:
            errors.append(FieldError("status", "invalid_value", f"Must be one of: {', '.join(_STATUSES)}"))
        errors += [
            FieldError(name, "invalid_format", "Must be in the format yyyy-mm-dd")
            for name in ("dateFrom", "dateTo")
            if name in call.query and not _DATE.fullmatch(call.query[name])
        ]
        if errors:
            raise invalid(*errors)

    def _link(self, call: Call, offset: int) -> str:
        """Return an absolute URL, as in the OpenAPI's example, with the filters of the request."""
        query = {**call.query, "offset": str(offset)}
        return f"{self._account.base_url()}/api/batches?" + "&".join(f"{k}={v}" for k, v in query.items())

    def _named(self, call: Call) -> Batch:
        self._forget(call.now)
        batch = self._batches.get(call.params["batch"])
        if batch is None:
            raise Problem(404, f"Batch '{call.params['batch']}' not found.")
        return batch

    def _state(self, batch: Batch, now: float) -> str:
        job = self._account.batches.poll(batch.job.id, now) or batch.job
        timed = job.state == "pending" and not job.script and job.due < float("inf")
        return "inProgress" if timed and now >= job.begun + self._account.settings.start_seconds else job.state

    def _show(self, batch: Batch, now: float) -> Json:
        state = self._state(batch, now)
        job = batch.job
        shown: Json = {
            "batchID": job.id,
            "endpoint": "contacts",
            "method": "POST",
            "origin": batch.origin,
            "status": state,
            "createdAt": iso_seconds(job.begun),
            "totalCount": batch.total,
            "finishedCount": len(batch.outcomes),
            "errorsCount": len(batch.failures),
        }
        if state != "pending":
            shown["startedAt"] = iso_seconds(job.begun + self._account.settings.start_seconds)
        if job.ended is not None:
            shown["endedAt"] = iso_seconds(job.ended)
        return shown

    def _contact(self, number: int, now: float) -> Json:
        return self._reader.show(self._account.contacts[number], now)

    def _forget(self, now: float) -> None:
        """Delete finished batches that are older than 7 days (batches page of v3, read 2026-08)."""
        oldest = now - self._account.settings.batch_days * _DAY
        while self._batches:
            batch = next(iter(self._batches.values()))
            if batch.job.begun > oldest or batch.job.active:
                return
            del self._batches[batch.job.id]
            self._account.batches.forget(batch.job.id)
