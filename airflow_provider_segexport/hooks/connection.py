"""What an Airflow connection of ours says, and who may use it: `fields -> Settings`, `Settings -> yes or an error`."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import urlsplit

from airflow_provider_segexport.errors import ConnectionNotAllowed, ExportsDisabled, InvalidConnection
from airflow_provider_segexport.http.base_url import base_url, scheme_of, text_of, without_path
from airflow_provider_segexport.trimming import trimmed
from airflow_provider_segexport.vendors.auth import ApiEndpoint
from airflow_provider_segexport.vendors.base import Vendor
from airflow_provider_segexport.yes_no import blank, yes_no

QUOTES = "\"'`\u201c\u201d\u2018\u2019"
CERT_FILES = (1, 2)  # a file with both, or the certificate and its key
MOST_DIGITS = 9  # of calls a minute

CONSENT = (
    "Personal data leaves for the vendor at your own instruction, and you answer for what the vendor does with it. "
    "Switch this on to agree, and say under 'Consented by' who does."
)


@dataclass(frozen=True, slots=True)
class ConnectionSettings:
    """A connection of ours, read. Secrets are not in it.

    Attributes:
        allowed_dags: DAG ids or patterns; empty lets none in.
        calls_per_minute: the account's quota where a contract with the vendor says another than the published one.
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
        """Let a DAG through or say why not; None is a use outside any DAG, which only `*` lets in."""
        self.check_enabled()
        if not any(fnmatchcase(dag_id or "", pattern) and (dag_id or pattern == "*") for pattern in self.allowed_dags):
            who = f"DAG {dag_id!r}" if dag_id else "A use outside any DAG"
            raise ConnectionNotAllowed(
                f"{who} may not use connection {self.conn_id!r}. An administrator lets it in under 'Allowed DAGs' in "
                f"the connection's form, as {dag_id or '*'}; now there: {', '.join(self.allowed_dags) or 'none'}."
            )

    def warnings(self) -> list[str]:
        """What an administrator should know besides whether the connection works."""
        notes = []
        parts = urlsplit(self.endpoint.base_url)
        if parts.scheme == "http" and parts.hostname not in {"localhost", "127.0.0.1", "::1"}:
            notes.append("The base URL is http, not https: credentials and profiles travel in clear.")
        try:
            self.check_enabled()
        except (ExportsDisabled, ConnectionNotAllowed) as error:
            notes.append(f"Not ready for exports: {error}")
        else:
            if not self.allowed_dags:
                notes.append("Not ready for exports: no DAG stands under 'Allowed DAGs'.")
        return notes

    def check_enabled(self) -> None:
        """Pass when exports through this connection are switched on, agreed to, and somebody stands for them."""
        if not self.export_enabled:
            raise ExportsDisabled(
                f"Exports through connection {self.conn_id!r} are switched off. An administrator switches them on "
                "again in the connection's form ('Exports enabled')."
            )
        if not self.privacy_consent:
            raise ConnectionNotAllowed(
                f"Connection {self.conn_id!r} holds no consent to the data privacy terms. An administrator gives it in "
                "the connection's form ('Consent to data privacy terms', 'Consented by')."
            )
        if not self.consented_by:
            raise ConnectionNotAllowed(
                f"Connection {self.conn_id!r} does not say who stands for the exports. An administrator fills in "
                "'Consented by' in the connection's form."
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
    """Read a connection. The form saves what was left empty as null: null is unset."""
    own_options = {one.name for one in vendor.form.fields if not one.secret}
    return ConnectionSettings(
        conn_id=conn_id,
        vendor=vendor,
        endpoint=ApiEndpoint(
            base_url=without_path(base_url(conn_id, host, port, scheme_of(schema, vendor)), vendor) or vendor.base_url,
            is_default_url=not text_of(host),
            options={name: text for name in own_options if (text := _scalar(conn_id, extra, name))},
        ),
        audience=_scalar(conn_id, extra, "default_audience") or None,
        privacy_consent=_switch(conn_id, extra, "privacy_consent", default=False),
        consented_by=_scalar(conn_id, extra, "consented_by"),
        allowed_dags=_patterns(conn_id, extra),
        export_enabled=_switch(conn_id, extra, "export_enabled", default=True),
        calls_per_minute=_count(conn_id, extra.get("calls_per_minute")),
        transport=transport(conn_id, extra),
    )


def enabled(extra: str | None) -> bool:
    """Whether a connection lets exports through at all; an extra that cannot be read stops none by itself."""
    try:
        return _switch("", extras(extra), "export_enabled", default=True)
    except InvalidConnection:
        return True


def _count(conn_id: str, value: Any) -> int | None:
    """A whole number above zero, if one is given."""
    text = text_of(value)
    if not text:
        return None
    if not text.isdecimal() or not 0 < len(text.lstrip("0")) <= MOST_DIGITS:
        raise InvalidConnection(
            f"Connection {conn_id!r}: 'Calls per minute' should be a whole number above zero, or empty."
        )
    return int(text)


def transport(conn_id: str, extra: Mapping[str, Any]) -> dict[str, Any]:
    """`proxies`, `verify` and `cert` of the extra, checked: a path that is not there would fail in the first call."""
    found: dict[str, Any] = {}
    proxies, verify, cert = (extra.get(name) for name in ("proxies", "verify", "cert"))
    if proxies:
        if not isinstance(proxies, Mapping):
            raise InvalidConnection(f"Connection {conn_id!r}: `proxies` in the extra should map 'https' to an address.")
        found["proxies"] = {scheme: _scalar(conn_id, proxies, scheme, "proxies.") for scheme in proxies}
    if not blank(verify):
        switch = yes_no(verify)
        found["verify"] = _there(conn_id, "verify", verify) if switch is None else switch
    if cert:
        files = cert if isinstance(cert, list) and len(cert) in CERT_FILES else [cert]
        parts = [_there(conn_id, "cert", part) for part in files]
        found["cert"] = parts[0] if len(parts) == 1 else tuple(parts)
    return found


def _there(conn_id: str, name: str, path: Any) -> str:
    if not isinstance(path, str):
        raise _wrong_type(conn_id, name, path, "a path")
    if "\0" in path or not pathlib.Path(path).exists():
        raise InvalidConnection(f"Connection {conn_id!r}: `{name}` in the extra names {path!r}, which is not there.")
    return path


def _wrong_type(conn_id: str, name: str, value: Any, wanted: str) -> InvalidConnection:
    """Return the error for a value of the extra that has another type than can be used; the value is not shown."""
    return InvalidConnection(
        f"Connection {conn_id!r}: `{name}` in the extra is of type {type(value).__name__}. To fix: make it {wanted}."
    )


def _scalar(conn_id: str, extra: Mapping[str, Any], name: str, within: str = "") -> str:
    """Return a text or a whole number of the extra as a text; empty where it is null."""
    value = extra.get(name)
    if value is not None and (isinstance(value, bool) or not isinstance(value, (str, int))):
        raise _wrong_type(conn_id, f"{within}{name}", value, "a text")
    return text_of(value)


def _patterns(conn_id: str, extra: Mapping[str, Any]) -> tuple[str, ...]:
    """DAG ids and patterns: comma-separated in the form, perhaps a list where JSON was written by hand."""
    value = extra.get("allowed_dags")
    if isinstance(value, list) and all(isinstance(part, str) for part in value):
        return tuple(text for part in value if (text := text_of(part)))
    if value is not None and not isinstance(value, str):
        raise _wrong_type(conn_id, "allowed_dags", value, "a text with commas, or a list of texts")
    return tuple(text for part in text_of(value).split(",") if (text := text_of(part)))


def check_credential(conn_id: str, label: str, value: Any) -> None:
    """Pass if a credential could have been copied as it is; its value is never shown.

    Args:
        conn_id: the Airflow connection.
        label: how the connection's form calls the field.
        value: the credential; None and an empty text pass, because a vendor may need none.

    Raises:
        InvalidConnection: it is no text, or it begins or ends with what a file or a shell has added.
    """
    if value is None or value == "":
        return
    if not isinstance(value, str):
        raise _wrong_type(conn_id, label, value, "a text")
    if (
        value != trimmed(value)
        or not value.isprintable()
        or (len(value) > 1 and value[0] == value[-1] and value[0] in QUOTES)
    ):
        raise InvalidConnection(
            f"{label} of connection {conn_id!r} begins or ends with a blank, a line break, an invisible character or a "
            "pair of quotes, or holds a line break. To fix: enter it again without them."
        )


def _switch(conn_id: str, extra: Mapping[str, Any], name: str, *, default: bool) -> bool:
    """A switch of the form, also when an environment variable or a CLI call wrote it as a word."""
    value = extra.get(name)
    if blank(value):
        return default
    switch = yes_no(value)
    if switch is None:
        shown = repr(value) if isinstance(value, str | int | float) else f"of type {type(value).__name__}"
        raise InvalidConnection(
            f"Connection {conn_id!r}: `{name}` in the extra is {shown}, neither yes nor no. "
            "To fix: set it to true or false."
        )
    return switch


def extras(text: str | None) -> dict[str, Any]:
    """The connection's extra; one that is no JSON object is said so, without its content."""
    if not text:
        return {}
    try:
        found = json.loads(text)
    except ValueError:
        raise InvalidConnection("The connection's extra is not JSON.") from None
    if not isinstance(found, dict):
        raise InvalidConnection("The connection's extra is JSON, and no object.")
    return found
