"""Opens files to read them again. To open a pipe blocks until a writer opens it, and a device may never end."""

from __future__ import annotations

import errno
import os
import pathlib
import stat
from typing import IO, Any


def check_regular(path: Any) -> None:
    """Check that a local path is no pipe, device or socket; nothing if it is in object storage or does not exist.

    A folder passes: the error of opening it is more precise.

    Raises:
        OSError: it is one (ENXIO), or it cannot be looked up.
    """
    if not isinstance(path, pathlib.Path):
        return
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise OSError(errno.ENXIO, os.strerror(errno.ENXIO), str(path))


def open_file(path: Any) -> IO[bytes]:
    """Open a file of a disk or a store to read it.

    Args:
        path: a `StoragePath`.

    Raises:
        OSError: it cannot be opened, or is no regular file (ENXIO).
    """
    check_regular(path)
    file: IO[bytes] = path.open("rb")
    return file
