"""Measures what a run would do: `figures, guards -> measured`. What cannot be measured has tripped."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from airflow_provider_segexport.counted import counted
from airflow_provider_segexport.errors import GuardTripped, SegexportError
from airflow_provider_segexport.guards import REMOVAL_GUARDS, Guard, GuardResult, above
from airflow_provider_segexport.model import Outcome, Reason

ROWS_BEFORE_JUDGING = 20
"""Rows that a segment must have before a share of bad emails or of duplicates says anything."""

SETTLED_BEFORE_JUDGING = 200
"""Rows that must have a verdict before a share of rejects says anything."""

MOST_LISTS = 3
"""Suppression lists that an error describes."""


@dataclass(frozen=True, slots=True)
class GuardInputs:
    """What the guards look at.

    Attributes:
        rows: of the segment.
        before: rows of the last finished export; None when it is not known.
        first: nothing was exported to this audience before, to the end.
        members: people in the audience by the ledger.
        leavers: people whom this run would take out.
        new: people whom the ledger does not hold.
        contact_headroom: contacts that the vendor says there is room for; None where it does not tell.
        lists: entries of each suppression list that are not understood, of how many, and that in words.
    """

    rows: int
    before: int | None
    first: bool
    members: int
    leavers: int
    new: int
    contact_headroom: int | None
    not_sent: Mapping[str, Mapping[str, int]]
    lists: Sequence[tuple[int, int, str]] = ()


def measure(
    figures: GuardInputs, guard: Callable[[str], Guard | None], named: Mapping[str, Guard | None]
) -> list[GuardResult]:
    """Every guard that is on, with what it found.

    Args:
        figures: of this run.
        guard: a guard by name; None where it is off.
        named: the guards that the export itself names: one of a figure that the vendor does not tell has tripped.
    """
    measured = []
    for name, value, words in _figures(figures, named):
        limit = guard(name)
        if limit is None:
            continue
        tripped = value is None or value.beyond(limit.limit)
        measured.append(
            GuardResult(name, None if value is None else value.measured, limit.limit, limit.action, tripped, words)
        )
    return measured


class _Value(NamedTuple):
    """A figure: the number in the report, and the comparison with a limit."""

    measured: float
    beyond: Callable[[float], bool]


def _share(part: int, whole: int) -> _Value | None:
    """A share that may not be above its limit; None where there is nothing to take a share of."""
    return _Value(part / whole, partial(above, part, whole)) if whole else None


def _figures(of: GuardInputs, named: Mapping[str, Guard | None]) -> Iterator[tuple[str, _Value | None, str]]:
    """What there is to measure, by guard, each in words."""
    yield "min_rows", _Value(of.rows, lambda limit: of.rows <= limit), f"The segment has {counted(of.rows, 'row')}."
    if not of.first and of.before != 0:
        said = "an unknown number of" if of.before is None else f"{of.before:,}"
        words = f"The segment has {counted(of.rows, 'row')}, and the last one that was exported had {said}."
        yield "max_shrink", None if of.before is None else _share(of.before - of.rows, of.before), words
        yield "max_growth", None if of.before is None else _share(of.rows - of.before, of.before), words
    if of.leavers:
        words = f"{of.leavers:,} of {counted(of.members, 'person')} would be taken out of the audience."
        yield "max_removals_share", _share(of.leavers, of.members), words
        yield "max_removals", _Value(of.leavers, lambda limit: of.leavers > limit), words
    if of.rows >= ROWS_BEFORE_JUDGING:
        rows = counted(of.rows, "row")
        rejected = of.not_sent.get(Outcome.REJECTED, {})
        bad = sum(rejected.get(reason, 0) for reason in (Reason.NO_EMAIL, Reason.INVALID_EMAIL, Reason.NON_ASCII_EMAIL))
        yield "max_invalid_emails_share", _share(bad, of.rows), f"{bad:,} of {rows} have no email, or a bad one."
        twice = of.not_sent.get(Outcome.WITHHELD, {}).get(Reason.DUPLICATE, 0)
        yield "max_duplicates_share", _share(twice, of.rows), f"{twice:,} of {rows} repeat an address."
    if of.lists:
        shares = [(part, max(1, whole)) for part, whole, _ in of.lists]
        worst = max(part / whole for part, whole in shares)
        value = _Value(worst, lambda limit: any(above(part, whole, limit) for part, whole in shares))
        words = " ".join([words for part, _, words in of.lists if part][:MOST_LISTS])
        yield "max_unreadable_suppression_share", value, words or "All entries of the suppression lists are understood."
    if of.contact_headroom is not None:
        left = of.contact_headroom - of.new
        words = f"{counted(of.new, 'person')} would be new, and the contract has room for {of.contact_headroom:,}."
        yield "min_contact_headroom", _Value(left, lambda limit: left < limit), words
    elif named.get("min_contact_headroom") is not None:
        yield "min_contact_headroom", None, "The vendor does not tell how many contacts the contract has room for."


def removal_guard(found: list[GuardResult]) -> str:
    """The guard that leaves the removals undone, if one does."""
    return next(
        (one.name for one in found if one.tripped and one.action == "skip_removals" and one.name in REMOVAL_GUARDS), ""
    )


def blocking_error(found: list[GuardResult]) -> GuardTripped | None:
    """What stops the run before the first call."""
    tripped = [one for one in found if one.tripped and (one.action == "fail" or one.name not in REMOVAL_GUARDS)]
    stopping = [one for one in tripped if one.action != "warn"]
    if not stopping:
        return None
    told = " ".join(f"{one.message} (guard `{one.name}`, limit {one.limit:g})" for one in stopping)
    return GuardTripped(
        f"Nothing is sent: {told} If this is right, raise the limit for this run: "
        f"`guards={{{stopping[0].name!r}: ...}}`, or None to switch the guard off."
    )


def reject_watch(
    guard: Guard | None, warn: Callable[[str], None]
) -> Callable[[int, int], SegexportError | None] | None:
    """What watches the rejects while a run sends; None where nobody does."""
    if guard is None:
        return None
    warned: list[str] = []

    def look(settled: int, rejected: int) -> SegexportError | None:
        if settled < SETTLED_BEFORE_JUDGING or not above(rejected, settled, guard.limit):
            return None
        words = f"{rejected:,} of the first {counted(settled, 'row')} were rejected by the vendor"
        if guard.action == "warn":
            if not warned:
                warned.append(words)
                warn(f"{words} (guard `max_rejected_share`, limit {guard.limit:g}).")
            return None
        return GuardTripped(
            f"The sending has stopped: {words} (guard `max_rejected_share`, limit {guard.limit:g}). What went out is "
            "on record. Look into the report's rejects, mend field mapping or the segment, and run again."
        )

    return look


def tripped_messages(found: list[GuardResult]) -> list[str]:
    """What to warn of."""
    return [f"{one.message} (guard `{one.name}`, limit {one.limit:g})" for one in found if one.tripped]
