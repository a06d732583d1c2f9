"""Checks people at the vendor immediately before their removal: their present contacts, and their opt-outs.

A stored contact id may be another person's by now: a user of the account may have given the contact another address, or
merged another person's contact into it. So a removal by id uses only ids that the vendor has just returned for the
address.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from airflow_provider_segexport.errors import BatchRejected
from airflow_provider_segexport.export.config import ExportContext
from airflow_provider_segexport.export.reverify import STALE_PLAN_S, Pending
from airflow_provider_segexport.model import Audience, Batch, BatchReply, BatchResult, Operation, Reason, RowRejection
from airflow_provider_segexport.stages import readback, record
from airflow_provider_segexport.storage.duckdb_engine import Engine
from airflow_provider_segexport.vendors.base import Removal

OPTED_OUT_MESSAGE = "Has opted out of the audience. A removal would delete the opt-out, so it was not sent."
ABSENT_MESSAGE = "No contact with this address is in the audience."

Answer = BatchReply | BatchRejected


class RemovalChecks:
    """The checks of one run's removals. All methods but `remove` are called from the deciding thread."""

    def __init__(
        self,
        context: ExportContext,
        removal: Removal,
        audience: Audience,
        sql: Engine,
        open_batches: Callable[[], Iterator[Pending]],
    ) -> None:
        """Store the arguments. Nothing is read from the vendor before the first batch.

        Args:
            context: the run.
            removal: the vendor's removal operations.
            audience: the audience to remove people from.
            sql: holds the members and opt-outs that the vendor returns.
            open_batches: returns the removals without a result.
        """
        self._context = context
        self._removal = removal
        self._audience = audience
        self._sql = sql
        self._open_batches = open_batches
        self._read_at: float | None = None
        self._ids: dict[str, list[str]] = {}

    def checked(self, pending: Iterator[Pending], recorder: record.BatchRecorder) -> Iterator[Pending]:
        """Yield batches without the people who are not to be removed, and record the reasons as their results.

        Args:
            pending: batches to send, and pairs of a batch and its job id, which are yielded unchanged.
            recorder: records the people who are not removed.
        """
        for batch in pending:
            if isinstance(batch, tuple) or batch.attempt >= record.MAX_RETRIES:
                yield batch
                continue
            self._read()
            if rejected := self._rejected(batch, is_new=not batch.attempt and batch.id not in recorder.unanswered):
                rejected_indexes = {row.index for row in rejected}
                others = tuple(index for index in range(len(batch)) if index not in rejected_indexes)
                yield from recorder.record_reply(batch, BatchResult(rejected=rejected, retry=others))
            else:
                yield batch

    def record_reply(self, recorder: record.BatchRecorder) -> Callable[[Batch, Answer], list[Batch]]:
        """Return the recorder's `record_reply`, with checks of the batches that are sent again."""

        def record_and_check(batch: Batch, answer: Answer) -> list[Batch]:
            resends = recorder.record_reply(batch, answer)
            self._ids.pop(batch.id, None)
            return [part for part in self.checked(iter(resends), recorder) if isinstance(part, Batch)]

        return record_and_check

    def before_sending(self, batches: list[Batch]) -> None:
        """Store the present contact ids of the people in batches that are sent now. Read them again if they are old."""
        if not batches or not self._removal.by_id:
            return
        self._read()
        for batch in batches:
            opted_out = set(self._opted_out(batch))
            self._ids[batch.id] = [
                contact_id for index, contact_id in readback.member_ids(self._sql, batch) if index not in opted_out
            ]

    def remove(self, batch: Batch) -> Operation[BatchReply]:
        """Return the operation that removes a batch's people. By id, it removes only the stored contacts."""
        if not self._removal.by_id:
            return self._removal.remove(self._audience, batch)
        ids = self._ids[batch.id]
        return self._removal.remove(self._audience, replace(batch, items=ids)) if ids else _nothing_to_remove()

    def _rejected(self, batch: Batch, *, is_new: bool) -> tuple[RowRejection, ...]:
        """Return rejections of the people who have opted out, or are no members.

        In a batch that may have been sent before, people who are no members count as removed by that call.
        """
        opted_out = set(self._opted_out(batch))
        rejected = [RowRejection(index, Reason.UNSUBSCRIBED, "", OPTED_OUT_MESSAGE) for index in sorted(opted_out)]
        if is_new and self._removal.by_id:
            present = {index for index, _ in readback.member_ids(self._sql, batch)}
            absent = [index for index in range(len(batch)) if index not in present | opted_out]
            rejected += [RowRejection(index, Reason.NOT_IN_AUDIENCE, "", ABSENT_MESSAGE) for index in absent]
        return tuple(rejected)

    def _opted_out(self, batch: Batch) -> list[int]:
        listed = readback.opted_out(self._sql, batch) if self._removal.forgets_optouts else []
        inactive = readback.inactive_rows(self._sql, batch) if self._removal.by_id else []
        return sorted({*listed, *inactive})

    def _read(self) -> None:
        """Read opt-outs and present contacts from the vendor, unless that was done in the last ten minutes."""
        now = self._context.environment.clock()
        if self._read_at is not None and 0 <= now - self._read_at <= STALE_PLAN_S:
            return
        if self._removal.forgets_optouts:
            optouts = readback.OptOuts(self._sql)
            if self._context.vendor.list_optouts is not None:
                self._context.run_operation(self._context.vendor.list_optouts(self._audience, 0.0, optouts))
        if self._removal.by_id and self._removal.resolve_ids is not None:
            batches = (entry[0] if isinstance(entry, tuple) else entry for entry in self._open_batches())
            emails = [email for batch in batches for email in batch.emails]
            members = readback.Pages(self._sql)
            self._context.run_operation(self._removal.resolve_ids(self._audience, emails, members))
        self._read_at = self._context.environment.clock()


def _nothing_to_remove() -> Operation[BatchReply]:
    """Return the result of a batch whose people are no members any more; the read-back confirms it."""
    return BatchResult()
    yield  # a generator, as every operation is
