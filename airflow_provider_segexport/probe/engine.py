"""Asks the questions of a probe one after the other, and undoes each: `planned questions -> results`."""

from __future__ import annotations

import logging
import secrets
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Literal

from airflow_provider_segexport.counted import counted
from airflow_provider_segexport.errors import SegexportError
from airflow_provider_segexport.model import Audience
from airflow_provider_segexport.probe.leftovers import Leftover
from airflow_provider_segexport.probe.planning import Planned, ProbeContext
from airflow_provider_segexport.storage.account_record import AccountRecord, LearntFact, account_of
from airflow_provider_segexport.storage.takeover import longest_call_s
from airflow_provider_segexport.vendors.probe import UNCLEAR, NotAsked, Question, Subject

log = logging.getLogger(__name__)

Outcome = Literal["as assumed", "differs", "unclear", "not asked", "failed"]

STOPPED = "the probe had stopped"
"""Reason of a question that was not asked, because the probe stopped at an earlier one."""

SETTLE_S = 20.0
"""Seconds to wait before the undo of a question that was interrupted, because a job of it may still run."""


@dataclass(frozen=True, slots=True)
class Result:
    """The outcome of a question.

    Attributes:
        question: the question.
        outcome: whether it was answered, and as exports assume.
        answer: one of the question's answers, or `UNCLEAR`; empty if there is none.
        reason: why there is no answer; empty if there is one.
        recorded: the answer is recorded for the account, so exports follow it from now on.
        calls: number of vendor calls that the question took, with its undo.
        not_undone: texts on changes that could not be undone.
    """

    question: Question
    outcome: Outcome
    answer: str = ""
    reason: str = ""
    recorded: bool = False
    calls: int = 0
    not_undone: tuple[str, ...] = field(default=())


def undo_leftover(context: ProbeContext) -> tuple[str, ...]:
    """Undo the changes that an earlier probe has left, and return texts on those that could not be undone."""
    leftover = context.leftovers.read()
    if leftover is None:
        return ()
    if leftover.has_calls:
        seconds = longest_call_s(context.vendor)
        context.say(
            f"An earlier probe was killed. Waiting {counted(round(seconds), 'second')} until its last calls have ended."
        )
        context.sleep(seconds)
    context.say(f"Undoing what an earlier probe has left (question {leftover.question}).")
    return _undo(context, leftover)


def ask_all(context: ProbeContext, planned: Sequence[Planned], *, keep_going: bool) -> list[Result]:
    """Ask the questions until an answer is not as assumed, and undo the changes of each.

    Args:
        context: the probe's context; the caller holds the audience's lease.
        planned: the questions.
        keep_going: go on after an answer that differs from the assumed one. An unclear answer and an error always stop
            the probe.

    Returns:
        A result for each question.
    """
    results: list[Result] = []
    stops_after = {"unclear", "failed"} if keep_going else {"unclear", "failed", "differs"}
    stopped = False
    for item in planned:
        if stopped or item.why_not:
            results.append(Result(item.question, "not asked", reason=STOPPED if stopped else item.why_not))
            continue
        context.say(f"Asking {item.question.name} ...")
        result = _ask(context, item)
        log.info("Asking a question (vendor=%s question=%s outcome=%s)", *_names(context, item), result.outcome)
        results.append(result)
        stopped = result.outcome in stops_after or bool(result.not_undone)
    return results


def sweep(context: ProbeContext, emails: Sequence[str]) -> tuple[str, ...]:
    """Take all addresses out of the audience again, because a job may have ended late. Return as `undo_leftover`."""
    if not emails:
        return ()
    return _attempt(partial(_clean_up, context, context.audience, emails))


def _ask(context: ProbeContext, item: Planned) -> Result:
    """Ask one question and undo its changes. The file of leftovers is written before the first change."""
    question, calls = item.question, context.calls()
    leftover = Leftover(
        vendor=context.vendor.name,
        account=context.audience.account,
        audience=context.audience.audience,
        question=question.name,
        emails=item.emails,
        mark=secrets.token_hex(6),
        began_at=context.clock(),
    )
    subject = Subject(context.audience, item.emails, leftover.mark)
    not_askable = _check_addresses(context, question, subject)
    if not_askable is not None:
        return replace(not_askable, calls=context.calls() - calls)
    if question.changes:
        context.leftovers.write(leftover)
    result = Result(question, "failed", reason="the process ended")
    not_undone: tuple[str, ...] = ()
    try:
        result = _answer(context, question, subject)
    finally:
        if question.changes:
            if result.outcome == "failed":
                _settle(context)
            not_undone = _undo(context, leftover)
    return replace(result, calls=context.calls() - calls, not_undone=not_undone)


def _settle(context: ProbeContext) -> None:
    """Wait until jobs of a question that was interrupted have probably ended; an interrupt ends the wait."""
    context.say(
        f"Interrupted. The undo begins in {counted(round(SETTLE_S), 'second')}, when the vendor's jobs have ended."
    )
    with suppress(KeyboardInterrupt):
        context.sleep(SETTLE_S)


def _check_addresses(context: ProbeContext, question: Question, subject: Subject) -> Result | None:
    """Return the result of a question whose addresses cannot be read or used; None if it can be asked."""
    try:
        reason = context.run(question.why_unfit(subject))
    except KeyboardInterrupt:
        return Result(question, "failed", reason="interrupted")
    except Exception as error:  # noqa: BLE001 - a library's error may quote a response
        return Result(question, "failed", reason=_text_of(error))
    return Result(question, "not asked", reason=reason) if reason else None


def _text_of(error: Exception) -> str:
    """Return an error's text. An unexpected error's text is left out, because it may quote a vendor's response."""
    if isinstance(error, SegexportError):
        return str(error)
    name = type(error).__name__
    log.error("Unexpected %s:\n%s", name, "".join(traceback.format_tb(error.__traceback__)))
    return f"unexpected {name}; the log has the traceback"


def _answer(context: ProbeContext, question: Question, subject: Subject) -> Result:
    """Ask a question, record its answer for the account, and return the result."""
    try:
        answer = context.run(question.ask(subject))
    except KeyboardInterrupt:
        return Result(question, "failed", reason="interrupted")
    except Exception as error:  # noqa: BLE001 - a library's error may quote a response
        return Result(question, "failed", reason=_text_of(error))
    if isinstance(answer, NotAsked):
        return Result(question, "not asked", reason=answer.reason)
    if answer not in question.answers:
        return Result(question, "unclear", UNCLEAR, "the vendor's responses fit none of the answers")
    outcome: Outcome = "as assumed" if answer == question.assumed else "differs"
    return Result(question, outcome, answer, recorded=_record(context, question, answer))


def _record(context: ProbeContext, question: Question, answer: str) -> bool:
    """Write an answer that exports follow to the account's record, and return whether that was possible.

    An account without an id has no record.
    """
    account = account_of(context.audience)
    if not question.fact or not account:
        return False
    record = AccountRecord.of(context.state_root, context.vendor.name, account, context.probe.api_version)
    record.record(question.fact, LearntFact(answer, context.clock()))
    return True


def _undo(context: ProbeContext, leftover: Leftover) -> tuple[str, ...]:
    """Undo a question's changes, and return texts on those that could not be undone."""
    subject = Subject(context.audience, leftover.emails, leftover.mark)
    not_undone: tuple[str, ...] = ()
    for question in context.probe.questions:
        if question.name == leftover.question:
            not_undone += _attempt(partial(_undo_question, context, question, subject))
    if leftover.emails:
        not_undone += _attempt(partial(_clean_up, context, context.audience, leftover.emails))
    return not_undone + _attempt(partial(_update_leftover, context, leftover, is_undone=not not_undone))


def _update_leftover(context: ProbeContext, leftover: Leftover, *, is_undone: bool) -> tuple[str, ...]:
    """Remove the file of leftovers if all is undone, else write to it that no call is in flight."""
    if is_undone:
        context.leftovers.remove()
    else:
        context.leftovers.write(replace(leftover, has_calls=False))
    return ()


def _undo_question(context: ProbeContext, question: Question, subject: Subject) -> tuple[str, ...]:
    return context.run(question.undo(subject))


def _clean_up(context: ProbeContext, audience: Audience, emails: Sequence[str]) -> tuple[str, ...]:
    """Take addresses out of the audience, and return a text on those that remain."""
    remaining = context.run(context.probe.clean_up(audience, emails))
    return (f"{counted(remaining, 'address')} in the {context.vendor.audience_noun}",) if remaining else ()


def _attempt(step: Callable[[], tuple[str, ...]]) -> tuple[str, ...]:
    """Run a step of an undo, and return texts on what it could not undo, also if it fails.

    A step that is interrupted is repeated once.
    """
    for _ in range(2):
        try:
            return step()
        except KeyboardInterrupt:
            continue
        except Exception as error:  # noqa: BLE001 - the next steps are carried out, and the results are shown
            return (_text_of(error),)
    return ("the undo was interrupted",)


def _names(context: ProbeContext, item: Planned) -> tuple[str, str]:
    return context.vendor.name, item.question.name
