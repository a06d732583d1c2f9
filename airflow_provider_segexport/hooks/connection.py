"""Reads an Airflow connection, and checks which DAGs may use it: `fields -> ConnectionSettings`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import urlsplit

from airflow_provider_segexport.errors import ConnectionNotAllowed, ExportsDisabled, InvalidConnection
from airflow_provider_segexport.hooks.extra import extras, patterns, positive_int, scalar, switch, transport
from airflow_provider_segexport.http.base_url import base_url, is_loopback, scheme_of, text_of, without_path
from airflow_provider_segexport.vendors.auth import ApiEndpoint
from airflow_provider_segexport.vendors.base import Vendor
from airflow_provider_segexport.vendors.directory import NAME_PREFIX
from airflow_provider_segexport.vendors.registry import VENDORS

CONSENT = (
    "Exports send personal data to the vendor on your instruction, and you are responsible for what the vendor does "
    "with it. Switch this on to agree, and enter under 'Consented by' who agrees."
)
"""Help text of the form's field 'Consent to data privacy terms'."""


@dataclass(frozen=True, slots=True)
class ConnectionSettings:
    """The settings of a connection, without secrets.

    Attributes:
        conn_id: the Airflow connection.
        vendor: the vendor of the connection's type.
        endpoint: the base URL and the vendor's own options.
        audience: the default audience; None if the connection has none.
        privacy_consent: an administrator has agreed to the data privacy terms.
        consented_by: who agreed; empty if no one is named.
        allowed_dags: DAG ids or patterns; empty allows no DAG.
        export_enabled: exports through the connection are enabled.
        calls_per_minute: the account's quota if a contract sets another than the published one; else None.
        transport: `proxies`, `verify` and `cert`, as `requests` takes them.
    """

    conn_id: str
    vendor: Vendor
    endpoint: ApiEndpoint
    audience: str | None
    privacy_consent: bool
    consented_by: str
    allowed_dags: tuple[str, ...]
    export_enabled: bool
    calls_per_minute: int | None = None
    transport: Mapping[str, Any] = field(default_factory=dict)

    def check_dag_allowed(self, dag_id: str | None) -> None:
        """Check that a DAG may use the connection.

        Args:
            dag_id: the DAG; None for a use outside any DAG, which only the pattern `*` allows.

        Raises:
            ConnectionNotAllowed: the DAG is not under 'Allowed DAGs', or there is no privacy consent.
            ExportsDisabled: exports through the connection are disabled.
        """
        self.check_enabled()
        if not any(fnmatchcase(dag_id or "", pattern) and (dag_id or pattern == "*") for pattern in self.allowed_dags):
            caller = f"DAG {dag_id!r}" if dag_id else "Code outside a DAG or in `@task.virtualenv`"
            in_dag = "" if dag_id else "export in an operator or a plain `@task` of an allowed DAG, or "
            raise ConnectionNotAllowed(
                f"{caller} may not use connection {self.conn_id!r}. Currently allowed: "
                f"{', '.join(self.allowed_dags) or 'none'}. To fix: {in_dag}ask an administrator to add "
                f"`{dag_id or '*'}` to 'Allowed DAGs' in the connection's form."
            )

    def warnings(self) -> list[str]:
        """Return what an administrator should know besides whether the connection works."""
        warnings = []
        parts = urlsplit(self.endpoint.base_url)
        if parts.scheme == "http" and not is_loopback(self.endpoint.base_url):
            warnings.append("The base URL is http, not https, so credentials and profiles are sent unencrypted.")
        try:
            self.check_enabled()
        except (ExportsDisabled, ConnectionNotAllowed) as error:
            warnings.append(f"Not ready for exports: {error}")
        else:
            if not self.allowed_dags:
                warnings.append("Not ready for exports: 'Allowed DAGs' is empty.")
        return warnings

    def check_enabled(self) -> None:
        """Check that exports are enabled and that an administrator has given privacy consent.

        Raises:
            ExportsDisabled: exports through the connection are disabled.
            ConnectionNotAllowed: the privacy consent or the name of who gave it is missing.
        """
        if not self.export_enabled:
            raise ExportsDisabled(
                f"Exports through connection {self.conn_id!r} are disabled. To fix: ask an administrator to switch on "
                "'Exports enabled' in the connection's form."
            )
        if not self.privacy_consent:
            raise ConnectionNotAllowed(
                f"Connection {self.conn_id!r} has no consent to the data privacy terms. To fix: ask an administrator "
                "to fill in 'Consent to data privacy terms' and 'Consented by' in the connection's form."
            )
        if not self.consented_by:
            raise ConnectionNotAllowed(
                f"Connection {self.conn_id!r} does not name who consented to the exports. To fix: ask an administrator "
                "to fill in 'Consented by' in the connection's form."
            )


def settings(  # noqa: PLR0913 - the fields of a connection
    vendor: Vendor,
    conn_id: str,
    host: str | None,
    port: int | None,
    extra: Mapping[str, Any],
    *,
    schema: str | None = None,
) -> ConnectionSettings:
    """Read and check the fields of a connection. Null counts as unset, because the form saves an empty field as null.

    Args:
        vendor: the vendor of the connection's type.
        conn_id: the Airflow connection, for errors.
        host: a host name or base URL; None or empty for the vendor's own.
        port: a port; None for the default.
        extra: the connection's extra.
        schema: `http` or `https`; None for the default.

    Raises:
        InvalidConnection: a field cannot be read.
    """
    own_options = {field.name for field in vendor.form.fields if not field.secret}
    return ConnectionSettings(
        conn_id=conn_id,
        vendor=vendor,
        endpoint=ApiEndpoint(
            base_url=without_path(base_url(conn_id, host, port, scheme_of(schema, vendor)), vendor) or vendor.base_url,
            is_default_url=not text_of(host),
            options={name: text for name in own_options if (text := scalar(conn_id, extra, name))},
        ),
        audience=_default_audience(conn_id, extra),
        privacy_consent=switch(conn_id, extra, "privacy_consent", default=False),
        consented_by=scalar(conn_id, extra, "consented_by"),
        allowed_dags=patterns(conn_id, extra),
        export_enabled=switch(conn_id, extra, "export_enabled", default=True),
        calls_per_minute=positive_int(conn_id, extra.get("calls_per_minute")),
        transport=transport(conn_id, extra),
    )


def _default_audience(conn_id: str, extra: Mapping[str, Any]) -> str | None:
    """Return the default audience. A name keeps its spaces, because the vendor's name may have them too."""
    given = extra.get("default_audience")
    if isinstance(given, str) and given.startswith(NAME_PREFIX):
        return given
    return scalar(conn_id, extra, "default_audience") or None


def enabled(extra: str | None) -> bool:
    """Return whether exports through a connection are enabled. True if the extra cannot be read."""
    try:
        return switch("", extras(extra), "export_enabled", default=True)
    except InvalidConnection:
        return True


def uri_hint(conn_type: str | None) -> str:
    """Return a hint for a connection whose URI Airflow could not read; empty if the connection has a type.

    Airflow's connection URIs allow no underscore in the scheme.
    """
    if conn_type:
        return ""
    schemes = ", ".join(f"{name.replace('_', '-')}://" for name in VENDORS)
    return f" If the connection is written as a URI, begin it with one of {schemes} (`-`, not `_`)."
