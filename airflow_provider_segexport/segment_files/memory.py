"""Computes the engine's memory limit for a segment with large pages."""

from __future__ import annotations

import os
import pathlib

from airflow_provider_segexport.storage.plan import SegmentFiles

BASE_BYTES = 128 << 20
"""Bytes that the engine needs besides the pages: hashes of addresses, rows to validate, and output buffers."""

PAGE_COPIES = 3
"""Copies of a page in memory: compressed, uncompressed, and its changed values."""

MAX_MEMORY_SHARE = 0.75
"""The share of the machine's or container's memory that the engine may use. The task itself needs the rest."""

CGROUP_LIMITS = (pathlib.Path("/sys/fs/cgroup/memory.max"), pathlib.Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
"""Files with a container's memory limit: control groups of version 2 and of version 1."""


def memory_for(files: SegmentFiles) -> str:
    """Return a memory limit for DuckDB, such as `512MiB`. It fits the largest row group if the machine has the memory.

    A footer holds the size of each row group. A page is never larger, and a writer may put a row group into one page.
    """
    largest = max((file.group_bytes for file in files.files), default=0)
    needed = BASE_BYTES + max(PAGE_COPIES * largest, BASE_BYTES)
    return f"{min(needed, int(MAX_MEMORY_SHARE * available_bytes())) >> 20}MiB"


def available_bytes() -> int:
    """Return the bytes of memory of the machine, or of the container if it has less."""
    sizes = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    for path in CGROUP_LIMITS:
        try:
            text = path.read_text().strip()
        except OSError:
            continue
        if text.isdecimal():
            sizes.append(int(text))
    return min(sizes)
