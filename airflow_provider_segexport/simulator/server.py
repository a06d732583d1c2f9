"""HTTP server of the simulator, in a thread of this process."""

from __future__ import annotations

import socket
from threading import Event, Thread
from typing import TYPE_CHECKING, Self

import uvicorn
from uvicorn.protocols.http.auto import AutoHTTPProtocol

from .app import build_app
from .simulation import Simulation

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Mapping
    from types import TracebackType

    from .clock import Clock

HOST = "127.0.0.1"  # loopback by default, because the simulator's credentials are not secret
_START_SECONDS = 10.0


class _Server(uvicorn.Server):
    """Server that sets an event when it listens."""

    def __init__(self, config: uvicorn.Config, ready: Event) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready.set()


class _Connections:
    """Open connections by the client's address, so that a fault can abort one."""

    def __init__(self) -> None:
        self._open: dict[tuple[str, int], asyncio.Transport] = {}

    def protocol(self) -> type[asyncio.Protocol]:
        """Return a subclass of uvicorn's HTTP protocol that registers its connections."""
        opened = self._open

        class Tracked(AutoHTTPProtocol):  # type: ignore[misc, valid-type]
            def connection_made(self, transport: asyncio.Transport) -> None:
                super().connection_made(transport)
                self.peer = tuple(transport.get_extra_info("peername")[:2])
                opened[self.peer] = transport

            def connection_lost(self, exc: Exception | None) -> None:
                opened.pop(self.peer, None)
                super().connection_lost(exc)

        return Tracked

    def hang_up(self, peer: tuple[str, int]) -> None:
        """Abort a client's connection without sending anything."""
        transport = self._open.get(peer)
        if transport is not None:
            transport.abort()


class Simulator(Simulation):
    """A simulation with an HTTP server. A `with` block starts and stops the server."""

    def __init__(  # noqa: PLR0913 - independent options, all by keyword
        self,
        *,
        host: str = HOST,
        port: int = 0,
        address: str = "",
        seed: int = 0,
        latency: float = 0.0,
        clock: Clock | None = None,
        settings: Mapping[str, Mapping[str, object]] | None = None,
        log_body_bytes: int | None = None,
    ) -> None:
        """Create the accounts; `start` starts the server.

        Args:
            host: interface to listen on.
            port: 0 for any free port.
            address: URL for clients if they do not use host and port; empty for `http://<host>:<port>`.
            seed: seed of keys and ids.
            latency: delay of each response in real seconds; the clock's speed does not change it.
            clock: default: a clock at the machine's time and speed.
            settings: settings by vendor; a reset returns to them.
            log_body_bytes: total size of the bodies that the request log keeps; None for 64 MB.
        """
        log_options = {} if log_body_bytes is None else {"log_body_bytes": log_body_bytes}
        super().__init__(seed=seed, latency=latency, clock=clock, settings=settings, **log_options)
        self._host, self._port, self._address = host, port, address.rstrip("/")
        self._thread: Thread | None = None
        self._server: _Server | None = None

    @property
    def url(self) -> str:
        """The server's base URL, without a trailing slash."""
        return self.context.address

    def start(self) -> None:
        """Bind the port and start the server thread; return when the server accepts requests.

        Raises:
            OSError: if the port cannot be bound.
            RuntimeError: if the server does not start within 10 s.
        """
        listener = socket.create_server((self._host, self._port))
        self.context.address = self._address or f"http://{self._host}:{listener.getsockname()[1]}"
        connections = _Connections()
        config = uvicorn.Config(
            build_app(self, connections.hang_up),
            http=connections.protocol(),
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            date_header=False,
            timeout_keep_alive=60,
            timeout_graceful_shutdown=1,
        )
        ready = Event()
        self._server = _Server(config, ready)
        self._thread = Thread(target=self._server.run, args=([listener],), name="simulator", daemon=True)
        self._thread.start()
        if not ready.wait(_START_SECONDS):
            raise RuntimeError(f"the simulator did not start within {_START_SECONDS:g} s")

    def stop(self) -> None:
        """Stop the server; requests under way have one second to finish."""
        if self._server and self._thread:
            self._server.should_exit = True
            self._thread.join()
        self._server = self._thread = None

    def __enter__(self) -> Self:
        """Start the server."""
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop the server."""
        self.stop()
