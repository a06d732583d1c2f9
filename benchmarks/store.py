"""An S3 server in a process of its own: moto, with a delay before each request and a log of all requests.

Usage: python benchmarks/store.py DELAY_S; it prints its URL. `GET /_log` returns the requests as JSON, `DELETE /_log`
forgets them.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import closing
from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

BUCKET = "bench"
KEYS = {"key": "made-up", "secret": "made-up"}


class SlowStore:
    """Moto's S3 with a delay. The delays of requests overlap; the requests are carried out one after the other."""

    def __init__(self, delay_s: float) -> None:
        self.delay_s = delay_s
        self.moto = DomainDispatcherApplication(create_backend_app)
        self.lock = threading.Lock()
        self.log: list[dict[str, Any]] = []

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer a request after the delay."""
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        if path == "/_log":
            body = json.dumps(self.log).encode()
            if method == "DELETE":
                self.log = []
            start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
            return [body]
        began, status = time.monotonic(), ""
        time.sleep(self.delay_s)

        def start(line: str, headers: list[tuple[str, str]], *more: Any) -> Any:
            nonlocal status
            status = line.partition(" ")[0]
            return start_response(line, headers, *more)

        with self.lock, closing(self.moto(environ, start)) as response:
            content = list(response)
        entry = {"at_s": began, "method": method, "path": path, "query": environ["QUERY_STRING"], "status": status}
        self.log.append(entry)
        return content


class Handler(WSGIRequestHandler):
    """Keeps connections open, as a store does, and writes no log of its own."""

    protocol_version = "HTTP/1.1"

    def log_request(self, *_: Any) -> None:
        """Do nothing."""


if __name__ == "__main__":
    server = make_server("127.0.0.1", 0, SlowStore(float(sys.argv[1])), threaded=True, request_handler=Handler)
    sys.stdout.write(f"http://127.0.0.1:{server.port}\n")
    sys.stdout.flush()
    server.serve_forever()
