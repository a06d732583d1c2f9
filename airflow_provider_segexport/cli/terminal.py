"""Prints to the terminal and asks for confirmation."""

from __future__ import annotations

import sys

from airflow_provider_segexport.yes_no import yes_no


def say(text: str) -> None:
    """Print a line at once."""
    print(text, flush=True)  # noqa: T201 - a command prints to the terminal


def warn(text: str) -> None:
    """Print a line to stderr, so that it is not in the output that another program reads."""
    print(text, file=sys.stderr, flush=True)  # noqa: T201 - a command prints to the terminal


def confirm(question: str, action: str) -> bool:
    """Ask at the terminal, and return whether the answer is yes.

    Args:
        question: the question.
        action: what `--yes` does, for the error.

    Raises:
        SystemExit: there is no terminal.
    """
    if not sys.stdin.isatty():
        raise SystemExit(f"There is no terminal to ask at. To fix: give --yes to {action}, or --dry-run to look only.")
    return yes_no(input(f"{question} [y/N] ")) is True
