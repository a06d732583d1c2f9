"""Reads an audience in parts, so that a read can stop after any part and resume from its marker."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from airflow_provider_segexport.model import Audience, Operation

ReadPart = Callable[[Audience, str, Callable[[Any], None]], Operation[str]]
"""Reads the part of a list at a marker, empty for the first part. Returns the next marker, empty after the last."""


def read_parts(
    read_part: ReadPart,
    audience: Audience,
    on_page: Callable[[Any], None],
    *,
    start: str = "",
    on_marker: Callable[[str], None] = lambda _: None,
) -> Operation[None]:
    """Read all parts of a list, starting at a marker. A marker that repeats is read again, which ends the operation.

    Args:
        read_part: reads one part.
        audience: the audience.
        on_page: receives the people on each page.
        start: marker of the first part to read; empty for the beginning.
        on_marker: receives the marker of the next part after `on_page` has received all parts before it.
    """
    marker = start
    while True:
        following = yield from read_part(audience, marker, on_page)
        if not following:
            return
        on_marker(following)
        marker = following
