"""What an error of a disk or an object store means for the task: it may pass, or a person has to act."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from typing import Any

from airflow_provider_segexport.errors import BadSegment, SegexportError, TryAgain

FORBIDDEN = {401, 403}
GONE = {404, 410}
FINAL = {errno.EISDIR, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP, errno.EINVAL, errno.ENXIO}
"""What a disk answers if the path itself is wrong: another attempt meets the same path."""

CREDENTIALS = ("Credential", "Forbidden", "AccessDenied", "Unauthorized", "ClientAuthentication", "TokenRetrieval")
"""Parts of the names of errors by which botocore, google-auth and azure refuse a caller."""


def meaning(error: BaseException, name: str) -> SegexportError:
    """The error to raise for one that a store raised while a file was opened or read.

    Its own text stays out: it may hold a signed address or a key.
    """
    errors = list(_chain(error))
    statuses = {status for each in errors for status in _statuses(each)}
    numbers = {each.errno for each in errors if isinstance(each, OSError) and each.errno is not None}
    kinds = [type(each).__name__ for each in errors]
    if (
        any(isinstance(each, PermissionError) for each in errors)
        or statuses & FORBIDDEN
        or any(part in kind for kind in kinds for part in CREDENTIALS)
        or any(str(each).startswith("Forbidden") for each in errors)
    ):
        return BadSegment(
            f"{name} cannot be opened: Permission denied. To fix: let the worker's user or its storage connection read "
            "this path."
        )
    if any(isinstance(each, FileNotFoundError) for each in errors) or statuses & GONE:
        return BadSegment(
            f"{name} does not exist any more: it was removed after the segment's files were listed. To fix: start the "
            "export after the task that writes the segment has finished, and write each snapshot to a path of its own."
        )
    final = numbers & FINAL
    if final:
        return BadSegment(f"{name} cannot be opened: {os.strerror(min(final))}. To fix: check the path of the segment.")
    words = os.strerror(min(numbers)) if numbers else kinds[0]
    if statuses:
        words = f"HTTP status {min(statuses)}"
    return TryAgain(
        f"{name} could not be read ({words}): its disk or object store failed. The next attempt reads it again."
    )


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """The error and its causes."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _statuses(error: BaseException) -> Iterator[int]:
    """HTTP statuses, as botocore, aiohttp, requests, gcsfs and azure keep them."""
    response: Any = getattr(error, "response", None)
    if isinstance(response, dict):
        response = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    candidates = [getattr(error, key, None) for key in ("status", "status_code", "code")]
    for value in (*candidates, response, getattr(response, "status_code", None)):
        if isinstance(value, int | str) and str(value).isdecimal() and 400 <= int(value) < 600:  # noqa: PLR2004
            yield int(value)
