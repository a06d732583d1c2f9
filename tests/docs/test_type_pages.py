"""A page for each connection type and each operator: fields as in the form, examples that Airflow reads and runs."""

from __future__ import annotations

import json
import re

import pandas as pd
import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk import Connection
from docs.pages import DOCS, blocks

from airflow_provider_segexport import get_provider_info
from airflow_provider_segexport.hooks import get_hook
from airflow_provider_segexport.provider_info import OPERATOR_MODULES, OPERATOR_PAGES

pytestmark = pytest.mark.airflow

TYPES = {entry["connection-type"]: entry for entry in get_provider_info()["connection-types"]}
STANDARD = {"host", "login", "password", "port"}


def page_of(vendor):
    return DOCS / "connections" / f"{vendor.replace('_', '-')}.md"


@pytest.mark.parametrize("vendor", TYPES)
def test_the_fields_are_those_of_the_form(vendor):
    """Label by key; none is missing, and none is made up."""
    behaviour, fields = TYPES[vendor]["ui-field-behaviour"], TYPES[vendor]["conn-fields"]
    expected = {key: behaviour["relabeling"][key] for key in STANDARD - set(behaviour["hidden-fields"])}
    expected |= {f"extra.{key}": field["label"] for key, field in fields.items()}
    rows = re.findall(r"^\| (.+?) \| `([\w.]+)` \| .+ \|$", page_of(vendor).read_text(), re.MULTILINE)
    assert expected == {key: label for label, key in rows}
    assert len(rows) == len(expected)


@pytest.mark.parametrize("vendor", TYPES)
def test_json_and_uri_are_one_connection_that_a_hook_takes(vendor, monkeypatch):
    """Nothing that the hook needs is missing, and the DAGs of the example may export."""
    by_language = {block.language: block.text.strip() for block in blocks(page_of(vendor)) if block.title}
    name = f"{vendor}_default"
    assert {block.title for block in blocks(page_of(vendor)) if block.title} == {f"AIRFLOW_CONN_{name.upper()}"}
    both = [Connection.from_json(by_language["json"], conn_id=name), Connection.from_uri(by_language["text"], name)]
    first, second = (
        (item.conn_type, item.login or None, item.password or None, item.port, json.loads(item.extra)) for item in both
    )
    assert first == second
    for value in by_language.values():
        monkeypatch.setenv(f"AIRFLOW_CONN_{name.upper()}", value)
        hook = get_hook(name)
        hook.settings.check_dag_allowed("newsletter_daily")
        assert hook.settings.audience
        assert hook.get_conn().auth


@pytest.fixture
def data(stage):
    """The folder that the examples call `/data`, with a segment of four people."""
    folder = stage.folder / "data"
    (folder / "newsletter").mkdir(parents=True)
    frame = pd.DataFrame({"email": [f"p{n}@example.com" for n in range(4)], "first_name": list("abcd")})
    frame.to_parquet(folder / "newsletter" / "part-0.parquet", index=False)
    (folder / "requests.txt").write_text("p2@example.com\n")
    return folder


def example(stage, data, name):
    """The DAG of an operator's page."""
    [block] = [block for block in blocks(DOCS / "operators" / f"{name}.md") if block.title]
    assert block.title == f"dags/operator_{name}.py"
    path = stage.folder / f"operator_{name}.py"
    path.write_text(block.text.replace("/data", str(data)))
    bag = DagBag(str(path))
    assert {} == bag.import_errors
    return bag.dags[f"operator_{name}"]


def test_the_examples_of_the_operators_run(stage, data):
    """Export, verify and erase on one audience; then an undo of the export."""
    stage.connection("dotdigital", "dotdigital_default")
    for name in ("export", "verify", "erase"):
        run = stage.run(example(stage, data, name))
        assert ("success", []) == (run.state, run.errors), name
    assert set(stage.members("dotdigital")) == {"p0@example.com", "p1@example.com", "p3@example.com"}
    run = stage.run(example(stage, data, "undo"))
    assert ("success", []) == (run.state, run.errors)
    assert "p0@example.com" not in stage.members("dotdigital")


def test_each_operator_has_a_page():
    """The metadata names the pages."""
    pages = {path.stem for path in (DOCS / "operators").glob("*.md")}
    assert pages == set(OPERATOR_PAGES)
    assert len(OPERATOR_MODULES) == len(OPERATOR_PAGES)
