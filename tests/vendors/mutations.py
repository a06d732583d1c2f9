"""Mutates responses: a member is missing, null, of another type, or has an undocumented value."""

from __future__ import annotations

import copy
import io
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPResponse

At = tuple[str, ...]
"""Names of members from the outside in; `*` means every item of a list."""

ENUMS = re.compile(r"(?i)(status|state|type|datatype|reason|failurecode|privilege_name|permission_to_send)")
"""Members whose value is one of a set of words."""

WORD = "somethingNew"
LENGTHS = {"content-length", "content-encoding"}
IDS = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{24,32}|\d+(-\d+)*|[^/]*(%40|@)[^/]*")


@dataclass(frozen=True, order=True)
class Endpoint:
    """A kind of call, by method and path; ids, dates and addresses in the path count as one."""

    method: str
    path: str

    @classmethod
    def of(cls, method: str, url: str, prefix: str) -> Endpoint:
        path = url.partition("?")[0].partition(prefix)[2]
        parts = [part.removesuffix(".json") for part in path.split("/")]
        return cls(method, "/".join("{}" if IDS.fullmatch(part) else part for part in parts))

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


@dataclass(frozen=True, order=True)
class Mutation:
    """One change of one member in all replies of an endpoint."""

    endpoint: Endpoint
    at: At
    way: str

    def __str__(self) -> str:
        return f"{self.endpoint} {'.'.join(self.at) or 'body'} {self.way}"

    def of(self, body: Any) -> Any:
        """Return the body with that member changed wherever it occurs."""
        if not self.at:
            return changed(body, self.way)
        body = copy.deepcopy(body)
        for holder in holders(body, self.at[:-1]):
            name = self.at[-1]
            if name == "*":
                holder[:] = [changed(item, self.way) for item in holder]
            elif name in holder and self.way == "absent":
                del holder[name]
            elif name in holder:
                holder[name] = changed(holder[name], self.way)
        return body


def changed(value: Any, way: str) -> Any:
    """Return the mutated value."""
    return {"null": None, "unknown word": WORD}.get(way, of_another_type(value))


def of_another_type(value: Any) -> Any:
    """Return a value of a type that the contract does not name."""
    others = {
        bool: "maybe",
        int: {"value": value},
        float: {"value": value},
        str: 7,
        list: {"items": value},
        dict: [value],
    }
    return others.get(type(value), "null")


def holders(body: Any, path: At) -> Iterator[Any]:
    """Every value in a body at a path."""
    if not path:
        if isinstance(body, dict | list):
            yield body
    elif path[0] == "*":
        for item in body if isinstance(body, list) else ():
            yield from holders(item, path[1:])
    elif isinstance(body, dict) and path[0] in body:
        yield from holders(body[path[0]], path[1:])


def members(body: Any, at: At = ()) -> Iterator[tuple[At, Any]]:
    """Every path of a body with its value; the custom fields of a person are one member."""
    yield at, body
    if isinstance(body, list):
        for item in body:
            yield from members(item, (*at, "*"))
    elif isinstance(body, dict):
        for name, value in body.items():
            yield from members(value, (*at, name))


def ways(at: At, value: Any) -> Iterator[str]:
    """Yield the mutations that apply to a member."""
    if at and at[-1] != "*":
        yield "absent"
        if isinstance(value, str) and ENUMS.fullmatch(at[-1]):
            yield "unknown word"
    if at:
        yield "null"
    yield "another type"


@dataclass
class Tap:
    """A proxy between the product and the simulator: records replies, and mutates those of one endpoint.

    Attributes:
        prefix: what paths begin behind.
        mutation: the change; None to record alone.
        seen: the mutations that the replies allow, as recorded.
        struck: how many replies were changed.
    """

    prefix: str
    mutation: Mutation | None = None
    seen: set[Mutation] = field(default_factory=set)
    struck: int = 0

    def __call__(self, method: str, url: str, body: bytes) -> bytes:
        endpoint = Endpoint.of(method, url, self.prefix)
        try:
            value = json.loads(body)
        except ValueError:
            return body
        if self.mutation is None:
            self.seen.update(Mutation(endpoint, at, way) for at, path in members(value) for way in ways(at, path))
        elif self.mutation.endpoint == endpoint:
            mutated = self.mutation.of(value)
            self.struck += mutated != value
            return json.dumps(mutated).encode()
        return body


class Tapped(HTTPAdapter):
    """Sends calls, and hands on each body as the tap returns it."""

    def __init__(self, tap: Callable[[str, str, bytes], bytes]) -> None:
        super().__init__()
        self._tap = tap

    def send(self, request: requests.PreparedRequest, *args: Any, **options: Any) -> requests.Response:
        response = super().send(request, *args, **options)
        body = response.raw.read(decode_content=True)
        kept_headers = {name: value for name, value in response.headers.items() if name.lower() not in LENGTHS}
        mutated = self._tap(str(request.method), str(request.url), body)
        response.raw.release_conn()
        response.raw = HTTPResponse(
            io.BytesIO(mutated), headers=kept_headers, status=response.status_code, preload_content=False
        )
        return response
