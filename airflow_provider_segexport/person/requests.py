"""Reads the people to erase from a file: `file -> people`."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.parquet as pq

from airflow_provider_segexport.counted import counted
from airflow_provider_segexport.email_address import validate
from airflow_provider_segexport.errors import InvalidArgument, RetryableError
from airflow_provider_segexport.person.person import Person
from airflow_provider_segexport.storage.errors import DENIED, FINAL, reason_text
from airflow_provider_segexport.storage.paths import StoragePath, read
from airflow_provider_segexport.trimming import trimmed

MAGIC = b"PAR1"
"""The first bytes of a Parquet file."""

SEPARATORS = re.compile(r'[\s\x00-\x1f,;|"<>()]+')
"""Characters between the cells of a line, or between two addresses."""

MAX_NUMBERS = 10
"""Maximum line numbers in an error."""


def read_people(path: StoragePath) -> list[Person]:
    """Return the people of a file, each once: Parquet with a text column `email`, or UTF-8 with one address a line.

    Blank lines and nulls are ignored. A line with an address and other text is refused. Otherwise it would count as the
    address of another person without any record, and the person would not be erased.

    Raises:
        InvalidArgument: the file cannot be read, or a line is not exactly one address. The error has line numbers and
            no address.
        RetryableError: the disk or store failed.
    """
    texts = list(_texts(path, _content(path)))
    refused = [number for number, text in enumerate(texts, 1) if trimmed(text) and not is_one_address(text)]
    if refused:
        numbers = ", ".join(map(str, refused[:MAX_NUMBERS]))
        more = f" and {len(refused) - MAX_NUMBERS:,} more" if len(refused) > MAX_NUMBERS else ""
        raise InvalidArgument(
            f"`emails_path` {path} has {counted(len(refused), 'line')} without an address, or with more than one "
            f"address alone: {numbers}{more}. No person was erased. To fix: write one address a line, without a "
            "header, commas and quotes."
        )
    return list(dict.fromkeys(Person.of(text) for text in texts if trimmed(text)))


def is_one_address(text: str) -> bool:
    """Return whether a text may be an address without any other text."""
    if validate(text).email is not None:
        return True
    return "@" in text and "\0" not in text and not any(validate(part).email for part in SEPARATORS.split(text))


def _content(path: StoragePath) -> bytes:
    try:
        return read(path)
    except OSError as error:
        reason = reason_text(error)
        if isinstance(error, FileNotFoundError):
            raise InvalidArgument(f"`emails_path` {path} does not exist. To fix: correct the path.") from None
        if reason == DENIED or error.errno in FINAL:
            raise InvalidArgument(
                f"`emails_path` {path} cannot be read: {reason}. To fix: give the path of a file that the worker's "
                "user may read."
            ) from None
        raise RetryableError(
            f"`emails_path` {path} could not be read ({reason}): its disk or object store failed. The next attempt "
            "reads it again."
        ) from None


def _texts(path: StoragePath, content: bytes) -> Iterator[str]:
    """Yield the lines of a text, or the values of a Parquet file's column; a null is empty."""
    if content.startswith(MAGIC) or path.name.endswith(".parquet"):
        yield from (value or "" for value in _column(path, content))
        return
    try:
        yield from io.TextIOWrapper(io.BytesIO(content), encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise InvalidArgument(
            f"`emails_path` {path} is neither UTF-8 text nor Parquet. To fix: save it as UTF-8."
        ) from None


def _column(path: StoragePath, content: bytes) -> list[str | None]:
    try:
        file = pq.ParquetFile(pa.BufferReader(content))
        if "email" in file.schema_arrow.names:
            column = file.read(columns=["email"]).column("email")
            values: list[str | None] = column.cast(pa.string()).to_pylist()
            return values
    except (pa.ArrowException, OSError):
        raise InvalidArgument(
            f"`emails_path` {path} cannot be read as Parquet with a text column `email`. To fix: write the file again."
        ) from None
    raise InvalidArgument(
        f"`emails_path` {path} has no column `email`. To fix: name the column with the addresses `email`."
    )
