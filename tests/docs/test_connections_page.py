"""The page on connections as code: every form gives the same connection, and the provider can use it."""

from __future__ import annotations

import json
import re

import pytest
import yaml
from airflow.models.connection import Connection
from airflow.secrets.local_filesystem import LocalFilesystemBackend
from docs.pages import DOCS, blocks

from airflow_provider_segexport import get_provider_info
from airflow_provider_segexport.hooks.dotdigital import DotdigitalHook
from airflow_provider_segexport.vendors.registry import VENDORS

PAGE = DOCS / "connections.md"
BLOCKS = {block.language: block for block in blocks(PAGE) if block.title}
CONN_ID = "dotdigital_newsletter"
TEXTS = {block.title: block.text for block in blocks(PAGE)}


def of_terraform(text: str) -> dict:
    """The arguments of the resource; values that are a variable are left out."""
    plain = {name: json.loads(value) for name, value in re.findall(r'^  (\w+) +?= (".*"|\d+)$', text, re.MULTILINE)}
    extra = {name: json.loads(value) for name, value in re.findall(r"^    (\w+) += (.+)$", text, re.MULTILINE)}
    return {**plain, "extra": extra}


def values(connection: Connection) -> tuple:
    about = ("conn_type", "host", "login", "password", "port")
    return (*(getattr(connection, name) or None for name in about), connection.extra_dejson)


@pytest.fixture(scope="module")
def expected() -> Connection:
    return Connection.from_json(BLOCKS["json"].text, CONN_ID)


def test_the_uri_is_that_of_the_json(expected):
    """Airflow writes it so, and reads it back without a loss."""
    uri = next(block.text.strip() for block in blocks(PAGE) if block.text.startswith("dotdigital://"))
    assert uri == expected.get_uri()
    assert values(expected) == values(Connection(conn_id=CONN_ID, uri=uri))


def test_the_file_of_the_secrets_backend_is_the_same_connection(expected, tmp_path):
    """Airflow's own backend reads the YAML; the option names a class that exists."""
    path = tmp_path / "connections.yaml"
    path.write_text(BLOCKS["yaml"].text)
    backend = LocalFilesystemBackend(connections_file_path=str(path))
    assert values(expected) == values(backend.get_connection(CONN_ID))
    option = next(block.text for block in blocks(PAGE) if block.language == "ini")
    assert f"{LocalFilesystemBackend.__module__}.{LocalFilesystemBackend.__name__}" in option
    assert list(yaml.safe_load(BLOCKS["yaml"].text)) == [CONN_ID]


def test_the_terraform_resource_has_the_same_values(expected):
    """Its arguments are those that its documentation lists; the password is a variable."""
    text = TEXTS["connections.tf"]
    resource = of_terraform(text)
    assert set(resource) <= {
        *("connection_id", "conn_type", "host", "login", "port", "description", "extra"),
        *("password_wo", "password_wo_version"),
    }
    assert "password_wo         = var.dotdigital_password" in text
    assert (expected.conn_id, expected.conn_type, expected.login, expected.port) == tuple(
        resource[name] for name in ("connection_id", "conn_type", "login", "port")
    )
    assert expected.extra_dejson == resource["extra"]


def test_the_provider_takes_the_connection(expected, monkeypatch):
    """Consent, DAGs and default audience are read from it."""
    monkeypatch.setenv(f"AIRFLOW_CONN_{CONN_ID.upper()}", BLOCKS["json"].text)
    settings = DotdigitalHook(CONN_ID).settings
    settings.check_dag_allowed("newsletter_daily")
    assert "name:Newsletter" == settings.audience
    assert "Ann Administrator" == settings.consented_by


def test_the_table_names_every_field_of_every_form():
    """A field of a form has a row, with its key and its vendors."""
    lines = PAGE.read_text().split("|---|---|---|\n")[1].split("\n\n")[0].splitlines()
    table = [tuple(cell.strip() for cell in line.split("|")[1:4]) for line in lines]
    for about in get_provider_info()["connection-types"]:
        title = VENDORS[about["connection-type"]].title
        for name, field in about["conn-fields"].items():
            label = "Default list, address book or tag" if name == "default_audience" else field["label"]
            vendors = [where for text, key, where in table if text == label and f"`extra.{name}`" in key]
            assert vendors == ["all"] or title in vendors[0], (title, name)
        for key, label in about["ui-field-behaviour"]["relabeling"].items():
            assert [row for row in table if f"`{key}`" in row[1] and label in row[0]], (title, label)
