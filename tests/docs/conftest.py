"""The folder that recipes of the cookbook call `/data`, and their DAGs."""

from __future__ import annotations

import pytest
from docs.recipes import PAGE


@pytest.fixture
def data(stage):
    """The folder that the recipes call `/data`."""
    folder = stage.folder / "data"
    folder.mkdir()
    return folder


@pytest.fixture
def recipe(stage, data):
    """Return the DAG of a recipe by its file, with its other files written."""
    from airflow.dag_processing.dagbag import DagBag  # noqa: PLC0415 - only who asks for Airflow pays

    def load(name):
        path = stage.folder / name
        path.write_text(PAGE[f"dags/{name}.py"].text.replace("/data", str(data)))
        bag = DagBag(str(path.rename(path.with_suffix(".py"))))
        assert {} == bag.import_errors
        return bag.dags[name]

    return load
