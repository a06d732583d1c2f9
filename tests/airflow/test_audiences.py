"""Audiences by name through operator, hook and connection; `airflow segexport audiences`; what Test proves."""

from __future__ import annotations

import json

import pytest

from airflow_provider_segexport.errors import InvalidArgument
from airflow_provider_segexport.hooks import get_hook
from airflow_provider_segexport.vendors.registry import VENDORS

pytestmark = pytest.mark.airflow

WITH_DIRECTORY = [name for name, vendor in VENDORS.items() if vendor.directory is not None]


@pytest.mark.parametrize("vendor", VENDORS)
def test_an_operator_takes_a_name(stage, vendor):
    """The report has the id; Omnisend's tag is its own name."""
    stage.segment(3)
    conn_id = stage.connection(vendor)
    audience = get_hook(conn_id).resolve_audience()
    run = stage.export(conn_id=conn_id, audience=f"name:{audience.audience_name}")
    assert run.state == "success", run.error
    assert run.summary()["audience"] == audience.audience


@pytest.mark.parametrize("vendor", WITH_DIRECTORY)
def test_a_default_audience_may_be_a_name_and_is_created_once(stage, vendor):
    """The second run finds it; a retry of a finished run sends nothing."""
    stage.segment(3)
    conn_id = stage.connection(vendor, extra={"default_audience": "name:Made by Airflow"})
    works, text = get_hook(conn_id).test_connection()
    assert not works
    assert "'Made by Airflow'" in text
    first = stage.export(conn_id=conn_id, create_audience=True)
    assert first.state == "success", first.error
    assert first.summary()["audience_created"] is True
    second = stage.export(conn_id=conn_id, create_audience="true")
    assert second.summary()["audience"] == first.summary()["audience"]
    assert second.summary()["counts"]["unchanged"] == 3
    works, text = get_hook(conn_id).test_connection()
    assert works
    assert "'Made by Airflow'" in text


@pytest.mark.parametrize("vendor", WITH_DIRECTORY)
@pytest.mark.parametrize("output", ["json", "yaml", "plain", "table"])
def test_the_command_lists_audiences(stage, command, vendor, output):
    """Id, name and members, in each of Airflow's formats."""
    conn_id = stage.connection(vendor)
    audience = get_hook(conn_id).resolve_audience()
    code, text = command("audiences", conn_id, "-o", output)
    assert code == 0
    if output == "json":
        listed = {row["id"]: row for row in json.loads(text)}
        assert listed[audience.audience]["name"] == audience.audience_name
        assert int(listed[audience.audience]["members"]) == audience.member_count
    else:
        assert audience.audience_name in text


def test_tags_cannot_be_listed(stage, command):
    conn_id = stage.connection("omnisend")
    with pytest.raises(InvalidArgument, match="does not list its tags"):
        get_hook(conn_id).list_audiences()
    assert command("audiences", conn_id)[0] == 1


def test_a_hook_lists_audiences(stage):
    entries = get_hook(stage.connection("dotdigital")).list_audiences()
    assert {"Customers"} <= {entry.name for entry in entries}


@pytest.mark.parametrize(
    ("vendor", "settings", "expected"),
    [
        ("omnisend", {"permissions": ["contacts.write"]}, ["brands.read", "contacts.read", "events.read"]),
        ("omnisend", {"batch_read_permissions": ["events.read"]}, ["contacts.read, products.read, events.read"]),
        ("constant_contact", {"privileges": ["account:read"]}, ["contacts:read, contacts:write, contacts:lists:read"]),
        (
            "constant_contact",
            {"privileges": ["contacts:read", "contacts:lists:read", "account:read"]},
            ["contacts:write", "Account Owner and Account Manager"],
        ),
        ("constant_contact", {"deactivated": True}, ["active"]),
        ("campaign_monitor", {"scopes": ["ImportSubscribers"]}, ["ManageLists"]),
        ("dotdigital", {"wrong_region": True}, ["403"]),
    ],
)
def test_the_connection_test_names_each_missing_permission(stage, vendor, settings, expected):
    """Before the first export, and all at once."""
    if vendor == "campaign_monitor":
        token = stage.vendor(vendor)["credentials"]["oauth"]["refresh_token"]
        conn_id = stage.connection(vendor, password=None, extra={"refresh_token": token})
    else:
        conn_id = stage.connection(vendor)
    stage.sim.configure({vendor: settings})
    works, text = get_hook(conn_id).test_connection()
    assert not works
    assert [] == [part for part in expected if part not in text], text
