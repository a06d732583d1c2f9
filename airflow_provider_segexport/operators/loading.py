"""Imports what a task needs at run time without garbage collection."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def gc_disabled() -> Iterator[None]:
    """Disable garbage collection during the block.

    Importing many modules triggers a full collection over Airflow's 200,000 objects, which frees nothing. It takes a
    tenth of a second and writes to each object, so that a forked task no longer shares their memory with its parent.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
