"""Reads a response within limits: total seconds, bytes on the wire, and bytes after decompression.

The session's read timeout applies only between two reads of the socket, so a server that sends one byte a second never
reaches it. The timeout of each read, including the headers, is therefore the time that is left for the entire response.
"""

from __future__ import annotations

import http.client
import io
import socket
import time
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection

from airflow_provider_segexport.errors import UnexpectedResponse, VendorUnavailable
from airflow_provider_segexport.fencing import recheck_fence
from airflow_provider_segexport.http.errors import IF_IT_REPEATS, broken_response
from airflow_provider_segexport.vendors.base import ResponseLimits

READ_BYTES = 2**20
"""Bytes of a body per read. The default of the library requests, 10,240, needs forty reads for a dotdigital report."""

MIB = 2**20


class LimitedSocketReader(io.RawIOBase):
    """Reads a socket as a file, within limits for total seconds and bytes.

    Args:
        sock: the connected socket; each read sets its timeout, and the next request resets it.
        raw: the unbuffered file of that socket, which owns a reference to it.
        limits: the limits for the response.
        clock: returns monotonic seconds.

    Raises:
        VendorUnavailable: the time has elapsed. A retry may succeed.
        UnexpectedResponse: the response has more bytes than the limit allows.
    """

    def __init__(
        self, sock: socket.socket, raw: Any, limits: ResponseLimits, clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__()
        self._socket, self._raw, self._limits, self._clock = sock, raw, limits, clock
        self._idle_s = sock.gettimeout()
        self._ends_at = clock() + limits.seconds
        self._bytes = 0

    def readable(self) -> bool:
        """Return True: a response can be read."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read the socket once into the buffer, and return the number of bytes."""
        left_s = self._ends_at - self._clock()
        if left_s > 0:
            self._socket.settimeout(left_s if self._idle_s is None else min(self._idle_s, left_s))
            try:
                count: int = self._raw.readinto(buffer)
            except TimeoutError:
                if self._ends_at > self._clock():
                    raise  # the timeout between two reads, which the library requests reports
            else:
                self._bytes += count
                if self._bytes > self._limits.wire_bytes:
                    raise UnexpectedResponse(
                        f"The vendor's response is longer than {self._limits.wire_bytes // MIB} MiB, the limit for "
                        "one response. To fix: check that the connection's base URL is the vendor's API."
                    )
                return count
        raise VendorUnavailable(
            f"The vendor's response was not complete after {self._limits.seconds:g} s, the limit for one response. "
            f"{IF_IT_REPEATS}"
        )

    def close(self) -> None:
        """Release the socket."""
        self._raw.close()
        super().close()


class _FencedConnection(HTTPConnection):
    """A connection that checks the fencing token again before it sends each part of a request.

    The check comes after connecting, because connecting through a proxy and TLS may take seconds.
    """

    def send(self, data: Any) -> None:
        """Send a part of a request, if this run still holds the lease."""
        if self.sock is None and self.auto_open:
            self.connect()
        recheck_fence()
        super().send(data)


@lru_cache
def pool_classes(limits: ResponseLimits) -> dict[str, type[HTTPConnectionPool]]:
    """Return connection pool classes by URL scheme. Their connections apply the limits to each response."""

    class LimitedResponse(http.client.HTTPResponse):
        """A response that is read within the limits, from the status line on."""

        def __init__(self, sock: socket.socket, *args: Any, **options: Any) -> None:
            super().__init__(sock, *args, **options)
            buffered: Any = self.fp
            self.fp = io.BufferedReader(LimitedSocketReader(sock, buffered.detach(), limits))

    # If a program sets `debuglevel`, http.client prints requests with their credentials and email addresses.
    attributes = {"response_class": LimitedResponse, "debuglevel": 0}
    plain = type("LimitedHTTPConnection", (_FencedConnection, HTTPConnection), attributes)
    secure = type("LimitedHTTPSConnection", (_FencedConnection, HTTPSConnection), attributes)
    return {
        "http": type("LimitedHTTPConnectionPool", (HTTPConnectionPool,), {"ConnectionCls": plain}),
        "https": type("LimitedHTTPSConnectionPool", (HTTPSConnectionPool,), {"ConnectionCls": secure}),
    }


def limit_responses(session: requests.Session, limits: ResponseLimits) -> None:
    """Apply the limits to every connection that the session opens, also through a proxy."""
    for adapter in session.adapters.values():
        if isinstance(adapter, HTTPAdapter):
            _limit_adapter(adapter, pool_classes(limits))


def _limit_adapter(adapter: HTTPAdapter, classes: dict[str, type[HTTPConnectionPool]]) -> None:
    manager_for = adapter.proxy_manager_for

    def limited_manager_for(proxy: str, **options: Any) -> Any:
        manager = manager_for(proxy, **options)
        manager.pool_classes_by_scheme = classes
        return manager

    adapter.poolmanager.pool_classes_by_scheme = classes
    adapter.proxy_manager_for = limited_manager_for  # type: ignore[method-assign]


def read_body(response: requests.Response, limits: ResponseLimits, url: str) -> bytes:
    """Read an entire body and return it decompressed.

    urllib3 2.6 and later decompress at most the number of bytes that one read requests. An endless body is therefore
    detected after one read beyond the limit.

    Args:
        response: the response, opened as a stream.
        limits: the limits for the response.
        url: URL of the request, for errors.

    Raises:
        VendorUnavailable: the response is not valid HTTP, for example because a chunk has a negative size.
        UnexpectedResponse: the body is longer than the limit after decompression.
    """
    parts: list[bytes] = []
    size = 0
    for part in _parts(response, url):
        size += len(part)
        if size > limits.body_bytes:
            response.close()
            raise UnexpectedResponse(
                f"The vendor's response is longer than {limits.body_bytes // MIB} MiB after decompression, the limit "
                "for one response. To fix: check that the connection's base URL is the vendor's API."
            )
        parts.append(part)
    return b"".join(parts)


def _parts(response: requests.Response, url: str) -> Iterator[bytes]:
    try:
        yield from response.iter_content(READ_BYTES)
    except Exception as error:
        response.close()  # close the socket too, because its next bytes are not the next response
        if isinstance(error, ValueError) and not isinstance(error, requests.RequestException):
            raise broken_response(error, url) from None
        raise
