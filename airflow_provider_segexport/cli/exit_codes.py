"""The exit codes of the commands that a script may call: `plan`, `runs`, `show`, `rejects`, `verify`.

0: done. 1: an error, as in every command. 2: the command line is wrong, as argparse ends. 3: done, and the result needs
a look: the export would not run as it is, there is nothing to show, or the match rate is low.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

from airflow_provider_segexport.errors import SegexportError

USAGE = 2
LOOK = 3


def fail_usage(text: str) -> NoReturn:
    """End the command because its options contradict each other."""
    print(f"error: {text}", file=sys.stderr)  # noqa: T201 - a command prints to the terminal
    raise SystemExit(USAGE)


def end_with_look(text: str) -> NoReturn:
    """End the command with a sentence on why a person should look."""
    print(text, file=sys.stderr, flush=True)  # noqa: T201 - a command prints to the terminal
    raise SystemExit(LOOK)


@contextmanager
def errors_shown() -> Iterator[None]:
    """End the command with 1 and the text of an error that is raised in the block.

    In the block, a character that stdout's encoding lacks is printed as an escape.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        yield
    except SegexportError as error:
        raise SystemExit(str(error)) from None
    except BrokenPipeError:  # the reader of a pipe, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(0) from None
    except (OSError, ImportError) as error:
        reason = getattr(error, "strerror", None)
        kind = f"{type(error).__name__}: {reason}" if reason else type(error).__name__
        raise SystemExit(
            f"The state path or a run folder cannot be read ({kind}). To fix: let this user read `[segexport] "
            "state_path`, or install and check the object store that it names."
        ) from None
