"""The contract of a probe: what a vendor's documentation leaves open, and the calls by which an account answers it.

A vendor's questions are data in its own package. `airflow segexport probe` asks them on addresses of the user's own, in
a test audience, and undoes what they change.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from airflow_provider_segexport.model import Audience, Operation

MAX_ADDRESSES = 20
"""Most addresses of one probe."""

UNCLEAR = "unclear"
"""The answer of an account whose responses fit none of a question's answers."""

Confidence = Literal["documented", "assumed"]


@dataclass(frozen=True, slots=True)
class Subject:
    """The audience and the addresses that one question may use.

    Attributes:
        audience: the test audience.
        emails: addresses of the user's own that no other question uses.
        mark: 12 hexadecimal digits for names that the question makes up, such as a temporary tag. `undo` gets the same.
    """

    audience: Audience
    emails: tuple[str, ...]
    mark: str


@dataclass(frozen=True, slots=True)
class NotAsked:
    """An account on which the question cannot be answered now, and why."""

    reason: str


@dataclass(frozen=True, slots=True)
class Answer:
    """One possible answer: what it means, and what exports then do."""

    meaning: str
    exports: str


def no_undo(subject: Subject) -> Operation[tuple[str, ...]]:
    """Default of `Question.undo`: taking the addresses out of the audience is enough."""
    del subject
    return ()
    yield  # a generator, as every operation is


def any_address(subject: Subject) -> Operation[str]:
    """Default of `Question.why_unfit`: every address can be used."""
    del subject
    return ""
    yield  # a generator, as every operation is


def always(audience: Audience) -> str:
    """Default of `Question.why_not`: the question can be asked in every audience."""
    del audience
    return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A question about an account, as data.

    Attributes:
        name: short name, such as `email_case`.
        text: the question.
        confidence: what exports assume is documented, or assumed.
        source: where it is documented, or why it is assumed.
        answers: by name; the account's answer is one of them or `UNCLEAR`.
        assumed: the answer that exports assume before a probe.
        people: addresses that it takes.
        calls: most calls, with those of the undo.
        seconds: most seconds that it usually waits for the vendor.
        changes: what it changes; empty if it only reads.
        leaves: what remains after the undo; empty for nothing.
        fact: key of the account record under which exports read the answer; empty if every answer suits them.
        why_not: returns why the question cannot be asked in an audience; empty if it can.
        why_unfit: reads why the addresses cannot be used, without personal data; empty if they can. It is run before
            the first change, so neither `ask` nor `undo` touches a person who would lose something.
        ask: makes the calls and returns the answer.
        undo: undoes what taking the addresses out of the audience does not. It works after any part of `ask`, and can
            be repeated. Returns what it could not undo, without personal data.
    """

    name: str
    text: str
    confidence: Confidence
    source: str
    answers: Mapping[str, Answer]
    assumed: str
    people: int
    calls: int
    seconds: int
    changes: str = ""
    leaves: str = ""
    fact: str = ""
    why_not: Callable[[Audience], str] = always
    why_unfit: Callable[[Subject], Operation[str]] = any_address
    ask: Callable[[Subject], Operation[str | NotAsked]]
    undo: Callable[[Subject], Operation[tuple[str, ...]]] = no_undo


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """A vendor's questions.

    Attributes:
        api_version: the version of the vendor's API that the answers are about.
        questions: in the order in which they are asked.
        clean_up: takes addresses out of the audience, and returns how many are still in it. It can be repeated.
        leaves: what a probe leaves in the account.
        without_id: why an account may have no id, so that no answer can be recorded for it, and how to fix it.
    """

    api_version: str
    questions: tuple[Question, ...]
    clean_up: Callable[[Audience, Sequence[str]], Operation[int]]
    leaves: str
    without_id: str = "The vendor reports no id of this account."

    def facts(self) -> Mapping[str, frozenset[str]]:
        """Return the facts that exports obey: key of the account record, and the answers."""
        return {question.fact: frozenset(question.answers) for question in self.questions if question.fact}
