"""The tests' temporary folder in memory, where a file costs a tenth: they write about 100,000 small ones."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from pathlib import Path

MEMORY = Path("/dev/shm")
PREFIX = "segexport-tests-"
MIN_FREE_BYTES = 4 << 30
"""The whole suite needs less than 1 GiB at a time (measured 2026-11-27)."""


def use_memory() -> None:
    """Let this process and its children use a folder in memory, if there is room; `make test-all` uses the disk."""
    if "PYTEST_XDIST_WORKER" in os.environ or os.environ.get("SEGEXPORT_ALL_TESTS") or "TMPDIR" in os.environ:
        return
    try:
        if shutil.disk_usage(MEMORY).free < MIN_FREE_BYTES:
            return
        remove_folders()
        folder = MEMORY / f"{PREFIX}{os.getpid()}"
        folder.mkdir(mode=0o711)  # a server of another user has a folder in it
    except OSError:
        return
    os.environ["TMPDIR"] = str(folder)
    tempfile.tempdir = None  # pytest has asked for it already


def remove_folders() -> None:
    """Remove the folders of this process, and of processes that have ended."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        return
    for folder in MEMORY.glob(f"{PREFIX}*"):
        process = folder.name.removeprefix(PREFIX)
        with contextlib.suppress(OSError):
            if process == str(os.getpid()) or not Path("/proc", process).exists():
                shutil.rmtree(folder)
