"""Writes down what becomes of each batch, and says what goes out next: `answer -> journal, verdicts, batches`."""

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

MOST_GENERATIONS = 3
"""How often a row goes out again because the vendor asked for it; then it is refused, with that reason."""

NO_REJECTS = OPTED_OUT | {Reason.DELETED}
"""Reasons that say something of the person, not of the data: they do not count as rejects while it runs."""

MOST_REFUSED_IN_A_ROW = 40
"""Whole-batch refusals without one acceptance between them: halving on would be a storm of calls. One bad row in a
thousand costs ten, each followed by an acceptance."""


@dataclass(slots=True)
class BatchRecorder:
    """Keeps the journal of a run; called from one thread.

    Attributes:
        returning: rows of people whom we have taken out and may bring back; None where the vendor has no way.
        check_rejected: asked after each batch with rows settled and rows rejected so far; an error ends the sending.
        settled_before: rows for which the run had a verdict before this process: earlier tries, and before a deferral.
        rejects_before: those of them that count as rejects.
        read_back: an accepted batch says nothing of single people: they are looked at later.
        on_settled: told the number of batches settled by this process.
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
        """An earlier try may have made calls whose answer it did not live to see."""
        states = self.folder.journal.states()
        self.unanswered |= {name for name, entry in states.items() if entry.state is State.SENDING}
        if self.settled_before:
            self._judge()

    def record_sending(self, batches: list[Batch]) -> None:
        """Intent, before the calls."""
        self.folder.journal.write([Entry(batch.id, State.SENDING, len(batch)) for batch in batches])

    def record_reply(self, batch: Batch, answer: BatchReply | BatchRejected) -> list[Batch]:
        """Verdict, after a call; returns what is to go out in the batch's place."""
        match answer:
            case JobId(id):
                return self.record_submitted(batch, id)
            case BatchResult():
                return self._settle(batch, answer)
            case BatchRejected():
                return self._isolate(batch, answer)

    def record_submitted(self, batch: Batch, job_id: str) -> list[Batch]:
        """The batch became a job."""
        self.folder.journal.write([Entry(batch.id, State.SUBMITTED, len(batch), job_id=job_id)])
        return []

    def abort_error(self) -> SegexportError | None:
        """An error found in the answers that ends the sending."""
        return self.error

    def _settle(self, batch: Batch, settled: BatchResult) -> list[Batch]:
        if settled.retry and batch.attempt >= MOST_GENERATIONS:
            words = f"The vendor asked for this row again {counted(batch.attempt + 1, 'time')}."
            given_up = tuple(RowRejection(index, Reason.JOB_FAILED, "", words) for index in settled.retry)
            settled = replace(settled, rejected=settled.rejected + given_up, retry=())
        settled, revive = self._revive(batch, self._taken_out(batch, settled))
        part = self.folder.write_results(batch, settled)
        accepted = len(batch) - len(settled.rejected) - len(settled.retry) - len(revive)
        if self.read_back:
            settled = replace(settled, unattributed=accepted, unattributed_reason=Reason.STILL_IN_AUDIENCE)
        entry = Entry(
            batch.id,
            State.SETTLED,
            len(batch),
            accepted=accepted,
            rejected=len(settled.rejected),
            retry=settled.retry,
            unattributed=settled.unattributed,
            unattributed_reason=str(settled.unattributed_reason) if settled.unattributed else "",
            resubscribe=revive,
            has_rows=part,
        )
        self.folder.journal.write([entry])
        self._count(accepted, settled)
        next_ = [batch.subset(settled.retry, generation=batch.attempt + 1)] if settled.retry else []
        return next_ + ([batch.subset(revive, kind=BatchKind.REVIVE)] if revive else [])

    def _taken_out(self, batch: Batch, settled: BatchResult) -> BatchResult:
        """Whoever is deleted already, and was to be by a call that had no answer, was by that call: they are ours."""
        if batch.kind is not BatchKind.REMOVE or batch.id not in self.unanswered:
            return settled
        return replace(settled, rejected=tuple(one for one in settled.rejected if one.reason is not Reason.DELETED))

    def _revive(self, batch: Batch, settled: BatchResult) -> tuple[BatchResult, tuple[int, ...]]:
        """Take from the refused whom we have taken out ourselves: they go out once more, in a way that revives them."""
        if self.returning is None or batch.kind is not BatchKind.UPSERT:
            return settled, ()
        deleted = [one.index for one in settled.rejected if one.reason is Reason.DELETED]
        ours = self.returning() if deleted else frozenset()
        revive = tuple(index for index in deleted if batch.rows[index] in ours)
        refused = tuple(one for one in settled.rejected if one.index not in set(revive))
        return replace(settled, rejected=refused), revive

    def _count(self, accepted: int, settled: BatchResult) -> None:
        """Add up, and find out whether to go on."""
        self.batches += 1
        self.accepted += accepted
        self.rejected += len(settled.rejected)
        self.rejects += sum(one.reason not in NO_REJECTS for one in settled.rejected)
        if accepted:
            self.rejected_in_a_row = 0
        if settled.abort_reason:
            self.error = FatalError(settled.abort_reason)
        else:
            self._judge()
        self.on_settled(self.batches)

    def _judge(self) -> None:
        """Find out whether the run has too many rejects, over all its tries."""
        if self.check_rejected is not None and self.error is None:
            settled = self.settled_before + self.accepted + self.rejected
            self.error = self.check_rejected(settled, self.rejects_before + self.rejects)

    def _isolate(self, batch: Batch, refused: BatchRejected) -> list[Batch]:
        """Halve the batch until the bad rows stand alone; a row that is refused alone has its verdict."""
        self.rejected_in_a_row += 1
        if self.rejected_in_a_row >= MOST_REFUSED_IN_A_ROW:
            self.error = FatalError(
                f"The vendor refused {counted(self.rejected_in_a_row, 'batch')} in a row as a whole "
                f"(error code {public_code(refused.code)}). No single row "
                "causes this. To fix: check field mapping and custom fields."
            )
        if len(batch) == 1:
            only = RowRejection(0, Reason.REJECTED_BY_VENDOR, refused.code, refused.message)
            return self._settle(batch, BatchResult(rejected=(only,)))
        self.folder.journal.write([Entry(batch.id, State.SPLIT, len(batch))])
        return list(batch.halves())


def unsettled(batch: Batch, states: Mapping[str, Entry]) -> Iterator[Batch | tuple[Batch, str]]:
    """What of a planned batch still has to be done: itself, its job, or parts of it."""
    for part, entry in leaf_batches(batch, states):
        if entry is None or entry.state is State.SENDING:
            yield part
        elif entry.state is State.SUBMITTED:
            yield part, entry.job_id


def remaining(folder: RunFolder, names: tuple[str, ...]) -> Iterator[Batch | tuple[Batch, str]]:
    """All that a run still has to do, in the plan's order. Batches that are settled are not even read."""
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
    """Rows accepted and refused over all settled batches."""
    settled = [entry for entry in entries.values() if entry.state is State.SETTLED]
    return sum(entry.accepted for entry in settled), sum(entry.rejected for entry in settled)


def rejects(folder: RunFolder) -> int:
    """Rows whose verdict counts as a reject: it says something of the data, not of the person."""
    return sum(number for reason, number in folder.reasons().items() if reason not in NO_REJECTS)
