"""Requests and replies, independent of the web framework."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, quote, unquote


class BodyError(Exception):
    """The request body cannot be parsed, or is not an object."""


def _not_json(constant: str) -> object:
    raise ValueError(f"{constant} is not JSON")


@dataclass(slots=True)
class Call:
    """One request to a vendor.

    `path` is undecoded and without the vendor's prefix. `now` is the time of arrival, `in_flight` the number of
    concurrent requests including this one. `params` has the path parameters. `notes` and `facts` go into the request
    log.
    """

    vendor: str
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes
    now: float
    in_flight: int = 1
    params: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    facts: dict[str, int] = field(default_factory=dict)

    def json(self) -> object:
        """Parse the body; raise `BodyError` if it is not JSON in UTF-8, which has no `NaN` (RFC 8259)."""
        try:
            return json.loads(self.body.decode(), parse_constant=_not_json)
        except ValueError as exc:
            raise BodyError(str(exc)) from exc

    def json_object(self) -> dict[str, object]:
        """Parse the body; raise `BodyError` if it is not a JSON object."""
        value = self.json()
        if not isinstance(value, dict):
            raise BodyError(f"expected an object, got {type(value).__name__}")
        return value

    @property
    def has_other_type(self) -> bool:
        """Whether there is a body that the `Content-Type` header does not declare as JSON."""
        media_type = self.headers.get("content-type", "").partition(";")[0]
        return bool(self.body) and media_type.strip().lower() != "application/json"

    def form(self) -> dict[str, str]:
        """Parse a form body; undecodable bytes are replaced."""
        return dict(parse_qsl(self.body.decode("utf-8", "replace"), keep_blank_values=True))

    def note(self, text: str) -> None:
        """Add a note on this request to the request log."""
        self.notes.append(text)

    def count(self, what: str, number: int = 1) -> None:
        """Add to a count of this request in the request log."""
        self.facts[what] = self.facts.get(what, 0) + number

    def mentions(self, text: str) -> bool:
        """Whether body, path or query contain `text`, plain or escaped."""
        in_body = text.encode() in self.body or json.dumps(text)[1:-1].encode() in self.body
        if in_body or quote(text, safe="").encode() in self.body:
            return True
        return text in unquote(self.path) or any(text in value for value in self.query.values())


@dataclass(slots=True)
class Reply:
    """One response."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)

    @classmethod
    def json(cls, value: object, status: int = 200, headers: dict[str, str] | None = None) -> Reply:
        """Build a reply with compact JSON.

        Args:
            value: the body.
            status: HTTP status.
            headers: additional headers.
        """
        body = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
        content_type = {"content-type": "application/json; charset=utf-8"}
        return cls(status, body, content_type | (headers or {}))

    @classmethod
    def text(cls, text: str, status: int = 200, kind: str = "text/plain") -> Reply:
        """Build a reply with text or an HTML page.

        Args:
            text: the body.
            status: HTTP status.
            kind: media type.
        """
        return cls(status, text.encode(), {"content-type": f"{kind}; charset=utf-8"})


class RefusedError(Exception):
    """The vendor rejects the call with `reply`."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.status)
        self.reply = reply
