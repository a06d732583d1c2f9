"""Pages and cursors; a cursor encodes position, page size and filters."""

from __future__ import annotations

import base64
import binascii
import json
from typing import TYPE_CHECKING

from .errors import invalid

if TYPE_CHECKING:
    from airflow_provider_segexport.simulator.wire import Call

_DEFAULT_SIZE = 50  # swagger 3.0.178, read 2026-08


def page_size(call: Call, max_size: int) -> int:
    """Return the page size from the cursor or from `limit`; reject a limit above `max_size`."""
    if "cursor" in call.query:
        size = _decode(call.query["cursor"]).get("size")
        return size if isinstance(size, int) else _DEFAULT_SIZE
    text = call.query.get("limit", str(_DEFAULT_SIZE))
    if not text.isdigit() or not 1 <= int(text) <= max_size:
        raise invalid(f"limit must be between 1 and {max_size}")
    return int(text)


def position(call: Call, filters: dict[str, str], start: int = 0) -> tuple[int, dict[str, str]]:
    """Return the position at which the page starts, and the filters; a cursor overrides both.

    Args:
        call: the request.
        filters: filters of a call without cursor.
        start: position of the first page.
    """
    if "cursor" not in call.query:
        return start, filters
    content = _decode(call.query["cursor"])
    cursor_position, cursor_filters = content.get("at"), content.get("filters")
    if not isinstance(cursor_position, int) or not isinstance(cursor_filters, dict):
        raise invalid("cursor does not have a valid value")
    return cursor_position, {**filters, **cursor_filters}


def page_link(path: str, position: int, size: int, filters: dict[str, str]) -> dict[str, object]:
    """Return `_links` with a relative URL of the next page, as the vendor's (guide pages, read 2026-08).

    Args:
        path: path below `/v3`.
        position: position of the next page.
        size: page size.
        filters: filters to continue with.
    """
    content = {"at": position, "size": size, "filters": filters}
    cursor = base64.urlsafe_b64encode(json.dumps(content, separators=(",", ":")).encode()).decode()
    return {"next": {"href": f"/v3/{path}?cursor={cursor.rstrip('=')}"}}


def _decode(cursor: str) -> dict[str, object]:
    try:
        content = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (binascii.Error, ValueError):
        content = None
    if not isinstance(content, dict):
        raise invalid("cursor does not have a valid value")
    return content
