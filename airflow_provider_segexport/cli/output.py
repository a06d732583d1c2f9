"""Prints rows and objects in the formats of Airflow's own commands: table, plain, JSON, YAML.

Airflow draws the tables. In JSON and YAML, numbers stay numbers. In tables, a text from a vendor or a file becomes one
line of printable characters, so that it cannot move the cursor or change colours.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from airflow_provider_segexport.errors import clean_text

if TYPE_CHECKING:
    from airflow.cli.simple_table import AirflowConsole

STRUCTURED = frozenset({"json", "yaml"})
"""Formats for programs, which escape what a terminal would act on."""


def console() -> AirflowConsole:
    """Return Airflow's console. It prints brackets and colons as they are, and not as markup."""
    from airflow.cli.simple_table import AirflowConsole  # noqa: PLC0415 - Airflow, when the command runs

    return AirflowConsole(markup=False, emoji=False, highlight=False)


def print_rows(rows: Sequence[Mapping[str, Any]], output: str) -> None:
    """Print rows that have the same columns; in a structured format as a list of objects. No rows give no table."""
    if output in STRUCTURED:
        print_object(list(rows), output)
        return
    cells = [{name: cell(value) for name, value in row.items()} for row in rows]
    if cells and output == "plain":
        _print_plain(cells)
    elif cells:
        console().print_as(data=cells, output=output)


def _print_plain(cells: Sequence[Mapping[str, str]]) -> None:
    """Print as Airflow's plain table, which would print a text such as the id 23e168 as a number."""
    from tabulate import tabulate  # type: ignore[import-untyped]  # noqa: PLC0415 - Airflow's, when the command runs

    lines = [list(row.values()) for row in cells]
    print(tabulate(lines, headers=list(cells[0]), tablefmt="plain", disable_numparse=True))  # noqa: T201


def print_object(content: Any, output: str) -> None:
    """Print an object or a list of objects as JSON or YAML. In JSON, infinity and NaN are printed as null."""
    if output == "yaml":
        console().print_as_yaml(content)
    else:
        console().print_as_json(_finite(content))


def _finite(value: Any) -> Any:
    """Return a value with None for infinity and NaN, which JSON does not have. An edited report may hold them."""
    if isinstance(value, Mapping):
        return {name: _finite(entry) for name, entry in value.items()}
    if isinstance(value, list):
        return [_finite(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def cell(value: Any) -> str:
    """Return a value on one line for a terminal: thousands are grouped, None is empty."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if text.isprintable() else clean_text(text)


@contextmanager
def progress(text: str, total: int | None = None) -> Iterator[Any]:
    """Show a progress bar on stderr if it is a terminal, and yield a function that advances it by one step.

    Args:
        text: what the command is doing.
        total: number of steps; None if it is unknown.
    """
    if not sys.stderr.isatty():
        yield lambda: None
        return
    from rich.console import Console  # noqa: PLC0415 - Airflow's, when the command runs
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn  # noqa: PLC0415

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(text, total=total)
        yield lambda: bar.advance(task)
