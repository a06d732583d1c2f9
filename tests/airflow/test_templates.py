"""Arguments by template, form and upstream task: texts where a DAG file has objects."""

from __future__ import annotations

import json

import pytest
from airflow.sdk import Param
from airflow_fixtures import FIELD_MAPPING, people

from airflow_provider_segexport.operators.segment_export import SegmentExportOperator

pytestmark = pytest.mark.airflow


def from_params(**values):
    """Every argument as a template of a param of its name."""
    return {"params": values} | {name: f"{{{{ params.{name} }}}}" for name in values}


def consenting(profiles):
    """Profiles with consent and its proof."""
    proof = {"at": "2024-01-31T12:00:00Z", "url": "https://example.com/join", "ip": "203.0.113.7", "agent": "Mozilla"}
    return profiles.assign(agreed="yes", **proof)


def everything(stage, **changes):
    values = {
        "conn_id": stage.connection("dotdigital"),
        "segment": stage.segment(consenting(people(12)), "first"),
        "audience": stage.audience("dotdigital", 1),
        "field_mapping": json.dumps(FIELD_MAPPING),
        "custom_fields": json.dumps({"TIER": "tier"}),
        "mode": "full",
        "as_of": "2026-02-03T04:05:06+00:00",
        "on_stale": "fail",
        "latest_only": True,
        "export_name": "spring",
        "consent_column": "agreed",
        "subscribe": "with_proof",
        "consented_at_column": "at",
        "consent_source_column": "url",
        "consent_text": "Yes, send me offers",
        "consent_ip_column": "ip",
        "consent_user_agent_column": "agent",
        "suppression_list": stage.segment(people(1, start=90), "suppressed"),
        "guards": json.dumps({"max_shrink": 0.4, "max_growth": None}),
        "dry_run": "False",
        "max_profiles": "12",
        "reports_path": str(stage.folder / "reports"),
        "create_custom_fields": "true",
        "create_audience": "False",
        "default_region": "de",
        "date_formats": "{}",
        "allow_shared_audience": "False",
        "adopt_existing": "False",
        "partition_columns": "False",
        "fetch_optouts": "no",
        "deferrable": "False",
        "poll_interval": "15",
        "job_timeout": "90 min",
    }
    return values | changes


def agreed(stage, count, start, name):
    return stage.segment(consenting(people(count, start=start)), name)


def test_every_template_field_takes_a_template(stage):
    """Each field of `template_fields` is rendered, and each means what it says."""
    values = everything(stage)
    assert {name.removeprefix("is_") for name in SegmentExportOperator.template_fields} == {*values, "expected_plan"}
    summary = stage.export(**from_params(**values)).summary()
    assert ("full", "2026-02-03T04:05:06+00:00") == (summary["mode"], summary["as_of"])
    assert summary["run_folder"].startswith(values["reports_path"])
    assert 12 == len(stage.members("dotdigital", 1))
    person = stage.members("dotdigital", 1)["person1@example.com"]
    assert {"TIER": "gold"}.items() <= person["fields"].items()
    assert [("Yes, send me offers", "2024-01-31T12:00:00Z")] == [
        (record["text"], record["dateTimeConsented"]) for record in person["consent_records"]
    ]


def test_native_objects_pass_through(stage):
    """With `render_template_as_native_obj` a template brings lists, mappings and numbers."""
    segments = [agreed(stage, 4, 0, "one"), agreed(stage, 2, 40, "second")]
    values = everything(stage, segment=segments, field_mapping=FIELD_MAPPING, custom_fields={}, max_profiles=6)
    run = stage.export(**from_params(**values), render_template_as_native_obj=True)
    assert 6 == run.summary()["counts"]["delivered"]


@pytest.mark.parametrize("native", [False, True], ids=["text", "native"])
def test_params_of_every_type_of_json_schema(stage, native):
    """A form's string, integer, number, boolean, array, object and null reach the export as what they are."""
    segments = [agreed(stage, 4, 0, "one"), agreed(stage, 3, 40, "it's second")]
    stopped = stage.segment(people(1, start=41), "stopped")
    values = everything(
        stage,
        segment=Param(segments, type="array", items={"type": "string"}),
        suppression_list=Param([stopped], type=["null", "array"]),
        field_mapping=Param(FIELD_MAPPING, type="object"),
        custom_fields=Param({"TIER": "tier"}, type=["object", "null"]),
        guards=Param({"max_shrink": 0.4, "max_growth": None}, type="object"),
        mode=Param("full", type="string"),
        as_of=Param(20260203, type="integer"),
        max_profiles=Param(12.0, type="number"),
        poll_interval=Param(20.5, type="number"),
        job_timeout=Param(5400, type="integer"),
        dry_run=Param(default=False, type="boolean"),
        create_custom_fields=Param(default=True, type="boolean"),
        deferrable=Param(None, type=["null", "boolean"]),
        reports_path=Param(None, type=["null", "string"]),
    )
    summary = stage.export(**from_params(**values), render_template_as_native_obj=native).summary()
    assert ("full", "2026-02-03T00:00:00+00:00") == (summary["mode"], summary["as_of"])
    assert {"delivered": 6, "withheld": 1}.items() <= summary["counts"].items()
    assert {"TIER": "gold"}.items() <= stage.members("dotdigital", 1)["person1@example.com"]["fields"].items()


@pytest.mark.parametrize("native", [False, True], ids=["text", "native"])
@pytest.mark.parametrize("name", ["suppression_list", "consent_column", "dry_run", "audience"])
def test_a_safety_whose_param_is_null_stops_the_run(stage, name, native):
    """Nothing is sent: the form was left empty, and no user has disabled the safety."""
    values = everything(stage, **{name: Param(None, type=["null", "string", "array", "boolean"])})
    run = stage.export(**from_params(**values), render_template_as_native_obj=native)
    assert f"`{name}` was given but is empty" in run.error
    assert stage.nothing_was_sent()


def test_lists_and_mappings_come_as_python_writes_them_too(stage):
    """`{{ params.segments }}` without native rendering is Python's text of a list, not JSON."""
    segments = [agreed(stage, 4, 0, "one"), agreed(stage, 2, 40, "it's second")]
    values = everything(stage, segment=segments, field_mapping=FIELD_MAPPING, custom_fields={}, max_profiles=6)
    assert 6 == stage.export(**from_params(**values)).summary()["counts"]["delivered"]


def test_what_is_no_safety_may_be_left_empty_in_a_form(stage):
    """An empty param renders as the word None: the defaults of these stand."""
    empty = dict.fromkeys(("reports_path", "custom_fields", "deferrable", "poll_interval"))
    summary = stage.export(**from_params(**everything(stage, **empty))).summary()
    assert str(stage.folder / "state") in summary["run_folder"]
