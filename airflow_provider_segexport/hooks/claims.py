"""Gives each process of a task a run of its own: `caller -> the same caller, or one with another index`.

A task may export in processes that it forks. Each of them would have the identity of the task instance, and would write
its plan into the same run folder.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from airflow_provider_segexport.hooks.callers import Caller


@contextmanager
def claimed(caller: Caller) -> Iterator[Caller]:
    """Hold the identity of a caller on this machine during the block.

    If another process holds it, the process id is added to the index, and a retry makes a new plan. Outside a task
    every call has an identity of its own.
    """
    folder = Path(tempfile.gettempdir()) / f"segexport-claims-{os.getuid()}"
    claim = _claim(folder, caller.run) if caller.context else -1
    if claim is None:
        yield replace(caller, identity=(*caller.identity[:-1], f"{caller.identity[-1]}.{os.getpid()}"))
        return
    try:
        yield caller
    finally:
        if claim >= 0:
            with suppress(OSError):
                _file(folder, caller.run).unlink()
            os.close(claim)


def _claim(folder: Path, run: str) -> int | None:
    """Return the descriptor of the locked file; None if another process has locked it; -1 if there are no locks."""
    file = _file(folder, run)
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        while True:
            descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.fstat(descriptor).st_ino == file.stat().st_ino:
                    return descriptor
            except BlockingIOError:
                os.close(descriptor)
                return None
            except FileNotFoundError:  # its holder has ended and removed it
                pass
            os.close(descriptor)
    except OSError:
        return -1


def _file(folder: Path, run: str) -> Path:
    return folder / hashlib.blake2b(run.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
