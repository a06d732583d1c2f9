"""Keeps a renewed sign-in in an Airflow Variable, where the next task on another machine finds it."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from airflow.sdk import Variable
from airflow.sdk.exceptions import AirflowException, AirflowRuntimeError
from airflow.sdk.execution_time import task_runner

from airflow_provider_segexport.errors import AuthenticationFailed, SegexportError
from airflow_provider_segexport.hooks.masking import mask
from airflow_provider_segexport.http.oauth import Bearer, token_fingerprint
from airflow_provider_segexport.http.variable_lock import VariableLock
from airflow_provider_segexport.vendors.auth import OAuthCredentials, OAuthToken

if TYPE_CHECKING:
    from airflow_provider_segexport.hooks.base import SegmentExportHook

log = logging.getLogger(__name__)

SIGN_IN = "Kept by segexport for a sign-in; delete to start over."
PREFIX, RENEWAL = "segexport_token_", "_renewal"
"""How the names of Variables begin that hold sign-ins, and how those of the claims on them end."""

UNUSED_S = 180 * 86_400.0
"""A refresh token that was not used for so long is void at Constant Contact (its OAuth2 guide); others live shorter."""

WRITE_AGAIN_S = (1, 2, 4)
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

    def keys(self, prefix: str) -> list[str]:
        """Return the names of Variables that begin so; none where Airflow 3.2 runs a task, which cannot list them."""
        if asks_airflow():
            return list(Variable.keys(prefix)) if hasattr(Variable, "keys") else []
        from airflow.utils.session import create_session  # noqa: PLC0415 - a worker must not import it

        row = stored()
        with create_session() as session:
            return [key for (key,) in session.query(row.key).filter(row.key.startswith(prefix, autoescape=True))]

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


@dataclass(frozen=True, slots=True, repr=False)
class Record:
    """A stored sign-in.

    Attributes:
        mark: of the refresh token that it began with.
        conn_ids: the connections whose tasks use it.
        is_old: an earlier release stored it, by connection id.
    """

    token: OAuthToken
    mark: str
    conn_ids: tuple[str, ...] = ()
    is_old: bool = False


class VariableStore:
    """The sign-in that began with one refresh token, in the Variable `segexport_token_<fingerprint>`.

    The key is no connection id: Airflow tests a connection under a random id, and a vendor may take a refresh token
    once only. So the Test button and every connection with the same token use one sign-in.

    Args:
        conn_id: the connection that uses the sign-in; recorded by tasks, so that an old sign-in can be removed.
        first: the vendor, the base URL, the client id and, last, the refresh token of the connection.
    """

    def __init__(self, conn_id: str, claims: VariableLock, first: Sequence[str]) -> None:
        self.key = PREFIX + fingerprint(*first)
        self._conn_id = conn_id
        self._mark = token_fingerprint(first[-1])
        self._claims = claims

    def load(self) -> tuple[OAuthToken, str] | None:
        """The stored sign-in and its mark."""
        record = self._read(self.key)
        if record is None:
            record = self._earlier()
        elif asks_airflow() and self._conn_id not in record.conn_ids:
            record = self._joined() or record
        return (record.token, record.mark) if record else None

    def save(self, token: OAuthToken, mark: str) -> None:
        """Keep it; on return every machine sees it. Only one that `lock` lets in may save."""
        before = self._read(self.key)
        conn_ids = before.conn_ids if before else ()
        if asks_airflow():
            conn_ids = tuple(sorted({*conn_ids, self._conn_id}))
        self._write(self.key, Record(token, mark, conn_ids))
        if before is None:
            with suppress(AirflowException, AirflowRuntimeError):  # the sign-in is stored, and that is what counts
                self._tidy()

    def lock(self) -> AbstractContextManager[None]:
        """One at a time over all machines."""
        return self._claims.hold(f"{self.key}{RENEWAL}")

    def _joined(self) -> Record | None:
        """Record that this connection uses the sign-in, too: it is then not removed as another connection's old one."""
        with self.lock():
            record = self._read(self.key)
            if record is not None and self._conn_id not in record.conn_ids:
                record = replace(record, conn_ids=tuple(sorted({*record.conn_ids, self._conn_id})))
                self._write(self.key, record)
        return record

    def _earlier(self) -> Record | None:
        """Return the newest sign-in of this token that an earlier release stored by connection id."""
        keys = {PREFIX + self._conn_id, *self._claims.store.keys(PREFIX)}
        records = [record for key in keys if (record := self._read(key)) and self._is_same(record)]
        return max(records, key=lambda record: record.token.renewed_at, default=None)

    def _tidy(self) -> None:
        """Remove sign-ins that no connection uses any more: each was of this token or this connection, or is dead."""
        shelf, dead = self._claims.store, self._claims.clock() - UNUSED_S
        for key in {PREFIX + self._conn_id, *shelf.keys(PREFIX)} - {self.key}:
            record = self._read(key)
            if record is None:
                continue
            if key == PREFIX + self._conn_id or self._is_same(record) or record.token.renewed_at < dead:
                shelf.delete(key)
            elif asks_airflow() and self._conn_id in record.conn_ids:
                others = tuple(name for name in record.conn_ids if name != self._conn_id)
                if others:
                    self._write(key, replace(record, conn_ids=others))
                else:
                    shelf.delete(key)

    def _is_same(self, record: Record) -> bool:
        """Return whether an earlier release stored this sign-in under the id of a connection, or of a test."""
        return record.is_old and record.mark == self._mark

    def _read(self, key: str) -> Record | None:
        """Return what a Variable holds; None where it is no sign-in, as one that a person has changed."""
        text = None if key.endswith(RENEWAL) else self._claims.store.get(key)
        try:
            fields = json.loads(text or "null")
            mark, is_old = str(fields.pop("mark")), "conn_ids" not in fields
            conn_ids = tuple(map(str, fields.pop("conn_ids", ())))
            token = OAuthToken(**fields)
            expires_at, renewed_at = float(token.expires_at), float(token.renewed_at)
        except (ValueError, TypeError, KeyError, AttributeError):
            if text:
                log.warning("Ignoring a Variable that holds no sign-in (key=%s)", key)
            return None
        return Record(replace(token, expires_at=expires_at, renewed_at=renewed_at), mark, conn_ids, is_old)

    def _write(self, key: str, record: Record) -> None:
        """Store a sign-in; tried several times, because a vendor may have made the one before it void."""
        text = json.dumps({**asdict(record.token), "mark": record.mark, "conn_ids": record.conn_ids})
        for wait in WRITE_AGAIN_S:
            try:
                self._claims.store.set(key, text)
            except Exception as error:  # noqa: BLE001 - whatever a database or an API raises; the last one is raised
                log.warning("Storing the sign-in failed (error=%s wait_s=%d)", type(error).__name__, wait)
                self._claims.sleep(wait)
            else:
                return
        self._claims.store.set(key, text)


def fingerprint(*parts: str) -> str:
    """Return a name for a sign-in that tells nothing of its token."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]


def renewal(
    refresh: Callable[[str], OAuthToken], store: VariableStore, mark: str, wait: Callable[[float], None]
) -> Callable[[str], OAuthToken]:
    """A refresh that loses a race well: a claim may fail where clocks or writes lag, and a token may be good once only.

    Refused, it looks whether another machine has just stored a newer sign-in of the same mark.
    """

    def renew(token: str) -> OAuthToken:
        try:
            return refresh(token)
        except AuthenticationFailed:
            wait(RACE_S)
            stored = store.load()
            if stored is None or stored[1] != mark or stored[0].refresh_token == token:
                raise
            return stored[0]

    return renew


def oauth_session(hook: SegmentExportHook, sign_in: OAuthCredentials) -> Bearer:
    """A sign-in that renews itself through the hook's vendor, kept where other machines find it."""
    oauth = hook.vendor.oauth
    if oauth is None:
        raise SegexportError(f"{hook.vendor.title} has no OAuth sign-in.")
    first = (hook.vendor.name, hook.settings.endpoint.base_url, sign_in.client_id, sign_in.refresh_token)
    store = VariableStore(hook.conn_id, VariableLock(Variables(), hook.clock, hook.interruptible_sleep), first)

    def refresh(token: str) -> OAuthToken:
        return hook.run_operation(
            oauth.refresh(hook.settings.endpoint, replace(sign_in, refresh_token=token), hook.clock())
        )

    mark = token_fingerprint(sign_in.refresh_token)
    return Bearer(
        sign_in.refresh_token,
        store,
        renewal(refresh, store, mark, hook.interruptible_sleep),
        is_expired=oauth.is_expired,
        on_secret=mask,
        clock=hook.clock,
        sleep=hook.interruptible_sleep,
    )
