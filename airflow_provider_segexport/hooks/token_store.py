"""Keeps a renewed sign-in in an Airflow Variable, where the next task on another machine finds it."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from airflow.sdk import Variable

from airflow_provider_segexport.contract import Token
from airflow_provider_segexport.errors import CredentialsRefused

_LOCK = threading.Lock()

RACE_S = 2.0
"""So long a machine that has renewed a sign-in may take to store it."""


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
        text, words = json.dumps(value), "Sign-in renewed by segexport; delete to start over."
        try:
            Variable.set(self.key, text, description=words)
        except ImportError:  # no task runs here: the API server's Test button, or the command line
            from airflow.models import Variable as Stored  # noqa: PLC0415 - a worker must not import it

            Stored.set(self.key, text, description=words)  # noqa: AIR311 - the SDK's needs a running task

    @contextmanager
    def lock(self) -> Iterator[None]:
        """One at a time in this process."""
        with _LOCK:
            yield


def renewal(
    refresh: Callable[[str], Token], store: VariableStore, mark: str, wait: Callable[[float], None]
) -> Callable[[str], Token]:
    """A refresh that loses a race well: the lock is this process's, and a refresh token may be good for one use only.

    Refused, it looks whether another machine has just stored a newer sign-in of the same mark.
    """

    def renew(token: str) -> Token:
        try:
            return refresh(token)
        except CredentialsRefused:
            wait(RACE_S)
            stored = store.load()
            if stored is None or stored[1] != mark or stored[0].refresh == token:
                raise
            return stored[0]

    return renew
