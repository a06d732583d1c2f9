"""A file system for the engine in which a name is a number: no file name of a user ever reaches its SQL.

DuckDB expands `*`, `?` and `[` in every name, and so does fsspec's `glob`.
"""

from __future__ import annotations

import datetime as dt
import io
from typing import IO, Any, cast

from fsspec import AbstractFileSystem

from airflow_provider_segexport.storage.paths import StoragePath, as_local_path, translate_storage_errors

PROTOCOL = "segexport-file"
UNCHANGING = dt.datetime(2000, 1, 1, tzinfo=dt.UTC)
"""A modification time for every file. Each number is given out once, so the engine never compares two versions."""


class _LocalFile(io.FileIO):
    """A file on disk that is closed when the engine drops it: the engine does not close what it opened."""

    def __del__(self) -> None:
        self.close()


class LiteralNames(AbstractFileSystem):  # type: ignore[misc] # fsspec brings no types
    """Opens places by the numbers that `add` gave them."""

    protocol = PROTOCOL
    cachable = False

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._places: list[StoragePath] = []
        self._sizes: dict[str, int] = {}

    def add(self, path: StoragePath) -> str:
        """Return the address under which the engine opens this place."""
        self._places.append(path)
        return f"{PROTOCOL}://{len(self._places) - 1}"

    def open(self, path: str, mode: str = "rb", **_: Any) -> IO[Any]:
        """Open a place for reading."""
        place = self._places[int(path.removeprefix(f"{PROTOCOL}://"))]
        local, stored = as_local_path(place), cast("Any", place)
        with translate_storage_errors(place):
            file: IO[Any] = _LocalFile(local, mode) if local is not None else stored.fs.open(stored.path, mode)
            self._sizes[path] = file.seek(0, 2)
            file.seek(0)
        return file

    def glob(self, path: str, **_: Any) -> list[str]:
        """Return the name itself: it is no pattern."""
        return [path]

    def exists(self, path: str, **_: Any) -> bool:
        """Report that the place is there; opening it shows whether it is."""
        return bool(path)

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        """Describe a file that was opened before."""
        return {"name": path, "size": self._sizes[path], "type": "file"}

    def modified(self, path: str) -> dt.datetime:
        """Return the same time for every file."""
        del path
        return UNCHANGING
