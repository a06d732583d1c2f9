"""The contract of an experiment: finds out on one planned person what the vendor's documentation leaves open."""

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
        index: of the person in the batch.
        email: the person's address.
        before: what the person had before, such as names of tags.
        temporary: names of what the experiment adds, in order; not empty. Each begins with `TEMPORARY_PREFIX`.
    """

    index: int
    email: str
    before: tuple[str, ...]
    temporary: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]


TEMPORARY_PREFIX = "segexport check "
"""The beginning of the names that experiments add and remove. No other call uses such a name."""

UNKNOWN = "unknown"
"""The value of a fact that an experiment could not find out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """Finds out one fact about an account, on one person that the run is about to send anyway.

    The run writes the notes of `choose` to its run folder before `run` makes the first call, so that after a crash the
    next try, or the next run, can call `undo`. Operations read the fact in `Audience.extra`. If it is not there, they
    behave as for `UNKNOWN`, which must be safe whatever the fact is.

    Attributes:
        fact: name of the fact, a key of `Audience.extra` and of the account record.
        values: what the fact may be, apart from `UNKNOWN`.
        api_version: the version of the API that the fact is about.
        choose: returns the notes on a person of the batch, whose index is not among the given ones; None if no person
            is fit for it. Reads only.
        run: returns the value; None if the vendor did not accept the person, so that nothing was found out.
        undo: gives the person back what they had before. It can be repeated, and it works after any part of `run`.
    """

    fact: str
    values: frozenset[str]
    api_version: str
    choose: Callable[[Audience, Batch, frozenset[int]], Operation[Notes | None]]
    run: Callable[[Audience, Batch, Notes], Operation[str | None]]
    undo: Callable[[Audience, Notes], Operation[None]]
