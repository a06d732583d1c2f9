"""Writes down what becomes of each batch, and says what goes out next: `answer -> journal, verdicts, batches`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from airflow_provider_segexport.errors import BatchRefused, SegexportError, StopExport
from airflow_provider_segexport.model import Batch, Reason, Refusal, Reply, Settled, Ticket
from airflow_provider_segexport.ports.journal import Entry, State
from airflow_provider_segexport.ports.progress import leaves
from airflow_provider_segexport.ports.run_folder import RunFolder

MOST_GENERATIONS = 3
"""How often a row goes out again because the vendor asked for it; then it is refused, with that reason."""

MOST_REFUSED_IN_A_ROW = 40
"""Whole-batch refusals without one acceptance between them: halving on would be a storm of calls. One bad row in a
thousand costs ten, each followed by an acceptance."""


@dataclass(slots=True)
class Bookkeeper:
    """Keeps the journal of a run; called from one thread."""

    folder: RunFolder
    accepted: int = 0
    refused: int = 0
    refused_in_a_row: int = 0
    error: SegexportError | None = None
    submitted: dict[str, str] = field(default_factory=dict)

    def sending(self, batches: list[Batch]) -> None:
        """Intent, before the calls."""
        self.folder.journal.write([Entry(batch.name, State.SENDING, len(batch)) for batch in batches])

    def answered(self, batch: Batch, answer: Reply | BatchRefused) -> list[Batch]:
        """Verdict, after a call; returns what is to go out in the batch's place."""
        match answer:
            case Ticket(id):
                self.folder.journal.write([Entry(batch.name, State.SUBMITTED, len(batch), ticket=id)])
                return []
            case Settled():
                return self._settle(batch, answer)
            case BatchRefused():
                return self._isolate(batch, answer)

    def why_stop(self) -> SegexportError | None:
        """An error found in the answers that ends the sending."""
        return self.error

    def _settle(self, batch: Batch, settled: Settled) -> list[Batch]:
        if settled.again and batch.generation >= MOST_GENERATIONS:
            words = f"The vendor asked for this row again {batch.generation + 1} times."
            given_up = tuple(Refusal(index, Reason.JOB_FAILED, "", words) for index in settled.again)
            settled = replace(settled, refused=settled.refused + given_up, again=())
        part = self.folder.write_part(batch, settled)
        accepted = len(batch) - len(settled.refused) - len(settled.again)
        entry = Entry(
            batch.name,
            State.SETTLED,
            len(batch),
            accepted=accepted,
            refused=len(settled.refused),
            again=settled.again,
            unnamed=settled.unnamed,
            unnamed_reason=str(settled.unnamed_reason) if settled.unnamed else "",
            part=part,
        )
        self.folder.journal.write([entry])
        self.accepted += accepted
        self.refused += len(settled.refused)
        if accepted:
            self.refused_in_a_row = 0
        if settled.stop:
            self.error = StopExport(settled.stop)
        return [batch.part(settled.again, generation=batch.generation + 1)] if settled.again else []

    def _isolate(self, batch: Batch, refused: BatchRefused) -> list[Batch]:
        """Halve the batch until the bad rows stand alone; a row that is refused alone has its verdict."""
        self.refused_in_a_row += 1
        if self.refused_in_a_row >= MOST_REFUSED_IN_A_ROW:
            self.error = StopExport(
                f"The vendor refused {self.refused_in_a_row} batches in a row as a whole "
                f"({refused.code} {refused.words}). This is no single bad row: check data matching and custom fields."
            )
        if len(batch) == 1:
            only = Refusal(0, Reason.REFUSED_BY_VENDOR, refused.code, refused.words)
            return self._settle(batch, Settled(refused=(only,)))
        self.folder.journal.write([Entry(batch.name, State.SPLIT, len(batch))])
        return list(batch.halves())


def unsettled(batch: Batch, states: Mapping[str, Entry]) -> Iterator[Batch | tuple[Batch, str]]:
    """What of a planned batch still has to be done: itself, its job, or parts of it."""
    for part, entry in leaves(batch, states):
        if entry is None or entry.state is State.SENDING:
            yield part
        elif entry.state is State.SUBMITTED:
            yield part, entry.ticket


def remaining(folder: RunFolder, names: tuple[str, ...]) -> Iterator[Batch | tuple[Batch, str]]:
    """All that a run still has to do, in the plan's order. Batches that are settled are not even read."""
    states = folder.journal.states()
    rows = folder.upserts()
    try:
        for number, name in enumerate(names):
            entry = states.get(name)
            if entry is None or entry.state is not State.SETTLED or entry.again:
                yield from unsettled(folder.batch(rows, number, name), states)
    finally:
        rows.close()


def tally(entries: Mapping[str, Entry]) -> tuple[int, int]:
    """Rows accepted and refused over all settled batches."""
    settled = [entry for entry in entries.values() if entry.state is State.SETTLED]
    return sum(entry.accepted for entry in settled), sum(entry.refused for entry in settled)
