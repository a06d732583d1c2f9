"""Creates temporary folders for personal data: one private folder for each process, deleted after its last use.

A killed process deletes nothing. Each process therefore holds a file lock beside its folder while it uses the folder,
and the kernel releases that lock however the process ends. A folder whose lock is free belongs to a process that has
ended, and the next process deletes it. This needs no clock and no process id.
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
    """The folder of this process.

    Attributes:
        pid: the process that created it.
        folder: the folder.
        lock: descriptor of the held lock file.
        users: number of `scratch` blocks that use the folder.
    """

    pid: int
    folder: pathlib.Path
    lock: int
    users: int = 0


_guard = threading.Lock()
_own: _Own | None = None


@contextmanager
def scratch(kind: str) -> Iterator[pathlib.Path]:
    """Create a private folder, and delete it when the block ends.

    Args:
        kind: its purpose; begins its name.
    """
    global _own  # noqa: PLW0603 - one folder for each process
    with _guard:
        own = _own
        if own is None:
            remove_stale_folders()
            own = _own = _create()
        own.users += 1
    folder = own.folder / f"{kind}-{secrets.token_hex(4)}"
    folder.mkdir(mode=FOLDER_MODE)
    try:
        yield folder
    finally:
        if own.pid == os.getpid():  # a forked child leaves the block, too, and must not delete its parent's folder
            shutil.rmtree(folder, ignore_errors=True)
            _release(own)


def _release(own: _Own) -> None:
    """Record that a block has ended. The last one deletes the process's folder."""
    global _own  # noqa: PLW0603 - one folder for each process
    with _guard:
        own.users -= 1
        if not own.users:
            _remove(own.folder, own.lock)
            _own = None if _own is own else _own


def _forget_parent() -> None:
    """Forget the parent's folder in a forked child, and the guard that another thread may have held."""
    global _guard, _own
    _guard, _own = threading.Lock(), None


os.register_at_fork(after_in_child=_forget_parent)


def remove_stale_folders() -> int:
    """Delete the folders of processes that have ended, and return their number."""
    count = 0
    for lock in own_folder(NAME).glob(f"*{LOCK}"):
        with suppress(OSError):  # another process has deleted it
            opened = os.open(lock, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                os.close(opened)
                continue
            _remove(lock.with_suffix(""), opened)
            count += 1
    return count


def _create() -> _Own:
    """Create the folder of this process. Its lock is held before the folder exists."""
    base = own_folder(NAME)
    while True:
        folder = base / f"{os.getpid()}-{secrets.token_hex(8)}"
        path = folder.with_name(folder.name + LOCK)
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, FILE_MODE)
        fcntl.flock(lock, fcntl.LOCK_EX)
        if _is_in_place(path, lock):
            try:
                folder.mkdir(mode=FOLDER_MODE)
            except OSError:  # the disk is full
                _remove(folder, lock)
                raise
            return _Own(os.getpid(), folder, lock)
        os.close(lock)


def _is_in_place(path: pathlib.Path, lock: int) -> bool:
    """Return whether a lock file still has its name: no other process has deleted it before it was locked."""
    with suppress(FileNotFoundError):
        return path.lstat().st_ino == os.fstat(lock).st_ino
    return False


def _remove(folder: pathlib.Path, lock: int) -> None:
    """Delete a folder, then its lock file, then release the lock, so a folder always has a lock file."""
    shutil.rmtree(folder, ignore_errors=True)
    if not folder.exists():
        folder.with_name(folder.name + LOCK).unlink(missing_ok=True)
    os.close(lock)
