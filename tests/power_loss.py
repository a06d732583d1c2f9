"""Simulates a power failure: records the synced data, and restores the possible files after a failure at any step."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path
from typing import Any, Literal

Left = Literal["lost", "empty", "torn"]
"""The fate of content and names that were not synced: both are lost, or the names stay and content does not."""

STEPS = ("fsync", "fdatasync", "rename", "replace", "link", "unlink", "mkdir")


class PowerCut(BaseException):
    """The machine has lost power: no later write reaches the disk."""


class Disk:
    """The files below a folder, as the operating system holds them and as the disk does.

    Args:
        home: the folder.
        cut: number of the step, from 1, before which the power fails; 0 for never.
    """

    def __init__(self, home: Path, cut: int = 0) -> None:
        self.home = home
        self.cut = cut
        self.steps = 0
        self.off = False
        self._content: dict[int, bytes] = {}
        self._names: dict[int, dict[str, int]] = {}
        self._seen: dict[str, tuple[int, bytes | None]] = {}
        self._held: dict[int, int] = {}
        for folder, _, files in os.walk(home):
            self._names[self._hold(folder)] = _listing(folder)
            for name in files:
                path = Path(folder, name)
                self._content[self._hold(path)] = path.read_bytes()

    def _hold(self, path: str | Path) -> int:
        """The inode of a path, kept open: the file system gives its number to no later file while we know it."""
        descriptor = os.open(path, os.O_RDONLY)
        inode = os.fstat(descriptor).st_ino
        if self._held.setdefault(inode, descriptor) != descriptor:
            os.close(descriptor)
        return inode

    def watch(self, monkeypatch: Any) -> None:
        """Intercept every call that creates, renames, syncs or removes a file."""
        for name in STEPS:
            monkeypatch.setattr(os, name, self._watched(name, getattr(os, name)))

    def _watched(self, name: str, real: Any) -> Any:
        def call(*args: Any, **options: Any) -> Any:
            if not self._ours(name, args):
                return real(*args, **options)
            self._step()
            answer = real(*args, **options)
            if name in {"fsync", "fdatasync"}:
                self._synced(args[0])
            return answer

        return call

    def _ours(self, name: str, args: tuple[Any, ...]) -> bool:
        path = (
            str(Path(f"/proc/self/fd/{args[0]}").readlink()) if name in {"fsync", "fdatasync"} else os.fspath(args[0])
        )
        return str(path).startswith(str(self.home))

    def _step(self) -> None:
        if self.off:
            raise PowerCut
        self.steps += 1
        if self.steps == self.cut:
            self.off = True
            self._seen = _tree(self.home)
            raise PowerCut

    def _synced(self, descriptor: int) -> None:
        status = os.fstat(descriptor)
        self._hold(f"/proc/self/fd/{descriptor}")
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        if stat.S_ISDIR(status.st_mode):
            self._names[status.st_ino] = _listing(path)
        else:
            with open(f"/proc/self/fd/{descriptor}", "rb") as file:  # noqa: PTH123 - a file that may have no name
                self._content[status.st_ino] = file.read()

    def close(self) -> None:
        """Close every inode."""
        for descriptor in self._held.values():
            os.close(descriptor)
        self._held.clear()

    def restore(self, left: Left) -> None:
        """Lay out the folder as the disk holds it after the cut."""
        assert self.off
        if left == "lost":
            files = dict(self._durable(self.home.stat().st_ino, ""))
        else:
            files = {
                path: None if content is None else self._after(inode, content, left)
                for path, (inode, content) in self._seen.items()
            }
        self.close()
        shutil.rmtree(self.home)
        self.home.mkdir()
        for path, content in files.items():
            to = self.home / path
            if content is None:
                to.mkdir(parents=True, exist_ok=True)
            else:
                to.parent.mkdir(parents=True, exist_ok=True)
                to.write_bytes(content)

    def _durable(self, folder: int, above: str) -> Any:
        for name, inode in self._names.get(folder, {}).items():
            path = f"{above}{name}"
            if inode in self._names or inode in self._folders:
                yield path, None
                yield from self._durable(inode, f"{path}/")
            else:
                yield path, self._content.get(inode, b"")

    @property
    def _folders(self) -> set[int]:
        return {inode for inode, content in self._seen.values() if content is None}

    def _after(self, inode: int, content: bytes, left: Left) -> bytes:
        synced = self._content.get(inode, b"")
        if left == "empty" or content == synced:
            return synced
        if content.startswith(synced):  # it has grown since
            return content[: len(synced) + (len(content) - len(synced)) // 2]
        return content[: len(content) // 2]


def _listing(folder: str | os.PathLike[str]) -> dict[str, int]:
    return {entry.name: entry.inode() for entry in os.scandir(folder)}


def _tree(home: Path) -> dict[str, tuple[int, bytes | None]]:
    """Every path below a folder with its inode and content; None for a folder's content."""
    recorded: dict[str, tuple[int, bytes | None]] = {}
    for folder, folders, files in os.walk(home):
        for name in folders:
            path = Path(folder, name)
            recorded[str(path.relative_to(home))] = path.stat().st_ino, None
        for name in files:
            path = Path(folder, name)
            recorded[str(path.relative_to(home))] = path.stat().st_ino, path.read_bytes()
    return recorded
