"""A person in audiences that exports have filled: how a test erases them, and which files still hold them."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

import pytest

from airflow_provider_segexport.cli import person as command
from airflow_provider_segexport.hooks import erasure, get_hook
from airflow_provider_segexport.hooks.paths import state_path
from airflow_provider_segexport.person import files
from airflow_provider_segexport.person.person import Person

EMAIL = "person3@example.com"
PERSON = Person.of(EMAIL)


@pytest.fixture(autouse=True)
def soon(monkeypatch, stage):
    """Replace waits by moving the simulator's clock."""
    real = erasure.erasure_deps
    monkeypatch.setattr(erasure, "erasure_deps", lambda hook_of: real(hook_of, sleep=stage.sim.clock.advance))
    monkeypatch.setattr(command, "command_hook", get_hook)


def exported(stage, vendor, rows=8, **options):
    stage.segment(rows)
    run = stage.export(conn_id=stage.connection(vendor), **options)
    assert "success" == run.state, run.errors
    return run


def erase(capsys, *, email=EMAIL, dry_run=False, yes=True):
    capsys.readouterr()
    try:
        command.erase(Namespace(email=email, requested_by="Ann Administrator", dry_run=dry_run, yes=yes))
    finally:
        output = capsys.readouterr().out
    return output


def holding(person=PERSON):
    """Every file below the state path that contains the person."""
    tables = [file for file in Path(str(state_path())).rglob("*") if file.suffix in {".parquet", ".arrow"}]
    return [file.name for file in tables if files.count(file, person)]
