"""A mistyped value in a connection is corrected, or named in an error that says how to write it."""

from __future__ import annotations

import json
import logging
import pathlib

import pytest
from airflow.sdk.definitions.connection import Connection

import airflow_provider_segexport
from airflow_provider_segexport.errors import InvalidConnection, SegexportError
from airflow_provider_segexport.hooks import HOOKS, get_hook, get_hook_class
from airflow_provider_segexport.hooks.connection import settings
from airflow_provider_segexport.hooks.extra import check_credential
from airflow_provider_segexport.hooks.masking import mask
from airflow_provider_segexport.http.base_url import base_url
from airflow_provider_segexport.vendors.registry import VENDORS

pytestmark = pytest.mark.airflow

READY = {"privacy_consent": True, "consented_by": "Ann", "allowed_dags": "exports"}
COMMON = ("default_audience", "consented_by", "allowed_dags", "privacy_consent", "export_enabled", "calls_per_minute")
TRANSPORT = ("proxies", "verify", "cert")
EXTRAS = sorted(
    {(vendor.name, name) for vendor in VENDORS.values() for name in (*COMMON, *TRANSPORT)}
    | {(vendor.name, field.name) for vendor in VENDORS.values() for field in vendor.form.fields}
)
ODD = [
    ["x"],
    ["a", 1],
    [],
    [[]],
    {"a": 1},
    {"a": {"b": []}},
    {"https": 5.5},
    {"https": ["x"]},
    1.5,
    -3,
    0,
    10**30,
    True,
]
SECRET_TEXT = "shown-nowhere"


def read(vendor="dotdigital", host=None, port=443, schema=None, **extra):
    return settings(VENDORS[vendor], "c", host, port, {**READY, **extra}, schema=schema)


@pytest.mark.parametrize("value", [*ODD, [SECRET_TEXT], {"https": {SECRET_TEXT: SECRET_TEXT}}], ids=repr)
@pytest.mark.parametrize(("vendor", "name"), EXTRAS)
def test_an_extra_of_any_type_is_understood_or_refused_by_name(connect_any, vendor, name, value):
    """Nothing but a `InvalidConnection` that names connection and extra comes out, and it quotes no list or object."""
    hook = get_hook_class(vendor)(connect_any(vendor, {name: value}))
    try:
        read_settings = hook.settings
    except InvalidConnection as error:
        message = str(error)
        labels = {field.name: field.label for field in VENDORS[vendor].form.fields}
        named = {name, labels.get(name, name), "Calls per minute" if name == "calls_per_minute" else name}
        _names(message, named)
        _names(message, {hook.conn_id})
        assert (SECRET_TEXT in message) <= (name == "cert")
    else:
        assert isinstance(read_settings.audience, str | None)
        assert all(isinstance(text, str) for text in read_settings.endpoint.options.values())
        assert isinstance(read_settings.transport.get("verify", True), bool | str)
        hook.get_conn()


def _names(message, expected):
    assert any(word in message for word in expected), message


@pytest.fixture
def connect_any(monkeypatch):
    """Make a connection of any vendor with any extra."""

    def make(vendor, extra, **fields):
        about = {"login": "client-0123456789", "password": "secret-0123456789", **fields}
        usual = {**READY, "refresh_token": "refresh-0123456789"}
        connection = {"conn_type": vendor, **about, "extra": {**usual, **extra}}
        monkeypatch.setenv("AIRFLOW_CONN_ODD", json.dumps(connection))
        return "odd"

    return make


@pytest.mark.parametrize(
    "around", ["{}\n", "{}\r\n", "\ufeff{}", " {}", "{}\t", "\u200b{}", "{}\u00a0", '"{}"', "'{}'", "`{}`", "{}\n{}"]
)
@pytest.mark.parametrize("field", ["password", "login", "refresh_token"])
def test_what_a_file_or_a_shell_adds_to_a_credential_is_named(connect_any, field, around):
    """The vendor would answer that it does not know the credential, and the form shows dots. Its value is not shown."""
    text = around.format("abcdef-0123456789", "x")
    extra = {field: text} if field == "refresh_token" else {}
    fields = {} if extra else {field: text}
    hook = get_hook_class("constant_contact")(connect_any("constant_contact", extra, **fields))
    label = {"password": "Client secret", "login": "Client id", "refresh_token": "efresh token"}[field]
    with pytest.raises(InvalidConnection, match=f"{label}.* 'odd' .*To fix: enter it again") as raised:
        _ = hook.settings
    assert "abcdef" not in str(raised.value)


@pytest.mark.parametrize("value", ["a b c", 'say "x" twice', "'", "it's", "£½", "", None, '"a', "p\u00e4ss"])
def test_a_credential_with_such_characters_inside_is_good(value):
    """Passwords may hold blanks and quotes."""
    check_credential("c", "Password", value)


@pytest.mark.parametrize(
    ("vendor", "host", "expected"),
    [
        ("campaign_monitor", "https://api.createsend.com/api/v3.3", "https://api.createsend.com"),
        ("campaign_monitor", "api.createsend.com/API/v3.3/", "https://api.createsend.com"),
        ("campaign_monitor", "https://proxy.example.com/cm/api/v3.3", "https://proxy.example.com/cm"),
        ("constant_contact", "https://api.cc.email/v3", "https://api.cc.email"),
        ("constant_contact", "https://gateway.example.com/v3", "https://gateway.example.com/v3"),
        ("dotdigital", "https://r2-api.dotdigital.com/v2/", "https://r2-api.dotdigital.com"),
        ("dotdigital", "https://r3-api.dotdigital.com/contacts/v3", "https://r3-api.dotdigital.com"),
        ("omnisend", "https://api.omnisend.com/api", "https://api.omnisend.com"),
        ("omnisend", "https://gateway.example.com/api", "https://gateway.example.com/api"),
        ("omnisend", "\ufeffapi.omnisend.com\r\n", "https://api.omnisend.com"),
        ("omnisend", "  ", "https://api.omnisend.com"),
    ],
)
def test_a_base_url_that_ends_in_the_apis_path_is_the_host(vendor, host, expected):
    """Each call adds the path; a gateway's own path stays."""
    endpoint = read(vendor, host).endpoint
    assert endpoint.base_url == expected
    assert endpoint.is_default_url == (not host.strip())


@pytest.mark.parametrize(
    "host",
    [
        "https://api.example.com?x=1",
        "https://api.example.com?",
        "https://api.example.com#",
        "https://api.example.com#top",
        "https://ann@api.example.com",
        "https://api.exa mple.com",
        "https://api.example.com/a\u200bb",
        "https:/api.example.com",
        "https//api.example.com",
        "https:\\\\api.example.com",
        '"https://api.example.com"',
        "<https://api.example.com>",
        "javascript://api.example.com",
        "https://",
        "://x",
        "https://.",
    ],
)
def test_a_base_url_that_is_none_is_refused(host):
    """Before any call, and without the text itself, which may hold a key."""
    with pytest.raises(InvalidConnection, match="base URL is not a URL such as"):
        base_url("c", host, 443)


@pytest.mark.parametrize(
    ("host", "schema", "expected"),
    [
        ("127.0.0.1:8080", "http", "http://127.0.0.1:8080"),
        ("api.example.com", "HTTP\n", "http://api.example.com"),
        ("api.example.com", "https", "https://api.example.com"),
        ("https://api.example.com", "https", "https://api.example.com"),
        ("http://api.example.com", "http", "http://api.example.com"),
        ("api.example.com", "", "https://api.example.com"),
        (None, "https", "https://r1-api.dotdigital.com"),
        ("r2-api.dotdigital.com", "v2", "https://r2-api.dotdigital.com"),
    ],
)
def test_the_schema_is_honoured(host, schema, expected):
    """A URI's path lands in the schema, too: the API's own is passed over."""
    assert read(host=host, schema=schema).endpoint.base_url == expected


@pytest.mark.parametrize(
    ("host", "schema"),
    [
        (None, "http"),
        ("https://api.example.com", "http"),
        ("http://x.test", "https"),
        ("x.test", "ftp"),
        ("x.test", "a/b"),
    ],
)
def test_a_schema_that_does_not_fit_is_refused(host, schema):
    """Credentials would go out in clear, or elsewhere than is read in the form."""
    with pytest.raises(InvalidConnection, match=r"the schema is not http or https.* To fix: leave 'Schema' empty"):
        read(host=host, schema=schema)


@pytest.mark.parametrize("vendor", HOOKS)
@pytest.mark.parametrize("by", ["get_hook", "hook class"])
def test_a_uri_with_an_underscore_gives_the_hint(monkeypatch, vendor, by):
    """No scheme holds an underscore, so Airflow finds no type; the error says what to write, and shows no key."""
    monkeypatch.setenv("AIRFLOW_CONN_BY_URI", f"{vendor}_x://:key-0123456789@api.example.com")
    with pytest.raises(SegexportError, match="campaign-monitor://, constant-contact://") as raised:
        _ = get_hook("by_uri").settings if by == "get_hook" else get_hook_class(vendor)("by_uri").settings
    assert "key-0123" not in str(raised.value)


def test_a_uri_with_a_hyphen_works(monkeypatch):
    """As the hint says."""
    monkeypatch.setenv("AIRFLOW_CONN_BY_URI", "campaign-monitor://:key-0123456789@api.createsend.com/api%2Fv3.3?x=1")
    assert get_hook("by_uri").settings.endpoint.base_url == "https://api.createsend.com"
    assert Connection.from_uri("campaign-monitor://x", conn_id="x").conn_type == "campaign_monitor"


@pytest.mark.parametrize("secret", ["", None, "a", "abcd", "abcde", "a-long-secret"])
@pytest.mark.parametrize("least", [None, "3", "12"])
def test_no_warning_about_a_short_secret(monkeypatch, caplog, secret, least):
    """Airflow warns when it is asked to mask a shorter text than it masks, by the limit that it started with."""
    if least:
        monkeypatch.setenv("AIRFLOW__LOGGING__MIN_LENGTH_MASKED_SECRET", least)
        masker = pytest.importorskip("airflow.sdk._shared.secrets_masker.secrets_masker")._secrets_masker()
        monkeypatch.setattr(masker, "min_length_to_mask", int(least))
    with caplog.at_level(logging.DEBUG):
        mask(secret)
    assert "too short" not in caplog.text


def test_only_one_module_masks():
    """Each other one would warn."""
    root = pathlib.Path(airflow_provider_segexport.__file__).parent
    using = [path.name for path in root.rglob("*.py") if "import mask_secret" in path.read_text()]
    assert using == ["masking.py"]
