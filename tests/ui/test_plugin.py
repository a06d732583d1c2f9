"""The plugin as Airflow sees it, and the cost of importing it."""

from __future__ import annotations

import subprocess
import sys

import pytest
from airflow_home import REPO

pytestmark = pytest.mark.airflow


def test_the_plugin_costs_next_to_nothing():
    """Every Airflow process imports it, and only the API server serves a page."""
    script = (
        "import sys; import airflow.plugins_manager; before = set(sys.modules);"
        "import airflow_provider_segexport.plugins; print(*sorted(set(sys.modules) - before))"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=REPO, capture_output=True, text=True, check=True)
    imported = set(done.stdout.splitlines()[-1].split())
    assert set() == imported - {"airflow_provider_segexport", "airflow_provider_segexport.plugins"}


def test_the_views_are_where_airflow_looks_for_them():
    """Addresses without a leading slash hold below a base path; each has a route of its own."""
    from airflow_provider_segexport.plugins import PREFIX, SegmentExportsPlugin

    assert ["nav", "task_instance"] == [view["destination"] for view in SegmentExportsPlugin.external_views]
    assert all(view["href"].startswith(PREFIX.lstrip("/")) for view in SegmentExportsPlugin.external_views)
    assert 2 == len({view["url_route"] for view in SegmentExportsPlugin.external_views})


def test_airflow_can_describe_the_plugin(airflow_db, monkeypatch):
    """The API lists plugins; the application is described by its class."""
    from airflow import plugins_manager

    from airflow_provider_segexport.plugins import SegmentExportsPlugin

    monkeypatch.setattr(plugins_manager, "_get_plugins", lambda: ([SegmentExportsPlugin()], {}))
    (plugin,) = plugins_manager.get_plugin_info({"name", "fastapi_apps", "external_views"})
    assert "segexport" == plugin["name"]
    assert ["airflow_provider_segexport.plugins.Pages"] == [app["app"] for app in plugin["fastapi_apps"]]
