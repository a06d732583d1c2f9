"""Pages of an ordered listing, with cursors in both directions."""

from __future__ import annotations

import base64
import binascii
import json
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from itertools import islice
from math import inf
from typing import TYPE_CHECKING

from .errors import FieldError, invalid, wrong

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from airflow_provider_segexport.simulator.members import Members
    from airflow_provider_segexport.simulator.wire import Call

Json = dict[str, object]
Key = tuple[float | str, float]  # the sort key, and the number that orders equal keys

_LAST: dict[str, Key] = {"number": (inf, inf), "name": ("\U0010ffff", inf)}
_FIRST: dict[str, Key] = {"number": (-inf, -inf), "name": ("", -inf)}


class Sorted:
    """Keys in ascending order."""

    def __init__(self, keys: Sequence[Key]) -> None:
        self._keys = keys

    def after(self, key: Key) -> Iterator[Key]:
        """Yield the higher keys, ascending."""
        return (self._keys[index] for index in range(bisect_right(self._keys, key), len(self._keys)))

    def before(self, key: Key) -> Iterator[Key]:
        """Yield the lower keys, descending."""
        return (self._keys[index] for index in range(bisect_left(self._keys, key) - 1, -1, -1))


class ByNumber:
    """Members in the order of their numbers, which is the order of creation."""

    def __init__(self, members: Members) -> None:
        self._members = members

    def after(self, key: Key) -> Iterator[Key]:
        """Yield the higher keys, ascending."""
        return ((number, number) for number in self._members.after(_number(key)))

    def before(self, key: Key) -> Iterator[Key]:
        """Yield the lower keys, descending."""
        return ((number, number) for number in self._members.before(_number(key)))


class AllNumbers:
    """All contact numbers below a count."""

    def __init__(self, count: int) -> None:
        self._count = count

    def after(self, key: Key) -> Iterator[Key]:
        """Yield the higher keys, ascending."""
        return ((number, number) for number in range(max(0, _number(key) + 1), self._count))

    def before(self, key: Key) -> Iterator[Key]:
        """Yield the lower keys, descending."""
        return ((number, number) for number in range(min(self._count, _number(key)) - 1, -1, -1))


View = Sorted | ByNumber | AllNumbers


def _number(key: Key) -> int:
    return int(max(-1.0, min(key[1], 2.0**52)))


@dataclass(frozen=True, slots=True)
class Request:
    """A request for a page. With a cursor, filters and order are those of the cursor.

    `cursor_key` is the key at which the page starts, or None for the first page.
    """

    filters: dict[str, str]
    sort: str
    descending: bool
    limit: int
    cursor_key: Key | None
    backwards: bool

    @classmethod
    def read(cls, call: Call, filters: Collection[str], sorts: Sequence[str], max_size: int, default: int) -> Request:
        """Parse the query; reject unknown parameters, and filters that differ from the cursor's (vendor page, 2026-08).

        Args:
            call: the request.
            filters: names of the supported filters.
            sorts: names of the supported sort keys; the first is the default.
            max_size: maximum page size.
            default: default page size.
        """
        parameters = {*filters, "limit", "after", "before", "sort", "direction"}
        errors = [FieldError(n, "unknown_parameter", "Unknown parameter") for n in call.query if n not in parameters]
        limit = call.query.get("limit", str(default))
        if not limit.isdigit() or not 1 <= int(limit) <= max_size:
            errors.append(FieldError("limit", "out_of_range", f"Must be between 1 and {max_size}"))
        if call.query.get("sort", sorts[0]) not in sorts:
            errors.append(FieldError("sort", "invalid_value", f"Must be one of: {', '.join(sorts)}"))
        if call.query.get("direction", "desc") not in ("asc", "desc"):
            errors.append(FieldError("direction", "invalid_value", "Must be one of: asc, desc"))
        if "after" in call.query and "before" in call.query:
            errors.append(FieldError("before", "invalid_combination", "Cannot be used with after"))
        if errors:
            raise invalid(*errors)
        given = {name: call.query[name] for name in filters if name in call.query}
        order = {"sort": call.query.get("sort", sorts[0]), "direction": call.query.get("direction", "desc")}
        backwards = "before" in call.query
        cursor = call.query.get("before", call.query.get("after"))
        if cursor is None:
            return cls(given, order["sort"], order["direction"] == "desc", int(limit), None, backwards)
        cursor_query, cursor_key = _decode(cursor)
        sent = {**given, **{name: call.query[name] for name in order if name in call.query}}
        if any(cursor_query.get(name) != value for name, value in sent.items()):
            raise wrong("after", "Filters and order cannot change between pages", "invalid_cursor")
        cursor_filters = {name: value for name, value in cursor_query.items() if name not in order}
        descending = cursor_query["direction"] == "desc"
        return cls(cursor_filters, cursor_query["sort"], descending, int(limit), cursor_key, backwards)

    def page(self, view: View) -> tuple[list[Key], Json]:
        """Return the keys of the page, and the response's `paging`."""
        kind = "name" if self.sort == "name" else "number"
        towards_lower = self.descending != self.backwards
        start = self.cursor_key or (_LAST if towards_lower else _FIRST)[kind]
        walk = view.before(start) if towards_lower else view.after(start)
        keys = list(islice(walk, self.limit + 1))
        more, keys = len(keys) > self.limit, keys[: self.limit]
        if self.backwards:
            keys.reverse()
        following = bool(keys) and (more or self.backwards)
        preceding = bool(keys) and (more if self.backwards else self.cursor_key is not None)
        cursors = {
            "after": self._cursor(keys[-1]) if following else None,
            "before": self._cursor(keys[0]) if preceding else None,
        }
        return keys, {"limit": self.limit, "hasMore": following, "cursors": cursors}

    def _cursor(self, key: Key) -> str:
        direction = "desc" if self.descending else "asc"
        content = {"key": list(key), "query": {**self.filters, "sort": self.sort, "direction": direction}}
        return base64.urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")


def _decode(cursor: str) -> tuple[dict[str, str], Key]:
    try:
        content = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        first, second = content["key"]
        query = {str(name): str(text) for name, text in content["query"].items()}
    except (binascii.Error, ValueError, TypeError, KeyError, AttributeError):
        raise wrong("after", "Cursor is invalid", "invalid_cursor") from None
    return query, (first, second)
