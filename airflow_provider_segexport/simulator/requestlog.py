"""Request log: all requests in order of arrival. Credentials are masked, and the total size of bodies is limited."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .wire import Call

BODY_BYTES = 64_000_000
# Each vendor has its own header name for an API key, such as X-API-Key, Api-Token or X-Vendor-Key.
_SECRET_HEADER = re.compile(r"(proxy-)?authorization|(set-)?cookie|(?!idempotency-).*(key|token|secret)")
_SECRET_FIELDS = frozenset(
    {"refresh_token", "client_secret", "access_token", "code", "password", "device_code", "code_verifier"}
)
_MASK = "***"


@dataclass(slots=True)
class Entry:
    """One request and its response; `status` is None while the request is under way, or if it was dropped."""

    number: int
    time: float
    vendor: str
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    size: int
    body: bytes | None
    notes: list[str]
    facts: dict[str, int]
    status: int | None = None
    outcome: str = "under way"
    reply_bytes: int = 0
    fault: bool = False

    def as_json(self) -> dict[str, object]:
        """Return the entry for the control API; the body is parsed JSON, a form as a dict, or text."""
        return {
            "number": self.number,
            "time": self.time,
            "vendor": self.vendor,
            "method": self.method,
            "path": self.path,
            "query": self.query,
            "headers": self.headers,
            "bytes": self.size,
            "body": self._body(),
            "body_kept": self.body is not None,
            "status": self.status,
            "outcome": self.outcome,
            "reply_bytes": self.reply_bytes,
            "fault": self.fault,
            "facts": self.facts,
            "notes": self.notes,
        }

    def _body(self) -> object:
        if not self.body:
            return None
        text = self.body.decode("utf-8", "replace")
        if self.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
            form = dict(parse_qsl(text, keep_blank_values=True))
            return {k: _MASK if k in _SECRET_FIELDS else v for k, v in form.items()}
        try:
            return json.loads(text)
        except ValueError:
            return text


class RequestLog:
    """Entries since the last reset. `budget` is the number of bytes left for bodies; larger bodies are not kept."""

    def __init__(self, body_bytes: int = BODY_BYTES) -> None:
        self.budget = body_bytes
        self._entries: list[Entry] = []

    def add(self, call: Call) -> Entry:
        """Append a request and return its entry."""
        size = len(call.body)
        keep = size <= self.budget
        self.budget -= size if keep else 0
        entry = Entry(
            number=len(self._entries) + 1,
            time=call.now,
            vendor=call.vendor,
            method=call.method,
            path=call.path,
            query=call.query,
            headers={k: _masked(k, v) for k, v in call.headers.items()},
            size=size,
            body=call.body if keep else None,
            notes=call.notes,
            facts=call.facts,
        )
        self._entries.append(entry)
        return entry

    def since(self, after: int = 0, vendor: str | None = None) -> Iterator[Entry]:
        """Yield the entries numbered above `after`, oldest first."""
        for entry in self._entries[max(after, 0) :]:
            if vendor in (None, entry.vendor):
                yield entry

    def __contains__(self, entry: object) -> bool:
        """Whether this log has the entry, which it lost if a reset took place since."""
        return isinstance(entry, Entry) and any(
            entry is stored for stored in self._entries[entry.number - 1 : entry.number]
        )

    def __len__(self) -> int:
        """Return the number of requests."""
        return len(self._entries)


def _masked(name: str, value: str) -> str:
    if not _SECRET_HEADER.fullmatch(name):
        return value
    scheme, _, rest = value.partition(" ")
    return f"{scheme} {_MASK}" if rest else _MASK
