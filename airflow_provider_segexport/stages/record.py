"""Record the result of each batch, and return the batches to send next: `reply -> journal, batch results, batches`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from airflow_provider_segexport.counted import counted
from airflow_provider_segexport.errors import BatchRejected, FatalError, SegexportError, public_code
from airflow_provider_segexport.model import (
    OPTED_OUT,
    Batch,
    BatchKind,
    BatchReply,
    BatchResult,
    JobId,
    Reason,
    RowRejection,
)
from airflow_provider_segexport.storage.journal import Entry, State
from airflow_provider_segexport.storage.results import leaf_batches
from airflow_provider_segexport.storage.run_folder import RunFolder

MAX_RETRIES = 3
"""Maximum times that a row is sent again if the vendor asks for it. After that the row counts as rejected."""

PERSON_REASONS = OPTED_OUT | {Reason.DELETED}
"""Reasons that concern the person, not the data. The guard on rejected rows does not count them."""

MAX_BATCH_REJECTIONS_IN_A_ROW = 40
"""Number of whole batches that are rejected without an acceptance in between, at which the run stops splitting. One
invalid row in a thousand leads to ten rejections, each followed by an acceptance."""

ALREADY_REMOVED = frozenset({Reason.DELETED, Reason.NOT_IN_AUDIENCE})
"""Reasons with which vendors reject the removal of a person that they have removed before."""


@dataclass(slots=True)
class BatchRecorder:
    """Writes the journal and the results of a run. Only `record_sending` may be called from several threads.

    Attributes:
        folder: the part of the run folder that holds the batches.
        returning: returns the numbers of rows whose people an export removed and may add again; None if the vendor
            cannot resubscribe people.
        check_rejected: takes the numbers of settled and of rejected rows after each batch; returns an error to end the
            sending. None without a guard.
        settled_before: number of rows settled before this process: in earlier attempts, or before a deferral.
        rejects_before: number of rejected rows among them that the guard counts.
        read_back: whether an accepted batch confirms no single row, so that the audience is read back later.
        on_settled: takes the number of batches settled by this process.
        accepted, rejected: numbers of rows settled by this process.
        rejects: number of rejected rows that the guard counts.
        rejected_in_a_row: number of whole batches rejected since the last acceptance.
        error: the error that ends the sending; None if there is none.
        batches: number of batches settled by this process.
        unanswered: ids of batches that an earlier attempt sent without recording a reply.
    """

    folder: RunFolder
    returning: Callable[[], frozenset[int]] | None = None
    check_rejected: Callable[[int, int], SegexportError | None] | None = None
    settled_before: int = 0
    rejects_before: int = 0
    read_back: bool = False
    on_settled: Callable[[int], None] = lambda _: None
    accepted: int = 0
    rejected: int = 0
    rejects: int = 0
    rejected_in_a_row: int = 0
    error: SegexportError | None = None
    batches: int = 0
    unanswered: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        """Find the calls of an earlier attempt that have no reply, and check the guard on its rows."""
        states = self.folder.journal.states()
        self.unanswered |= {name for name, entry in states.items() if entry.state is State.SENDING}
        if self.settled_before:
            self._check_guard()

    def record_sending(self, batches: list[Batch]) -> None:
        """Record the intent, before the calls; called from any thread."""
        self.folder.journal.write_intents([Entry(batch.id, State.SENDING, len(batch)) for batch in batches])

    def record_reply(self, batch: Batch, reply: BatchReply | BatchRejected) -> list[Batch]:
        """Record the reply to a call; return the batches to send in its place."""
        match reply:
            case JobId(id):
                return self.record_submitted(batch, id)
            case BatchResult():
                return self._settle(batch, reply)
            case BatchRejected():
                return self._split(batch, reply)

    def record_submitted(self, batch: Batch, job_id: str) -> list[Batch]:
        """Record that the batch became an import job."""
        self.folder.journal.write([Entry(batch.id, State.SUBMITTED, len(batch), job_id=job_id)])
        return []

    def abort_error(self) -> SegexportError | None:
        """Return the error that ends the sending; None if there is none."""
        return self.error

    def _settle(self, batch: Batch, result: BatchResult) -> list[Batch]:
        """Write a batch's result; return the batches that its rows are sent in again."""
        if result.retry and batch.attempt >= MAX_RETRIES:
            message = f"The vendor asked for this row again {counted(batch.attempt + 1, 'time')}."
            exhausted = tuple(RowRejection(index, Reason.JOB_FAILED, "", message) for index in result.retry)
            result = replace(result, rejected=result.rejected + exhausted, retry=())
        result, resubscribe = self._resubscribe(batch, self._own_removals(batch, result))
        has_rows = self.folder.write_results(batch, result)
        accepted = len(batch) - len(result.rejected) - len(result.retry) - len(resubscribe)
        if self.read_back:
            result = replace(result, unattributed=accepted, unattributed_reason=Reason.STILL_IN_AUDIENCE)
        entry = Entry(
            batch.id,
            State.SETTLED,
            len(batch),
            accepted=accepted,
            rejected=len(result.rejected),
            retry=result.retry,
            unattributed=result.unattributed,
            unattributed_reason=str(result.unattributed_reason) if result.unattributed else "",
            resubscribe=resubscribe,
            has_rows=has_rows,
        )
        self.folder.journal.write([entry])
        self._count(accepted, result)
        resends = [batch.subset(result.retry, attempt=batch.attempt + 1)] if result.retry else []
        return resends + ([batch.subset(resubscribe, kind=BatchKind.REVIVE)] if resubscribe else [])

    def _own_removals(self, batch: Batch, result: BatchResult) -> BatchResult:
        """Count people who are already gone as removed, if an earlier attempt sent this removal without a reply."""
        if batch.kind is not BatchKind.REMOVE or batch.id not in self.unanswered:
            return result
        return replace(result, rejected=tuple(row for row in result.rejected if row.reason not in ALREADY_REMOVED))

    def _resubscribe(self, batch: Batch, result: BatchResult) -> tuple[BatchResult, tuple[int, ...]]:
        """Return the result without the rejected rows of people that an export removed, and the indexes of these rows.

        The rows are sent again by a call that resubscribes the people.
        """
        if self.returning is None or batch.kind is not BatchKind.UPSERT:
            return result, ()
        deleted = [row.index for row in result.rejected if row.reason is Reason.DELETED]
        returning = self.returning() if deleted else frozenset()
        indexes = tuple(index for index in deleted if batch.rows[index] in returning)
        revived = frozenset(indexes)
        other_rejected = tuple(row for row in result.rejected if row.index not in revived)
        return replace(result, rejected=other_rejected), indexes

    def _count(self, accepted: int, result: BatchResult) -> None:
        """Add the rows of a batch to the counts, and find out whether the sending must end."""
        self.batches += 1
        self.accepted += accepted
        self.rejected += len(result.rejected)
        self.rejects += sum(row.reason not in PERSON_REASONS for row in result.rejected)
        if accepted:
            self.rejected_in_a_row = 0
        if result.abort_reason:
            self.error = FatalError(result.abort_reason)
        else:
            self._check_guard()
        self.on_settled(self.batches)

    def _check_guard(self) -> None:
        """Find out whether all attempts of the run together have too many rejected rows."""
        if self.check_rejected is not None and self.error is None:
            settled = self.settled_before + self.accepted + self.rejected
            self.error = self.check_rejected(settled, self.rejects_before + self.rejects)

    def _split(self, batch: Batch, rejection: BatchRejected) -> list[Batch]:
        """Split a batch that was rejected as a whole, until the invalid rows are alone and can be rejected."""
        self.rejected_in_a_row += 1
        if self.rejected_in_a_row >= MAX_BATCH_REJECTIONS_IN_A_ROW:
            self.error = FatalError(
                f"The vendor rejected {counted(self.rejected_in_a_row, 'batch')} in a row as a whole "
                f"(error code {public_code(rejection.code)}). No single row "
                "causes this. To fix: check field mapping and custom fields."
            )
        if len(batch) == 1:
            only = RowRejection(0, Reason.REJECTED_BY_VENDOR, rejection.code, rejection.message)
            return self._settle(batch, BatchResult(rejected=(only,)))
        self.folder.journal.write([Entry(batch.id, State.SPLIT, len(batch))])
        return list(batch.halves())


def unsettled(batch: Batch, states: Mapping[str, Entry]) -> Iterator[Batch | tuple[Batch, str]]:
    """Yield the parts of a planned batch without a result: batches to send, and pairs of a batch and its job id."""
    for part, entry in leaf_batches(batch, states):
        if entry is None or entry.state is State.SENDING:
            yield part
        elif entry.state is State.SUBMITTED:
            yield part, entry.job_id


def remaining(folder: RunFolder, names: tuple[str, ...]) -> Iterator[Batch | tuple[Batch, str]]:
    """Yield all batches of a run without a result, as `unsettled` does, in the plan's order. Others are not read."""
    states = folder.journal.states()
    rows = folder.upserts()
    try:
        for number, name in enumerate(names):
            entry = states.get(name)
            if entry is None or entry.state is not State.SETTLED or entry.retry or entry.resubscribe:
                yield from unsettled(folder.batch(rows, number, name), states)
    finally:
        rows.close()


def count_rows(entries: Mapping[str, Entry]) -> tuple[int, int]:
    """Return the numbers of accepted and rejected rows over all settled batches."""
    settled = [entry for entry in entries.values() if entry.state is State.SETTLED]
    return sum(entry.accepted for entry in settled), sum(entry.rejected for entry in settled)


def rejects(folder: RunFolder) -> int:
    """Count the rejected rows that the guard counts: those whose reason concerns the data, not the person."""
    return sum(number for reason, number in folder.reasons().items() if reason not in PERSON_REASONS)
