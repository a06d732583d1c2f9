"""Reads and checks values of a connection's extra, and its credentials."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from airflow_provider_segexport.errors import InvalidConnection
from airflow_provider_segexport.http.base_url import text_of
from airflow_provider_segexport.trimming import trimmed
from airflow_provider_segexport.yes_no import blank, yes_no

QUOTES = "\"'`\u201c\u201d\u2018\u2019"
"""Quotation marks that may be copied together with a credential."""

CERT_FILES = (1, 2)
"""Number of files in `cert`: one file with both, or the certificate and its key."""

MAX_RATE_DIGITS = 9
"""Digits that `calls_per_minute` may have; more is a typing error."""


def extras(text: str | None) -> dict[str, Any]:
    """Return the connection's extra as a dictionary.

    Raises:
        InvalidConnection: it is no JSON object; the error does not quote it.
    """
    if not text:
        return {}
    try:
        extra = json.loads(text)
    except (ValueError, RecursionError):
        raise InvalidConnection("The connection's extra is not JSON. To fix: enter a JSON object.") from None
    if not isinstance(extra, dict):
        raise InvalidConnection("The connection's extra is JSON, but not an object. To fix: enter a JSON object.")
    return extra


def check_credential(conn_id: str, label: str, value: Any) -> None:
    """Check that a credential has no blanks or quotes around it. Its value is never shown.

    Args:
        conn_id: the Airflow connection.
        label: the field's label in the connection's form.
        value: the credential; None and an empty text are allowed, because a vendor may need none.

    Raises:
        InvalidConnection: it is not a text, or a file or a shell has added characters to it.
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


def transport(conn_id: str, extra: Mapping[str, Any]) -> dict[str, Any]:
    """Return `proxies`, `verify` and `cert` of the extra.

    Raises:
        InvalidConnection: one of them cannot be read, or a path does not exist.
    """
    options: dict[str, Any] = {}
    proxies, verify, cert = (extra.get(name) for name in ("proxies", "verify", "cert"))
    if proxies:
        if not isinstance(proxies, Mapping):
            raise InvalidConnection(
                f"Connection {conn_id!r}: `proxies` in the extra is of type {type(proxies).__name__}. To fix: make it "
                "a mapping, such as {'https': 'http://proxy:3128'}."
            )
        options["proxies"] = {scheme: _proxy_url(conn_id, proxies, scheme) for scheme in proxies}
    if not blank(verify):
        flag = yes_no(verify)
        options["verify"] = _existing_path(conn_id, "verify", verify) if flag is None else flag
    if cert:
        files = cert if isinstance(cert, list) and len(cert) in CERT_FILES else [cert]
        parts = [_existing_path(conn_id, "cert", part) for part in files]
        options["cert"] = parts[0] if len(parts) == 1 else tuple(parts)
    return options


def _proxy_url(conn_id: str, proxies: Mapping[str, Any], scheme: str) -> str:
    """Return a proxy's URL. The error does not show it, because it may hold a password."""
    url = scalar(conn_id, proxies, scheme, "proxies.")
    try:
        urlsplit(url)
    except ValueError:
        raise InvalidConnection(
            f"Connection {conn_id!r}: `proxies.{scheme}` in the extra is no URL. To fix: write it as "
            "http://proxy:3128, with an IPv6 address in brackets and with %5B and %5D for brackets in a password."
        ) from None
    return url


def positive_int(conn_id: str, value: Any) -> int | None:
    """Return a whole number above zero; None if the field is empty."""
    text = text_of(value)
    if not text:
        return None
    if not text.isdecimal() or not 0 < len(text.lstrip("0")) <= MAX_RATE_DIGITS:
        raise InvalidConnection(
            f"Connection {conn_id!r}: 'Calls per minute' is not a whole number above zero. To fix: enter such a "
            "number, or leave the field empty."
        )
    return int(text)


def _existing_path(conn_id: str, name: str, path: Any) -> str:
    if not isinstance(path, str):
        raise _wrong_type(conn_id, name, path, "a path")
    if "\0" in path or not pathlib.Path(path).exists():
        raise InvalidConnection(
            f"Connection {conn_id!r}: `{name}` in the extra is {path!r}, which does not exist on this machine. To fix: "
            "correct the path, or install the file on every machine that runs Airflow."
        )
    return path


def _wrong_type(conn_id: str, name: str, value: Any, expected: str) -> InvalidConnection:
    """Return the error for a value of the wrong type in the extra. It does not show the value, which may be secret."""
    return InvalidConnection(
        f"Connection {conn_id!r}: `{name}` in the extra is of type {type(value).__name__}. To fix: make it {expected}."
    )


def scalar(conn_id: str, extra: Mapping[str, Any], name: str, within: str = "") -> str:
    """Return a text or whole number of the extra as text; empty if it is null.

    Args:
        conn_id: the Airflow connection, for the error.
        extra: the extra, or a mapping in it.
        name: the key.
        within: the path of that mapping with a dot at its end, such as `proxies.`; empty for the extra itself.

    Raises:
        InvalidConnection: the value has another type.
    """
    value = extra.get(name)
    if value is not None and (isinstance(value, bool) or not isinstance(value, (str, int))):
        raise _wrong_type(conn_id, f"{within}{name}", value, "a text")
    return text_of(value)


def patterns(conn_id: str, extra: Mapping[str, Any]) -> tuple[str, ...]:
    """Return DAG ids and patterns. The form has comma-separated text; JSON written by hand may have a list."""
    value = extra.get("allowed_dags")
    if isinstance(value, list) and all(isinstance(part, str) for part in value):
        return tuple(text for part in value if (text := text_of(part)))
    if value is not None and not isinstance(value, str):
        raise _wrong_type(conn_id, "allowed_dags", value, "a text with commas, or a list of texts")
    return tuple(text for part in text_of(value).split(",") if (text := text_of(part)))


def switch(conn_id: str, extra: Mapping[str, Any], name: str, *, default: bool) -> bool:
    """Return the value of a switch; an environment variable or a CLI call may have written it as a word.

    Args:
        conn_id: the Airflow connection, for the error.
        extra: the extra.
        name: the key.
        default: the value if the switch is empty.

    Raises:
        InvalidConnection: the value is neither yes nor no.
    """
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
