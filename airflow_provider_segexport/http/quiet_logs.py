"""Withholds the log messages of libraries, because they may contain personal data or secrets.

urllib3 logs URLs, which contain email addresses in the vendors' APIs. botocore logs bodies and signed headers. A filter
on their loggers would miss loggers that are created later, and child loggers with separate handlers. The text is
therefore replaced in the log record factory.
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
"""Top-level logger names of libraries that receive email addresses, rows or credentials."""

_PROBE = "urllib3"
_lock = threading.Lock()
_open_blocks = 0
_last_seen: Callable[..., logging.LogRecord] | None = None
"""The last log record factory that was checked, so that it is not checked again at every call."""


@contextmanager
def quiet() -> Iterator[None]:
    """Withhold the messages of `LIBRARIES`, at every level and in every thread, until the block ends."""
    global _open_blocks, _last_seen  # noqa: PLW0603 - logging is global to the process, too
    with _lock:
        _open_blocks += 1
        if logging.getLogRecordFactory() is not _last_seen:
            if not _withholds(logging.getLogRecordFactory()):
                logging.setLogRecordFactory(_withholding(logging.getLogRecordFactory()))
            _last_seen = logging.getLogRecordFactory()
    try:
        yield
    finally:
        with _lock:
            _open_blocks -= 1


def _withholding(make: Callable[..., logging.LogRecord]) -> Callable[..., logging.LogRecord]:
    """Return a log record factory that withholds the libraries' messages while a block is open."""

    def record(name: str, level: int, path: str, line: int, text: object, *rest: Any, **more: Any) -> logging.LogRecord:
        if not _open_blocks or (name or "").partition(".")[0] not in LIBRARIES:
            return make(name, level, path, line, text, *rest, **more)
        withheld = make(name, level, path, line, f"Message withheld (library={name.partition('.')[0]}).", (), None)
        withheld.funcName = str(rest[2] if len(rest) > 2 else more.get("func"))  # noqa: PLR2004 - args, exc_info, func
        return withheld

    return record


def _withholds(make: Callable[..., logging.LogRecord]) -> bool:
    """Return whether a factory already withholds messages. Another library may have replaced this module's factory."""
    return "probe" not in make(_PROBE, logging.DEBUG, "", 0, "probe", (), None).getMessage()
