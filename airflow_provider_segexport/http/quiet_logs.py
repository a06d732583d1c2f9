"""Keeps people and secrets out of the logs of the libraries beneath: `record of such a library -> its text withheld`.

urllib3 logs URLs, in which the vendors' APIs take addresses; botocore logs bodies and signed headers. A filter on their
loggers would miss loggers that they make later and children with handlers of their own, so the text is replaced where
every record is made.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

LIBRARIES = frozenset(
    {
        "adlfs",
        "aiobotocore",
        "aiohttp",
        "asyncio",
        "azure",
        "boto3",
        "botocore",
        "deltalake",
        "fsspec",
        "gcsfs",
        "google",
        "http",
        "oauthlib",
        "pyiceberg",
        "redis",
        "requests",
        "requests_oauthlib",
        "s3fs",
        "s3transfer",
        "upath",
        "urllib3",
    }
)
"""The first part of the names of the loggers of libraries that are handed an address, a row or a credential."""

_PROBE = "urllib3"
_lock = threading.Lock()
_spans = 0


@contextmanager
def quiet() -> Iterator[None]:
    """Withhold what those libraries log, at every level and in every thread, until the block ends."""
    global _spans  # noqa: PLW0603 - the logging module, too, is one for the whole process
    with _lock:
        _spans += 1
        if _withheld(logging.getLogRecordFactory()) is False:
            logging.setLogRecordFactory(_wrapped(logging.getLogRecordFactory()))
    try:
        yield
    finally:
        with _lock:
            _spans -= 1


def _wrapped(make: Callable[..., logging.LogRecord]) -> Callable[..., logging.LogRecord]:
    """A factory of log records that withholds the text of the libraries' records while a block is open."""

    def record(name: str, level: int, path: str, line: int, text: object, *rest: Any, **more: Any) -> logging.LogRecord:
        if not _spans or (name or "").partition(".")[0] not in LIBRARIES:
            return make(name, level, path, line, text, *rest, **more)
        made = make(name, level, path, line, f"Message withheld (library={name.partition('.')[0]}).", (), None)
        made.funcName = str(rest[2] if len(rest) > 2 else more.get("func"))  # noqa: PLR2004 - args, exc_info, func
        return made

    return record


def _withheld(make: Callable[..., logging.LogRecord]) -> bool:
    """Whether a factory withholds already; another library may have put its own in the place of ours."""
    return "probe" not in make(_PROBE, logging.DEBUG, "", 0, "probe", (), None).getMessage()
