"""Records the calls of a run in memory, for debugging: method, path without ids, status, milliseconds."""

from __future__ import annotations

import re
import threading
from collections import deque
from functools import lru_cache
from urllib.parse import urlsplit

from airflow_provider_segexport.storage.calls import MAX_FAILED, MAX_LATEST, Call, CallGroup, Calls

PLAIN_PART = re.compile(r"[a-z]+(?:[_-][a-z]+)*(?:\.json)?|v[0-9](?:\.[0-9])?")
"""Matches a path segment that is the same in all calls of an endpoint: lower-case words, or the API's version."""

MAX_PART_CHARS = 32
"""Maximum length of a stored path segment. The longest in `vendors/` is `remove_list_memberships` with 23."""

MAX_PATH_PARTS = 12


@lru_cache(maxsize=2048)
def shown_path(url: str) -> str:
    """Return the path of a URL, with `{id}` in place of each segment that is not made of lower-case words.

    Ids and addresses contain a digit, a dot or an @, and they may belong to a person. Ids of lists and jobs look the
    same, so they are replaced too.
    """
    parts = urlsplit(url).path.split("/")[1 : MAX_PATH_PARTS + 1]
    return "/" + "/".join(
        part if len(part) <= MAX_PART_CHARS and PLAIN_PART.fullmatch(part) else _id(part) for part in parts
    )


def _id(part: str) -> str:
    return "{id}.json" if part.endswith(".json") else "{id}"


class CallLog:
    """The calls of one run in this process. Threads may share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._groups: dict[tuple[str, str, int, str], list[int]] = {}
        self._failed: list[Call] = []
        self._latest: deque[Call] = deque(maxlen=MAX_LATEST)

    def record(self, call: Call) -> None:
        """Add a call."""
        with self._lock:
            sums = self._groups.setdefault((call.method, call.path, call.status, call.failure), [0, 0, 0])
            sums[0] += 1
            sums[1] += call.ms
            sums[2] = max(sums[2], call.ms)
            self._latest.append(call)
            if call.has_failed and len(self._failed) < MAX_FAILED:
                self._failed.append(call)

    def take(self) -> Calls:
        """Return the calls since the last `take`, and clear the log."""
        with self._lock:
            groups = sorted(self._groups.items(), key=lambda item: -item[1][0])
            calls = Calls(
                tuple(CallGroup(*key, *sums) for key, sums in groups), tuple(self._failed), tuple(self._latest)
            )
            self._groups, self._failed = {}, []
            self._latest.clear()
        return calls
