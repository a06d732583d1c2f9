"""Scripted faults: which request they strike, and what the client then sees."""

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
    """One line of the script.

    Strikes the `nth` request that fits vendor, method, path (a regular expression) and `contains`
    (text in body, path or query), and the `count - 1` fitting requests after it; count 0 = all.
    `when` says whether the vendor's rules run first: "before" = no effect, "after" = it took place.
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
        """Build a fault from its JSON form; unknown keys and bad patterns are refused."""
        fault = changed(cls(), line)
        try:
            re.compile(fault.path or "")
        except re.error as exc:
            raise ControlError(f"path {fault.path!r} is no regular expression: {exc}") from exc
        if not (fault.answers or fault.delay or fault.drop or fault.garble):
            raise ControlError("a fault needs one of: status, body, headers, delay, drop, garble, refuse")
        return fault

    @property
    def answers(self) -> bool:
        """Whether it brings an answer of its own."""
        return self.status is not None or self.body is not None or self.refuse or bool(self.headers)

    def fits(self, call: Call) -> bool:
        """Whether this is one of the requests that are counted."""
        return (
            self.vendor in (None, call.vendor)
            and self.method in (None, call.method)
            and (self.path is None or re.search(self.path, call.path) is not None)
            and (self.contains is None or call.mentions(self.contains))
        )

    def spoil(self, reply: Reply) -> Reply:
        """Turn the vendor's reply into what the client gets."""
        if self.garble == "html":
            status = self.status or _GOOD_GATEWAY_STATUS
            return Reply.text(_PAGE.format("Bad gateway"), status, "text/html")
        if self.garble == "truncated":
            cut = reply.body[: len(reply.body) // 2] or b"{"
            return Reply(self.status or reply.status, cut, reply.headers | self.headers)
        if isinstance(self.body, str):
            spoilt = Reply.text(self.body, self.status or reply.status)
        elif self.body is not None:
            spoilt = Reply.json(self.body, self.status or reply.status)
        elif self.status is not None:
            spoilt = Reply(self.status)
        else:
            spoilt = reply
        spoilt.headers = spoilt.headers | self.headers
        return spoilt


class FaultScript:
    """The faults to come, each with how many requests it has fitted."""

    def __init__(self) -> None:
        self._lines: list[tuple[Fault, list[int]]] = []

    def add(self, lines: Iterable[Mapping[str, object]]) -> None:
        """Append to the script; nothing is added when one line is wrong."""
        self._lines += [(Fault.read(line), [0]) for line in lines]

    def clear(self) -> None:
        """Forget the script."""
        self._lines.clear()

    def strike(self, call: Call) -> tuple[Fault | None, bool]:
        """Count the request on every line it fits.

        Returns:
            The first line whose turn it is, and whether the vendor itself refuses the request. A line with
            `when="after"` spoils that refusal then: content that is always refused takes no effect before a lost reply.
        """
        due = []
        for fault, seen in self._lines:
            if not fault.fits(call):
                continue
            seen[0] += 1
            if seen[0] >= fault.nth and (not fault.count or seen[0] < fault.nth + fault.count):
                due.append(fault)
        return due[0] if due else None, any(fault.refuse and fault.when == "before" for fault in due[1:])

    def as_json(self) -> list[dict[str, object]]:
        """Show the script with the number of requests each line has fitted."""
        plain = Fault()
        shown = []
        for fault, seen in self._lines:
            given = {k: v for k, v in vars(fault).items() if v != getattr(plain, k)}
            shown.append(given | {"fitted": seen[0]})
        return json.loads(json.dumps(shown)) if shown else []
