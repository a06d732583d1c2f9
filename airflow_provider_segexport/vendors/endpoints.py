"""Which hosts credentials may be sent to: `URL of a reply or of an extra -> URL, or nothing`.

URL parsers disagree about user info, backslashes, tabs, `#` and `?` in a host. So nothing is parsed leniently here: a
URL is taken only if it is spelled in the one form that all of them read alike.
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
    """Where a URL leads: scheme and host in lower case, the port that is called, path and query as they are spelled."""

    scheme: str
    host: str
    port: int
    path: str
    query: str

    @property
    def origin(self) -> tuple[str, str, int]:
        """What two URLs share if they lead to the same server."""
        return self.scheme, self.host, self.port


def parse_endpoint(url: str) -> Endpoint | None:
    """Return where a URL leads; None unless it is an absolute http or https URL in its plain ASCII form.

    User info, a fragment, a backslash, white space, control characters, an escaped or non-ASCII host, an empty label
    and a trailing dot are no plain form. An international name is plain in its `xn--` spelling.
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
    """Whether a URL leads to a host that a vendor's credentials may be sent to.

    Args:
        url: from a reply of the vendor, or from the connection's extra.
        domains: the vendor's; a host is below one of them or equal to it, by https on port 443.
        own: the base URL that an administrator has set; its own server passes. Empty where none was set.
    """
    leads = parse_endpoint(url)
    if leads is None:
        return False
    own_server = parse_endpoint(own) if own else None
    if own_server is not None and leads.origin == own_server.origin:
        return True
    theirs = any(leads.host == domain or leads.host.endswith(f".{domain}") for domain in domains)
    return theirs and (leads.scheme, leads.port) == ("https", 443)
