"""Contract of a probe: questions that a vendor's documentation leaves open, and the calls that answer them.

A vendor's questions are data in its own package. `airflow segexport probe` asks them on addresses of the user's own, in
a test audience, and undoes what they change.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from airflow_provider_segexport.model import Audience, Operation

MAX_ADDRESSES = 20
"""Maximum addresses of one probe."""

UNCLEAR = "unclear"
"""The answer if the account's responses match none of the question's answers."""

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
    """The question cannot be answered on the account now; `reason` says why."""

    reason: str


@dataclass(frozen=True, slots=True)
class Answer:
    """One possible answer: its meaning, and how exports behave if it is the account's answer."""

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
        confidence: whether the vendor documents what exports assume.
        source: where the vendor documents it, or why exports assume it.
        answers: by name; the account's answer is one of them or `UNCLEAR`.
        assumed: the answer that exports assume before a probe.
        people: number of addresses that it needs.
        calls: maximum calls, including those of the undo.
        seconds: usual maximum wait for the vendor, in seconds.
        changes: what it changes at the vendor; empty if it only reads.
        leaves: what remains after the undo; empty for nothing.
        fact: key of the account record under which exports read the answer; empty if they do not use the answer.
        why_not: returns why the question cannot be asked in an audience; empty if it can.
        why_unfit: checks the addresses by reads and returns why they cannot be used, without personal data; empty if
            they can. It runs before the first change, so `ask` and `undo` touch no person who would lose something.
        ask: makes the calls and returns the answer.
        undo: undoes the changes that remain after the addresses are taken out of the audience. It works after any part
            of `ask` and is idempotent. Returns what it could not undo, without personal data.
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
        questions: the questions, in the order in which they are asked.
        clean_up: takes addresses out of the audience, and returns how many are still in it. It is idempotent.
        leaves: what a probe leaves in the account.
        without_id: why an account may have no id, so that no answer can be recorded for it, and how to fix it.
    """

    api_version: str
    questions: tuple[Question, ...]
    clean_up: Callable[[Audience, Sequence[str]], Operation[int]]
    leaves: str
    without_id: str = "The vendor reports no id of this account."

    def facts(self) -> Mapping[str, frozenset[str]]:
        """Return the facts that exports use: the possible answers, by key of the account record."""
        return {question.fact: frozenset(question.answers) for question in self.questions if question.fact}
