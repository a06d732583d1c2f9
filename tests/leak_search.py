"""Searches command lines for a planted value, and finds temporary files that other users can read."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import psutil

NAME = "canary.planted"


def command_lines():
    """Command line and environment of this process and its children, as the process list shows them."""
    for process in [psutil.Process(), *psutil.Process().children(recursive=True)]:
        with contextlib.suppress(psutil.Error):
            yield " ".join(process.cmdline())
        with contextlib.suppress(psutil.Error):  # denied for Airflow's tasks, unless root asks
            yield " ".join(process.environ().values())


def readable(temporary):
    """Files with rows, of a run under way, that another user may read: below a folder that is open to others."""
    for folder, folders, names in os.walk(temporary):  # which passes over folders that vanish
        folders[:] = [name for name in folders if is_open(Path(folder, name))]
        for path in (Path(folder, name) for name in names):
            with contextlib.suppress(OSError):
                if path.is_file() and NAME.encode() in path.read_bytes():
                    yield str(path)


def is_open(folder):
    """Return whether another user may enter a folder."""
    try:
        return bool(folder.stat().st_mode & 0o077)
    except OSError:
        return False
