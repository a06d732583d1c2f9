"""Cursors: opaque text that holds position, page size and filters."""

from __future__ import annotations

import base64
import binascii
import json
from typing import TYPE_CHECKING

from .errors import invalid

if TYPE_CHECKING:
    from airflow_provider_segexport.simulator.wire import Call

_DEFAULT_SIZE = 50  # swagger 3.0.178, read 2026-08


def page_size(call: Call, most: int) -> int:
    """Read `limit`, or take it from the cursor."""
    if "cursor" in call.query:
        size = _open(call.query["cursor"]).get("size")
        return size if isinstance(size, int) else _DEFAULT_SIZE
    text = call.query.get("limit", str(_DEFAULT_SIZE))
    if not text.isdigit() or not 1 <= int(text) <= most:
        raise invalid(f"limit must be between 1 and {most}")
    return int(text)


def position(call: Call, filters: dict[str, str], start: int = 0) -> tuple[int, dict[str, str]]:
    """Return where a page begins, and the filters, which a cursor carries along."""
    if "cursor" not in call.query:
        return start, filters
    held = _open(call.query["cursor"])
    at, carried = held.get("at"), held.get("filters")
    if not isinstance(at, int) or not isinstance(carried, dict):
        raise invalid("cursor does not have a valid value")
    return at, {**filters, **carried}


def page_link(path: str, at: int, size: int, filters: dict[str, str]) -> dict[str, object]:
    """Write `_links` with the next page: relative, as the vendor's (guide pages, read 2026-08)."""
    held = {"at": at, "size": size, "filters": filters}
    cursor = base64.urlsafe_b64encode(json.dumps(held, separators=(",", ":")).encode()).decode()
    return {"next": {"href": f"/v3/{path}?cursor={cursor.rstrip('=')}"}}


def _open(cursor: str) -> dict[str, object]:
    try:
        held = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (binascii.Error, ValueError):
        held = None
    if not isinstance(held, dict):
        raise invalid("cursor does not have a valid value")
    return held
