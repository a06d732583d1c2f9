"""Reads the local path of a `file` URL."""

from __future__ import annotations

import re

from airflow_provider_segexport.errors import InvalidArgument

FILE_URL = re.compile(r"file:(?://([^/]*)(/.*)?|(/.*))", re.IGNORECASE | re.DOTALL)
"""A local file as a URL (RFC 8089): `file:///x`, `file:/x` or `file://localhost/x`. Its path is literal, so `%20` is
no space."""


def local_text(text: str) -> str | None:
    """Return the local path that a text names, also as a URL; None if it is the URL of another store.

    Raises:
        InvalidArgument: a `file` URL names another machine, or no path.
    """
    url = FILE_URL.fullmatch(text)
    if url is None:
        return None if "://" in text else text
    host, path = url[1] or "", url[2] or url[3] or ""
    is_other = host.lower() not in {"", "localhost"}
    if is_other or not path:
        problem = (
            f"names the machine {host!r}, but a `file` URL can only name this one" if is_other else "names no path"
        )
        raise InvalidArgument(
            f"{text!r} {problem}. To fix: name a path that this worker has, as file:///folder/file or /folder/file."
        )
    return path
