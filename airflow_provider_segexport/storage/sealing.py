"""Checksums of files that are read again: written inside the file, so that file and checksum are replaced together.

A JSON object carries its CRC-32 as the last member, and a line of the journal too. A Parquet or Arrow file carries a
placeholder in its footer's metadata, which is overwritten with the CRC-32 of the file (placeholder included) when the
file is written. The CRC-32 starts from the file's context, so that the same file of another run does not pass for it.
"""

from __future__ import annotations

import json
import mmap
import pathlib
import re
import zlib
from collections.abc import Mapping
from typing import Any

from airflow_provider_segexport.errors import DamagedState
from airflow_provider_segexport.storage.paths import StoragePath, as_local_path, read, write

SEAL, TAG = b"segexport-checksum", b"segexport-crc32:"
EMPTY = TAG + b"00000000"
"""The placeholder."""

ENDS = (b"PAR1", b"ROW1")
"""The last four bytes of a Parquet file and of an Arrow file."""

FORMAT = 1
"""The format of plans and of an audience's state. Raise it when an older version could not read them."""

_TEXT = re.compile(rb'(.*),"checksum":"([0-9a-f]{8})"\}', re.DOTALL)


def sealed(text: bytes) -> bytes:
    """A JSON object's text with its checksum as the last member."""
    body = text.rstrip()[:-1].rstrip()
    return body + b',"checksum":"%08x"}' % zlib.crc32(body)


def unsealed(text: bytes) -> bool | None:
    """Whether a JSON object's text has the checksum that it carries; None if it carries none."""
    match = _TEXT.fullmatch(text)
    if match is None:
        return None
    return zlib.crc32(match[1]) == int(match[2], 16)


def write_json(path: StoragePath, content: Mapping[str, Any], *, indent: int | None = None) -> None:
    """Write a JSON object with its format and checksum."""
    write(path, sealed(json.dumps({"format": FORMAT, **content}, indent=indent).encode()))


def read_json(path: StoragePath, *, bare: bool = False) -> dict[str, Any]:
    """A JSON object that `write_json` wrote, without format and checksum.

    Args:
        path: the file.
        bare: one without format and checksum passes: version 1 wrote such files.

    Raises:
        DamagedState: it has changed since, is no JSON object, or another version of this package wrote it.
    """
    text = read(path)
    whole = unsealed(text)
    try:
        content: Any = json.loads(text)
    except (ValueError, RecursionError):
        raise DamagedState(str(path), "it is not the JSON that was written") from None
    if not isinstance(content, dict):
        raise DamagedState(str(path), "it is not the JSON object that was written")
    if whole is False or (whole is None and content.get("format") == FORMAT):
        raise DamagedState(str(path), "its checksum differs")
    if bare and whole is None and "format" not in content and "checksum" not in content:
        return content
    if content.get("format") != FORMAT:
        version = content.get("format", "none")
        raise DamagedState(str(path), f"another version wrote it (format {str(version)[:20]}, this one reads {FORMAT})")
    return {name: value for name, value in content.items() if name not in {"format", "checksum"}}


def context_of(path: StoragePath | pathlib.Path) -> str:
    """The end of a file's path: it tells the files of different runs and audiences apart.

    A version of a ledger is named by its folder alone, because the same version may appear under another name.
    """
    parts = str(path).rstrip("/").split("/")[-4:]
    return "/".join(parts[:-1] if parts[-1][:1].isdigit() else parts)


def seal(path: pathlib.Path, context: str) -> None:
    """Overwrite the placeholder of a written file with the file's checksum."""
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as content:
        at = content.rfind(EMPTY)
        if at >= 0:
            content[at + len(TAG) : at + len(EMPTY)] = b"%08x" % zlib.crc32(content, zlib.crc32(context.encode()))


def verify(place: StoragePath, context: str = "", *, bare: bool = False) -> None:
    """Pass if a Parquet or Arrow file is as it was written.

    Args:
        place: the file.
        context: what its checksum starts from; by default the end of its path.
        bare: a file without any trace of a checksum passes: version 1 wrote such files.

    Raises:
        DamagedState: it has changed since, or is gone.
    """
    context = context or context_of(place)
    path = as_local_path(place)
    try:
        if path is not None:
            with path.open("rb") as local, mmap.mmap(local.fileno(), 0, access=mmap.ACCESS_COPY) as content:
                whole = _holds(content, context, bare=bare)
        else:
            whole = _holds(bytearray(read(place)), context, bare=bare)
    except FileNotFoundError:
        raise DamagedState(str(place), "it is gone") from None
    except ValueError:  # an empty file cannot be mapped
        whole = False
    if not whole:
        raise DamagedState(str(place), "its checksum differs")


_verified: dict[str, tuple[int, ...]] = {}
"""Files of this process that were as they were written, by path, with size, time and inode of a local one."""


def verify_once(place: StoragePath) -> None:
    """`verify`, unless this process has read the same file before. A ledger's file never changes under its name."""
    path = as_local_path(place)
    status = path.stat() if path is not None and path.exists() else None
    state = (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino) if status else ()
    if _verified.get(str(place)) != state:
        verify(place, bare=True)
        _verified[str(place)] = state


def _holds(content: Any, context: str, *, bare: bool) -> bool:
    at = content.rfind(TAG)
    if at < 0:
        return bare and bytes(content[-4:]) in ENDS and content.rfind(SEAL) < 0
    kept = bytes(content[at + len(TAG) : at + len(EMPTY)])
    content[at + len(TAG) : at + len(EMPTY)] = b"0" * (len(EMPTY) - len(TAG))
    return kept == b"%08x" % zlib.crc32(content, zlib.crc32(context.encode()))
