"""The four pages of a first export: their DAGs run as they are, and the log says what the pages quote."""

from __future__ import annotations

import re
import tomllib
from argparse import Namespace
from datetime import UTC, datetime
from importlib import import_module

import pytest
from airflow.cli.commands.connection_command import connections_test
from airflow.configuration import conf
from airflow.dag_processing.dagbag import DagBag
from airflow_fixtures import export_dag
from docs.pages import DOCS, blocks
from fastapi import HTTPException
from packaging.requirements import Requirement

from airflow_provider_segexport import get_provider_info
from airflow_provider_segexport.hooks import get_hook

PAGES = sorted((DOCS / "first-export").glob("*.md"))
QUOTED = re.compile(r"`(Of 1 profile: [^`]*)`")


def vendor_of(page):
    return page.stem.replace("-", "_")


@pytest.mark.parametrize("page", PAGES, ids=vendor_of)
def test_the_dag_of_a_first_export_runs_and_logs_what_the_page_quotes(page, stage, capsys):
    """The connection's id, DAG id and path are those of the page; the second run has nothing to send."""
    vendor = vendor_of(page)
    block = next(block for block in blocks(page) if block.language == "python")
    path = stage.folder / block.title.removeprefix("dags/")
    path.write_text(block.text.replace("/tmp/segexport-first", str(stage.folder / "first")))
    assert path.read_text() != block.text
    dag_id = f"first_export_{vendor}"
    assert f"| Consent and access | Allowed DAGs | `{dag_id}` |" in page.read_text()
    stage.connection(vendor, f"{vendor}_first", extra={"allowed_dags": dag_id})
    quoted = QUOTED.findall(page.read_text())
    assert len(quoted) == 2
    for text in quoted:
        bag = DagBag(str(path))
        assert {} == bag.import_errors
        dag = bag.dags[dag_id]
        capsys.readouterr()
        run = stage.run(dag, logical_date=datetime(2026, 1, 2, tzinfo=UTC))
        assert ("success", []) == (run.state, run.errors)
        log = capsys.readouterr().out
        assert re.search(".*".join(re.escape(part) for part in text.split("...")), log), log
        assert "Run folder, with every row that was not delivered: " in log


def test_each_page_has_a_file_a_dag_and_a_connection_of_its_own():
    """A reader who follows two pages keeps both DAGs."""
    columns = [
        (
            block.title,
            re.search(r'DAG\("(\w+)"', block.text)[1],
            re.search(r'conn_id="(\w+)"', block.text)[1],
            re.search(r'PATH = "(.+)"', block.text)[1],
        )
        for page in PAGES
        for block in blocks(page)
        if block.language == "python"
    ]
    assert [len(PAGES)] * 4 == [len(set(column)) for column in zip(*columns, strict=True)]


@pytest.mark.parametrize("page", PAGES, ids=vendor_of)
def test_a_first_export_fills_in_fields_that_the_form_has(page):
    """Sections and labels are those of the connection's form; each secret and each consent field is filled in."""
    form = next(
        entry for entry in get_provider_info()["connection-types"] if entry["connection-type"] == vendor_of(page)
    )
    labels = {("Standard Fields", label) for label in form["ui-field-behaviour"]["relabeling"].values()}
    labels |= {(field["schema"]["section"], field["label"]) for field in form["conn-fields"].values()}
    table = page.read_text().split("| section | field | fill in |\n|---|---|---|\n")[1].split("\n\n")[0]
    rows = [tuple(cell.strip() for cell in line.split("|")[1:3]) for line in table.splitlines()]
    assert [] == [row for row in rows if row not in labels]
    required = {"Consent to data privacy terms", "Consented by", "Allowed DAGs", "Port (443)"}
    assert required <= {label for _, label in rows}
    assert form["ui-field-behaviour"]["relabeling"]["password"] in {label for _, label in rows}


def test_airflow_refuses_to_test_a_connection_unless_it_is_enabled(airflow_db, monkeypatch, capsys):
    """Step 0 of the pages: as Airflow comes, the command refuses, and so does the button."""
    button = import_module("airflow.api_fastapi.core_api.routes.public.connections")  # takes four seconds
    default = conf.get_default_value("core", "test_connection")
    monkeypatch.setenv("AIRFLOW__CORE__TEST_CONNECTION", default)
    with pytest.raises(SystemExit):
        connections_test(Namespace(conn_id="dotdigital_first", verbose=False))
    assert "disabled in Airflow configuration" in " ".join(capsys.readouterr().out.split())
    with pytest.raises(HTTPException, match="disabled"):
        button._ensure_test_connection_enabled()
    monkeypatch.setenv("AIRFLOW__CORE__TEST_CONNECTION", "Enabled")
    button._ensure_test_connection_enabled()
    assert all("AIRFLOW__CORE__TEST_CONNECTION=Enabled" in page.read_text() for page in PAGES)


@pytest.mark.parametrize("page", PAGES, ids=vendor_of)
def test_each_page_says_what_to_do_if_a_step_fails(page, stage):
    """A connection without allowed DAGs and a refused DAG: the page quotes what the test and the task show."""
    text = page.read_text()
    vendor = vendor_of(page)
    rows = text.split("If a step does not show what it should:\n\n")[1].split("\n\n")[0].splitlines()[2:]
    assert len(rows) >= 9
    hook = get_hook(stage.connection(vendor, f"{vendor}_first", extra={"allowed_dags": ""}))
    reached, message = hook.test_connection()
    assert reached
    assert "Not ready for exports: " in message
    assert "Allowed DAGs" in message
    assert "| The test says `Not ready for exports: ...` |" in text
    dag = export_dag("not_allowed", stage.folder, conn_id=f"{vendor}_first", segment=stage.segment(1))
    run = stage.run(dag)
    pattern = re.search(r"\| `(DAG … may not use connection …)` \|", text)[1].replace("…", ".*")
    assert re.search(pattern, run.error)


def test_airflow_looks_for_new_files_as_rarely_as_the_pages_say():
    """Five minutes, unless the option of step 0 is set."""
    assert "300" == conf.get_default_value("dag_processor", "refresh_interval")
    assert all("every five minutes" in " ".join(page.read_text().split()) for page in PAGES)


def test_the_page_on_the_installation_lists_every_extra():
    """With what it installs, as pyproject.toml has it."""
    project = tomllib.loads((DOCS.parent / "pyproject.toml").read_text())["project"]
    page = (DOCS / "install.md").read_text()
    table = dict(re.findall(r"^\| `(\w+)` \| ([\w-]+) \|", page, re.MULTILINE))
    assert table == {
        extra: Requirement(requirements[0]).name for extra, requirements in project["optional-dependencies"].items()
    }
