"""What all vendors' hooks share: `Airflow connection -> settings, session, sender, export`."""

from __future__ import annotations

import base64
import logging
import sys
import time
from abc import abstractmethod
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import unquote, urlsplit

import requests
from airflow.providers.http.hooks.http import HttpHook
from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowException, AirflowNotFoundException

from airflow_provider_segexport import __version__
from airflow_provider_segexport.counted import counted
from airflow_provider_segexport.errors import InvalidConnection, SegexportError
from airflow_provider_segexport.hooks import connection as connections
from airflow_provider_segexport.hooks import uri_hint
from airflow_provider_segexport.hooks.exporting import Exporting
from airflow_provider_segexport.hooks.masking import mask
from airflow_provider_segexport.hooks.paths import HEARTBEAT_S
from airflow_provider_segexport.model import READS, Audience, Operation, T
from airflow_provider_segexport.vendors.auth import OAuthCredentials
from airflow_provider_segexport.vendors.base import Vendor
from airflow_provider_segexport.vendors.operations import run_operation

if TYPE_CHECKING:
    from airflow_provider_segexport.http.client import RetryLimits, Sender
    from airflow_provider_segexport.http.oauth import Bearer

log = logging.getLogger(__name__)

SLICE_S = 0.5
"""So long a wait goes on after the hook was told to stop."""


def read_connection(conn_id: str) -> Any:
    """The Airflow connection of this id; that there is none is said in words."""
    try:
        return BaseHook.get_connection(conn_id)
    except AirflowNotFoundException:
        raise InvalidConnection(
            f"There is no Airflow connection {conn_id!r}. An administrator makes it under Admin > Connections; "
            "a task may only name one that is there."
        ) from None


class SegmentExportHook(Exporting, HttpHook):
    """A vendor's account, as an Airflow connection describes it.

    Useful alone in a `@task`: `hook.target()` tells account and audience, `hook.export(...)` exports a segment or a
    DataFrame, `hook.call(...)` runs any of the vendor's operations.

    Args:
        conn_id: the Airflow connection, of the vendor's type.
    """

    vendor: ClassVar[Vendor]
    default_headers: dict[str, str] = {"user-agent": f"airflow-provider-segexport/{__version__}"}  # noqa: RUF012 - as HttpHook has it

    def __init__(self, conn_id: str | None = None, **kwargs: Any) -> None:
        super().__init__(http_conn_id=conn_id or self.default_conn_name, **kwargs)
        self.stopped = False
        self._beat_at: float | None = None
        self.backfill = False
        """Its calls go after those of scheduled runs, where the account's quota is scarce."""
        self.is_command = False
        """Used by a command of the Airflow command line, which an administrator runs, and by no DAG."""

    @abstractmethod
    def auth(self, connection: Any, extra: dict[str, Any]) -> Any:
        """How requests are signed, as `requests` takes it; a missing credential raises `InvalidConnection`."""

    @property
    def conn_id(self) -> str:
        """The Airflow connection's id."""
        return self.http_conn_id

    @cached_property
    def connection(self) -> Any:
        """The Airflow connection, read once: calls run in several threads, and Airflow is asked in one."""
        return read_connection(self.conn_id)

    @cached_property
    def settings(self) -> connections.ConnectionSettings:
        """What the connection says; its secrets are masked from here on."""
        found = self.connection
        if found.conn_type != self.conn_type:
            raise InvalidConnection(
                f"Connection {self.conn_id!r} is of type {found.conn_type!r}, and {type(self).__name__} needs "
                f"{self.conn_type!r}: credentials go to no vendor but their own.{uri_hint(found.conn_type)}"
            )
        extra, form = connections.extras(found.extra), self.vendor.form
        secrets = {form.credential_label: found.password} | {
            one.label: extra.get(one.name) for one in form.fields if one.secret
        }
        for secret in secrets.values():
            mask(secret)
        for label, value in {form.login_label or "Login": found.login, **secrets}.items():
            connections.check_credential(self.conn_id, label, value)
        schema = getattr(found, "schema", None)
        settings = connections.settings(self.vendor, self.conn_id, found.host, found.port, extra, schema=schema)
        for address in settings.transport.get("proxies", {}).values():
            mask(urlsplit(address).password)
            mask(unquote(urlsplit(address).password or ""))
        return settings

    def get_conn(
        self, headers: dict[Any, Any] | None = None, extra_options: dict[str, Any] | None = None
    ) -> requests.Session:
        """A session that is signed and set up for the vendor.

        HttpHook's own would send every extra of the connection to the vendor as a header, secrets too.
        """
        session = self._unsigned_conn(headers, extra_options)
        session.auth = self._auth
        return session

    def _unsigned_conn(
        self, headers: dict[Any, Any] | None = None, extra_options: dict[str, Any] | None = None
    ) -> requests.Session:
        """A session that holds no credentials, for a sign-in that has none yet."""
        self._set_base_url(self.connection)
        timeout = self.vendor.limits.timeout_s
        options = {"timeout": timeout, "allow_redirects": False, **self.settings.transport, **(extra_options or {})}
        self.merged_extra = options
        session = requests.Session()
        session.proxies = options.get("proxies", {})
        session.verify = options.get("verify", True)
        session.cert = options.get("cert")
        session.headers.update({**self.default_headers, **(headers or {})})
        from airflow_provider_segexport.http.response_limits import limit_responses  # noqa: PLC0415 - for `run`

        mounted: requests.Session = self._configure_session_from_mount_adapters(session)
        limit_responses(mounted, self.vendor.limits.response)
        return mounted

    def run(self, *args: Any, **kwargs: Any) -> Any:
        """HttpHook's own call to any path; a method that changes something needs the gate of the connection."""
        if self.method not in READS:
            from airflow_provider_segexport.hooks.permission import permit  # noqa: PLC0415

            permit(self)()
        from airflow_provider_segexport.http.quiet_logs import quiet  # noqa: PLC0415

        with quiet():
            return super().run(*args, **kwargs)

    def check_response(self, response: requests.Response) -> None:
        """For `run`: HttpHook's own writes the vendor's words, which may name a person, into the log."""
        if not response.ok:
            where = urlsplit(response.url)
            raise AirflowException(f"{where.netloc}{where.path} answered {response.status_code} {response.reason}.")

    def _set_base_url(self, connection: Any) -> None:
        self.base_url = self.settings.endpoint.base_url
        self._base_url_initialized = True

    @cached_property
    def _auth(self) -> Any:
        return self.auth(self.connection, connections.extras(self.connection.extra))

    def mask_basic_auth(self, user: str, password: str) -> None:
        """Mask the header that user and password become."""
        mask(base64.b64encode(f"{user}:{password}".encode()).decode())

    def oauth(self, sign_in: OAuthCredentials) -> Bearer:
        """A sign-in that renews itself, kept where other machines find it."""
        from airflow_provider_segexport.hooks.oauth_store import oauth_session  # noqa: PLC0415

        return oauth_session(self, sign_in)

    @staticmethod
    def sleep(seconds: float) -> None:
        """Let time pass. Tests hand over a clock in the place of this and the next."""
        time.sleep(seconds)

    @staticmethod
    def clock() -> float:
        """Epoch seconds."""
        return time.time()

    def request_stop(self) -> None:
        """End in good order what runs through this hook: waits are cut short, and no further call goes out."""
        self.stopped = True

    def interruptible_sleep(self, seconds: float) -> None:
        """Let time pass until `stop` is called, with a line in the log every `HEARTBEAT_S`."""
        while seconds > 0 and not self.stopped:
            self.heartbeat("Waiting (left_s=%.0f)", seconds, after_s=HEARTBEAT_S + 30)
            self.sleep(min(seconds, SLICE_S))
            seconds -= SLICE_S

    def heartbeat(self, text: str, *values: object, after_s: float = HEARTBEAT_S) -> None:
        """Log a line if a wait has logged none for `after_s` seconds."""
        now = self.clock()
        if self._beat_at is None:
            self._beat_at = now
        elif now - self._beat_at >= after_s:
            log.info(text, *values)
            self._beat_at = now

    def raise_if_stopped(self) -> None:
        """Raise when the hook was told to stop."""
        if self.stopped:
            raise SegexportError("The task was told to end. Another try goes on where this one stopped.")

    @property
    def quota_account(self) -> str:
        """Whose quota the calls count for, as far as the connection tells it: nothing has been asked yet.

        A login is an API user or a client id, which have quotas of their own; else it is the key. Two keys of one
        account are counted apart, and what the vendor answers to one holds the other back too late.
        """
        return str(self.connection.login or self.connection.password or self.conn_id)

    def http_client(self, retry_limits: RetryLimits | None = None) -> Sender:
        """What sends requests through this connection; to be closed by the caller."""
        from airflow_provider_segexport.hooks.permission import permit  # noqa: PLC0415
        from airflow_provider_segexport.hooks.rate_limit import pace_of  # noqa: PLC0415
        from airflow_provider_segexport.http.client import RetryLimits, Sender  # noqa: PLC0415

        retry_limits = retry_limits or RetryLimits()
        return Sender(
            self.get_conn,
            self.vendor,
            retry_limits=retry_limits,
            renew_auth=getattr(self._auth, "renew", None),
            rate_limiter=pace_of(self, retry_limits.max_wait_s, backfill=self.backfill),
            check_writable=permit(self),
            sleep=self.interruptible_sleep,
            clock=self.clock,
        )

    def run_operation(self, operation: Operation[T], retry_limits: RetryLimits | None = None) -> T:
        """Run one of the vendor's operations; one that changes something needs the gate of the connection."""
        sender = self.http_client(retry_limits)
        try:
            return run_operation(operation, sender, self.interruptible_sleep)
        finally:
            sender.close()

    def run_unauthenticated(self, operation: Operation[T]) -> T:
        """Run an operation that brings its own credentials: a first sign-in."""
        from airflow_provider_segexport.http.client import Sender  # noqa: PLC0415

        sender = Sender(self._unsigned_conn, self.vendor, sleep=self.interruptible_sleep, clock=self.clock)
        try:
            return run_operation(operation, sender, self.interruptible_sleep)
        finally:
            sender.close()

    def resolve_audience(self, audience: str | None = None, retry_limits: RetryLimits | None = None) -> Audience:
        """Account and audience as the vendor tells them; the connection's default audience where none is named."""
        return self.run_operation(
            self.vendor.resolve_audience(self.settings.endpoint, audience or self.settings.audience), retry_limits
        )

    def test_connection(self) -> tuple[bool, str]:
        """What the Test button and `airflow connections test` show: account, audience, and what is still missing."""
        from airflow_provider_segexport.http.client import RetryLimits  # noqa: PLC0415

        try:
            target = self.resolve_audience(retry_limits=RetryLimits(attempts=2, max_wait_s=3))
        except SegexportError as error:
            return False, str(error)
        words = f"{self.vendor.title} account {target.account_name!r}"
        if target.audience:
            count = "" if target.member_count is None else f" with {counted(target.member_count, 'member')}"
            words += f", {self.vendor.audience_noun} {target.audience_name!r}{count}"
        words = " ".join([f"{words}.", *target.warnings, *self.settings.warnings()])
        if logging.root.manager.disable:  # Airflow's command line: it silences logs, and a success has no words there
            sys.stdout.write(f"{words}\n")
        return True, words


__all__ = ["SegmentExportHook", "read_connection"]
