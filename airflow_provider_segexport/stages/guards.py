"""Measure the guards of a plan: `GuardInputs, guards -> GuardResult`. A guard that cannot be measured has tripped."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from airflow_provider_segexport.counted import counted
from airflow_provider_segexport.errors import GuardTripped, SegexportError
from airflow_provider_segexport.guards import REMOVAL_GUARDS, Guard, GuardResult, exceeds_share
from airflow_provider_segexport.model import Outcome, Reason

MIN_ROWS_FOR_SHARES = 20
"""Rows that a segment must have before shares of invalid emails or duplicates are measured."""

MIN_SETTLED_ROWS = 200
"""Rows that must have a result before the share of rejected rows is measured."""

MAX_LISTS = 3
"""Maximum suppression lists that an error describes."""


@dataclass(frozen=True, slots=True)
class GuardInputs:
    """Figures that the guards compare with their limits.

    Attributes:
        rows: number of rows of the segment.
        rows_before: number of rows of the last finished export; None if unknown.
        is_first: whether no export to this audience has finished before.
        members: number of people in the audience by the ledger.
        leavers: number of people that this run would remove.
        new_people: number of people to send that the ledger does not hold.
        contact_headroom: number of contacts that the contract has room for; None if the vendor does not report it.
        not_sent: number of rows by outcome and reason.
        lists: for each suppression list, the number of entries not understood, of all entries, and a sentence on them.
    """

    rows: int
    rows_before: int | None
    is_first: bool
    members: int
    leavers: int
    new_people: int
    contact_headroom: int | None
    not_sent: Mapping[str, Mapping[str, int]]
    lists: Sequence[tuple[int, int, str]] = ()


def measure(
    figures: GuardInputs, guard: Callable[[str], Guard | None], configured: Mapping[str, Guard | None]
) -> list[GuardResult]:
    """Measure every guard that is enabled.

    Args:
        figures: the figures of this run.
        guard: returns a guard by name; None if it is disabled.
        configured: the guards that the export configures. Such a guard trips if the vendor does not report its figure.
    """
    measured = []
    for name, value, message in _figures(figures, configured):
        limit = guard(name)
        if limit is None:
            continue
        tripped = value is None or value.beyond(limit.limit)
        measured.append(
            GuardResult(name, None if value is None else value.measured, limit.limit, limit.action, tripped, message)
        )
    return measured


class _Value(NamedTuple):
    """A figure for the report, and its comparison with a limit."""

    measured: float
    beyond: Callable[[float], bool]


def _share(part: int, total: int) -> _Value | None:
    """Return a share that trips its guard above the limit; None if the total is 0."""
    return _Value(part / total, partial(exceeds_share, part, total)) if total else None


def _figures(inputs: GuardInputs, configured: Mapping[str, Guard | None]) -> Iterator[tuple[str, _Value | None, str]]:
    """Yield the name of each guard, its figure (None if it cannot be measured) and a sentence on the figure."""
    rows, rows_before, row_count = inputs.rows, inputs.rows_before, counted(inputs.rows, "row")
    yield "min_rows", _Value(rows, lambda limit: rows <= limit), f"The segment has {row_count}."
    if not inputs.is_first and rows_before != 0:
        number_before = "an unknown number of" if rows_before is None else f"{rows_before:,}"
        message = f"The segment has {row_count}, and the last one that was exported had {number_before}."
        yield "max_shrink", None if rows_before is None else _share(rows_before - rows, rows_before), message
        yield "max_growth", None if rows_before is None else _share(rows - rows_before, rows_before), message
    if inputs.leavers:
        message = f"{inputs.leavers:,} of {counted(inputs.members, 'person')} would be taken out of the audience."
        yield "max_removals_share", _share(inputs.leavers, inputs.members), message
        yield "max_removals", _Value(inputs.leavers, lambda limit: inputs.leavers > limit), message
    if rows >= MIN_ROWS_FOR_SHARES:
        rejected = inputs.not_sent.get(Outcome.REJECTED, {})
        invalid = sum(
            rejected.get(reason, 0) for reason in (Reason.NO_EMAIL, Reason.INVALID_EMAIL, Reason.NON_ASCII_EMAIL)
        )
        yield (
            "max_invalid_emails_share",
            _share(invalid, rows),
            f"{invalid:,} of {row_count} have no valid email address.",
        )
        duplicates = inputs.not_sent.get(Outcome.WITHHELD, {}).get(Reason.DUPLICATE, 0)
        yield "max_duplicates_share", _share(duplicates, rows), f"{duplicates:,} of {row_count} repeat an address."
    if inputs.lists:
        shares = [(unclear, max(1, total)) for unclear, total, _ in inputs.lists]
        worst = max(unclear / total for unclear, total in shares)
        value = _Value(worst, lambda limit: any(exceeds_share(unclear, total, limit) for unclear, total in shares))
        message = " ".join([sentence for unclear, _, sentence in inputs.lists if unclear][:MAX_LISTS])
        yield (
            "max_unreadable_suppression_share",
            value,
            message or "All entries of the suppression lists are understood.",
        )
    if inputs.contact_headroom is not None:
        remaining = inputs.contact_headroom - inputs.new_people
        new = counted(inputs.new_people, "person")
        message = f"{new} would be new, and the contract has room for {inputs.contact_headroom:,}."
        yield "min_contact_headroom", _Value(remaining, lambda limit: remaining < limit), message
    elif configured.get("min_contact_headroom") is not None:
        yield "min_contact_headroom", None, "The vendor does not report how many contacts the contract has room for."


def removal_guard(results: list[GuardResult]) -> str:
    """Return the name of the tripped guard that skips the removals; empty if no guard does."""
    skipping = (result for result in results if result.tripped and result.action == "skip_removals")
    return next((result.name for result in skipping if result.name in REMOVAL_GUARDS), "")


def blocking_error(results: list[GuardResult]) -> GuardTripped | None:
    """Return the error that ends the run before its first call; None if no guard stops it."""
    stopping = [
        result
        for result in results
        if result.tripped
        and (result.action == "fail" or (result.action != "warn" and result.name not in REMOVAL_GUARDS))
    ]
    if not stopping:
        return None
    messages = " ".join(map(_with_limit, stopping))
    return GuardTripped(
        f"Nothing is sent: {messages} To fix: correct the segment. If it is right, change the limit for this run: "
        f"`guards={{{stopping[0].name!r}: ...}}`, or None to disable the guard."
    )


def reject_watch(
    guard: Guard | None, warn: Callable[[str], None]
) -> Callable[[int, int], SegexportError | None] | None:
    """Return a check of the rejected rows while a run sends; None if the guard is disabled.

    Args:
        guard: `max_rejected_share`; None if it is disabled.
        warn: called once with the message if the action is `warn`.
    """
    if guard is None:
        return None
    warned: list[str] = []

    def check(settled: int, rejected: int) -> SegexportError | None:
        if settled < MIN_SETTLED_ROWS or not exceeds_share(rejected, settled, guard.limit):
            return None
        message = f"{rejected:,} of the first {counted(settled, 'row')} were rejected by the vendor"
        if guard.action == "warn":
            if not warned:
                warned.append(message)
                warn(f"{message} (guard `max_rejected_share`, limit {guard.limit:g}).")
            return None
        return GuardTripped(
            f"The sending has stopped: {message} (guard `max_rejected_share`, limit {guard.limit:g}). What went out is "
            "on record. To fix: correct the field mapping or the segment by the report's rejects, and run again."
        )

    return check


def tripped_messages(results: list[GuardResult]) -> list[str]:
    """Return a message for each guard that has tripped."""
    return [_with_limit(result) for result in results if result.tripped]


def _with_limit(result: GuardResult) -> str:
    return f"{result.message} (guard `{result.name}`, limit {result.limit:g})"
