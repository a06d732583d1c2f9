"""Contract of an experiment: calls on one planned person that test behaviour which the vendor does not document."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

import msgspec

from airflow_provider_segexport.model import Audience, Batch, Operation


@dataclass(frozen=True, slots=True)
class Notes:
    """The person and the values that `Experiment.undo` needs.

    Attributes:
        index: the person's index in the batch.
        email: the person's address.
        before: what the person had before the experiment, such as names of tags.
        temporary: names that the experiment adds, in order; not empty. Each begins with `TEMPORARY_PREFIX`.
    """

    index: int
    email: str
    before: tuple[str, ...]
    temporary: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]


TEMPORARY_PREFIX = "segexport check "
"""Prefix of the names that experiments add and remove. No other call uses such a name."""

UNKNOWN = "unknown"
"""The value of a fact that an experiment could not find out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """Tests one fact about an account on one person that the run is about to send.

    The run writes the notes of `choose` to its run folder before `run` makes the first call, so that after a crash the
    next attempt, or the next run, can call `undo`. Operations read the fact in `Audience.extra`. If it is absent, they
    behave as for `UNKNOWN`, which must be safe for every value of the fact.

    Attributes:
        fact: name of the fact, a key of `Audience.extra` and of the account record.
        values: the possible values of the fact, without `UNKNOWN`.
        api_version: the version of the API that the fact is about.
        choose: chooses a person of the batch and returns the notes; None if no person is suitable. The argument names
            the indexes that it must not choose. Reads only.
        run: returns the value of the fact; None if the vendor rejected the person, so the test has no result.
        undo: restores what the person had before. It is idempotent, and it works after any part of `run`.
    """

    fact: str
    values: frozenset[str]
    api_version: str
    choose: Callable[[Audience, Batch, frozenset[int]], Operation[Notes | None]]
    run: Callable[[Audience, Batch, Notes], Operation[str | None]]
    undo: Callable[[Audience, Notes], Operation[None]]
