"""What an Airflow connection of ours says, and who may use it: `fields -> Settings`, `Settings -> yes or an error`."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import urlsplit

from airflow_provider_segexport.contract import Access, Vendor
from airflow_provider_segexport.errors import BadConnection, NotAllowed, SwitchedOff

CONSENT = (
    "Personal data leaves for the vendor at your own instruction, and you answer for what the vendor does with it. "
    "Switch this on to agree, and say under 'Consented by' who does."
)
OWN_FIELDS = frozenset({"audience", "privacy_consent", "consented_by", "allowed_dags", "export_enabled"})
TRUE = frozenset({"true", "yes", "on", "1"})


@dataclass(frozen=True, slots=True)
class Settings:
    """A connection of ours, read. Secrets are not in it."""

    conn_id: str
    vendor: Vendor
    access: Access
    audience: str | None
    privacy_consent: bool
    consented_by: str
    allowed_dags: tuple[str, ...]
    export_enabled: bool
    transport: Mapping[str, Any] = field(default_factory=dict)

    def gate(self, dag_id: str | None) -> None:
        """Let a DAG through or say why not; None is a use outside any DAG, which only `*` lets in."""
        if not self.export_enabled:
            raise SwitchedOff(f"Exports through connection {self.conn_id!r} are switched off by an administrator.")
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
        if not any(fnmatchcase(dag_id or "", pattern) and (dag_id or pattern == "*") for pattern in self.allowed_dags):
            raise NotAllowed(
                f"DAG {dag_id!r} may not use connection {self.conn_id!r}. An administrator lets it in under 'Allowed "
                f"DAGs' in the connection's form; now there: {', '.join(self.allowed_dags) or 'none'}."
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
        privacy_consent=_switch(extra.get("privacy_consent"), default=False),
        consented_by=_text(extra.get("consented_by")),
        allowed_dags=tuple(part.strip() for part in _text(extra.get("allowed_dags")).split(",") if part.strip()),
        export_enabled=_switch(extra.get("export_enabled"), default=True),
        transport={name: extra[name] for name in ("proxies", "verify", "cert") if extra.get(name) is not None},
    )


def base_url(conn_id: str, host: str | None, port: int | None) -> str:
    """The base URL that an administrator set, with a scheme and without a trailing slash; empty when none is set.

    The port field (443 in the form, for Airflow's own sake) counts only where the address names a bare host.
    """
    text = _text(host)
    if not text:
        return ""
    if "://" not in text:
        text = f"https://{text}"
    try:
        parts = urlsplit(text)
        named_port = parts.port
    except ValueError:
        parts, named_port = urlsplit(""), None
    if parts.scheme not in {"http", "https"} or not parts.hostname or re.search(r"\s", text) or parts.query:
        raise BadConnection(
            f"Connection {conn_id!r}: the base URL is no address such as https://api.example.com. Leave it empty for "
            "the vendor's own, or give scheme and host."
        )
    if port and named_port is None and port not in {80, 443} and not parts.path.strip("/"):
        text = text.rstrip("/") + f":{port}"
    return text.rstrip("/")


def _text(value: Any) -> str:
    return "" if value is None else str(value).strip()


def _switch(value: Any, *, default: bool) -> bool:
    """A switch of the form, also when an environment variable or a CLI call wrote it as a word."""
    if value is None or value == "":
        return default
    return value if isinstance(value, bool) else str(value).strip().lower() in TRUE


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
