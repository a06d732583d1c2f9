"""Reads a response within limits: total seconds, bytes on the wire, bytes after decompression.

The session's read timeout is a limit between two reads of the socket: a server that sends one byte a second never
reaches it. Each read of the socket, headers included, therefore gets the time that is left for the whole response.
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
"""Bytes of a body per read. The default of requests is 10,240, which takes forty reads for a dotdigital report."""

MIB = 2**20


class LimitedSocketReader(io.RawIOBase):
    """Reads a socket as a file, for at most so many seconds and bytes in all.

    Args:
        sock: the connected socket; each read sets its timeout, and the next request resets it.
        raw: the unbuffered file of that socket, which owns a reference to it.
        limits: seconds and bytes of the response.
        clock: returns monotonic seconds.

    Raises:
        VendorUnavailable: the time is over. A retry may succeed.
        UnexpectedResponse: more bytes came than the limit allows.
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
                    raise  # the timeout between two reads, which requests reports
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
    """A connection that checks again, before it sends a part of a request, whether this writer is still the newest.

    The check follows connecting, which may take seconds with a proxy and TLS.
    """

    def send(self, data: Any) -> None:
        """Send a part of a request, if this writer is still the newest."""
        if self.sock is None and self.auto_open:
            self.connect()
        recheck_fence()
        super().send(data)


@lru_cache
def pool_classes(limits: ResponseLimits) -> dict[str, type[HTTPConnectionPool]]:
    """Return connection pool classes by URL scheme. Their connections read responses within these limits."""

    class LimitedResponse(http.client.HTTPResponse):
        """A response that is read within the limits, beginning with its status line."""

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
    """Read a whole body and return it decompressed.

    urllib3 2.6 and later decompress at most as many bytes as one read asks for, so an endless body is detected one read
    beyond the limit.

    Args:
        response: opened as a stream.
        limits: of the response.
        url: of the request, for errors.

    Raises:
        VendorUnavailable: the response is no HTTP, for example because a chunk has a negative size.
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
        response.close()  # with its socket, whose next bytes are not the next response
        if isinstance(error, ValueError) and not isinstance(error, requests.RequestException):
            raise broken_response(error, url) from None
        raise
