"""Keeps a renewed sign-in in an Airflow Variable, where the next task on another machine finds it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from airflow.sdk import Variable

from airflow_provider_segexport.contract import Token

_LOCK = threading.Lock()


class VariableStore:
    """The sign-in of one connection, in the Variable `segexport_token_<connection id>`.

    Airflow masks a Variable whose name holds `token`, and encrypts every Variable in its database.
    """

    def __init__(self, conn_id: str) -> None:
        self.key = f"segexport_token_{conn_id}"

    def load(self) -> tuple[Token, str] | None:
        """The stored sign-in and its mark."""
        text = Variable.get(self.key, default=None)
        if not text:
            return None
        found = json.loads(text)
        return Token(found["access"], found["refresh"], float(found["expires_at"])), found["mark"]

    def save(self, token: Token, mark: str) -> None:
        """Keep it; on return every machine sees it."""
        value = {"access": token.access, "refresh": token.refresh, "expires_at": token.expires_at, "mark": mark}
        Variable.set(self.key, json.dumps(value), description="Sign-in renewed by segexport; delete to start over.")

    @contextmanager
    def lock(self) -> Iterator[None]:
        """One at a time in this process."""
        with _LOCK:
            yield
