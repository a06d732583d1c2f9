"""A count and its noun agree in every text of the package: `1 profile`, `2 profiles`."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from airflow_provider_segexport.counted import counted, noun

PACKAGE = Path(__file__).resolve().parents[2] / "airflow_provider_segexport"
SOURCES = sorted(PACKAGE.rglob("*.py"))
PAGES = sorted([*PACKAGE.rglob("*.html"), *PACKAGE.rglob("*.js")])

NOUNS = [
    "account",
    "address",
    "attempt",
    "audience",
    "batch",
    "byte",
    "call",
    "character",
    "column",
    "connection",
    "contact",
    "day",
    "entry",
    "error",
    "event",
    "export",
    "field",
    "file",
    "folder",
    "hash",
    "hour",
    "id",
    "import",
    "item",
    "job",
    "leaver",
    "line",
    "list",
    "member",
    "minute",
    "month",
    "opt-out",
    "page",
    "person",
    "place",
    "profile",
    "reject",
    "removal",
    "request",
    "retry",
    "row",
    "run",
    "second",
    "segment",
    "snapshot",
    "subscriber",
    "task",
    "time",
    "try",
    "upsert",
    "value",
    "version",
    "week",
    "word",
    "worker",
    "year",
]
PLURALS = "|".join(sorted({noun(2, word) for word in NOUNS} | {"persons"}))

AFTER_A_COUNT = re.compile(rf"\s(?:(?!as )[a-z-]+ )?(?:{PLURALS})\b(?!=)")
"""Text that may not follow a value; one word may be between (`import jobs`), and `key=value` is no text."""

PRINTF = re.compile(rf"(?<![=\w])%[,.\d]*[dsgf]\s(?:[a-z-]+ )?(?:{PLURALS})\b")
"""The same in a text for logging, but not in `key=%d other`."""

ON_A_PAGE = re.compile(rf"(?:\}}\}}|\$\{{[^{{}}]*\}})(?:</\w+>)?\s(?:[a-z-]+ )?(?:{PLURALS})\b")


def by_hand(path: Path) -> Iterator[str]:
    """Texts in which a plural follows a value that may be 1. A constant in capitals is a limit, and never 1."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.JoinedStr):
            for value, text in zip(node.values, node.values[1:], strict=False):
                if not isinstance(value, ast.FormattedValue) or not isinstance(text, ast.Constant):
                    continue
                if value.conversion == ord("r"):  # a name, not a count
                    continue
                shown = ast.unparse(value.value)
                if shown.rpartition(".")[2].isupper() or shown.startswith("counted("):
                    continue
                if follows := AFTER_A_COUNT.match(str(text.value)):
                    yield f"{path.relative_to(PACKAGE)}:{value.lineno} {{{shown}}}{follows[0]}"
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield from (
                f"{path.relative_to(PACKAGE)}:{node.lineno} {match[0]}" for match in PRINTF.finditer(node.value)
            )


def test_every_text_joins_counts_and_nouns_by_the_helper():
    """f-strings and texts for logging."""
    assert [] == [text for path in SOURCES for text in by_hand(path)]


def test_pages_join_counts_and_nouns_by_the_helper():
    """Templates and the pages' script."""
    assert [] == [
        f"{path.name}:{number} {match[0]}"
        for path in PAGES
        for number, line in enumerate(path.read_text().splitlines(), start=1)
        for match in ON_A_PAGE.finditer(line)
    ]


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ('f"{n} profiles"', "{n} profiles"),
        ('f"{len(rows):,} rows"', "{len(rows)} rows"),
        ('f"x {a} of {b:,} people would go"', "{b} people"),
        ("f\"{job['n']} import jobs\"", "{job['n']} import jobs"),
        ('log.info("%d new rows and %s", n, m)', "%d new rows"),
        ('log.info("Done (rows=%d jobs=%d).", n, m)', None),
        ('f"{MOST_ROWS} rows"', None),
        ("f\"{counted(n, 'row')} of it\"", None),
    ],
)
def test_texts_that_bypass_the_helper_are_found(tmp_path, monkeypatch, code, expected):
    """The search finds the forms it is made for, and no others."""
    monkeypatch.setitem(by_hand.__globals__, "PACKAGE", tmp_path)
    source = tmp_path / "module.py"
    source.write_text(code + "\n")
    assert ([] if expected is None else [f"module.py:1 {expected}"]) == list(by_hand(source))


@pytest.mark.parametrize(
    ("count", "word", "text"),
    [
        (1, "profile", "1 profile"),
        (0, "profile", "0 profiles"),
        (2000, "entry", "2,000 entries"),
        (1, "entry", "1 entry"),
        (2, "day", "2 days"),
        (3, "import job", "3 import jobs"),
        (1, "person", "1 person"),
        (4, "person", "4 people"),
        (2, "batch", "2 batches"),
        (2, "address", "2 addresses"),
        (1.5, "minute", "1.5 minutes"),
        (1.0, "minute", "1 minute"),
    ],
)
def test_a_count_and_its_noun_agree(count, word, text):
    """One is singular; zero, fractions and more are plural."""
    assert text == counted(count, word)
