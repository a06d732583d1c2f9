"""How much memory an engine gets for a segment whose pages are larger than usual."""

from __future__ import annotations

import os
import pathlib

from airflow_provider_segexport.storage.plan import SegmentFiles

USUAL_BYTES = 128 << 20
"""What is needed beside the pages: hashes of addresses, rows in doubt, and what waits to be written."""

COPIES = 3
"""A page is in memory compressed and uncompressed, and its values once more where they are changed."""

SHARE = 0.75
"""The most of a machine's or container's memory that the engine may take; the task itself needs the rest."""

LIMITS = (pathlib.Path("/sys/fs/cgroup/memory.max"), pathlib.Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
"""Where Linux keeps a container's limit: control groups of version 2 and of version 1."""


def more_memory(files: SegmentFiles) -> str:
    """Return a limit that holds the largest row group, as far as the machine has that much.

    A footer tells the size of a row group. A page is never larger, and a writer may put all of it into one page.
    """
    largest = max((file.group_bytes for file in files.files), default=0)
    wanted = USUAL_BYTES + max(COPIES * largest, USUAL_BYTES)
    return f"{min(wanted, int(SHARE * available())) >> 20}MiB"


def available() -> int:
    """Return the memory of the machine, or of the container if it has less, in bytes."""
    sizes = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    for path in LIMITS:
        try:
            text = path.read_text().strip()
        except OSError:
            continue
        if text.isdecimal():
            sizes.append(int(text))
    return min(sizes)
