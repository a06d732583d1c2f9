"""A file system for DuckDB whose file names are numbers, so no file name of a user reaches SQL.

DuckDB expands `*`, `?` and `[` in every name, and so does fsspec's `glob`.
"""

from __future__ import annotations

import datetime as dt
import io
from typing import IO, Any, cast

from fsspec import AbstractFileSystem

from airflow_provider_segexport.storage.object_store import translate_storage_errors
from airflow_provider_segexport.storage.opening import check_regular
from airflow_provider_segexport.storage.paths import StoragePath, as_local_path

PROTOCOL = "segexport-file"
FIXED_MTIME = dt.datetime(2000, 1, 1, tzinfo=dt.UTC)
"""The modification time of every file. Each number is used once, so DuckDB never compares two versions of a file."""


class _LocalFile(io.FileIO):
    """A local file that closes itself when DuckDB drops it, because DuckDB does not close files."""

    def __del__(self) -> None:
        self.close()


class LiteralNames(AbstractFileSystem):  # type: ignore[misc] # fsspec has no types
    """Opens files by the numbers that `add` has returned for them."""

    protocol = PROTOCOL
    cachable = False

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._paths: list[StoragePath] = []
        self._sizes: dict[str, int] = {}
        self._failure: OSError | None = None

    def take_failure(self) -> OSError | None:
        """Return the error of the last file that could not be opened, and forget it. DuckDB raises another error."""
        failure, self._failure = self._failure, None
        return failure

    def add(self, path: StoragePath) -> str:
        """Register a file, and return the URL with which DuckDB opens it."""
        self._paths.append(path)
        return f"{PROTOCOL}://{len(self._paths) - 1}"

    def open(self, path: str, mode: str = "rb", **_: Any) -> IO[Any]:
        """Open a file for reading."""
        registered = self._paths[int(path.removeprefix(f"{PROTOCOL}://"))]
        local, stored = as_local_path(registered), cast("Any", registered)
        try:
            check_regular(local)
            with translate_storage_errors(registered):
                file: IO[Any] = _LocalFile(local, mode) if local is not None else stored.fs.open(stored.path, mode)
                self._sizes[path] = file.seek(0, 2)
                file.seek(0)
        except OSError as error:
            self._failure = error
            raise
        return file

    def glob(self, path: str, **_: Any) -> list[str]:
        """Return the name itself, because it is not a pattern."""
        return [path]

    def exists(self, path: str, **_: Any) -> bool:
        """Return True, because opening the file shows whether it exists."""
        return bool(path)

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        """Return the size and type of a file that was opened before."""
        return {"name": path, "size": self._sizes[path], "type": "file"}

    def modified(self, path: str) -> dt.datetime:
        """Return the same time for every file."""
        del path
        return FIXED_MTIME
