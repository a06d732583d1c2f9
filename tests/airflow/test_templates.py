"""Arguments by template, form and upstream task: texts where a DAG file has objects."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from airflow.sdk import ObjectStoragePath
from airflow_stage import MATCHING, people

from airflow_provider_segexport.errors import BadMatching, BadSegment
from airflow_provider_segexport.operators import arguments
from airflow_provider_segexport.operators.segment_export import SegmentExportOperator

pytestmark = pytest.mark.airflow


def from_params(**values):
    """Every argument as a template of a param of its name."""
    return {"params": values} | {name: f"{{{{ params.{name} }}}}" for name in values}


def everything(stage, **changes):
    values = {
        "conn_id": stage.connection("dotdigital"),
        "segment": stage.segment(12, "first"),
        "audience": stage.audience("dotdigital", 1),
        "matching": json.dumps(MATCHING),
        "custom_fields": json.dumps({"TIER": "tier"}),
        "mode": "full",
        "as_of": "2026-02-03T04:05:06+00:00",
        "max_profiles": "12",
        "reports": str(stage.folder / "reports"),
    }
    return values | changes


def test_every_template_field_takes_a_template(stage):
    """Each field of `template_fields` is rendered, and each means what it says."""
    values = everything(stage)
    assert set(SegmentExportOperator.template_fields) == set(values)
    summary = stage.export(**from_params(**values), create_fields=True).summary()
    assert ("full", "2026-02-03T04:05:06+00:00") == (summary["mode"], summary["as_of"])
    assert summary["report"].startswith(values["reports"])
    assert 12 == len(stage.members("dotdigital", 1))
    assert {"TIER": "gold"}.items() <= stage.members("dotdigital", 1)["person1@example.com"]["fields"].items()


def test_native_objects_pass_through(stage):
    """With `render_template_as_native_obj` a template brings lists, mappings and numbers."""
    segments = [stage.segment(4, "one"), stage.segment(people(2, start=40), "second")]
    values = everything(stage, segment=segments, matching=MATCHING, custom_fields={}, max_profiles=6)
    run = stage.export(**from_params(**values), render_template_as_native_obj=True)
    assert 6 == run.summary()["counts"]["delivered"]


def test_lists_and_mappings_come_as_python_writes_them_too(stage):
    """`{{ params.segments }}` without native rendering is Python's text of a list, not JSON."""
    segments = [stage.segment(4, "one"), stage.segment(people(2, start=40), "it's second")]
    values = everything(stage, segment=segments, matching=MATCHING, custom_fields={}, max_profiles=6)
    assert 6 == stage.export(**from_params(**values)).summary()["counts"]["delivered"]


def test_what_a_form_leaves_empty_is_not_given(stage):
    """An empty param renders as the word None: the defaults stand."""
    values = everything(stage, audience=None, reports=None, as_of=None, max_profiles="1000000", custom_fields={})
    summary = stage.export(**from_params(**values)).summary()
    assert stage.audience("dotdigital") == summary["audience"]
    assert str(stage.folder / "state") in summary["report"]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("/data/a.parquet", "/data/a.parquet"),
        (" /data/a.parquet\n", "/data/a.parquet"),
        ("/data/[ab]*.parquet", "/data/[ab]*.parquet"),
        ("[ab]*.parquet", "[ab]*.parquet"),
        (Path("/data/a.parquet"), "/data/a.parquet"),
        (ObjectStoragePath("file:///data/a.parquet"), "file:///data/a.parquet"),
        ('["/a", "/b"]', ["/a", "/b"]),
        ("['/a', \"/b's\"]", ["/a", "/b's"]),
        (["/a", Path("/b")], ["/a", "/b"]),
        (("/a",), ["/a"]),
    ],
)
def test_a_segment_is_a_path_or_several(given, expected):
    """Paths of any kind, lists of them, and either as text; a glob that begins with a bracket stays a glob."""
    assert expected == arguments.segment(given)


def test_a_segment_of_another_type_is_refused():
    """The type that came is named."""
    with pytest.raises(BadSegment, match="of type int"):
        arguments.segment(7)


@pytest.mark.parametrize(
    ("given", "expected"), [(10, 10), ("10", 10), (" 10\n", 10), (True, None), ("1e6", None), (-1, None)]
)
def test_a_cap_is_a_whole_number(given, expected):
    """Texts are read; what is no whole number is refused."""
    if expected is None:
        with pytest.raises(BadMatching, match="whole number"):
            arguments.number(given, "max_profiles")
    else:
        assert expected == arguments.number(given, "max_profiles")
