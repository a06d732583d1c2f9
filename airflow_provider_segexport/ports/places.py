"""Folders and files wherever they lie: a local path, or any path-like over fsspec that Airflow opens."""

from __future__ import annotations

import os
import pathlib
import secrets
from collections.abc import Callable, Iterator
from typing import IO, Any, Protocol, runtime_checkable


@runtime_checkable
class Place(Protocol):
    """What `pathlib.Path`, `upath.UPath` and Airflow's `ObjectStoragePath` have in common."""

    @property
    def name(self) -> str:
        """The last part."""

    @property
    def parent(self) -> Place:
        """The folder it lies in."""

    def __truediv__(self, other: str, /) -> Place: ...

    def open(self, mode: str = ...) -> IO[Any]:
        """A file object."""

    def exists(self) -> bool:
        """Whether something is there."""

    def is_dir(self) -> bool:
        """Whether it is a folder."""

    def iterdir(self) -> Iterator[Place]:
        """What lies in it."""

    def glob(self, pattern: str, /) -> Iterator[Place]:
        """What matches under it."""

    def mkdir(self, *, parents: bool = ..., exist_ok: bool = ...) -> None:
        """Make the folder, where folders are made."""

    def unlink(self, *, missing_ok: bool = ...) -> None:
        """Remove the file."""


Resolve = Callable[[str], Place]
"""How a text becomes a place; Airflow's shell brings one that knows object storage."""


def local(text: str) -> Place:
    """A local path, also when written as a `file://` address."""
    return as_place(pathlib.Path(text.removeprefix("file://")))


def as_place(found: Any) -> Place:
    """Tell the type checker that a path-like is a place."""
    place: Place = found
    return place


def on_disk(place: Place) -> pathlib.Path | None:
    """The place as a local path; None where it lies elsewhere."""
    found: Any = place
    return found if isinstance(found, pathlib.Path) else None


def half_of(path: pathlib.Path) -> pathlib.Path:
    """A name beside it that nobody else writes: machines that share a disk may share process ids too."""
    return path.with_name(f".{path.name}.{secrets.token_hex(6)}.half")


def write(place: Place, content: bytes) -> None:
    """Write a file so that a reader sees the old content or the new, never half of it."""
    path = on_disk(place)
    if path is None:  # an object is put as a whole when it is closed
        with place.open("wb") as file:
            file.write(content)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    half = half_of(path)
    with half.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    half.replace(path)


def read(place: Place) -> bytes:
    """The content of a file."""
    with place.open("rb") as file:
        content: bytes = file.read()
    return content


def folder(place: Place) -> Place:
    """The folder, made if it is not there."""
    place.mkdir(parents=True, exist_ok=True)
    return place


def names(place: Place) -> list[str]:
    """The names in a folder, sorted; none when it is not there."""
    return sorted(one.name for one in place.iterdir()) if place.exists() else []
