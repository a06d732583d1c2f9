"""Plans a probe: which questions are asked with which addresses, and whether the audience is fit for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from airflow_provider_segexport.counted import counted
from airflow_provider_segexport.email_address import canonical
from airflow_provider_segexport.errors import InvalidArgument
from airflow_provider_segexport.model import Audience, Member, Operation, T
from airflow_provider_segexport.probe.leftovers import LeftoverFile
from airflow_provider_segexport.storage.audience_state import AudienceState
from airflow_provider_segexport.storage.ledger import Ledger
from airflow_provider_segexport.storage.paths import StoragePath
from airflow_provider_segexport.vendors.base import Vendor
from airflow_provider_segexport.vendors.probe import MAX_ADDRESSES, Probe, Question


class RunOperation(Protocol):
    """Runs one operation of the vendor."""

    def __call__(self, operation: Operation[T], /) -> T:
        """Return the operation's result."""


@dataclass(frozen=True, slots=True)
class ProbeContext:
    """The services, the folder and the audience of a probe.

    Attributes:
        vendor: the account's vendor.
        audience: the test audience, as the vendor reports it.
        state_root: the folder `[segexport] state_path`.
        run: runs an operation of the vendor.
        calls: returns the number of calls made so far.
        clock: returns epoch seconds.
        sleep: waits some seconds.
        say: shows a line of progress, without personal data.
    """

    vendor: Vendor
    audience: Audience
    state_root: StoragePath
    run: RunOperation
    calls: Callable[[], int]
    clock: Callable[[], float]
    sleep: Callable[[float], None]
    say: Callable[[str], None] = lambda _: None

    @property
    def probe(self) -> Probe:
        """The vendor's questions."""
        return probe_of(self.vendor)

    @property
    def leftovers(self) -> LeftoverFile:
        """The file of the question that is not undone in the audience."""
        return LeftoverFile.of(self.state_root, self.vendor.name, self.audience)


@dataclass(frozen=True, slots=True)
class Planned:
    """A question with its addresses.

    Attributes:
        question: the question.
        emails: its addresses.
        why_not: why the question is not asked; empty if it is.
    """

    question: Question
    emails: tuple[str, ...]
    why_not: str = ""


def probe_of(vendor: Vendor) -> Probe:
    """Return the vendor's questions.

    Raises:
        InvalidArgument: the vendor has no questions.
    """
    if vendor.probe is None:
        raise InvalidArgument(f"{vendor.title} has no questions to ask. To fix: probe a connection of another vendor.")
    return vendor.probe


def choose(probe: Probe, only: Sequence[str]) -> tuple[Question, ...]:
    """Return the questions with the given names, in the vendor's order; all questions if no name is given.

    Raises:
        InvalidArgument: no question has one of the names.
    """
    names = [question.name for question in probe.questions]
    if unknown := [name for name in only if name not in names]:
        raise InvalidArgument(
            f"There is no question {unknown[0]!r}. To fix: take one of {', '.join(names)}; `--list` describes them."
        )
    return tuple(question for question in probe.questions if not only or question.name in only)


def count_addresses(probe: Probe) -> int:
    """Return how many addresses all questions take.

    The questions that are not asked count too, so that a question has the same addresses with and without `--only`.
    """
    return sum(question.people for question in probe.questions)


def plan(probe: Probe, only: Sequence[str], emails: Sequence[str], audience: Audience) -> list[Planned]:
    """Give each question its addresses.

    Args:
        probe: the vendor's questions.
        only: names of the questions to ask; empty for all.
        emails: addresses, as many as `count_addresses` returns.
        audience: the test audience.
    """
    chosen, planned, start = choose(probe, only), list[Planned](), 0
    for question in probe.questions:
        own = tuple(emails[start : start + question.people])
        start += question.people
        if question in chosen:
            planned.append(Planned(question, own, question.why_not(audience)))
    return planned


def check_audience(context: ProbeContext, emails: Sequence[str]) -> None:
    """Check that the audience holds no person but those of the probe, and that no export has written it.

    Args:
        context: the probe's context.
        emails: addresses of this probe, and of an earlier probe that was not undone.

    Raises:
        InvalidArgument: the audience holds other people, or an export has written it.
    """
    audience, noun = context.audience, context.vendor.audience_noun
    fix = f"To fix: use a {noun} that you make for the probe and that is empty."
    ledger = Ledger.of(context.state_root, context.vendor.name, audience)
    if ledger.version() or AudienceState.of(ledger.path) != AudienceState():  # a first run has begun
        raise InvalidArgument(
            f"Exports have written the {noun} {audience.audience_name!r}, and a probe would disturb what they know of "
            f"it. Nothing was sent. {fix}"
        )
    own = set(map(canonical, emails))

    def refuse(count: int) -> None:
        raise InvalidArgument(
            f"The {noun} {audience.audience_name!r} holds at least {counted(count, 'person')} beside the addresses of "
            f"the probe. Nothing was sent. {fix}"
        )

    if (audience.member_count or 0) > len(own) + MAX_ADDRESSES:
        refuse((audience.member_count or 0) - len(own))

    def on_page(members: Sequence[Member]) -> None:
        others = sum(canonical(member.email) not in own for member in members)
        if others:
            refuse(others)

    context.run(context.vendor.list_members(audience, on_page))
