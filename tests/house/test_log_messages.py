"""A line of the log is `Verb-ing an object (key=value)`; only the sentences of a report have another form."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[2] / "airflow_provider_segexport"
SOURCES = sorted(path for path in PACKAGE.rglob("*.py") if "simulator" not in path.parts)
LEVELS = {"debug", "info", "warning", "error", "exception", "critical"}
ACTION = re.compile(r"[A-Z][a-z]+ing\b")
VALUE = re.compile(r"[a-z_]+=%")

SENTENCES = {
    "Of %s; %s.",
    "Done so far, of %s. Run folder: %s",
    "Run folder, with every row that was not delivered: %s",
    "Values that are sent changed, or are left out: %s.",
    "%s Run folder: %s",
}
"""Sentences of an export's report, which a user reads at the end of a task's log."""

PARTS = {"%s", "%s. %s", "%s (batches=%d with_result=%d)", "::group::%s%s", "::endgroup::"}
"""The text is made elsewhere, or is a marker of Airflow's log view."""

UNEXPECTED = "Unexpected %s:\n%s"
"""The line above a stack trace."""


def messages(source: str) -> Iterator[str]:
    """The constant messages of a module's calls of a logger."""
    for node in ast.walk(ast.parse(source)):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in LEVELS):
            continue
        if ast.unparse(node.func.value).rpartition(".")[2] not in {"log", "_log", "logger"} or not node.args:
            continue
        if isinstance(node.args[0], ast.Constant) and isinstance(node.args[0].value, str):
            yield node.args[0].value


def has_other_form(message: str) -> bool:
    """Return whether a message begins with no verb in `-ing`, or shows values by name outside of parentheses."""
    outside = re.sub(r"\([^()]*\)", "", message)
    return ACTION.match(message) is None or VALUE.search(outside) is not None


def test_a_log_message_says_what_is_done_and_shows_values_by_name():
    """Such a line can be searched for by its action, and its values by their keys."""
    allowed = {*SENTENCES, *PARTS, UNEXPECTED}
    by_module = {str(path.relative_to(PACKAGE)): list(messages(path.read_text())) for path in SOURCES}
    other = {
        f"{name}: {message}"
        for name, texts in by_module.items()
        for message in texts
        if has_other_form(message) and message not in allowed
    }
    assert other == set()
    assert {message for texts in by_module.values() for message in texts} >= allowed, (
        "an exception is not used any more"
    )


def test_other_forms_are_detected():
    """A participle or a small letter at the begin, and a value outside of parentheses."""
    code = """
log.info("Created a list (id=%s)", 1)
log.info("reading pages (count=%d)", 1)
self.log.warning("Reading pages count=%d", 1)
log.info("Reading pages (count=%d)", 1)
"""
    assert [has_other_form(message) for message in messages(code)] == [True, True, True, False]
