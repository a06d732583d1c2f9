"""Translates errors of disks and object stores into errors that say whether to retry or what a person must do."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from typing import Any

from airflow_provider_segexport.errors import InvalidSegment, RetryableError, SegexportError

FORBIDDEN = {401, 403}
GONE = {404, 410}
FINAL = {errno.EISDIR, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP, errno.EINVAL, errno.ENXIO}
"""Errors of a disk that mean that the path itself is wrong. A retry would fail in the same way."""

DENIED = "Permission denied"

CREDENTIALS = ("Credential", "Forbidden", "AccessDenied", "Unauthorized", "ClientAuthentication", "TokenRetrieval")
"""Parts of the names of errors with which botocore, google-auth and azure reject a caller."""


def translate_error(error: BaseException, name: str) -> SegexportError:
    """Return the error to raise after a store failed to open or read a file.

    The store's message is left out, because it may hold a signed URL or a key.
    """
    errors = list(_chain(error))
    reason = reason_text(error)
    if reason == DENIED:
        return InvalidSegment(
            f"{name} cannot be opened: Permission denied. To fix: give the worker's user or its storage connection "
            "read access to this path."
        )
    if any(isinstance(each, FileNotFoundError) for each in errors) or set(_all_statuses(errors)) & GONE:
        return InvalidSegment(
            f"{name} does not exist any more: it was removed after the segment's files were listed. To fix: start the "
            "export after the task that writes the segment has finished, and write each snapshot to a path of its own."
        )
    if _numbers(errors) & FINAL:
        return InvalidSegment(f"{name} cannot be opened: {reason}. To fix: check the path of the segment.")
    return RetryableError(
        f"{name} could not be read ({reason}): its disk or object store failed. The next attempt reads it again."
    )


def translate_listing_error(error: BaseException, name: str) -> SegexportError:
    """Return the error to raise after a store failed to look up a path or to list a folder."""
    if isinstance(translate_error(error, name), RetryableError):
        return RetryableError(f"{name} cannot be listed just now: {reason_text(error)}.")
    return InvalidSegment(f"{name} cannot be listed: {reason_text(error)}. To fix: check path and permissions.")


def reason_text(error: BaseException) -> str:
    """Return the operating system's or HTTP's description of an error, because the store's may hold a secret."""
    errors = list(_chain(error))
    statuses, kinds = set(_all_statuses(errors)), [type(each).__name__ for each in errors]
    if (
        any(isinstance(each, PermissionError) for each in errors)
        or statuses & FORBIDDEN
        or any(part in kind for kind in kinds for part in CREDENTIALS)
        or any(str(each).startswith("Forbidden") for each in errors)
    ):
        return DENIED
    numbers = _numbers(errors)
    if numbers & FINAL:
        return os.strerror(min(numbers & FINAL))
    if statuses:
        return f"HTTP status {min(statuses)}"
    return os.strerror(min(numbers)) if numbers else kinds[0]


def _numbers(errors: list[BaseException]) -> set[int]:
    return {each.errno for each in errors if isinstance(each, OSError) and each.errno is not None}


def _all_statuses(errors: list[BaseException]) -> Iterator[int]:
    for each in errors:
        yield from _statuses(each)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield the error and its causes."""
    yielded_ids: set[int] = set()
    while error is not None and id(error) not in yielded_ids:
        yielded_ids.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _statuses(error: BaseException) -> Iterator[int]:
    """Yield the HTTP error statuses in the attributes of errors of botocore, aiohttp, requests, gcsfs and azure."""
    response: Any = getattr(error, "response", None)
    if isinstance(response, dict):
        response = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    candidates = [getattr(error, key, None) for key in ("status", "status_code", "code")]
    for value in (*candidates, response, getattr(response, "status_code", None)):
        if isinstance(value, int | str) and str(value).isdecimal() and 400 <= int(value) < 600:  # noqa: PLR2004
            yield int(value)
