"""Gives each process of a task a run of its own: `caller -> the same caller, or one with another index`.

A task may export in processes that it forks. Each of them would have the identity of the task instance, and would write
its plan into the same run folder.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from airflow_provider_segexport.hooks.callers import Caller
from airflow_provider_segexport.storage.private import FILE_MODE, own_folder

NO_LOCKS = -1
"""Takes the place of a file descriptor outside a task, and where files cannot be locked."""


@contextmanager
def claimed(caller: Caller) -> Iterator[Caller]:
    """Hold the identity of a caller on this machine during the block, and yield the caller.

    If another process of the task holds the identity, the caller gets the process id after its map index. A retry has
    another process id, so it makes a new plan. The task's call of that number may hold the new identity, so it is
    claimed in the same way. Outside a task every call has an identity of its own.

    Raises:
        FatalError: another user may have created the folder of the locks.
    """
    file = _file(caller.run) if caller.context else None
    claim = _claim(file) if file is not None else NO_LOCKS
    if claim is None:
        index = f"{caller.identity[-1]}.{os.getpid()}"
        with claimed(replace(caller, identity=(*caller.identity[:-1], index))) as other:
            yield other
        return
    try:
        yield caller
    finally:
        if file is not None and claim != NO_LOCKS:
            with suppress(OSError):
                file.unlink()
            os.close(claim)


def _claim(file: Path) -> int | None:
    """Return the descriptor of the locked file; None if another process has locked it; or else `NO_LOCKS`."""
    while True:
        try:
            descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, FILE_MODE)
        except OSError:
            return NO_LOCKS
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(descriptor).st_ino == file.stat().st_ino:
                return descriptor
        except BlockingIOError:
            os.close(descriptor)
            return None
        except FileNotFoundError:  # the process that held the file has ended and removed it
            pass
        except OSError:
            os.close(descriptor)
            return NO_LOCKS
        os.close(descriptor)


def _file(run: str) -> Path:
    """Return the lock file of a run."""
    return (
        own_folder("segexport-claims")
        / hashlib.blake2b(run.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
    )
