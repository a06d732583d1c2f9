"""Checks whether the host of a URL, from a response or from a connection's extra, may receive credentials.

URL parsers disagree about user info, backslashes, tabs, `#` and `?` in a host, so this module accepts only URLs that
all parsers read in the same way.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9])?"
_URL = re.compile(
    rf"(?P<scheme>https?)://(?P<host>{_LABEL}(?:\.{_LABEL})*|\[[0-9A-Fa-f:.]{{2,45}}\])(?::(?P<port>[0-9]{{1,5}}))?"
    r"(?P<path>/[A-Za-z0-9._~!$&'()*+,;=:@%/-]*)?(?P<query>\?[!\"$-\[\]-~]*)?",
    re.ASCII | re.IGNORECASE,
)
_PORTS = {"http": 80, "https": 443}
MAX_PORT = 65_535


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A parsed URL: scheme and host in lower case, the port that is called, path and query as written."""

    scheme: str
    host: str
    port: int
    path: str
    query: str

    @property
    def origin(self) -> tuple[str, str, int]:
        """Return scheme, host and port: two URLs with the same origin lead to the same server."""
        return self.scheme, self.host, self.port


def parse_endpoint(url: str) -> Endpoint | None:
    """Parse a URL; return None unless it is an absolute http or https URL in plain ASCII form.

    User info, a fragment, a backslash, white space, control characters, an escaped or non-ASCII host, an empty label
    or a trailing dot are rejected. An international name is accepted in its `xn--` form.
    """
    parts = _URL.fullmatch(url)
    if parts is None:
        return None
    scheme = parts["scheme"].lower()
    port = int(parts["port"]) if parts["port"] else _PORTS[scheme]
    if not 0 < port <= MAX_PORT:
        return None
    return Endpoint(scheme, parts["host"].lower(), port, parts["path"] or "", parts["query"] or "")


def is_vendor_host(url: str, domains: Sequence[str], own: str = "") -> bool:
    """Return whether a vendor's credentials may be sent to a URL.

    Args:
        url: URL from a response of the vendor, or from the connection's extra.
        domains: the vendor's domains. The host must be one of them or a subdomain, with https on port 443.
        own: base URL that the administrator has set; its origin is also accepted. Empty if none is set.
    """
    endpoint = parse_endpoint(url)
    if endpoint is None:
        return False
    own_endpoint = parse_endpoint(own) if own else None
    if own_endpoint is not None and endpoint.origin == own_endpoint.origin:
        return True
    in_domains = any(endpoint.host == domain or endpoint.host.endswith(f".{domain}") for domain in domains)
    return in_domains and (endpoint.scheme, endpoint.port) == ("https", 443)
