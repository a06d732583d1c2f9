"""The base URL of a connection: `host, port, schema -> https://...`, or an error that says how to write it."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

from airflow_provider_segexport.errors import InvalidConnection
from airflow_provider_segexport.trimming import trimmed
from airflow_provider_segexport.vendors.base import Vendor
from airflow_provider_segexport.vendors.endpoints import endpoint

SCHEMES = frozenset({"", "http", "https"})


def text_of(value: Any) -> str:
    """Return a field of a connection as a trimmed text; empty if it is null."""
    return "" if value is None else trimmed(str(value))


def base_url(conn_id: str, host: str | None, port: int | None, schema: str | None = None) -> str:
    """The base URL that an administrator set, with a scheme and without a trailing slash; empty when none is set.

    The port field (443 in the form, for Airflow's own sake) counts only where the address names a bare host, and so
    does the schema, which is https where it is empty.
    """
    text, scheme = text_of(host), text_of(schema).lower()
    if scheme not in SCHEMES or (scheme == "http" and not text) or ("://" in text and not _fits(text, scheme)):
        raise InvalidConnection(
            f"Connection {conn_id!r}: the schema is not http or https, or does not fit the base URL. "
            "To fix: leave 'Schema' empty, and write the base URL with its scheme, such as https://api.example.com."
        )
    if not text:
        return ""
    if "://" not in text:
        text = f"{scheme or 'https'}://{text}"
    leads = endpoint(text)
    if leads is None or "?" in text or leads.host in SCHEMES:
        raise InvalidConnection(
            f"Connection {conn_id!r}: the base URL is no address such as https://api.example.com. Leave it empty for "
            "the vendor's own, or give scheme and host; credentials go into their own fields."
        )
    names_port = re.search(r":[0-9]+(/|$)", text)
    if port and not names_port and port not in {80, 443} and not leads.path.strip("/"):
        text = text.rstrip("/") + f":{port}"
    return text.rstrip("/")


def scheme_of(schema: str | None, vendor: Vendor) -> str:
    """Return a connection's schema; the path of a connection's URI lands there, too, and may be the API's own."""
    text = text_of(schema)
    return "" if f"/{text.strip('/').lower()}" in vendor.api_paths else text


def _fits(host: str, scheme: str) -> bool:
    """Return whether a schema says what the base URL says."""
    return not scheme or host.lower().startswith(f"{scheme}://")


def without_path(api: str, vendor: Vendor) -> str:
    """Return the base URL without the path that each call adds to it, if an administrator has copied that too.

    A short path, such as `/v3`, may be a gateway's own: it is removed only from a host of the vendor's domain.
    """
    is_own = _domain(api) == _domain(vendor.base_url)
    for path in vendor.api_paths:
        if api.lower().endswith(path) and (is_own or path.count("/") > 1):
            return api[: -len(path)]
    return api


def _domain(url: str) -> str:
    return ".".join((urlsplit(url).hostname or "").split(".")[-2:])
