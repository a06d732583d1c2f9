"""Temporary files that hold people: one private folder a process, removed with its last use, or by the next sweep.

A killed process removes nothing. Each process holds a file lock beside its folder as long as it uses it, and the kernel
releases the lock however the process ends: a folder whose lock is free belongs to a process that has ended. So a sweep
needs no clock and no process id.
"""

from __future__ import annotations

import fcntl
import os
import pathlib
import secrets
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from airflow_provider_segexport.storage.private import FILE_MODE, FOLDER_MODE, own_folder

NAME = "segexport-scratch"
LOCK = ".lock"


@dataclass(slots=True)
class _Own:
    """The folder of this process, with the open lock, and how many blocks use it."""

    pid: int
    folder: pathlib.Path
    lock: int
    users: int = 0


_guard = threading.Lock()
_own: _Own | None = None


@contextmanager
def scratch(kind: str) -> Iterator[pathlib.Path]:
    """A new private folder until the block ends.

    Args:
        kind: what it is for: the beginning of its name.
    """
    global _own  # noqa: PLW0603 - one folder a process
    with _guard:
        own = _own
        if own is None:
            sweep()
            own = _own = _begun()
        own.users += 1
    folder = own.folder / f"{kind}-{secrets.token_hex(4)}"
    folder.mkdir(mode=FOLDER_MODE)
    try:
        yield folder
    finally:
        if own.pid == os.getpid():  # a forked child leaves the block, too
            shutil.rmtree(folder, ignore_errors=True)
            _used(own)


def _used(own: _Own) -> None:
    """Count a block that has ended; with the last one the process's folder goes."""
    global _own  # noqa: PLW0603 - one folder a process
    with _guard:
        own.users -= 1
        if not own.users:
            _removed(own.folder, own.lock)
            _own = None if _own is own else _own


def _forked() -> None:
    """Forget the parent's folder in a forked child, and the guard that another thread may have held."""
    global _guard, _own
    _guard, _own = threading.Lock(), None


os.register_at_fork(after_in_child=_forked)


def sweep() -> int:
    """Remove the folders of processes that have ended; return how many there were."""
    count = 0
    for lock in own_folder(NAME).glob(f"*{LOCK}"):
        with suppress(OSError):  # another sweep has been faster
            opened = os.open(lock, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                os.close(opened)
                continue
            _removed(lock.with_suffix(""), opened)
            count += 1
    return count


def _begun() -> _Own:
    """A folder of this process, whose lock is held before the folder is there."""
    base = own_folder(NAME)
    while True:
        folder = base / f"{os.getpid()}-{secrets.token_hex(8)}"
        path = folder.with_name(folder.name + LOCK)
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, FILE_MODE)
        fcntl.flock(lock, fcntl.LOCK_EX)
        with suppress(OSError):
            if path.lstat().st_ino == os.fstat(lock).st_ino:  # no sweep came in between
                folder.mkdir(mode=FOLDER_MODE)
                return _Own(os.getpid(), folder, lock)
        os.close(lock)


def _removed(folder: pathlib.Path, lock: int) -> None:
    """Remove a folder, then its lock's name, then release the lock: a folder always has a lock beside it."""
    shutil.rmtree(folder, ignore_errors=True)
    if not folder.exists():
        folder.with_name(folder.name + LOCK).unlink(missing_ok=True)
    os.close(lock)
