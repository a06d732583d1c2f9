"""Makes a sequence that fails smaller, as long as it fails in the same way."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice

from chaos.steps import EXPORTS, PEOPLE, Export, Sequence

Play = Callable[[Sequence], Exception | None]


def smallest(sequence: Sequence, error: Exception, plays: Play, most: int = 150) -> tuple[Sequence, Exception]:
    """Return the smallest sequence that was found, and how it fails.

    Args:
        sequence: one that fails.
        error: how it fails.
        plays: plays a sequence; returns how it fails, or None.
        most: how many sequences are played at most.
    """
    wanted = kind(error)
    while most > 0:
        for candidate in islice(simpler(sequence), most):
            most -= 1
            failure = plays(candidate)
            if failure is not None and kind(failure) == wanted:
                sequence, error = candidate, failure
                break
        else:
            break
    return sequence, error


def kind(error: Exception) -> str:
    """Return the beginning of an error, without the step's number and the person."""
    text = str(error).rsplit("\nstep ", 1)[-1]
    return re.sub(rf"\d+|{'|'.join(PEOPLE)}", "", text)[:45]


def simpler(sequence: Sequence) -> Iterator[Sequence]:
    """Yield sequences with something left out: the largest parts first."""
    steps = sequence.steps
    for size in (len(steps) // 2, 1):
        for at in range(0, len(steps), size or 1):
            yield replace(sequence, steps=[*steps[:at], *steps[at + (size or 1) :]])
    for person in PEOPLE:
        without = [_without(step, person) if isinstance(step, Export) else step for step in steps]
        if without != steps:
            yield replace(sequence, steps=without)
    if sequence.shared and not any(isinstance(step, Export) and step.export != EXPORTS[0] for step in steps):
        yield replace(sequence, shared=False)
    for at, step in enumerate(steps):
        if isinstance(step, Export):
            for plain in _plainer(step):
                yield replace(sequence, steps=[*steps[:at], plain, *steps[at + 1 :]])


def _without(step: Export, person: str) -> Export:
    return replace(
        step, rows=tuple(pair for pair in step.rows if pair[0] != person), suppressed=step.suppressed - {person}
    )


def _plainer(step: Export) -> Iterator[Export]:
    """Yield the same run with one thing less."""
    usual = Export(())
    for name in (
        "trouble",
        "beside",
        "field",
        "guard",
        "dry",
        "verify",
        "approved",
        "days_back",
        "strays",
        "suppressed",
        "mode",
    ):
        if getattr(step, name) != getattr(usual, name):
            yield replace(step, **{name: getattr(usual, name)})
    for at, (person, rows) in enumerate(step.rows):
        yield replace(step, rows=(*step.rows[:at], *step.rows[at + 1 :]))
        for plain in (rows[:1], tuple(replace(row, bad=False) for row in rows)):
            if plain != rows:
                yield replace(step, rows=(*step.rows[:at], (person, plain), *step.rows[at + 1 :]))
