"""A vendor's paths: which handler answers, or why none does."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import unquote

from airflow_provider_segexport.counted import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .wire import Call, Reply

_PARAM = re.compile(r"\{(\w+)(?::([^}]+))?\}")


def _compile(template: str) -> re.Pattern[str]:
    """Turn `/lists/{id}.json` into a pattern; `{state:active|deleted}` limits a parameter."""
    parts: list[str] = []
    at = 0
    for match in _PARAM.finditer(template):
        parts.append(re.escape(template[at : match.start()]))
        parts.append(f"(?P<{match[1]}>{match[2] or '[^/]+'})")
        at = match.end()
    parts.append(re.escape(template[at:]))
    return re.compile("".join(parts))


@dataclass(frozen=True)
class Route:
    """A method, a path template and its handler; `tag` is a fact for the vendor's own use."""

    method: str
    template: str
    handler: Callable[[Call], Reply]
    tag: str = ""
    pattern: re.Pattern[str] = field(init=False)

    def __post_init__(self) -> None:
        """Compile the template once."""
        object.__setattr__(self, "pattern", _compile(self.template))

    def takes(self, path: str) -> dict[str, str] | None:
        """Return the path's parameters, or None where the path is another."""
        match = self.pattern.fullmatch(path)
        return match and {name: unquote(text) for name, text in match.groupdict().items()}

    def why_not(self, method: str, path: str) -> tuple[int, str]:
        """Say why this route did not answer, with a score: the higher, the nearer it was."""
        if self.pattern.fullmatch(path):
            return 1000, f"the method is {self.method}, not {method}"
        theirs, ours = path.split("/"), self.template.split("/")
        pairs = list(zip(theirs, ours, strict=False))
        alike = [_compile(wanted).fullmatch(got) is not None for got, wanted in pairs]
        score = 2 * sum(alike) - abs(len(theirs) - len(ours)) + (method == self.method)
        if all(alike):
            return score, f"it has {counted(len(ours) - 1, 'segment')}, the request {len(theirs) - 1}"
        depth = alike.index(False)
        got, wanted = pairs[depth]
        return score, f"segment {depth} is {wanted!r}, not {got!r}"


class RouteTable:
    """Routes in the order in which they are tried."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self.routes = tuple(routes)

    def find(self, method: str, path: str) -> tuple[Route, dict[str, str]] | None:
        """Return the route that answers, with its parameters."""
        for route in self.routes:
            if route.method == method:
                params = route.takes(path)
                if params is not None:
                    return route, params
        return None

    def near_misses(self, method: str, path: str, most: int = 3) -> list[str]:
        """Name the nearest routes and why each did not match."""
        judged = [(*route.why_not(method, path), route) for route in self.routes]
        judged.sort(key=lambda item: -item[0])
        return [f"{r.method} {r.template}: {reason}" for _, reason, r in judged[:most]]
