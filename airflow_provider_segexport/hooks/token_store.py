"""Keeps a renewed sign-in in an Airflow Variable, where the next task on another machine finds it."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from airflow.sdk import Variable
from airflow.sdk.execution_time import task_runner
from airflow.sdk.log import mask_secret

from airflow_provider_segexport.access import SignIn, Token
from airflow_provider_segexport.errors import CredentialsRefused, SegexportError
from airflow_provider_segexport.ports.claims import Claims
from airflow_provider_segexport.ports.tokens import Bearer, mark_of

if TYPE_CHECKING:
    from airflow_provider_segexport.hooks.base import SegmentExportHook

SIGN_IN = "Kept by segexport for a sign-in; delete to start over."
RACE_S = 2.0
"""So long a machine that has renewed a sign-in may take to store it."""


class Variables:
    """Airflow Variables as a shelf. A name that holds `token` is masked by Airflow, and every value is encrypted.

    A task and a trigger ask Airflow for them; the API server's Test button, the command line and a script, which have
    nobody to ask, read and write the database.
    """

    def get(self, key: str) -> str | None:
        """The Variable's text, if there is one."""
        found: str | None = Variable.get(key, default=None) if asks_airflow() else stored().get(key, default_var=None)
        return found

    def set(self, key: str, text: str, description: str = SIGN_IN) -> None:
        """Write the Variable."""
        variables = Variable if asks_airflow() else stored()
        variables.set(key, text, description=description)

    def delete(self, key: str) -> None:
        """Remove the Variable."""
        variables = Variable if asks_airflow() else stored()
        variables.delete(key)


def asks_airflow() -> bool:
    """Whether a task or a trigger runs here, which may not touch the database itself."""
    return hasattr(task_runner, "SUPERVISOR_COMMS")


def stored() -> Any:
    """Variables in the database."""
    from airflow.models import variable  # noqa: PLC0415 - a worker must not import it

    return variable.Variable


class VariableStore:
    """The sign-in of one connection, in the Variable `segexport_token_<connection id>`."""

    def __init__(self, conn_id: str, claims: Claims) -> None:
        self.key = f"segexport_token_{conn_id}"
        self._claims = claims

    def load(self) -> tuple[Token, str] | None:
        """The stored sign-in and its mark."""
        text = self._claims.shelf.get(self.key)
        if not text:
            return None
        found = json.loads(text)
        mark = str(found.pop("mark"))
        return Token(**found), mark

    def save(self, token: Token, mark: str) -> None:
        """Keep it; on return every machine sees it."""
        self._claims.shelf.set(self.key, json.dumps({**asdict(token), "mark": mark}))

    def lock(self) -> AbstractContextManager[None]:
        """One at a time over all machines."""
        return self._claims.hold(f"{self.key}_renewal")


def renewal(
    refresh: Callable[[str], Token], store: VariableStore, mark: str, wait: Callable[[float], None]
) -> Callable[[str], Token]:
    """A refresh that loses a race well: a claim may fail where clocks or writes lag, and a token may be good once only.

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


def bearer(hook: SegmentExportHook, sign_in: SignIn) -> Bearer:
    """A sign-in that renews itself through the hook's vendor, kept where other machines find it."""
    oauth = hook.vendor.oauth
    if oauth is None:
        raise SegexportError(f"{hook.vendor.title} has no OAuth sign-in.")
    store = VariableStore(hook.conn_id, Claims(Variables(), hook.clock, hook.wait))

    def refresh(token: str) -> Token:
        return hook.call(oauth.refresh(hook.settings.access, replace(sign_in, refresh=token), hook.clock()))

    mark = mark_of(sign_in.refresh)
    return Bearer(
        sign_in.refresh,
        store,
        renewal(refresh, store, mark, hook.wait),
        stale=oauth.stale,
        told=mask_secret,
        clock=hook.clock,
        sleep=hook.wait,
    )
