"""Stores a renewed OAuth login in an Airflow Variable, so that a task on another machine can use it."""

from __future__ import annotations

import hashlib
import json
import logging
import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import msgspec
from airflow.sdk import Variable
from airflow.sdk.exceptions import AirflowException, AirflowRuntimeError
from airflow.sdk.execution_time import task_runner

from airflow_provider_segexport.errors import AuthenticationFailed, RetryableError, SegexportError
from airflow_provider_segexport.hooks.lookups import read_variable
from airflow_provider_segexport.hooks.masking import mask
from airflow_provider_segexport.http.oauth import Bearer, token_fingerprint
from airflow_provider_segexport.http.variable_lock import VariableLock
from airflow_provider_segexport.json_values import parse_object
from airflow_provider_segexport.vendors.auth import OAuthCredentials, OAuthToken

if TYPE_CHECKING:
    from airflow_provider_segexport.hooks.session import VendorSession

log = logging.getLogger(__name__)

DESCRIPTION = "OAuth login stored by segexport. Delete it to log in again."
VARIABLE_PREFIX, LOCK_SUFFIX = "segexport_token_", "_renewal"
"""First part of the names of Variables with logins, and last part of the names of the locks on them."""

UNUSED_S = 180 * 86_400.0
"""Seconds after which an unused login is deleted. Constant Contact's refresh tokens expire after 180 days without use
(its OAuth2 guide); those of other vendors expire earlier."""

WRITE_RETRY_WAITS_S = (1, 2, 4)
"""Seconds to wait before each repetition of a failed write."""

STORE_DELAY_S = 2.0
"""Longest time, in seconds, between a renewal on another machine and its appearance in the store."""


class Variables:
    """Airflow Variables as a text store. Airflow encrypts each value, and masks one whose name contains `token`.

    A task or a trigger reads and writes Variables through Airflow's API. The API server's Test button, the command line
    and a script use the database directly.
    """

    def get(self, key: str) -> str | None:
        """Return the Variable's text; None if it does not exist.

        Raises:
            RetryableError: in a task or a trigger, the Variable cannot be read now.
        """
        if in_task_or_trigger():
            return read_variable(key)
        text: str | None = database_variables().get(key, default_var=None)
        return text

    def set(self, key: str, text: str, description: str = DESCRIPTION) -> None:
        """Write the Variable.

        Args:
            key: the Variable's name.
            text: the value.
            description: shown in Airflow's list of Variables.
        """
        variables = Variable if in_task_or_trigger() else database_variables()
        variables.set(key, text, description=description)

    def keys(self, prefix: str) -> list[str]:
        """Return the names of Variables with a prefix. Empty in a task of Airflow 3.2, which cannot list them."""
        if in_task_or_trigger():
            return list(Variable.keys(prefix)) if hasattr(Variable, "keys") else []
        from airflow.utils.session import create_session  # noqa: PLC0415 - a worker must not import it

        row = database_variables()
        with create_session() as session:
            return [key for (key,) in session.query(row.key).filter(row.key.startswith(prefix, autoescape=True))]

    def delete(self, key: str) -> None:
        """Delete the Variable."""
        variables = Variable if in_task_or_trigger() else database_variables()
        variables.delete(key)


def in_task_or_trigger() -> bool:
    """Return whether this process runs a task or a trigger, which may not access the database."""
    return hasattr(task_runner, "SUPERVISOR_COMMS")


def database_variables() -> Any:
    """Return Airflow's model of Variables in the database."""
    from airflow.models import variable  # noqa: PLC0415 - a worker must not import it

    return variable.Variable


@dataclass(frozen=True, slots=True, repr=False)
class StoredLogin:
    """A stored login.

    Attributes:
        token: the tokens.
        fingerprint: fingerprint of the refresh token that the login began with.
        conn_ids: the connections whose tasks use it.
    """

    token: OAuthToken
    fingerprint: str
    conn_ids: tuple[str, ...] = ()


class VariableStore:
    """The login that began with one refresh token, stored in the Variable `segexport_token_<hash>`.

    The key does not contain the connection id, because Airflow tests a connection under a random id, and a vendor may
    accept a refresh token only once. So the Test button and every connection with the same token share one login.

    Args:
        conn_id: the connection that uses the login. Tasks record it, so that an unused login can be deleted.
        lock: the lock over all machines, with the text store.
        key_parts: the vendor, the base URL, the client id and the refresh token of the connection.
    """

    def __init__(self, conn_id: str, lock: VariableLock, key_parts: Sequence[str]) -> None:
        self.key = variable_key(*key_parts)
        self._conn_id = conn_id
        self._lock = lock

    def load(self) -> tuple[OAuthToken, str] | None:
        """Return the stored tokens and the fingerprint of the first refresh token; None if nothing is stored."""
        login = self._read(self.key)
        if login is not None and in_task_or_trigger() and self._conn_id not in login.conn_ids:
            login = self._add_connection() or login
        return (login.token, login.fingerprint) if login else None

    def save(self, token: OAuthToken, fingerprint: str) -> None:
        """Store the tokens; when this returns, every machine sees them. The caller holds `lock`."""
        before, is_known = None, True
        try:
            before = self._read(self.key)
        except RetryableError:  # the login must be stored, because the vendor may accept the earlier one no more
            is_known = False
        conn_ids = before.conn_ids if before else ()
        if in_task_or_trigger():
            conn_ids = tuple(sorted({*conn_ids, self._conn_id}))
        self._write(self.key, StoredLogin(token, fingerprint, conn_ids))
        if before is None and is_known:
            with suppress(AirflowException, AirflowRuntimeError, RetryableError):  # the new login is stored
                self._delete_unused()

    def lock(self) -> AbstractContextManager[Callable[[], None]]:
        """Return the lock of the login, which one process on all machines holds. It yields a check that it is held."""
        return self._lock.hold(f"{self.key}{LOCK_SUFFIX}")

    def _add_connection(self) -> StoredLogin | None:
        """Record that this connection uses the login too, so that another connection does not delete it."""
        with self.lock():
            login = self._read(self.key)
            if login is not None and self._conn_id not in login.conn_ids:
                login = replace(login, conn_ids=tuple(sorted({*login.conn_ids, self._conn_id})))
                self._write(self.key, login)
        return login

    def _delete_unused(self) -> None:
        """Delete logins that only this connection has used, and logins whose tokens have expired."""
        variables, expired_before = self._lock.store, self._lock.clock() - UNUSED_S
        for key in variables.keys(VARIABLE_PREFIX):
            login = self._read(key) if key != self.key else None
            if login is None:
                continue
            others = tuple(conn_id for conn_id in login.conn_ids if conn_id != self._conn_id)
            is_user = in_task_or_trigger() and self._conn_id in login.conn_ids
            if login.token.renewed_at < expired_before or (is_user and not others):
                variables.delete(key)
            elif is_user:
                self._write(key, replace(login, conn_ids=others))

    def _read(self, key: str) -> StoredLogin | None:
        """Return the login in a Variable; None if the Variable holds none, for example because a person edited it."""
        text = None if key.endswith(LOCK_SUFFIX) else self._lock.store.get(key)
        fields = parse_object(text or "") or {}
        try:
            login = msgspec.convert({**fields, "token": fields}, StoredLogin)
        except msgspec.ValidationError:
            login = None
        if login is not None and all(map(math.isfinite, (login.token.expires_at, login.token.renewed_at))):
            return login
        if text:
            log.warning("Ignoring a Variable that holds no login (key=%s)", key)
        return None

    def _write(self, key: str, login: StoredLogin) -> None:
        """Store a login. A failed write is repeated, because the vendor may accept the earlier login no more."""
        text = json.dumps({**asdict(login.token), "fingerprint": login.fingerprint, "conn_ids": login.conn_ids})
        for wait_s in WRITE_RETRY_WAITS_S:
            try:
                self._lock.store.set(key, text)
            except Exception as error:  # noqa: BLE001 - a database or an API may raise anything; the last error is raised
                log.warning("Retrying to store the login (error=%s wait_s=%d)", type(error).__name__, wait_s)
                self._lock.sleep(wait_s)
            else:
                return
        self._lock.store.set(key, text)


def variable_key(*parts: str) -> str:
    """Return the name of the Variable for a login: a hash, which reveals nothing about the token."""
    return VARIABLE_PREFIX + hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]


def renew_or_reload(
    renew: Callable[[str], OAuthToken], store: VariableStore, fingerprint: str, sleep: Callable[[float], None]
) -> Callable[[str], OAuthToken]:
    """Return a function that renews a login, or uses the one that another machine has just renewed.

    The lock can fail if clocks differ or writes are delayed, and a vendor may accept a refresh token only once. So if
    the vendor refuses the token, the function waits and reads the store again.

    Args:
        renew: calls the vendor with a refresh token.
        store: where all machines store the login.
        fingerprint: fingerprint of the first refresh token; a stored login with another one is not used.
        sleep: waits some seconds.
    """

    def renew_once(refresh_token: str) -> OAuthToken:
        try:
            return renew(refresh_token)
        except AuthenticationFailed:
            sleep(STORE_DELAY_S)
            latest = store.load()
            if latest is None or latest[1] != fingerprint or latest[0].refresh_token == refresh_token:
                raise
            return latest[0]

    return renew_once


def oauth_session(session: VendorSession, credentials: OAuthCredentials) -> Bearer:
    """Return an authentication that renews its tokens at the vendor and stores them for all machines.

    Raises:
        SegexportError: the vendor has no OAuth.
    """
    oauth = session.vendor.oauth
    if oauth is None:
        raise SegexportError(f"{session.vendor.title} has no OAuth login. To fix: enter its API key in the connection.")
    key_parts = (
        session.vendor.name,
        session.settings.endpoint.base_url,
        credentials.client_id,
        credentials.refresh_token,
    )
    store = VariableStore(
        session.conn_id, VariableLock(Variables(), session.clock, session.interruptible_sleep), key_parts
    )

    def renew(refresh_token: str) -> OAuthToken:
        return session.run_operation(
            oauth.refresh(session.settings.endpoint, replace(credentials, refresh_token=refresh_token), session.clock())
        )

    fingerprint = token_fingerprint(credentials.refresh_token)
    return Bearer(
        credentials.refresh_token,
        store,
        renew_or_reload(renew, store, fingerprint, session.interruptible_sleep),
        is_expired=oauth.is_expired,
        on_secret=mask,
        clock=session.clock,
        sleep=session.interruptible_sleep,
    )
