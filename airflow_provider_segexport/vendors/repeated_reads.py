"""Detects an operation that never ends because pages link in a circle or their series has no end."""

from __future__ import annotations

from typing import Any

from airflow_provider_segexport.errors import UnexpectedResponse
from airflow_provider_segexport.model import Request, Sleep

MAX_CALLS = 200_000
"""Maximum calls of one operation: twice as many as reading 10 million contacts in pages of 100 needs."""


class RepeatedReads:
    """Watches the requests of one operation.

    An operation may repeat a read after a wait, or after a call that changes something. Otherwise the repeated read
    returns the same response, which leads to the same next page.
    """

    def __init__(self) -> None:
        self._reads: set[Any] = set()
        self._calls = 0

    def watch(self, request: Request | Sleep) -> None:
        """Record the operation's next request.

        Raises:
            UnexpectedResponse: the request repeats a read, or the operation has made `MAX_CALLS` calls.
        """
        if isinstance(request, Sleep):
            self._reads.clear()
            return
        self._calls += 1
        if self._calls > MAX_CALLS:
            raise UnexpectedResponse(
                f"The vendor's pages do not end: {MAX_CALLS:,} calls were made, the last to {_host(request)}. "
                "To fix: run the task again later; if the error remains, report it to the vendor's support."
            )
        if request.method != "GET":
            self._reads.clear()
            return
        read = (request.url, tuple(sorted(request.query.items())))
        if read in self._reads:
            raise UnexpectedResponse(
                f"The vendor's pages lead in a circle: {_host(request)} links to a page that was read before. "
                "To fix: run the task again later; if the error remains, report it to the vendor's support."
            )
        self._reads.add(read)


def _host(request: Request) -> str:
    """Return the host alone, because a path may contain a person's address."""
    return request.url.split("/", 3)[2].rpartition("@")[2]
