"""Notices an operation that reads in a circle: a page that links to an earlier one, or pages without end."""

from __future__ import annotations

from typing import Any

from airflow_provider_segexport.errors import UnexpectedResponse
from airflow_provider_segexport.model import Request, Sleep

MAX_CALLS = 200_000
"""Calls of one operation: twice what it takes to read 10 million contacts in pages of 100."""


class RepeatedReads:
    """Watches the requests of one operation.

    The same read is legitimate after a wait or after a call that changes something; without either, its answer leads
    to the same place again.
    """

    def __init__(self) -> None:
        self._reads: set[Any] = set()
        self._calls = 0

    def watch(self, request: Request | Sleep) -> None:
        """Note what the operation asks for next.

        Raises:
            UnexpectedResponse: it is a read that has been made already, or one call too many.
        """
        if isinstance(request, Sleep):
            self._reads.clear()
            return
        self._calls += 1
        if self._calls > MAX_CALLS:
            raise UnexpectedResponse(
                f"The vendor's pages do not end: {MAX_CALLS:,} calls were made, the last to {_host(request)}."
            )
        if request.method != "GET":
            self._reads.clear()
            return
        read = (request.url, tuple(sorted(request.query.items())))
        if read in self._reads:
            raise UnexpectedResponse(
                f"The vendor's pages lead in a circle: {_host(request)} leads to a page that was read before."
            )
        self._reads.add(read)


def _host(request: Request) -> str:
    """The host alone: a path may hold a person's address."""
    return request.url.split("/", 3)[2].rpartition("@")[2]
