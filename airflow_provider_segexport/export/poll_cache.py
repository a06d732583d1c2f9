"""What a poll has read is not read again by the collecting that follows it: `request -> response`.

A job's state and its report are one answer at dotdigital, a megabyte for 5,000 people; at Constant Contact every read
is one of the day's 10,000, and the list of jobs holds what a read of each would tell.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from airflow_provider_segexport.model import Request, Response

Send = Callable[[Request], Response]
Within = Callable[[Response], Mapping[str, Response]]


class Recent:
    """The answers to one poll's reads, and those that they hold `within` themselves; each is given once."""

    def __init__(self, send: Send, within: Within | None = None) -> None:
        self._send = send
        self._within = within
        self._answers: dict[tuple[str, frozenset[tuple[str, str]]], Response] = {}

    def forget(self) -> None:
        """Nothing of an earlier poll is of use: another one begins."""
        self._answers.clear()

    def polling(self, request: Request) -> Response:
        """Sends a poll's request, and keeps the answer."""
        response = self._send(request)
        if request.method == "GET":
            self._answers[_name(request)] = response
            if self._within is not None:
                self._answers |= {(url, frozenset()): found for url, found in self._within(response).items()}
        return response

    def collecting(self, request: Request) -> Response:
        """Gives what the poll has read, or sends."""
        kept = self._answers.pop(_name(request), None) if request.method == "GET" else None
        return kept or self._send(request)


def _name(request: Request) -> tuple[str, frozenset[tuple[str, str]]]:
    return request.url, frozenset(request.query.items())
