"""Loads what a task needs when it runs, without looking for garbage meanwhile."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without_collecting() -> Iterator[None]:
    """Modules are no garbage, and so many that Python looks for some: through all that Airflow holds, 200,000 objects.

    That takes a tenth of a second, and each object is written to: a forked task no longer shares them with the process
    that it comes from.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
