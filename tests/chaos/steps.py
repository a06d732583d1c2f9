"""Steps of a sequence: exports, changes by other users, and faults, from a seeded generator."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

from chaos.person_model import Row
from chaos.vendor_model import RULES

PEOPLE = ("ann", "bob", "cat", "dan", "eve", "fay", "gus", "hal")
EXPORTS = ("shop.daily", "shop.vip")
RENAMED = "shop.new"
VALUES = ("A", "B", "C")
WITH_SHOP = "C"
"""The value of rows that also have one for the custom field; it is null in all other rows."""

#: What another hand does to a person at each vendor.
HANDS: dict[str, tuple[str, ...]] = {
    "campaign_monitor": ("add", "unsubscribe", "bounce", "remove"),
    "constant_contact": ("add", "unsubscribe", "leave", "delete"),
    "dotdigital": ("add", "unsubscribe", "leave", "remove", "delete", "recreate"),
    "omnisend": ("add", "unsubscribe", "delete", "recreate"),
}


@dataclass(frozen=True)
class Break:
    """How a run stops half-way.

    `kind` is `killed` (before or after a call), `503` or `lost` (all calls that carry people, or take them out),
    `left` (the run stops when it would wait for jobs), or `jobs` (jobs fail at the vendor).
    """

    kind: str
    at: int = 1
    after: bool = False
    removals: bool = False


@dataclass(frozen=True)
class Export:
    """A run: the people of its segment with their rows, and how it is asked for.

    `approved` says whether it may carry out its own plan, by `expected_plan`, or names another plan; None names none.
    `field` says whether a column feeds the custom field, and what happens if the vendor lacks it: `create` or `need`.
    `beside` starts another run of the audience while this one sends, or waits for its jobs.
    """

    rows: tuple[tuple[str, tuple[Row, ...]], ...]
    mode: str = "upsert"
    export: str = EXPORTS[0]
    suppressed: frozenset[str] = frozenset()
    strays: tuple[str | None, ...] = ()
    guard: str | None = None
    days_back: int = 0
    dry: bool = False
    verify: bool = False
    approved: bool | None = None
    field: str = ""
    beside: bool = False
    trouble: Break | None = None

    def __str__(self) -> str:
        people = ", ".join(f"{name}{_shown(rows)}" for name, rows in self.rows)
        extra = [f"suppressed={sorted(self.suppressed)}"] if self.suppressed else []
        extra += [f"strays={list(self.strays)}"] if self.strays else []
        extra += [f"removals guard: {self.guard}"] if self.guard else []
        extra += [f"as of {self.days_back} days before"] if self.days_back else []
        extra += ["dry run"] if self.dry else []
        extra += ["verify"] if self.verify else []
        extra += [] if self.approved is None else ["expects its plan" if self.approved else "expects another plan"]
        extra += [f"custom field: {self.field}"] if self.field else []
        extra += ["another run beside it"] if self.beside else []
        extra += [str(self.trouble)] if self.trouble else []
        return f"{self.mode} by {self.export}: {people or 'no person'}" + "".join(f"; {detail}" for detail in extra)


def _shown(rows: tuple[Row, ...]) -> str:
    return "".join(
        f"({row.value}{'' if row.consent else ', no consent'}{', bad value' if row.bad else ''})" for row in rows
    )


def segment_lines(step: Export) -> list[tuple[str | None, Row]]:
    """Return the rows of a segment in order: each person's first row, the stray rows, then the repeated rows."""
    firsts = [(person, rows[0]) for person, rows in step.rows]
    repeats = [(person, row) for person, rows in step.rows for row in rows[1:]]
    return [*firsts, *((stray, Row()) for stray in step.strays), *repeats]


@dataclass(frozen=True)
class Hand:
    """Another user changes a person at the vendor."""

    person: str
    action: str

    def __str__(self) -> str:
        return f"at the vendor: {self.action} {self.person}"


@dataclass(frozen=True)
class FieldChange:
    """Another user deletes the custom field at the vendor, or deletes and recreates it."""

    remade: bool = False

    def __str__(self) -> str:
        return f"at the vendor: delete the custom field{' and make it again' if self.remade else ''}"


@dataclass(frozen=True)
class Verification:
    """The audience is read and compared with the ledger."""

    repair: bool = False

    def __str__(self) -> str:
        return f"verify{' and repair' if self.repair else ''}"


@dataclass(frozen=True)
class Undo:
    """Undo the last run, of one export or of any, that added or removed people."""

    export: str = ""

    def __str__(self) -> str:
        return f"undo{f' of {self.export}' if self.export else ''}"


@dataclass(frozen=True)
class Erase:
    """Erase a person: from the audience, and then from all stored files."""

    person: str

    def __str__(self) -> str:
        return f"erase {self.person}"


@dataclass(frozen=True)
class Release:
    """An export ends its use of the audience: for good, or under another name."""

    export: str
    to: str = ""
    keep: bool = False

    def __str__(self) -> str:
        return f"release {self.export}{f' to {self.to}' if self.to else ''}{', keep its people' if self.keep else ''}"


Step = Export | Hand | FieldChange | Verification | Undo | Erase | Release


@dataclass
class Sequence:
    """One sequence at one vendor."""

    vendor: str
    shared: bool
    steps: list[Step] = field(default_factory=list)

    def __str__(self) -> str:
        lines = [f"{self.vendor}{', shared' if self.shared else ''}"]
        return "\n".join([*lines, *(f"  {number}. {step}" for number, step in enumerate(self.steps, 1))])


class Generator:
    """Makes a sequence out of a seed; each segment is made out of the one before."""

    def __init__(self, vendor: str, seed: int, *, breaks: bool) -> None:
        self.rng = Random(f"model/{vendor}/{seed}")
        self.vendor = vendor
        self.breaks = breaks
        self.shared = self.rng.random() < 0.35
        self.members: dict[str, dict[str, str]] = {export: {} for export in (*EXPORTS, RENAMED)}

    def sequence(self, length: int) -> Sequence:
        """Make `length` steps; some runs that break are undone at once."""
        sequence = Sequence(self.vendor, self.shared)
        while len(sequence.steps) < length:
            step = self.step()
            sequence.steps.append(step)
            if isinstance(step, Export) and step.trouble and self.rng.random() < 0.2:
                sequence.steps.append(Undo(step.export if self.shared else ""))
        return sequence

    def step(self) -> Step:
        """Make one step."""
        chance = self.rng.random()
        if chance < 0.08:
            return Undo(self.rng.choice(("", *EXPORTS)) if self.shared else "")
        if chance < 0.12:
            return Erase(self.rng.choice(PEOPLE))
        if self.shared and chance > 0.93:
            return self.release()
        if chance < 0.3:
            return Hand(self.rng.choice(PEOPLE), self.rng.choice(HANDS[self.vendor]))
        return self.other() if chance < 0.38 else self.export()

    def other(self) -> Step:
        """Make a step other than an export or a change of a person."""
        if self.vendor == "omnisend" or self.rng.random() < 0.6:
            return Verification(repair=self.rng.random() < 0.7)
        return FieldChange(remade=self.rng.random() < 0.4)

    def export(self) -> Export:
        """Advance by a day, and export the changed segment."""
        rng = self.rng
        export = rng.choice(EXPORTS if rng.random() < 0.9 else (RENAMED,)) if self.shared else EXPORTS[0]
        segment = self.members[export]
        for person in PEOPLE:
            if rng.random() < 0.35:
                segment.pop(person, None) if person in segment else segment.update({person: rng.choice(VALUES)})
            elif person in segment and rng.random() < 0.2:
                segment[person] = rng.choice(VALUES)
        rows = tuple((person, self.rows(value)) for person, value in sorted(segment.items()))
        return Export(
            rows,
            mode=rng.choice(("upsert", "mirror", "mirror", "mirror", "full")),
            export=export,
            suppressed=frozenset(person for person in PEOPLE if rng.random() < 0.04),
            strays=tuple(rng.choice((None, "not an address")) for _ in range(1 if rng.random() < 0.15 else 0)),
            guard=rng.choice(("skip_removals", "fail")) if rng.random() < 0.1 else None,
            days_back=2 if rng.random() < 0.06 else 0,
            dry=rng.random() < 0.06,
            verify=rng.random() < 0.3,
            approved=rng.choice((True, False)) if rng.random() < 0.1 else None,
            field=self.field(),
            beside=rng.random() < 0.1,
            trouble=self.trouble() if self.breaks and rng.random() < 0.45 else None,
        )

    def field(self) -> str:
        """Choose whether a column feeds the custom field; Omnisend has no fields to make."""
        chance = self.rng.random()
        if self.vendor == "omnisend" or chance < 0.4:
            return ""
        return "create" if chance < 0.9 else "need"

    def release(self) -> Release:
        """End one export; the other one, a new one or none takes over."""
        rng = self.rng
        export = rng.choice(EXPORTS)
        to = rng.choice(("", "", RENAMED, *(name for name in EXPORTS if name != export)))
        return Release(export, to, keep=not to and rng.random() < 0.3)

    def rows(self, value: str) -> tuple[Row, ...]:
        """Make a person's rows, with their usual dirt."""
        rng = self.rng
        row = Row(value, consent=rng.random() > 0.06, bad=self.vendor != "omnisend" and rng.random() < 0.08)
        if rng.random() < 0.1:
            return row, Row(rng.choice(VALUES), consent=rng.random() > 0.2)
        return (row,)

    def trouble(self) -> Break:
        """Choose how a run breaks."""
        rng = self.rng
        kind = rng.choice(("killed", "killed", "503", "lost", "left", "jobs"))
        if kind in {"left", "jobs"} and not RULES[self.vendor].jobs:
            kind = "killed"
        return Break(kind, rng.randint(1, 12), after=rng.random() < 0.5, removals=rng.random() < 0.4)
