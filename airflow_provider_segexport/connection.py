"""What an Airflow connection of ours says, and who may use it: `fields -> Settings`, `Settings -> yes or an error`."""

from __future__ import annotations

import json
import pathlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import urlsplit

from airflow_provider_segexport.access import Access
from airflow_provider_segexport.contract import Vendor
from airflow_provider_segexport.endpoints import endpoint
from airflow_provider_segexport.errors import BadConnection, NotAllowed, SwitchedOff
from airflow_provider_segexport.yes_no import blank, yes_no

CONSENT = (
    "Personal data leaves for the vendor at your own instruction, and you answer for what the vendor does with it. "
    "Switch this on to agree, and say under 'Consented by' who does."
)


@dataclass(frozen=True, slots=True)
class Settings:
    """A connection of ours, read. Secrets are not in it.

    Attributes:
        allowed_dags: DAG ids or patterns; empty lets none in.
        calls_per_minute: the account's quota where a contract with the vendor says another than the published one.
        transport: `proxies`, `verify` and `cert`, as `requests` takes them.
    """

    conn_id: str
    vendor: Vendor
    access: Access
    audience: str | None
    privacy_consent: bool
    consented_by: str
    allowed_dags: tuple[str, ...]
    export_enabled: bool
    calls_per_minute: int | None = None
    transport: Mapping[str, Any] = field(default_factory=dict)

    def gate(self, dag_id: str | None) -> None:
        """Let a DAG through or say why not; None is a use outside any DAG, which only `*` lets in."""
        self.ready()
        if not any(fnmatchcase(dag_id or "", pattern) and (dag_id or pattern == "*") for pattern in self.allowed_dags):
            who = f"DAG {dag_id!r}" if dag_id else "A use outside any DAG"
            raise NotAllowed(
                f"{who} may not use connection {self.conn_id!r}. An administrator lets it in under 'Allowed DAGs' in "
                f"the connection's form, as {dag_id or '*'}; now there: {', '.join(self.allowed_dags) or 'none'}."
            )

    def notes(self) -> list[str]:
        """What an administrator should know besides whether the connection works."""
        notes = []
        parts = urlsplit(self.access.api)
        if parts.scheme == "http" and parts.hostname not in {"localhost", "127.0.0.1", "::1"}:
            notes.append("The base URL is http, not https: credentials and profiles travel in clear.")
        try:
            self.ready()
        except (SwitchedOff, NotAllowed) as error:
            notes.append(f"Not ready for exports: {error}")
        else:
            if not self.allowed_dags:
                notes.append("Not ready for exports: no DAG stands under 'Allowed DAGs'.")
        return notes

    def ready(self) -> None:
        """Pass when exports through this connection are switched on, agreed to, and somebody stands for them."""
        if not self.export_enabled:
            raise SwitchedOff(
                f"Exports through connection {self.conn_id!r} are switched off. An administrator switches them on "
                "again in the connection's form ('Exports enabled')."
            )
        if not self.privacy_consent:
            raise NotAllowed(
                f"Connection {self.conn_id!r} holds no consent to the data privacy terms. An administrator gives it in "
                "the connection's form ('Consent to data privacy terms', 'Consented by')."
            )
        if not self.consented_by:
            raise NotAllowed(
                f"Connection {self.conn_id!r} does not say who stands for the exports. An administrator fills in "
                "'Consented by' in the connection's form."
            )


def settings(vendor: Vendor, conn_id: str, host: str | None, port: int | None, extra: Mapping[str, Any]) -> Settings:
    """Read a connection. The form saves what was left empty as null: null is unset."""
    own_options = {one.name for one in vendor.form.fields if not one.secret}
    return Settings(
        conn_id=conn_id,
        vendor=vendor,
        access=Access(
            api=base_url(conn_id, host, port) or vendor.api,
            api_is_default=not host,
            options={name: str(extra[name]) for name in own_options if extra.get(name) not in {None, ""}},
        ),
        audience=_text(extra.get("audience")) or None,
        privacy_consent=_switch(conn_id, extra, "privacy_consent", default=False),
        consented_by=_text(extra.get("consented_by")),
        allowed_dags=_patterns(extra.get("allowed_dags")),
        export_enabled=_switch(conn_id, extra, "export_enabled", default=True),
        calls_per_minute=_count(conn_id, extra.get("calls_per_minute")),
        transport=transport(conn_id, extra),
    )


def enabled(extra: str | None) -> bool:
    """Whether a connection lets exports through at all; an extra that cannot be read stops none by itself."""
    try:
        return _switch("", extras(extra), "export_enabled", default=True)
    except BadConnection:
        return True


def _count(conn_id: str, value: Any) -> int | None:
    """A whole number above zero, if one is given."""
    text = _text(value)
    if not text:
        return None
    if not text.isdecimal() or int(text) < 1:
        raise BadConnection(
            f"Connection {conn_id!r}: 'Calls per minute' should be a whole number above zero, or empty."
        )
    return int(text)


def transport(conn_id: str, extra: Mapping[str, Any]) -> dict[str, Any]:
    """`proxies`, `verify` and `cert` of the extra, checked: a path that is not there would fail in the first call."""
    found: dict[str, Any] = {}
    proxies, verify, cert = (extra.get(name) for name in ("proxies", "verify", "cert"))
    if proxies:
        if not isinstance(proxies, Mapping):
            raise BadConnection(f"Connection {conn_id!r}: `proxies` in the extra should map 'https' to an address.")
        found["proxies"] = {str(scheme): str(address) for scheme, address in proxies.items()}
    if not blank(verify):
        switch = yes_no(verify)
        found["verify"] = _there(conn_id, "verify", verify) if switch is None else switch
    if cert:
        parts = [_there(conn_id, "cert", part) for part in ([cert] if isinstance(cert, str) else cert)]
        found["cert"] = parts[0] if len(parts) == 1 else tuple(parts)
    return found


def _there(conn_id: str, name: str, path: Any) -> str:
    if not pathlib.Path(str(path)).exists():
        raise BadConnection(f"Connection {conn_id!r}: `{name}` in the extra names {path!r}, which is not there.")
    return str(path)


def base_url(conn_id: str, host: str | None, port: int | None) -> str:
    """The base URL that an administrator set, with a scheme and without a trailing slash; empty when none is set.

    The port field (443 in the form, for Airflow's own sake) counts only where the address names a bare host.
    """
    text = _text(host)
    if not text:
        return ""
    if "://" not in text:
        text = f"https://{text}"
    leads = endpoint(text)
    if leads is None or "?" in text:
        raise BadConnection(
            f"Connection {conn_id!r}: the base URL is no address such as https://api.example.com. Leave it empty for "
            "the vendor's own, or give scheme and host; credentials go into their own fields."
        )
    names_port = re.search(r":[0-9]+(/|$)", text)
    if port and not names_port and port not in {80, 443} and not leads.path.strip("/"):
        text = text.rstrip("/") + f":{port}"
    return text.rstrip("/")


def _text(value: Any) -> str:
    return "" if value is None else str(value).strip()


def _patterns(value: Any) -> tuple[str, ...]:
    """DAG ids and patterns: comma-separated in the form, perhaps a list where JSON was written by hand."""
    parts = value if isinstance(value, list) else _text(value).split(",")
    return tuple(text for part in parts if (text := _text(part)))


def _switch(conn_id: str, extra: Mapping[str, Any], name: str, *, default: bool) -> bool:
    """A switch of the form, also when an environment variable or a CLI call wrote it as a word."""
    value = extra.get(name)
    if blank(value):
        return default
    switch = yes_no(value)
    if switch is None:
        raise BadConnection(
            f"Connection {conn_id!r}: `{name}` in the extra is {value!r}, neither yes nor no. "
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
        raise BadConnection("The connection's extra is not JSON.") from None
    if not isinstance(found, dict):
        raise BadConnection("The connection's extra is JSON, and no object.")
    return found
