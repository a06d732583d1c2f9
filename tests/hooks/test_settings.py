"""A connection's settings: base URL, switches as forms and environment variables write them, allowed users."""

from __future__ import annotations

import pytest

from airflow_provider_segexport.errors import ConnectionNotAllowed, ExportsDisabled, InvalidConnection
from airflow_provider_segexport.hooks.connection import settings
from airflow_provider_segexport.hooks.extra import extras
from airflow_provider_segexport.http.base_url import base_url
from airflow_provider_segexport.vendors.registry import VENDORS

READY = {"privacy_consent": True, "consented_by": "Ann", "allowed_dags": "exports"}


def read(**extra):
    return settings(VENDORS["dotdigital"], "c", None, 443, {**READY, **extra})


@pytest.mark.parametrize(
    ("host", "port", "expected"),
    [
        (None, None, ""),
        ("", 443, ""),
        ("  ", 443, ""),
        ("api.example.com", None, "https://api.example.com"),
        ("api.example.com", 443, "https://api.example.com"),
        ("api.example.com", 8443, "https://api.example.com:8443"),
        ("api.example.com:8443", 443, "https://api.example.com:8443"),
        ("https://api.example.com/", 443, "https://api.example.com"),
        ("http://127.0.0.1:8100/dotdigital", 443, "http://127.0.0.1:8100/dotdigital"),
        ("http://127.0.0.1/dotdigital/", 8100, "http://127.0.0.1/dotdigital"),
        (" https://api.example.com ", 0, "https://api.example.com"),
        ("HTTPS://api.example.com", None, "HTTPS://api.example.com"),
        ("https://[::1]:8100", 443, "https://[::1]:8100"),
    ],
)
def test_base_url(host, port, expected):
    """With or without scheme, path and port; the port field counts only for a bare host."""
    assert expected == base_url("c", host, port)


@pytest.mark.parametrize(
    "host",
    [
        "ftp://api.example.com",
        "https://",
        "https:///path",
        "https://a b.example.com",
        "https://api.example.com:port",
        "https://api.example.com:99999",
        "https://user:secret@api.example.com",
        "https://api.example.com?key=secret",
        "https://api.example.com#part",
        "https://[::1",
    ],
)
def test_base_url_that_is_none(host):
    """Whatever cannot be called is refused before it is, and a secret in it is not repeated."""
    with pytest.raises(InvalidConnection, match="not a URL such as") as raised:
        base_url("c", host, 443)
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("text", ["no json", "[1]", '"text"', "{"])
def test_an_extra_that_cannot_be_read_is_not_quoted(text):
    """It may hold a secret."""
    with pytest.raises(InvalidConnection) as raised:
        extras(text)
    assert text not in str(raised.value).replace("JSON", "")


@pytest.mark.parametrize(
    ("allowed", "dag_id", "let_in"),
    [
        ("exports", "exports", True),
        ("exports", "Exports", False),
        ("exports", "exports2", False),
        ("exp*", "exports2", True),
        ("a, b ,exports", "exports", True),
        ("export[12]", "export2", True),
        ("*", "anything", True),
        ("*", None, True),
        ("?*", None, False),
        ("", "exports", False),
        (None, "exports", False),
        (["exports", "others"], "others", True),
        ("a,,b", "", False),
    ],
)
def test_who_may_use_it(allowed, dag_id, let_in):
    """Ids and patterns; none lets none in, and only `*` lets in a use outside any DAG."""
    read_settings = read(allowed_dags=allowed)
    if let_in:
        read_settings.check_dag_allowed(dag_id)
    else:
        with pytest.raises(ConnectionNotAllowed, match="may not use connection 'c'"):
            read_settings.check_dag_allowed(dag_id)


def test_switched_off_comes_before_all_else():
    """A user that disabled it gets that error, not a list of missing values."""
    with pytest.raises(ExportsDisabled):
        read(export_enabled="0", privacy_consent=None).check_dag_allowed("exports")


@pytest.mark.parametrize("name", ["export_enabled", "privacy_consent"])
@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("y", True),
        ("ON\r\n", True),
        ("\ufefftrue", True),
        (1, True),
        (1.0, True),
        ("f", False),
        ("No ", False),
        (0, False),
    ],
)
def test_a_switch_is_read_with_the_one_vocabulary(name, value, expected):
    """A connection written by a CLI call or an environment variable holds words and numbers."""
    assert expected is getattr(read(**{name: value}), name)


@pytest.mark.parametrize("name", ["export_enabled", "privacy_consent"])
@pytest.mark.parametrize("value", ["maybe", "enabled", 2, ["true"]])
def test_a_switch_that_says_neither_yes_nor_no_is_refused(name, value):
    """A misspelt switch must not silently stand for one of the two."""
    with pytest.raises(InvalidConnection, match=f"`{name}` in the extra is .*, neither yes nor no. To fix: "):
        read(**{name: value})


@pytest.mark.parametrize("value", [None, "", " ", "\ufeff"])
def test_an_empty_switch_has_its_default(value):
    """The form saves a field that was left empty as null; a hand-written extra may hold spaces."""
    empty = read(export_enabled=value, privacy_consent=value)
    assert (True, False) == (empty.export_enabled, empty.privacy_consent)


@pytest.mark.parametrize(
    ("extra", "warnings"),
    [
        ({}, []),
        ({"export_enabled": False}, ["disabled"]),
        ({"privacy_consent": None}, ["no consent"]),
        ({"consented_by": ""}, ["does not name who"]),
        ({"allowed_dags": ""}, ["'Allowed DAGs' is empty"]),
    ],
)
def test_what_is_still_missing_is_noted(extra, warnings):
    """For a user that tests the connection before a DAG uses it."""
    assert len(warnings) == len(read(**extra).warnings())
    assert all(word in note for word, note in zip(warnings, read(**extra).warnings(), strict=True))


@pytest.mark.parametrize(
    ("host", "noted"), [("http://api.example.com", True), ("http://127.0.0.1:8100", False), (None, False)]
)
def test_an_address_without_tls_is_noted(host, noted):
    """A simulator on this machine is not."""
    read_settings = settings(VENDORS["dotdigital"], "c", host, 443, READY)
    assert noted == any("unencrypted" in note for note in read_settings.warnings())
