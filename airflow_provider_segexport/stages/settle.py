"""Writes down what becomes of each batch, and says what goes out next: `answer -> journal, verdicts, batches`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from airflow_provider_segexport.counted import counted
from airflow_provider_segexport.errors import BatchRefused, SegexportError, StopExport, public_code
from airflow_provider_segexport.model import OPTED_OUT, Batch, Kind, Reason, Refusal, Reply, Settled, Ticket
from airflow_provider_segexport.ports.journal import Entry, State
from airflow_provider_segexport.ports.progress import leaves
from airflow_provider_segexport.ports.run_folder import RunFolder

MOST_GENERATIONS = 3
"""How often a row goes out again because the vendor asked for it; then it is refused, with that reason."""

NO_REJECTS = OPTED_OUT | {Reason.DELETED}
"""Reasons that say something of the person, not of the data: they do not count as rejects while it runs."""

MOST_REFUSED_IN_A_ROW = 40
"""Whole-batch refusals without one acceptance between them: halving on would be a storm of calls. One bad row in a
thousand costs ten, each followed by an acceptance."""


@dataclass(slots=True)
class Bookkeeper:
    """Keeps the journal of a run; called from one thread.

    Attributes:
        returners: rows of people whom we have taken out and may bring back; None where the vendor has no way.
        most_rejects: asked after each batch with rows settled and rows rejected so far; an error ends the sending.
        settled_before: rows for which the run had a verdict before this process: earlier tries, and before a deferral.
        rejects_before: those of them that count as rejects.
        read_back: an accepted batch says nothing of single people: they are looked at later.
        tell: told the number of batches settled by this process.
    """

    folder: RunFolder
    returners: Callable[[], frozenset[int]] | None = None
    most_rejects: Callable[[int, int], SegexportError | None] | None = None
    settled_before: int = 0
    rejects_before: int = 0
    read_back: bool = False
    tell: Callable[[int], None] = lambda _: None
    accepted: int = 0
    refused: int = 0
    rejects: int = 0
    refused_in_a_row: int = 0
    error: SegexportError | None = None
    batches: int = 0
    unanswered: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        """An earlier try may have made calls whose answer it did not live to see."""
        states = self.folder.journal.states()
        self.unanswered |= {name for name, entry in states.items() if entry.state is State.SENDING}
        if self.settled_before:
            self._judge()

    def sending(self, batches: list[Batch]) -> None:
        """Intent, before the calls."""
        self.folder.journal.write([Entry(batch.name, State.SENDING, len(batch)) for batch in batches])

    def answered(self, batch: Batch, answer: Reply | BatchRefused) -> list[Batch]:
        """Verdict, after a call; returns what is to go out in the batch's place."""
        match answer:
            case Ticket(id):
                return self.submitted(batch, id)
            case Settled():
                return self._settle(batch, answer)
            case BatchRefused():
                return self._isolate(batch, answer)

    def submitted(self, batch: Batch, ticket: str) -> list[Batch]:
        """The batch became a job."""
        self.folder.journal.write([Entry(batch.name, State.SUBMITTED, len(batch), ticket=ticket)])
        return []

    def why_stop(self) -> SegexportError | None:
        """An error found in the answers that ends the sending."""
        return self.error

    def _settle(self, batch: Batch, settled: Settled) -> list[Batch]:
        if settled.again and batch.generation >= MOST_GENERATIONS:
            words = f"The vendor asked for this row again {counted(batch.generation + 1, 'time')}."
            given_up = tuple(Refusal(index, Reason.JOB_FAILED, "", words) for index in settled.again)
            settled = replace(settled, refused=settled.refused + given_up, again=())
        settled, revive = self._revive(batch, self._taken_out(batch, settled))
        part = self.folder.write_part(batch, settled)
        accepted = len(batch) - len(settled.refused) - len(settled.again) - len(revive)
        if self.read_back:
            settled = replace(settled, unnamed=accepted, unnamed_reason=Reason.STILL_THERE)
        entry = Entry(
            batch.name,
            State.SETTLED,
            len(batch),
            accepted=accepted,
            refused=len(settled.refused),
            again=settled.again,
            unnamed=settled.unnamed,
            unnamed_reason=str(settled.unnamed_reason) if settled.unnamed else "",
            revive=revive,
            part=part,
        )
        self.folder.journal.write([entry])
        self._count(accepted, settled)
        next_ = [batch.part(settled.again, generation=batch.generation + 1)] if settled.again else []
        return next_ + ([batch.part(revive, kind=Kind.REVIVE)] if revive else [])

    def _taken_out(self, batch: Batch, settled: Settled) -> Settled:
        """Whoever is deleted already, and was to be by a call that had no answer, was by that call: they are ours."""
        if batch.kind is not Kind.REMOVE or batch.name not in self.unanswered:
            return settled
        return replace(settled, refused=tuple(one for one in settled.refused if one.reason is not Reason.DELETED))

    def _revive(self, batch: Batch, settled: Settled) -> tuple[Settled, tuple[int, ...]]:
        """Take from the refused whom we have taken out ourselves: they go out once more, in a way that revives them."""
        if self.returners is None or batch.kind is not Kind.UPSERT:
            return settled, ()
        deleted = [one.index for one in settled.refused if one.reason is Reason.DELETED]
        ours = self.returners() if deleted else frozenset()
        revive = tuple(index for index in deleted if batch.rows[index] in ours)
        refused = tuple(one for one in settled.refused if one.index not in set(revive))
        return replace(settled, refused=refused), revive

    def _count(self, accepted: int, settled: Settled) -> None:
        """Add up, and find out whether to go on."""
        self.batches += 1
        self.accepted += accepted
        self.refused += len(settled.refused)
        self.rejects += sum(one.reason not in NO_REJECTS for one in settled.refused)
        if accepted:
            self.refused_in_a_row = 0
        if settled.stop:
            self.error = StopExport(settled.stop)
        else:
            self._judge()
        self.tell(self.batches)

    def _judge(self) -> None:
        """Find out whether the run has too many rejects, over all its tries."""
        if self.most_rejects is not None and self.error is None:
            settled = self.settled_before + self.accepted + self.refused
            self.error = self.most_rejects(settled, self.rejects_before + self.rejects)

    def _isolate(self, batch: Batch, refused: BatchRefused) -> list[Batch]:
        """Halve the batch until the bad rows stand alone; a row that is refused alone has its verdict."""
        self.refused_in_a_row += 1
        if self.refused_in_a_row >= MOST_REFUSED_IN_A_ROW:
            self.error = StopExport(
                f"The vendor refused {counted(self.refused_in_a_row, 'batch')} in a row as a whole "
                f"(error code {public_code(refused.code)}). No single row "
                "causes this. To fix: check data matching and custom fields."
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
            if entry is None or entry.state is not State.SETTLED or entry.again or entry.revive:
                yield from unsettled(folder.batch(rows, number, name), states)
    finally:
        rows.close()


def tally(entries: Mapping[str, Entry]) -> tuple[int, int]:
    """Rows accepted and refused over all settled batches."""
    settled = [entry for entry in entries.values() if entry.state is State.SETTLED]
    return sum(entry.accepted for entry in settled), sum(entry.refused for entry in settled)


def rejects(folder: RunFolder) -> int:
    """Rows whose verdict counts as a reject: it says something of the data, not of the person."""
    return sum(number for reason, number in folder.reasons().items() if reason not in NO_REJECTS)
