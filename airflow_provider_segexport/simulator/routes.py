"""Route table of a vendor: finds the handler of a request, or explains why none matches."""

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
    """Compile a path template such as `/lists/{id}.json`; `{state:active|deleted}` restricts a parameter's values."""
    parts: list[str] = []
    start = 0
    for match in _PARAM.finditer(template):
        parts.append(re.escape(template[start : match.start()]))
        parts.append(f"(?P<{match[1]}>{match[2] or '[^/]+'})")
        start = match.end()
    parts.append(re.escape(template[start:]))
    return re.compile("".join(parts))


@dataclass(frozen=True)
class Route:
    """A method, a path template and its handler.

    `tag` is for the vendor's `admit`, for example the OAuth scope or the rate limit tier of the route.
    """

    method: str
    template: str
    handler: Callable[[Call], Reply]
    tag: str = ""
    pattern: re.Pattern[str] = field(init=False)

    def __post_init__(self) -> None:
        """Compile the template."""
        object.__setattr__(self, "pattern", _compile(self.template))

    def parameters(self, path: str) -> dict[str, str] | None:
        """Return the decoded path parameters, or None if the path does not match."""
        match = self.pattern.fullmatch(path)
        return match and {name: unquote(text) for name, text in match.groupdict().items()}

    def mismatch(self, method: str, path: str) -> tuple[int, str]:
        """Return a similarity score (higher is closer) and the reason why this route does not match the request."""
        if self.pattern.fullmatch(path):
            return 1000, f"the method is {self.method}, not {method}"
        actual, expected = path.split("/"), self.template.split("/")
        pairs = list(zip(actual, expected, strict=False))
        matches = [_compile(template).fullmatch(segment) is not None for segment, template in pairs]
        score = 2 * sum(matches) - abs(len(actual) - len(expected)) + (method == self.method)
        if all(matches):
            return score, f"it has {counted(len(expected) - 1, 'segment')}, the request {len(actual) - 1}"
        depth = matches.index(False)
        segment, template = pairs[depth]
        return score, f"segment {depth} is {template!r}, not {segment!r}"


class RouteTable:
    """The routes of a vendor; the first that matches is used."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self.routes = tuple(routes)

    def find(self, method: str, path: str) -> tuple[Route, dict[str, str]] | None:
        """Return the matching route and the path parameters, or None."""
        for route in self.routes:
            if route.method == method:
                params = route.parameters(path)
                if params is not None:
                    return route, params
        return None

    def near_misses(self, method: str, path: str, max_routes: int = 3) -> list[str]:
        """Return the most similar routes, each with the reason why it does not match.

        Args:
            method: the request's method.
            path: the request's path.
            max_routes: maximum number of routes.
        """
        scored = [(*route.mismatch(method, path), route) for route in self.routes]
        scored.sort(key=lambda item: -item[0])
        return [f"{r.method} {r.template}: {reason}" for _, reason, r in scored[:max_routes]]
