"""Leaves out folders that cannot be read, and counts them, so that the rest of a page is shown."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from airflow_provider_segexport.storage.paths import StoragePath

log = logging.getLogger(__name__)

Unread = list[StoragePath]
"""Folders that were left out. Only the log names them, because a user may not see every account and connection."""


@contextmanager
def left_out(path: StoragePath, unread: Unread | None) -> Iterator[None]:
    """Add a folder to `unread` if the block cannot read it.

    Args:
        path: the folder.
        unread: list to which the folder is added; None to raise the error.
    """
    try:
        yield
    except OSError as error:
        if unread is None:
            raise
        log.warning("Leaving out a folder that cannot be read (folder=%a error=%s)", str(path), type(error).__name__)
        unread.append(path)
