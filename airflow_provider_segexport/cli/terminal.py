"""Prints to the terminal and asks for confirmation."""

from __future__ import annotations

import sys

from airflow_provider_segexport.yes_no import yes_no


def say(text: str) -> None:
    """Print lines, and flush them at once."""
    print(printable(text), flush=True)  # noqa: T201 - a command prints to the terminal


def warn(text: str) -> None:
    """Print lines to stderr, so that they are not in the output that another program reads."""
    print(printable(text), file=sys.stderr, flush=True)  # noqa: T201 - a command prints to the terminal


def printable(text: str) -> str:
    """Return the text with a space for each character that a terminal could act on, except for line ends.

    A name or a message of a vendor may have such characters.
    """
    return "".join(char if char.isprintable() or char == "\n" else " " for char in text)


def confirm(question: str, action: str) -> bool:
    """Ask at the terminal, and return whether the answer is yes.

    Args:
        question: the question.
        action: what `--yes` does, as a verb with its object, for the error.

    Raises:
        SystemExit: there is no terminal.
    """
    if sys.stdin is None or not sys.stdin.isatty():
        raise SystemExit(f"There is no terminal to ask at. To fix: give --yes to {action}, or --dry-run to look only.")
    try:
        return yes_no(input(f"{question} [y/N] ")) is True
    except EOFError:  # Ctrl-D
        return False
