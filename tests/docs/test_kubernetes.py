"""The values for the Helm chart name options that exist, and connections that Airflow reads."""

from __future__ import annotations

import json

import pytest
import yaml
from airflow.configuration import conf
from airflow.sdk import Connection
from docs.pages import DOCS, blocks

from airflow_provider_segexport import get_provider_info

PAGE = {block.title: block.text for block in blocks(DOCS / "kubernetes.md") if block.title}
VALUES = yaml.safe_load(PAGE["values.yaml"])
CHART = {
    "executor",
    "images",
    "config",
    "extraEnvFrom",
    "env",
    "volumes",
    "volumeMounts",
    "workers",
    "triggerer",
    "apiServer",
}
"""Top-level values of the chart (chart/values.yaml of apache/airflow, read 2026-11-27)."""


def test_the_chart_has_these_values():
    assert set(VALUES) == CHART


@pytest.mark.parametrize("section", VALUES["config"])
def test_the_options_exist(section):
    """In Airflow's own configuration, or in the provider's."""
    own = get_provider_info()["config"].get(section, {}).get("options", {})
    for option in VALUES["config"][section]:
        assert option in own or conf.has_option(section, option)


def test_scratch_is_where_the_volume_is():
    """Spilled rows go to TMPDIR."""
    (temporary,) = (entry["value"] for entry in VALUES["env"] if entry["name"] == "TMPDIR")
    (mount,) = VALUES["volumeMounts"]
    assert temporary == mount["mountPath"]
    assert mount["name"] == VALUES["volumes"][0]["name"]
    assert "emptyDir" in VALUES["volumes"][0]


@pytest.mark.parametrize("title", [title for title in PAGE if title.startswith("AIRFLOW_CONN_")])
def test_airflow_reads_the_connections(title):
    """As JSON in a variable; none has a key."""
    connection = Connection.from_json(PAGE[title], conn_id="aws_default")
    assert connection.conn_type == "aws"
    assert connection.password is None
    assert json.loads(PAGE[title])["extra"].keys() <= {"region_name", "role_arn"}


def test_each_component_that_reads_the_state_has_the_role():
    """Workers run exports, and the API server shows the pages."""
    components = ("workers", "apiServer")
    (role,) = {json.dumps(VALUES[component]["serviceAccount"]) for component in components}
    assert "eks.amazonaws.com/role-arn" in role
