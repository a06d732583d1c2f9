"""Builds the base URL of a connection from its host, port and schema."""

from __future__ import annotations

import re
from contextlib import suppress
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from airflow_provider_segexport.errors import InvalidConnection
from airflow_provider_segexport.trimming import trimmed
from airflow_provider_segexport.vendors.base import Vendor
from airflow_provider_segexport.vendors.endpoints import parse_endpoint

SCHEMES = frozenset({"", "http", "https"})


def is_loopback(url: str) -> bool:
    """Return whether the host of a URL is `localhost` or a loopback address, as for the simulator."""
    endpoint = parse_endpoint(url)
    host = endpoint.host.strip("[]") if endpoint is not None else ""
    with suppress(ValueError):
        address = ip_address(host)
        return (getattr(address, "ipv4_mapped", None) or address).is_loopback
    return host == "localhost" or host.endswith(".localhost")


def text_of(value: Any) -> str:
    """Return a field of a connection as trimmed text; empty if it is None."""
    return "" if value is None else trimmed(str(value))


def base_url(conn_id: str, host: str | None, port: int | None, schema: str | None = None) -> str:
    """Return the base URL that an administrator set.

    Args:
        conn_id: id of the connection, for error messages.
        host: a bare host, or a URL with scheme, port or path; None or empty: the vendor's own base URL applies.
        port: ignored if it is None, 80 or 443 (the form's default), or if `host` has a port or path of its own.
        schema: `http`, `https` or empty (https). It must agree with a scheme in `host`.

    Returns:
        A URL with a scheme and without a trailing slash; empty if no host is set.

    Raises:
        InvalidConnection: the fields do not form a URL, or contain a query or credentials.
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
    target = parse_endpoint(text)
    if target is None or "?" in text or target.host in SCHEMES:
        raise InvalidConnection(
            f"Connection {conn_id!r}: the base URL is not a URL such as https://api.example.com. To fix: leave it "
            "empty to use the vendor's own, or enter scheme and host; enter credentials in their own fields."
        )
    has_port = re.search(r":[0-9]+(/|$)", text)
    if port and not has_port and port not in {80, 443} and not target.path.strip("/"):
        text = text.rstrip("/") + f":{port}"
    return text.rstrip("/")


def scheme_of(schema: str | None, vendor: Vendor) -> str:
    """Return a connection's schema; empty if it is an API path, because a connection URI stores its path there."""
    text = text_of(schema)
    return "" if f"/{text.strip('/').lower()}" in vendor.api_paths else text


def _fits(host: str, scheme: str) -> bool:
    """Return whether a schema agrees with the scheme of a base URL."""
    return not scheme or host.lower().startswith(f"{scheme}://")


def without_path(api: str, vendor: Vendor) -> str:
    """Return the base URL without the API path that each call adds, because an administrator may have copied the path.

    A short path such as `/v3` may belong to a gateway, so it is removed only from a host in the vendor's domain.
    """
    is_vendor_domain = _domain(api) == _domain(vendor.base_url)
    for path in vendor.api_paths:
        if api.lower().endswith(path) and (is_vendor_domain or path.count("/") > 1):
            return api[: -len(path)]
    return api


def _domain(url: str) -> str:
    return ".".join((urlsplit(url).hostname or "").split(".")[-2:])
