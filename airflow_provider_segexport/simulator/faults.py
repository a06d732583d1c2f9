"""Scripted faults: each selects requests, and changes, delays or drops the responses to them."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from .settings import ControlError, changed
from .wire import Reply

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from .wire import Call

_PAGE = "<!DOCTYPE html><html><head><title>{0}</title></head><body><h1>{0}</h1></body></html>"
_GOOD_GATEWAY_STATUS = 502


@dataclass(frozen=True)
class Fault:
    """One line of the fault script.

    A request matches if it has this vendor, method and path (a regular expression), and `contains` occurs in its body,
    path or query. The fault affects the `nth` matching request and the `count - 1` matching requests after it; with
    `count` 0, all from the `nth` on. With `when="before"` the request has no effect at the vendor, unless the fault
    only delays it. With "after" the vendor processes the request first.
    """

    vendor: str | None = None
    method: str | None = None
    path: str | None = None
    contains: str | None = None
    nth: int = 1
    count: int = 1
    when: Literal["before", "after"] = "before"
    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    body: str | dict[str, object] | list[object] | None = None
    delay: float = 0.0
    drop: bool = False
    garble: Literal["truncated", "html"] | None = None
    refuse: bool = False

    @classmethod
    def read(cls, line: Mapping[str, object]) -> Fault:
        """Build a fault from its JSON form; raise `ControlError` for an unknown key, a bad value or a bad pattern."""
        fault = changed(cls(), line)
        try:
            re.compile(fault.path or "")
        except re.error as exc:
            raise ControlError(f"path {fault.path!r} is not a regular expression: {exc}") from exc
        if not (fault.has_reply or fault.delay or fault.drop or fault.garble):
            raise ControlError("a fault needs one of: status, body, headers, delay, drop, garble, refuse")
        return fault

    @property
    def has_reply(self) -> bool:
        """Whether the fault itself defines the response, at least in part."""
        return self.status is not None or self.body is not None or self.refuse or bool(self.headers)

    def matches(self, call: Call) -> bool:
        """Whether the fault's conditions select the request, regardless of `nth` and `count`."""
        return (
            self.vendor in (None, call.vendor)
            and self.method in (None, call.method)
            and (self.path is None or re.search(self.path, call.path) is not None)
            and (self.contains is None or call.mentions(self.contains))
        )

    def alter(self, reply: Reply) -> Reply:
        """Return the response that the client gets instead of the vendor's reply."""
        if self.garble == "html":
            status = self.status or _GOOD_GATEWAY_STATUS
            return Reply.text(_PAGE.format("Bad gateway"), status, "text/html")
        if self.garble == "truncated":
            first_half = reply.body[: len(reply.body) // 2] or b"{"
            return Reply(self.status or reply.status, first_half, reply.headers | self.headers)
        if isinstance(self.body, str):
            altered = Reply.text(self.body, self.status or reply.status)
        elif self.body is not None:
            altered = Reply.json(self.body, self.status or reply.status)
        elif self.status is not None:
            altered = Reply(self.status)
        else:
            altered = reply
        altered.headers = altered.headers | self.headers
        return altered


class FaultScript:
    """The scripted faults, each with the number of requests that have matched it."""

    def __init__(self) -> None:
        self._lines: list[tuple[Fault, list[int]]] = []

    def add(self, lines: Iterable[Mapping[str, object]]) -> None:
        """Append lines to the script; if one is invalid, raise `ControlError` and add none."""
        self._lines += [(Fault.read(line), [0]) for line in lines]

    def clear(self) -> None:
        """Remove all lines."""
        self._lines.clear()

    def select(self, call: Call) -> tuple[Fault | None, bool]:
        """Count the request in every line that it matches, and select the fault that affects it.

        Returns:
            The first line that is due, or None; and whether a later due line with `refuse` and `when="before"` makes
            the vendor reject the request. If the first line has `when="after"`, it alters that rejection, so a request
            that is always rejected has no effect even if its reply is dropped.
        """
        due = []
        for fault, matched in self._lines:
            if not fault.matches(call):
                continue
            matched[0] += 1
            if matched[0] >= fault.nth and (not fault.count or matched[0] < fault.nth + fault.count):
                due.append(fault)
        return due[0] if due else None, any(fault.refuse and fault.when == "before" for fault in due[1:])

    def as_json(self) -> list[dict[str, object]]:
        """Return the lines with their non-default values; `fitted` is the number of requests that matched."""
        defaults = Fault()
        shown = []
        for fault, matched in self._lines:
            given = {k: v for k, v in vars(fault).items() if v != getattr(defaults, k)}
            shown.append(given | {"fitted": matched[0]})
        return json.loads(json.dumps(shown)) if shown else []
