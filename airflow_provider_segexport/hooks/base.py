"""The base of all vendors' hooks: `Airflow connection -> settings, session, HTTP client, export`."""

from __future__ import annotations

import base64
from abc import abstractmethod
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import requests
from airflow.providers.http.hooks.http import HttpHook
from airflow.sdk.exceptions import AirflowException

from airflow_provider_segexport import __version__
from airflow_provider_segexport.errors import InvalidConnection
from airflow_provider_segexport.hooks import connection as connections
from airflow_provider_segexport.hooks.audiences import Audiences
from airflow_provider_segexport.hooks.exporting import Exporting
from airflow_provider_segexport.hooks.extra import check_credential, extras
from airflow_provider_segexport.hooks.failures import fatal_errors_translated
from airflow_provider_segexport.hooks.interruptible import Interruptible
from airflow_provider_segexport.hooks.lookups import read_connection
from airflow_provider_segexport.hooks.masking import mask, mask_password_of
from airflow_provider_segexport.hooks.verifying import Verifying
from airflow_provider_segexport.http.errors import redact_url, translate_error
from airflow_provider_segexport.model import READS, Operation, T
from airflow_provider_segexport.vendors.auth import OAuthCredentials
from airflow_provider_segexport.vendors.base import Vendor
from airflow_provider_segexport.vendors.operations import run_operation

if TYPE_CHECKING:
    from airflow_provider_segexport.http.call_log import CallLog
    from airflow_provider_segexport.http.client import RetryLimits, Sender
    from airflow_provider_segexport.http.oauth import Bearer


class SegmentExportHook(Exporting, Verifying, Audiences, Interruptible, HttpHook):
    """A vendor account that is described by an Airflow connection.

    It can be used in a `@task` without an operator: `hook.resolve_audience()` returns account and audience,
    `hook.export(...)` exports a segment or a DataFrame, `hook.verify(...)` compares an audience with its ledger, and
    `hook.run_operation(...)` runs any of the vendor's operations.

    Args:
        conn_id: the Airflow connection, of the vendor's type.
        connection: the connection itself, if the caller has read it; None reads it when it is first needed.
        low_priority: make calls after those of other tasks if the account's quota is scarce, as a backfill does.
        is_command: an administrator's command uses the hook, and no DAG; 'Allowed DAGs' does not apply.
    """

    vendor: ClassVar[Vendor]
    default_headers: dict[str, str] = {"user-agent": f"airflow-provider-segexport/{__version__}"}  # noqa: RUF012 - as HttpHook has it

    def __init__(
        self,
        conn_id: str | None = None,
        *,
        connection: Any = None,
        low_priority: bool = False,
        is_command: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(http_conn_id=conn_id or self.default_conn_name, **kwargs)
        if connection is not None:
            self.connection = connection
        self.low_priority = low_priority
        self.is_command = is_command

    @abstractmethod
    def auth(self, connection: Any, extra: dict[str, Any]) -> Any:
        """Return what `requests` takes as `auth`.

        Raises:
            InvalidConnection: a credential is missing.
        """

    @property
    def conn_id(self) -> str:
        """The id of the Airflow connection."""
        return self.http_conn_id

    @cached_property
    @fatal_errors_translated()
    def connection(self) -> Any:
        """The Airflow connection. It is read once, in the main thread, because other threads cannot ask Airflow."""
        return read_connection(self.conn_id)

    @cached_property
    def call_log(self) -> CallLog:
        """The calls that clients of this hook have made since the log was last taken."""
        from airflow_provider_segexport.http.call_log import CallLog  # noqa: PLC0415

        return CallLog()

    @cached_property
    @fatal_errors_translated()
    def settings(self) -> connections.ConnectionSettings:
        """The settings of the connection. Reading them masks the connection's secrets in logs."""
        connection = self.connection
        if connection.conn_type != self.conn_type:
            raise InvalidConnection(
                f"Connection {self.conn_id!r} is of type {connection.conn_type!r}, but {type(self).__name__} needs a "
                f"connection of type {self.conn_type!r}, because credentials are sent to their own vendor only. To "
                f"fix: use {self.conn_type!r} as the connection type, or another "
                f"hook.{connections.uri_hint(connection.conn_type)}"
            )
        extra, form = extras(connection.extra), self.vendor.form
        secrets = {form.credential_label: connection.password} | {
            field.label: extra.get(field.name) for field in form.fields if field.secret
        }
        for secret in secrets.values():
            mask(secret)
        for label, value in {form.login_label or "Login": connection.login, **secrets}.items():
            check_credential(self.conn_id, label, value)
        settings = connections.settings(
            self.vendor,
            self.conn_id,
            connection.host,
            connection.port,
            extra,
            schema=getattr(connection, "schema", None),
        )
        for proxy_url in settings.transport.get("proxies", {}).values():
            mask_password_of(proxy_url)
        return settings

    @fatal_errors_translated()
    def get_conn(
        self, headers: dict[Any, Any] | None = None, extra_options: dict[str, Any] | None = None
    ) -> requests.Session:
        """Return a session with the vendor's authentication, timeout, proxies and response limits.

        HttpHook's own session would send every extra of the connection to the vendor as a header, including secrets.
        """
        session = self._unauthenticated_conn(headers, extra_options)
        session.auth = self._auth
        return session

    def _unauthenticated_conn(
        self, headers: dict[Any, Any] | None = None, extra_options: dict[str, Any] | None = None
    ) -> requests.Session:
        """Return a session without credentials, for a login."""
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

    @fatal_errors_translated()
    def run(self, *args: Any, **kwargs: Any) -> Any:
        """Call any path, as HttpHook does. A method that changes something needs permission first."""
        if self.method not in READS:
            from airflow_provider_segexport.hooks.permission import permission_check  # noqa: PLC0415

            permission_check(self)()
        from airflow_provider_segexport.http.quiet_logs import quiet  # noqa: PLC0415

        with quiet():
            return super().run(*args, **kwargs)

    def check_response(self, response: requests.Response) -> None:
        """Raise for an error status, for `run`. HttpHook would log the response's text, which may name a person."""
        if not response.ok:
            fix = "To fix: check the path and the data of the call, and the permissions of the credentials."
            raise AirflowException(f"{redact_url(response.url)} returned {response.status_code}. {fix}")

    def run_and_check(
        self, session: requests.Session, prepped_request: requests.PreparedRequest, extra_options: dict[Any, Any]
    ) -> Any:
        """Send a request, for `run`. An exception of `requests` keeps its class, and loses its text with the URL.

        Args:
            session: from `get_conn`.
            prepped_request: the request.
            extra_options: options for `send`.
        """
        send = session.send

        def send_quietly(request: requests.PreparedRequest, **options: Any) -> requests.Response:
            try:
                return send(request, **options)
            except requests.RequestException as error:
                raise type(error)(str(translate_error(error, str(request.url)))) from None

        session.send = send_quietly  # type: ignore[method-assign]
        return super().run_and_check(session, prepped_request, extra_options)

    def _set_base_url(self, connection: Any) -> None:
        """Use the base URL of the settings, where HttpHook would build one from the connection."""
        self.base_url = self.settings.endpoint.base_url
        self._base_url_initialized = True

    @cached_property
    def _auth(self) -> Any:
        """The authentication of every session of this hook."""
        return self.auth(self.connection, extras(self.connection.extra))

    def mask_basic_auth(self, user: str, password: str) -> None:
        """Mask the header value that `requests` makes of user and password."""
        mask(base64.b64encode(f"{user}:{password}".encode()).decode())

    def oauth(self, credentials: OAuthCredentials) -> Bearer:
        """Return an authentication that renews its tokens and stores them in an Airflow Variable."""
        from airflow_provider_segexport.hooks.oauth_store import oauth_session  # noqa: PLC0415

        return oauth_session(self, credentials)

    @property
    def quota_account(self) -> str:
        """The name under which the account's calls are counted. It is known before the first call.

        It is the connection's login, because an API user or a client id has a quota of its own. Without a login it is
        the key, so two keys of one account are counted separately, although the vendor may count them together.
        """
        return str(self.connection.login or self.connection.password or self.conn_id)

    @fatal_errors_translated()
    def http_client(self, retry_limits: RetryLimits | None = None) -> Sender:
        """Return a client for calls through this connection; the caller closes it.

        Args:
            retry_limits: how often and how long a call is repeated; None for the defaults.
        """
        from airflow_provider_segexport.hooks.permission import permission_check  # noqa: PLC0415
        from airflow_provider_segexport.hooks.rate_limit import rate_limiter_for  # noqa: PLC0415
        from airflow_provider_segexport.http.client import RetryLimits, Sender  # noqa: PLC0415

        retry_limits = retry_limits or RetryLimits()
        return Sender(
            self.get_conn,
            self.vendor,
            retry_limits=retry_limits,
            renew_auth=getattr(self._auth, "renew", None),
            rate_limiter=rate_limiter_for(self, retry_limits.max_wait_s),
            check_writable=permission_check(self),
            sleep=self.interruptible_sleep,
            clock=self.clock,
            call_log=self.call_log,
        )

    @fatal_errors_translated()
    def run_operation(self, operation: Operation[T], retry_limits: RetryLimits | None = None) -> T:
        """Run one of the vendor's operations and return its result.

        Args:
            operation: the generator that a function of the vendor returns.
            retry_limits: how often and how long a call is repeated; None for the defaults.

        Raises:
            ConnectionNotAllowed: the operation changes something, and the connection does not allow it.
        """
        client = self.http_client(retry_limits)
        try:
            return run_operation(operation, client, self.interruptible_sleep)
        finally:
            client.close()

    @fatal_errors_translated()
    def run_unauthenticated(self, operation: Operation[T]) -> T:
        """Run an operation that brings its own credentials, such as a login."""
        from airflow_provider_segexport.http.client import Sender  # noqa: PLC0415

        client = Sender(
            self._unauthenticated_conn,
            self.vendor,
            sleep=self.interruptible_sleep,
            clock=self.clock,
            call_log=self.call_log,
        )
        try:
            return run_operation(operation, client, self.interruptible_sleep)
        finally:
            client.close()
