"""Opens Parquet files, and distinguishes a failing store from a damaged file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from airflow_provider_segexport.errors import InvalidSegment, RetryableError, SegexportError
from airflow_provider_segexport.segment_files.table_folders import check_footer
from airflow_provider_segexport.storage.errors import translate_error
from airflow_provider_segexport.storage.object_store import translate_storage_errors
from airflow_provider_segexport.storage.opening import open_file
from airflow_provider_segexport.storage.parquet_tables import batches
from airflow_provider_segexport.storage.paths import StoragePath, as_local_path, uncached

VERSION_KEYS = ("ETag", "etag", "md5Hash", "md5", "generation", "VersionId", "version_id", "checksum", "ino")
TIME_KEYS = ("LastModified", "last_modified", "updated", "mtime", "modified", "created")
"""Keys of s3fs, gcsfs, adlfs and other fsspec file systems for properties that change when a file is replaced."""


class WatchedFile:
    """A file object that remembers the error of its store.

    Arrow raises OSError for a damaged footer and for a failed read, so the error's type does not distinguish them.

    Attributes:
        opened: the file's version when it was opened; empty if it is unknown.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.error: Exception | None = None
        self.opened: Mapping[str, str] = {}

    @property
    def closed(self) -> bool:
        """Whether the file is closed."""
        return self._file.closed

    @property
    def details(self) -> Any:
        """The store's properties of the object; None if the store has none."""
        return getattr(self._file, "details", None)

    def read(self, size: int = -1) -> bytes:
        """Read bytes."""
        return bytes(self._remember_error(self._file.read, size))

    def seek(self, offset: int, whence: int = 0) -> int:
        """Move to a position, and return it."""
        return int(self._remember_error(self._file.seek, offset, whence))

    def tell(self) -> int:
        """Return the position."""
        return self._file.tell()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _remember_error(self, call: Any, *arguments: int) -> Any:
        try:
            return call(*arguments)
        except Exception as error:
            self.error = error
            raise


@contextmanager
def open_parquet(path: StoragePath, name: str) -> Iterator[tuple[pq.ParquetFile, WatchedFile]]:
    """Open a Parquet file.

    Raises:
        RetryableError: the disk or the store failed, or the file was replaced; a retry may succeed.
        InvalidSegment: the file is missing, is not readable by this user, is not a readable Parquet file, or is a data
            file of a table.
    """
    try:
        with translate_storage_errors(path):
            version = file_version(path) if as_local_path(path) is not None else {}
            watched = WatchedFile(open_file(path))
    except Exception as error:  # noqa: BLE001 - each store's library has errors of its own
        raise translate_error(error, name) from None
    watched.opened = version or _listed_version(path, watched)
    footer = False
    try:
        # DuckDB reads INT96 in microseconds, which Arrow calls nanoseconds otherwise.
        parquet = pq.ParquetFile(watched, pre_buffer=False, buffer_size=BUFFER_BYTES, coerce_int96_timestamp_unit="us")
        check_footer(parquet.metadata.metadata or (), name)
        footer = True
        yield parquet, watched
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        reason: SegexportError = damaged_error(error, name, footer=footer)
        if watched.error is not None:
            reason = translate_error(watched.error, name)
        raise _or_replaced(reason, path, name, watched.opened) from None
    except Exception:
        if watched.error is not None:
            raise _or_replaced(translate_error(watched.error, name), path, name, watched.opened) from None
        raise
    finally:
        watched.close()


READ_ROWS = 256
"""Rows that are decoded at a time. A page may hold a long text once for a million rows, and each row gets a copy."""


def small_batches(
    parquet: pq.ParquetFile, columns: Sequence[str] | None, group: int | None = None
) -> Iterator[pa.RecordBatch]:
    """Return batches of few rows, because the length of their values is not known in advance.

    Args:
        parquet: the file.
        columns: names of the columns to read; None for all.
        group: the row group to read; None for all.
    """
    return batches(parquet, READ_ROWS, columns, group)


def _listed_version(path: StoragePath, watched: WatchedFile) -> dict[str, str]:
    """Return the version of an opened object without a request to its store; empty if the store listed none."""
    return file_version(path, watched) if isinstance(watched.details, dict) else {}


def _or_replaced(error: SegexportError, path: StoragePath, name: str, opened: Mapping[str, str]) -> SegexportError:
    """Return the error to raise for a file that cannot be read. A retry may succeed if the file has been replaced.

    Args:
        error: the error of reading the file.
        path: the file.
        name: name of the file for errors.
        opened: version of the file when it was opened. In a store it comes from the listing of the folder.
    """
    if isinstance(error, InvalidSegment):
        with suppress(Exception):  # the file may be gone, which the error says
            if was_replaced(opened, file_version(path)):
                return _replaced_error(name)
    return error


def check_not_replaced(path: StoragePath, name: str, version: Mapping[str, str]) -> None:
    """Check that a file still has the version that it had when it was opened.

    Args:
        path: the file.
        name: its name for errors.
        version: as `file_version` returned it.

    Raises:
        RetryableError: it was replaced, or the disk or the store failed.
        InvalidSegment: it was removed.
    """
    try:
        now = file_version(path)
    except Exception as error:  # noqa: BLE001 - each store's library has its own errors
        raise translate_error(error, name) from None
    if was_replaced(version, now):
        raise _replaced_error(name)


def _replaced_error(name: str) -> RetryableError:
    return RetryableError(
        f"{name} was replaced or changed while it was read; nothing was sent from it. The next attempt reads the new "
        "one. To fix: start the export after the task that writes it has finished."
    )


BUFFER_BYTES = 1 << 20
"""Bytes of a column that are read from the store at a time."""


def damaged_error(error: Exception, name: str, *, footer: bool) -> InvalidSegment:
    """Return the error to raise for an error of Arrow. Arrow's message is left out, because it may quote a value.

    Args:
        error: Arrow's error.
        name: the file's name.
        footer: whether the footer could be read.
    """
    text = str(error).lower()
    if "crypt" in text:
        return encrypted_error(name)
    if isinstance(error, UnicodeDecodeError):
        return InvalidSegment(
            f"{name} has a column whose name is not UTF-8. To fix: rename the column where the segment is written."
        )
    is_contradiction = not footer and ("annotate" in text or "be applied to" in text)
    if not is_contradiction and ("utf8" in text or "utf-8" in text):
        return InvalidSegment(
            f"{name} holds text that is not UTF-8 in a mapped column. To fix: write the text as UTF-8, for example by "
            "decoding it with its real character set (often Latin-1 or Windows-1252) first."
        )
    if isinstance(error, pa.ArrowNotImplementedError) or "supported" in text:
        column = "a mapped column" if footer else "a column, mapped or not,"
        return InvalidSegment(
            f"{name} has {column} that cannot be read: its type, encoding or compression is not supported, such as an "
            "integer of 128 bits or LZO. To fix: leave the column out or cast it, for example to text, and compress "
            "with zstd or snappy."
        )
    if footer:
        return InvalidSegment(
            f"The rows of {name} cannot be read ({type(error).__name__}): a page is damaged. To fix: write the file "
            "again."
        )
    return _footer_error(error, name, is_contradiction=is_contradiction)


def _footer_error(error: Exception, name: str, *, is_contradiction: bool) -> InvalidSegment:
    if is_contradiction:
        return InvalidSegment(
            f"{name} declares a column, mapped or not, as a type that its bytes cannot have, such as text of a fixed "
            "length (`fixed_text` of fastparquet). To fix: write that column without this option of its writer, or "
            "leave it out."
        )
    return InvalidSegment(
        f"{name} is not a readable Parquet file ({type(error).__name__}): it is cut short, damaged, still being "
        "written, or something else. To fix: write it again, and start the export after the task that writes it."
    )


def encrypted_error(name: str) -> InvalidSegment:
    """Return the error to raise for an encrypted file."""
    return InvalidSegment(
        f"{name} is encrypted (Parquet modular encryption), and the export has no key for it. To fix: write the "
        "segment without Parquet encryption; encryption by the object store can stay on."
    )


def file_version(path: StoragePath, watched: WatchedFile | None = None) -> dict[str, str]:
    """Return properties of a file that change when it is replaced; empty if its store has none.

    Args:
        path: the file.
        watched: the opened file, whose store has returned its properties; None to request them from the store.
    """
    local = as_local_path(path)
    if local is not None:
        status = local.stat()
        # The device is left out, because it differs among the machines that mount a network disk.
        return {"size": str(status.st_size), "mtime": str(status.st_mtime_ns), "ino": str(status.st_ino)}
    details: Any = watched.details if watched is not None else None
    if not isinstance(details, dict):
        storage: Any = uncached(path)
        with translate_storage_errors(path):
            details = storage.fs.info(storage.path)
    present = [key for key in (*VERSION_KEYS, *TIME_KEYS) if details.get(key)]
    return {key: str(details.get(key)) for key in ("size", *present[:1])}


def was_replaced(before: Mapping[str, str], now: Mapping[str, str]) -> bool:
    """Return whether two versions differ in a key that both have. A listing may have fewer keys than an object."""
    return any(before[key] != now[key] for key in before.keys() & now.keys())
