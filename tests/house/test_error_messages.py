"""Every error after which a person must act says what to do: its message has `To fix: …`."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from airflow_provider_segexport import errors

PACKAGE = Path(__file__).resolve().parents[2] / "airflow_provider_segexport"
TREES = {
    str(path.relative_to(PACKAGE)): ast.parse(path.read_text())
    for path in sorted(PACKAGE.rglob("*.py"))
    if "simulator" not in path.parts
}
HAS_OWN_ADVICE = {"DamagedState"}
NEEDS_ADVICE = {
    name
    for name, value in vars(errors).items()
    if isinstance(value, type) and (value is errors.SegexportError or issubclass(value, errors.FatalError))
} - HAS_OWN_ADVICE
ADVICE = "To fix: "

ADVICE_FROM_ELSEWHERE = {
    "cli/plan.py AudienceOwnedByOther",
    "cli/probe.py SegexportError",
    "date_formats.py InvalidArgument",
    "export/audience.py AudienceNotFound",
    "export/experiments.py FatalError",
    "hooks/interruptible.py SegexportError",
    "hooks/paths.py InvalidArgument",
    "probe/planning.py InvalidArgument",
    "segment_files/footers.py InvalidSegment",
    "stages/record.py FatalError",
}
"""Errors whose message ends with a text that is made elsewhere, such as another error's; a stopped task is retried."""


def texts(node: ast.AST) -> str:
    return "\n".join(
        part.value for part in ast.walk(node) if isinstance(part, ast.Constant) and part.value.__class__ is str
    )


def advising_constants() -> set[str]:
    return {
        node.targets[0].id
        for tree in TREES.values()
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and ADVICE in texts(node.value)
    }


def without_advice() -> Iterator[str]:
    constants = advising_constants()
    for file, tree in TREES.items():
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call) or ast.unparse(node.func).rpartition(".")[2] not in NEEDS_ADVICE:
                continue
            names = {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}
            if ADVICE not in texts(node) and not names & constants:
                yield f"{file} {ast.unparse(node.func)}"


def test_an_error_that_needs_a_person_says_what_to_do():
    """The advice is in the message, or in a constant that the message ends with."""
    assert set(without_advice()) == ADVICE_FROM_ELSEWHERE
