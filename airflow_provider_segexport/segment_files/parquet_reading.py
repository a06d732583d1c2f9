"""Opens Parquet files, and tells a store that failed from a file that is damaged."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from airflow_provider_segexport.errors import InvalidSegment
from airflow_provider_segexport.storage.errors import meaning
from airflow_provider_segexport.storage.paths import StoragePath, as_local_path, translate_storage_errors, uncached

VERSION_KEYS = ("ETag", "etag", "md5Hash", "md5", "generation", "VersionId", "version_id", "checksum", "ino")
TIME_KEYS = ("LastModified", "last_modified", "updated", "mtime", "modified", "created")
"""Keys under which s3fs, gcsfs, adlfs and other fsspec file systems keep what changes when a file is replaced."""


class Watched:
    """A file object that remembers the error which its store raised.

    Arrow raises OSError for a damaged footer as well as for a failed read, so the type does not tell them apart.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.error: Exception | None = None

    @property
    def closed(self) -> bool:
        """Whether it is closed."""
        return self._file.closed

    @property
    def details(self) -> Any:
        """What the store says of the object, where it does."""
        return getattr(self._file, "details", None)

    def read(self, size: int = -1) -> bytes:
        """Read bytes."""
        return bytes(self._noting(self._file.read, size))

    def seek(self, offset: int, whence: int = 0) -> int:
        """Move."""
        return int(self._noting(self._file.seek, offset, whence))

    def tell(self) -> int:
        """Return the position."""
        return self._file.tell()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _noting(self, call: Any, *arguments: int) -> Any:
        try:
            return call(*arguments)
        except Exception as error:
            self.error = error
            raise


@contextmanager
def opened(path: StoragePath, name: str) -> Iterator[tuple[pq.ParquetFile, Watched]]:
    """Open a Parquet file.

    Raises:
        RetryableError: the disk or the store failed in a way that may pass.
        InvalidSegment: the file is missing, may not be read, or is no Parquet file that can be read.
    """
    try:
        with translate_storage_errors(path):
            watched = Watched(path.open("rb"))
    except Exception as error:  # noqa: BLE001 - each store's library has errors of its own
        raise meaning(error, name) from None
    footer = False
    try:
        parquet = pq.ParquetFile(watched, pre_buffer=False, buffer_size=BUFFER_BYTES)
        footer = True
        yield parquet, watched
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        if watched.error is not None:
            raise meaning(watched.error, name) from None
        raise damaged(error, name, footer=footer) from None
    except Exception:
        if watched.error is not None:
            raise meaning(watched.error, name) from None
        raise
    finally:
        watched.close()


BUFFER_BYTES = 1 << 20
"""So much of a column is read from the store at a time."""


def damaged(error: Exception, name: str, *, footer: bool) -> InvalidSegment:
    """The error to raise for what Arrow says of a file's bytes. Its own text stays out: it may quote a value.

    Args:
        error: Arrow's.
        name: of the file.
        footer: the footer could be read.
    """
    text = str(error).lower()
    if "crypt" in text:
        return encrypted(name)
    if isinstance(error, UnicodeDecodeError):
        return InvalidSegment(
            f"{name} has a column whose name is not UTF-8. To fix: rename the column where the segment is written."
        )
    if "utf8" in text or "utf-8" in text:
        return InvalidSegment(
            f"{name} holds text that is not UTF-8 in a mapped column. To fix: write the text as UTF-8, for example by "
            "decoding it with its real character set (often Latin-1 or Windows-1252) first."
        )
    if footer:
        return InvalidSegment(
            f"The rows of {name} cannot be read ({type(error).__name__}): a page is damaged. To fix: write the file "
            "again."
        )
    return InvalidSegment(
        f"{name} is not a readable Parquet file ({type(error).__name__}): it is cut short, still being written, or "
        "something else. To fix: write it again, and start the export after the task that writes it."
    )


def encrypted(name: str) -> InvalidSegment:
    """The error to raise for a file that only its key opens."""
    return InvalidSegment(
        f"{name} is encrypted (Parquet modular encryption), and the export has no key for it. To fix: write the "
        "segment without Parquet encryption; encryption by the object store can stay on."
    )


def version(place: StoragePath, watched: Watched | None = None) -> dict[str, str]:
    """What changes when the file is replaced; empty if its store cannot say.

    Args:
        place: the file.
        watched: the file, just opened: object stores were asked for its details then.
    """
    path = as_local_path(place)
    if path is not None:
        state = path.stat()
        return {"size": str(state.st_size), "mtime": str(state.st_mtime_ns), "ino": f"{state.st_dev}/{state.st_ino}"}
    details: Any = watched.details if watched is not None else None
    if not isinstance(details, dict):
        storage: Any = uncached(place)
        with translate_storage_errors(place):
            details = storage.fs.info(storage.path)
    known = [key for key in (*VERSION_KEYS, *TIME_KEYS) if details.get(key)]
    return {key: str(details.get(key)) for key in ("size", *known[:1])}


def replaced(before: Mapping[str, str], now: Mapping[str, str]) -> bool:
    """Whether two versions are of different files. A listing may say less than a request for the one object."""
    return any(before[key] != now[key] for key in before.keys() & now.keys())
