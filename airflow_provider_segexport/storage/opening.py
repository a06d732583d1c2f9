"""Opens regular files. Opening a pipe would block until a writer opens it, and reading a device may never end."""

from __future__ import annotations

import errno
import os
import pathlib
import stat
from typing import IO, Any


def check_regular(path: Any) -> None:
    """Check that a local path is not a pipe, device or socket.

    A path in object storage, a missing file and a folder pass. The error of opening a folder is more precise.

    Raises:
        OSError: the path is one of these (ENXIO), or it cannot be looked up.
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
        OSError: the file cannot be opened, or is not a regular file (ENXIO).
    """
    check_regular(path)
    file: IO[bytes] = path.open("rb")
    return file
