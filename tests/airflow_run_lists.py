"""Exports outside a task, and the list of runs as the command prints it."""

from __future__ import annotations

import json

import pytest
from airflow_fixtures import FIELD_MAPPING, people

from airflow_provider_segexport.hooks import get_hook


@pytest.fixture
def exported(stage):
    """A function that exports rows at dotdigital, outside a task, and returns the report."""
    conn_id = stage.connection("dotdigital")

    def export(rows=5, **more):
        stage.sim.clock.advance(60)
        return get_hook(conn_id).export(
            segment=stage.segment(rows), field_mapping=FIELD_MAPPING, export_name="by hand", **more
        )

    return export


@pytest.fixture
def listed(command):
    """A function that returns the list of runs as JSON."""

    def runs(*options):
        code, text = command("runs", "-o", "json", *options)
        assert code == 0, text
        return json.loads(text)

    return runs


def bad_rows(count: int = 6):
    """Two rows that are not sent."""
    rows = people(count)
    rows.loc[1, "email"], rows.loc[2, "email"] = "=no address", rows.loc[3, "email"]
    return rows
