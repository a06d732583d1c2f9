"""Keeps the responses of a poll until the results of the jobs are collected: `request -> response`.

dotdigital reports a job's state and its results in one response, a megabyte for 5,000 people. At Constant Contact every
read is one of 10,000 a day, and the list of jobs contains what a single-job read would return.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from airflow_provider_segexport.model import Request, Response

Send = Callable[[Request], Response]
EmbeddedReads = Callable[[Response], Mapping[str, Response]]
"""Takes the response with a job list, and returns the single-job responses that it contains, by URL."""


class PollResponseCache:
    """The responses of one poll, with the single-job responses that they contain. Each is returned once."""

    def __init__(self, send: Send, embedded: EmbeddedReads | None = None) -> None:
        self._send = send
        self._embedded = embedded
        self._responses: dict[tuple[str, frozenset[tuple[str, str]]], Response] = {}

    def clear(self) -> None:
        """Drop the responses of the last poll, before the next one begins."""
        self._responses.clear()

    def poll(self, request: Request) -> Response:
        """Send a poll's request, and keep the response of a read."""
        response = self._send(request)
        if request.method == "GET":
            self._responses[_key(request)] = response
            if self._embedded is not None:
                embedded = self._embedded(response)
                self._responses |= {(url, frozenset()): contained for url, contained in embedded.items()}
        return response

    def collect(self, request: Request) -> Response:
        """Return the response that the poll has read, or send the request."""
        cached = self._responses.pop(_key(request), None) if request.method == "GET" else None
        return cached or self._send(request)


def _key(request: Request) -> tuple[str, frozenset[tuple[str, str]]]:
    return request.url, frozenset(request.query.items())
