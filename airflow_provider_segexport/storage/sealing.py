"""Writes and verifies checksums inside of files, so that a file and its checksum are replaced together.

A JSON object, also a line of the journal, holds its CRC-32 as the last member. A Parquet or Arrow file holds a
placeholder in its footer's metadata, which is overwritten with the CRC-32 of the file (placeholder included) when the
file is complete. The CRC-32 starts from the file's context, so the same file of another run does not pass.
"""

from __future__ import annotations

import errno
import io
import json
import pathlib
import re
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import IO, Any, TypeVar

import msgspec

from airflow_provider_segexport.errors import DamagedState
from airflow_provider_segexport.storage.local_copies import local_of
from airflow_provider_segexport.storage.opening import open_file
from airflow_provider_segexport.storage.paths import StoragePath, as_local_path, read, write

T = TypeVar("T")

SEAL, TAG = b"segexport-checksum", b"segexport-crc32:"
EMPTY = TAG + b"00000000"
"""The placeholder of a checksum."""

CHUNK_BYTES = 4 * 1024 * 1024
"""Bytes of a file in memory while its checksum is computed. A ledger of a million people has 60 MB."""

ENDS = (b"PAR1", b"ROW1")
"""The last four bytes of a Parquet file and of an Arrow file."""

FORMAT = 1
"""The format version of plans and audience states. Increase it if an older version of this package cannot read them."""

NO_FILES = {
    errno.EISDIR: "it is a folder",
    errno.ENOTDIR: "it lies in a file",
    errno.ELOOP: "it is a symbolic link to itself",
    errno.ENXIO: "it is no regular file",
}
"""Things that are found in place of a file, by the error of opening them."""

_TEXT = re.compile(rb'(.*),"checksum":"([0-9a-f]{8})"\}', re.DOTALL)


def with_checksum(text: bytes) -> bytes:
    """Return a JSON object's text with its checksum as the last member."""
    body = text.rstrip()[:-1].rstrip()
    return body + b',"checksum":"%08x"}' % zlib.crc32(body)


def checksum_matches(text: bytes) -> bool | None:
    """Return whether a JSON object's text matches its checksum; None if it has none."""
    match = _TEXT.fullmatch(text)
    if match is None:
        return None
    return zlib.crc32(match[1]) == int(match[2], 16)


def write_json(path: StoragePath, content: Mapping[str, Any], *, indent: int | None = None) -> None:
    """Write a JSON object with its format and checksum.

    Args:
        path: the file.
        content: the object.
        indent: spaces of each level; None for one line.
    """
    write(path, with_checksum(json.dumps({"format": FORMAT, **content}, indent=indent).encode()))


@contextmanager
def translate_no_file(path: StoragePath) -> Iterator[None]:
    """Turn the error of opening a folder, link or device into `DamagedState`.

    Raises:
        DamagedState: the path is not that of a file.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in NO_FILES:
            raise
        raise DamagedState(str(path), NO_FILES[error.errno]) from None


def read_file(path: StoragePath) -> bytes:
    """Return the content of a file that this package wrote.

    Raises:
        DamagedState: the path is not that of a file.
    """
    with translate_no_file(path):
        return read(path)


def read_json(path: StoragePath, *, bare: bool = False) -> dict[str, Any]:
    """Return a JSON object that `write_json` wrote, without format and checksum.

    Args:
        path: the file.
        bare: also accept an object without format and checksum, as version 1 wrote it.

    Raises:
        DamagedState: it was changed, is not a JSON object, or another version of this package wrote it.
    """
    text = read_file(path)
    is_intact = checksum_matches(text)
    try:
        content: Any = json.loads(text)
    except (ValueError, RecursionError):
        raise DamagedState(str(path), "it is not the JSON that was written") from None
    if not isinstance(content, dict):
        raise DamagedState(str(path), "it is not the JSON object that was written")
    if is_intact is False or (is_intact is None and content.get("format") == FORMAT):
        raise DamagedState(str(path), "its checksum differs")
    if bare and is_intact is None and "format" not in content and "checksum" not in content:
        return content
    if content.get("format") != FORMAT:
        version = content.get("format", "none")
        raise DamagedState(str(path), f"another version wrote it (format {str(version)[:20]}, this one reads {FORMAT})")
    return {name: value for name, value in content.items() if name not in {"format", "checksum"}}


def context_of(path: StoragePath | pathlib.Path) -> str:
    """Return the end of a file's path, which distinguishes the files of different runs and audiences.

    For a version of a ledger it is the folder alone, because the same version may appear under another name.
    """
    parts = str(path).rstrip("/").split("/")[-4:]
    return "/".join(parts[:-1] if parts[-1][:1].isdigit() else parts)


def seal(path: pathlib.Path, context: str) -> None:
    """Overwrite the placeholder in a complete file with the file's checksum."""
    with path.open("r+b") as file:
        at = _last_position(file, EMPTY)
        if at >= 0:
            checksum = _checksum(file, context, at)
            file.seek(at + len(TAG))
            file.write(checksum)


def read_as(path: StoragePath, kind: type[T]) -> T:
    """Return a JSON object that `write_json` wrote, as a value of a typed class.

    Args:
        path: the file.
        kind: the class: a dataclass or a msgspec Struct.

    Raises:
        DamagedState: as `read_json`, or a field is missing or has another type.
    """
    try:
        return msgspec.convert(read_json(path), kind)
    except msgspec.ValidationError:
        raise DamagedState(str(path), "a field is missing or has another type") from None


def verify(path: StoragePath, context: str = "", *, bare: bool = False) -> None:
    """Check that a Parquet or Arrow file is as it was written.

    Args:
        path: the file.
        context: the text that its checksum starts from; by default the end of its path.
        bare: also accept a file without any checksum, as version 1 wrote it.

    Raises:
        DamagedState: it was changed or deleted.
    """
    context = context or context_of(path)
    try:
        local = local_of(path)
        if local is not None:
            with translate_no_file(path), open_file(local) as file:
                is_intact = _is_intact(file, context, bare=bare)
        else:
            is_intact = _is_intact(io.BytesIO(read(path)), context, bare=bare)
    except FileNotFoundError:
        raise DamagedState(str(path), "it is gone") from None
    if not is_intact:
        raise DamagedState(str(path), "its checksum differs")


_verified: dict[str, tuple[int, ...]] = {}
"""Files that this process has verified, by path, with size, times and inode of a local file."""


def verify_once(path: StoragePath) -> None:
    """Verify a file, unless this process has verified it before. A ledger's file never changes under its name."""
    local = as_local_path(path)
    status = local.stat() if local is not None and local.exists() else None
    state = (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino) if status else ()
    if _verified.get(str(path)) != state:
        verify(path, bare=True)
        _verified[str(path)] = state


def _is_intact(file: IO[bytes], context: str, *, bare: bool) -> bool:
    at = _last_position(file, TAG)
    if at < 0:
        file.seek(max(0, file.seek(0, io.SEEK_END) - len(ENDS[0])))
        return bare and file.read() in ENDS and _last_position(file, SEAL) < 0
    file.seek(at + len(TAG))
    return file.read(len(EMPTY) - len(TAG)) == _checksum(file, context, at)


def _last_position(file: IO[bytes], text: bytes) -> int:
    """Return the last position of a text in a file; -1 if the file does not hold it. The file is read from its end."""
    end = file.seek(0, io.SEEK_END)
    while end > 0:
        start = max(0, end - CHUNK_BYTES)
        file.seek(start)
        at = file.read(end - start + len(text) - 1).rfind(text)
        if at >= 0:
            return start + at
        end = start
    return -1


def _checksum(file: IO[bytes], context: str, at: int) -> bytes:
    """Return the checksum of a file in hexadecimal, a few megabytes in memory at a time.

    Args:
        file: the whole file.
        context: the text that the checksum starts from.
        at: position of the placeholder, or of the checksum that has replaced it.
    """
    checksum = zlib.crc32(context.encode())
    file.seek(0)
    remaining = at
    while remaining > 0 and (chunk := file.read(min(remaining, CHUNK_BYTES))):
        checksum, remaining = zlib.crc32(chunk, checksum), remaining - len(chunk)
    checksum = zlib.crc32(EMPTY, checksum)
    file.seek(at + len(EMPTY))
    while chunk := file.read(CHUNK_BYTES):
        checksum = zlib.crc32(chunk, checksum)
    return b"%08x" % checksum
