"""The vendor calls of a run, in a file of bounded size in its run folder: `calls.json`.

It holds no address and no id of a person, because paths are stored without ids and queries.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from airflow_provider_segexport.errors import DamagedState
from airflow_provider_segexport.json_values import array, integer, mapping, number, text
from airflow_provider_segexport.storage.paths import StoragePath
from airflow_provider_segexport.storage.sealing import read_json, write_json

FILE = "calls.json"

MAX_LATEST = 1000
"""Newest calls in the file. A call is about 130 bytes of JSON, so the file stays below 300 kB."""

MAX_FAILED = 1000
"""Failed calls in the file: the first ones of the run, because the newest calls are in the file anyway."""

MAX_GROUPS = 500
"""Groups of calls in the file. The vendors' calls make fewer than 100 (paths in `vendors/`, 2026-11)."""

FIRST_ERROR_STATUS = 400
"""The lowest HTTP status of an error (RFC 9110, section 15)."""


@dataclass(frozen=True, slots=True)
class Call:
    """One attempt of a call.

    Attributes:
        at: when the call ended, epoch seconds.
        method: HTTP method.
        path: path without ids and query, such as `/v3/contacts/{id}`.
        status: HTTP status; 0 if there was no response.
        ms: milliseconds from sending to the end of the response, without waits for a rate limit.
        failure: class of the error if there was no complete response; else empty.
    """

    at: float
    method: str
    path: str
    status: int
    ms: int
    failure: str = ""

    @property
    def has_failed(self) -> bool:
        """Whether the status is an error, or there was no complete response."""
        return bool(self.failure) or self.status >= FIRST_ERROR_STATUS


@dataclass(frozen=True, slots=True)
class CallGroup:
    """All calls with the same method, path, status and failure.

    Attributes:
        calls: number of the calls.
        total_ms, max_ms: total and longest time of the calls, milliseconds.
    """

    method: str
    path: str
    status: int
    failure: str
    calls: int
    total_ms: int
    max_ms: int

    @property
    def mean_ms(self) -> int:
        """The mean time in milliseconds."""
        return round(self.total_ms / self.calls) if self.calls else 0


CALL_FIELDS = tuple(field.name for field in fields(Call))
GROUP_FIELDS = tuple(field.name for field in fields(CallGroup))


@dataclass(frozen=True, slots=True)
class Calls:
    """The calls of a run: all of them as groups, the first that failed, and the newest."""

    groups: tuple[CallGroup, ...] = ()
    failed: tuple[Call, ...] = ()
    latest: tuple[Call, ...] = ()

    @property
    def total(self) -> int:
        """Number of all calls."""
        return sum(group.calls for group in self.groups)

    def followed_by(self, later: Calls) -> Calls:
        """Return these calls together with the calls of a later process of the run."""
        return Calls(
            _merged([*self.groups, *later.groups]),
            (*self.failed, *later.failed)[:MAX_FAILED],
            (*self.latest, *later.latest)[-MAX_LATEST:],
        )


def _merged(groups: Iterable[CallGroup]) -> tuple[CallGroup, ...]:
    """Return one group for each method, path, status and failure, the largest groups first."""
    merged: dict[tuple[str, str, int, str], CallGroup] = {}
    for group in groups:
        key = (group.method, group.path, group.status, group.failure)
        same = merged.get(key)
        if same is None:
            merged[key] = group
        else:
            merged[key] = CallGroup(
                *key, same.calls + group.calls, same.total_ms + group.total_ms, max(same.max_ms, group.max_ms)
            )
    return tuple(sorted(merged.values(), key=lambda group: -group.calls)[:MAX_GROUPS])


def write_calls(folder: StoragePath, calls: Calls, *, is_resumed: bool) -> None:
    """Write the calls of this process; nothing if there are none.

    Args:
        folder: the run folder.
        calls: the calls of this process.
        is_resumed: whether an earlier process may have written calls of the same run. The calls are added to them.
    """
    if calls.total:
        earlier = read_calls(folder) if is_resumed else None
        write_json(folder / FILE, as_json(earlier.followed_by(calls) if earlier else calls))


def as_json(calls: Calls) -> dict[str, Any]:
    """Return the calls as a JSON object."""
    return {
        "calls": calls.total,
        "groups": [{**_values(group, GROUP_FIELDS), "mean_ms": group.mean_ms} for group in calls.groups],
        "failed": [_values(call, CALL_FIELDS) for call in calls.failed],
        "latest": [_values(call, CALL_FIELDS) for call in calls.latest],
    }


def _values(item: Call | CallGroup, names: Iterable[str]) -> dict[str, Any]:
    """Return fields as `dataclasses.asdict` does, without its copies of the values."""
    return {name: getattr(item, name) for name in names}


def read_calls(folder: StoragePath) -> Calls | None:
    """Return the calls of a run; None if there is no file, or if it cannot be read."""
    try:
        content = read_json(folder / FILE)
    except (OSError, DamagedState):
        return None
    return Calls(
        tuple(_group(mapping(item)) for item in array(content.get("groups"))[:MAX_GROUPS]),
        tuple(_call(mapping(item)) for item in array(content.get("failed"))[:MAX_FAILED]),
        tuple(_call(mapping(item)) for item in array(content.get("latest"))[:MAX_LATEST]),
    )


def _group(item: Mapping[str, Any]) -> CallGroup:
    return CallGroup(
        method=text(item.get("method")),
        path=text(item.get("path")),
        status=integer(item.get("status")),
        failure=text(item.get("failure")),
        calls=integer(item.get("calls")),
        total_ms=integer(item.get("total_ms")),
        max_ms=integer(item.get("max_ms")),
    )


def _call(item: Mapping[str, Any]) -> Call:
    return Call(
        at=number(item.get("at")),
        method=text(item.get("method")),
        path=text(item.get("path")),
        status=integer(item.get("status")),
        ms=integer(item.get("ms")),
        failure=text(item.get("failure")),
    )
