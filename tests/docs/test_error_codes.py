"""Each exception has a stable code, and each code an entry in the UI and in docs/troubleshooting.md."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

from airflow_provider_segexport import errors
from airflow_provider_segexport.error_help import ERROR_HELP

PAGE = Path(__file__).resolve().parents[2] / "docs" / "troubleshooting.md"
OTHER_ENDS = {"execution-timeout", "worker-lost", "unexpected"}
"""Codes of ends that no exception describes."""


def codes() -> set[str]:
    kinds = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, errors.SegexportError)]
    return {kind.__new__(kind).error_code for kind in kinds}


def test_every_exception_has_a_code_with_help():
    """A developer that adds a class writes its entry."""
    assert codes() | OTHER_ENDS == set(ERROR_HELP)
    assert "authentication-failed" in codes()


def test_the_combined_exception_of_a_hook_keeps_the_code():
    """It is Airflow's exception, too, and has a class of its own."""
    from airflow_provider_segexport.hooks.failures import airflow_exception  # noqa: PLC0415 - imports Airflow

    assert "invalid-segment" == airflow_exception(errors.InvalidSegment("x")).error_code


def test_troubleshooting_has_the_same_entries():
    """In the same order and with the same sentences."""
    section = PAGE.read_text().split("## Error codes")[1].split("\n## ")[0]
    entries = re.findall(r"### ([a-z-]+)\n\n(.+?)(?=\n\n|\Z)", section, re.DOTALL)
    texts = {code: " ".join(text.split()) for code, text in entries}
    assert {code: f"{entry.meaning} {entry.advice}" for code, entry in ERROR_HELP.items()} == texts
