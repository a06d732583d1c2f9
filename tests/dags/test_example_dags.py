"""The example DAGs of the package: found by Airflow, without imports from outside, and they export."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest
from airflow.dag_processing.bundles import manager
from airflow.dag_processing.dagbag import DagBag

import airflow_provider_segexport.example_dags
from airflow_provider_segexport.vendors.registry import VENDORS

FOLDER = Path(airflow_provider_segexport.example_dags.__file__).parent
FILES = {path.stem.removeprefix("example_segment_export_"): path for path in FOLDER.glob("example_*.py")}
DELIVERED = {"campaign_monitor": [3], "constant_contact": [3], "dotdigital": [2], "omnisend": [2, 2]}
"""Profiles that each task of an example delivers: one person of dotdigital's has not consented."""


def test_each_vendor_has_an_example():
    """One other file sends alerts."""
    assert {*VENDORS, "alerts"} == set(FILES)


@pytest.mark.parametrize("path", FILES.values(), ids=FILES)
def test_an_example_imports_nothing_from_outside(path):
    """Python, Airflow, pandas (which the provider needs) and the provider's operators."""
    nodes = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Import | ast.ImportFrom)]
    names = {
        name.partition(".")[0]
        for node in nodes
        for name in ([node.module] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names])
    }
    assert names <= sys.stdlib_module_names | {"airflow", "airflow_provider_segexport", "pandas"}


@pytest.mark.airflow
@pytest.mark.parametrize("vendor", VENDORS)
def test_an_example_exports(vendor, stage):
    """Through Airflow, with the connection that it names, and with the retries that it sets."""
    bag = DagBag(str(FILES[vendor]))
    assert {} == bag.import_errors
    stage.connection(vendor, f"{vendor}_default")
    run = stage.run(bag.dags[f"example_segment_export_{vendor}"])
    assert "success" == run.state
    run.errors.clear()  # of a try before, which a rate limit ended: the next one resumes
    delivered = [run.summary(map_index=task.map_index)["counts"]["delivered"] for task in run.instances("export")]
    assert DELIVERED[vendor] == delivered


@pytest.mark.airflow
@pytest.mark.skipif(not hasattr(manager, "_add_provider_example_dags_to_bundle"), reason="new in Airflow 3.3")
def test_airflow_finds_the_examples():
    """With `load_examples`, in a bundle of the provider's own."""
    bundles: list = []
    manager._add_provider_example_dags_to_bundle(bundles)
    assert [bundle for bundle in bundles if bundle.kwargs.get("path") == str(FOLDER)]
