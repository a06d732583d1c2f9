"""The exit codes of commands.

0: done. 1: an error. 2: the command line is wrong, as in argparse. 3: done, and a person should look at the result: the
export would not run as it is, there is nothing to show, or the match rate is low. 130: interrupted by Ctrl-C, and 143:
stopped by SIGTERM, both as in shells.
"""

from __future__ import annotations

import io
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

from airflow_provider_segexport.errors import SegexportError

USAGE = 2
LOOK = 3
INTERRUPTED = 130
STOPPED = 143


class _Stopped(KeyboardInterrupt):
    """SIGTERM, as by the platform that ends a pod. A command ends like after Ctrl-C, which it handles everywhere."""


def fail_usage(text: str) -> NoReturn:
    """End the command with 2 and an error about its options, such as two that contradict each other."""
    print(f"error: {text}", file=sys.stderr)  # noqa: T201 - a command prints to the terminal
    raise SystemExit(USAGE)


def end_with_look(text: str) -> NoReturn:
    """End the command with 3 and a sentence on why a person should look at the result."""
    print(text, file=sys.stderr, flush=True)  # noqa: T201 - a command prints to the terminal
    raise SystemExit(LOOK)


@contextmanager
def errors_shown(*, only_shows: bool = False) -> Iterator[None]:
    """End the command with 1 and the text of an error that is raised in the block.

    In the block, SIGTERM interrupts as Ctrl-C does, and a character that stdout's encoding lacks is printed as an
    escape.

    Args:
        only_shows: the command only prints, so it has succeeded when the reader of a pipe, such as `head`, closes the
            pipe. For any other command a closed pipe is an error, because the command may have stopped in the middle.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        with _interrupted_by_sigterm():
            yield
    except SegexportError as error:
        raise SystemExit(str(error)) from None
    except KeyboardInterrupt as error:
        print("Interrupted.", file=sys.stderr)  # noqa: T201 - a command prints to the terminal
        raise SystemExit(STOPPED if isinstance(error, _Stopped) else INTERRUPTED) from None
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(
            0
            if only_shows
            else "The output was closed, so the command may have stopped in the middle. To fix: run it again."
        ) from None
    except (OSError, ImportError) as error:
        facts = (type(error).__name__, getattr(error, "strerror", None), getattr(error, "filename", None))
        reason = ": ".join(ascii(fact)[1:-1] for fact in facts if isinstance(fact, str))
        raise SystemExit(
            f"The state path or a run folder cannot be read or written ({reason}). To fix: let this user read and "
            "write `[segexport] state_path`, or install and check the object store that it names."
        ) from None
    except Exception as error:  # noqa: BLE001 - a library's error may quote a row: its text is left out
        from airflow.sdk.exceptions import AirflowException  # noqa: PLC0415 - Airflow, when needed

        from airflow_provider_segexport.hooks.failures import unexpected  # noqa: PLC0415

        if isinstance(error, AirflowException):  # such as an option of Airflow's configuration
            raise SystemExit(str(error)) from None
        unexpected(error)
        raise SystemExit(
            f"Unexpected {type(error).__name__}. Its text is left out, because it may quote a row. To fix: see the log "
            "for where it happened. If the command has the option --verbose, repeat it with --verbose to see the log."
        ) from None


@contextmanager
def _interrupted_by_sigterm() -> Iterator[None]:
    """Raise `_Stopped` at SIGTERM. A handler that the process has set stays, and threads cannot set one."""

    def interrupt(*_: Any) -> None:
        raise _Stopped

    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
