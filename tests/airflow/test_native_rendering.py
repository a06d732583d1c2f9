"""`render_template_as_native_obj`: a text that a template gives is that text, and no Python literal."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from airflow.sdk import DAG
from airflow.sdk.definitions.context import Context
from airflow_fixtures import FIELD_MAPPING
from jinja2 import UndefinedError

from airflow_provider_segexport.decorators.segment_export import SegmentExportDecoratedOperator
from airflow_provider_segexport.operators.segment_export import SegmentExportOperator
from airflow_provider_segexport.operators.segment_export_erase import SegmentExportEraseOperator

pytestmark = pytest.mark.airflow

START = datetime(2026, 1, 1, tzinfo=UTC)
LITERALS = ("1_000", "1e3", "1.0", "0x10", "+5", "'vip'", "(1)", "True", "[1]", "{'a': 1}", "1e400", "007", "vip")


def rendered(operator, *, native=True, given=None, **arguments):
    """A task after its templates were rendered."""
    with DAG("native", schedule=None, start_date=START, render_template_as_native_obj=native):
        task = operator(task_id="export", **arguments)
    task.render_template_fields(Context({"given": given}))
    return task


def export(**arguments):
    return rendered(SegmentExportOperator, conn_id="c", segment="s", field_mapping={"email": "email"}, **arguments)


@pytest.mark.parametrize("text", LITERALS)
def test_a_text_that_looks_like_a_literal_stays_a_text(text):
    """A tag `1_000` is not the tag `1000`, alone, as a part of a text, in a list or in a mapping."""
    task = export(
        given=text,
        audience="{{ given }}",
        export_name="{{ given }}{{ '' }}",
        suppression_list=["{{ given }}"],
        custom_fields={"FIELD": "{{ given }}"},
    )
    assert (text, text) == (task.audience, task.export_name)
    assert ([text], {"FIELD": text}) == (task.suppression_list, task.custom_fields)


@pytest.mark.parametrize("given", [7, 7.5, True, None, ["a", "b"], {"email": "mail"}, START])
def test_an_object_stays_an_object(given):
    """A template that is one expression gives what the expression is."""
    assert given == export(given=given, audience="{{ given }}").audience


def test_an_empty_template_gives_nothing():
    """So an argument that must not be empty stops the run."""
    assert export(audience="{% if false %}vip{% endif %}").audience is None


def test_a_template_in_a_file_may_be_named_twice(tmp_path):
    """Jinja keeps the template of a file, and renders the kept one again."""
    (tmp_path / "path.txt").write_text("/data/{{ given }}.parquet")

    class WithFiles(SegmentExportOperator):
        template_ext = (".txt",)

    options = {"task_id": "export", "conn_id": "c", "field_mapping": {"email": "email"}}
    about = {"start_date": START, "render_template_as_native_obj": True, "template_searchpath": str(tmp_path)}
    with DAG("native", schedule=None, **about):
        task = WithFiles(segment=["path.txt", "path.txt"], **options)
    task.render_template_fields(Context({"given": "1_000"}))
    assert ["/data/1_000.parquet"] * 2 == task.segment


def test_a_name_that_is_not_defined_is_an_error():
    """As without native objects."""
    with pytest.raises(UndefinedError):
        export(audience="{{ missing }}")


def test_the_arguments_of_a_function_and_of_a_subclass_are_rendered_as_usual():
    """Only the provider's own arguments read texts."""

    class WithLimit(SegmentExportOperator):
        template_fields = (*SegmentExportOperator.template_fields, "limit")

        def __init__(self, *, limit, **options):
            super().__init__(**options)
            self.limit = limit

    options = {"conn_id": "c", "segment": "s", "field_mapping": {"email": "email"}, "audience": "{{ '1_000' }}"}
    assert (1000, "1_000") == tuple(vars(rendered(WithLimit, limit="{{ '1_000' }}", **options))[n] for n in NAMES)
    del options["segment"]
    task = rendered(
        SegmentExportDecoratedOperator, python_callable=lambda limit: limit, op_kwargs={"limit": "1_000"}, **options
    )
    assert ({"limit": 1000}, "1_000") == (task.op_kwargs, task.audience)


NAMES = ("limit", "audience")


def test_without_native_objects_a_template_gives_a_text():
    """As Airflow renders it."""
    assert "7" == export(native=False, given=7, audience="{{ given }}").audience


def test_an_erasure_keeps_texts_too():
    """`requested_by` is written to receipts."""
    task = rendered(SegmentExportEraseOperator, emails_path="/a", requested_by="{{ given }}", given="1e3")
    assert "1e3" == task.requested_by


@pytest.mark.parametrize("mapped", [True, False])
def test_people_get_the_tag_that_was_meant(stage, mapped):
    """At Omnisend a tag is any text, and a run creates it."""
    stage.segment(2)
    options = {"task_id": "export", "segment": str(stage.folder / "segment.parquet"), "field_mapping": FIELD_MAPPING}
    conn_id, tag = stage.connection("omnisend"), {"tag": "1_000"}
    about = {"start_date": START, "render_template_as_native_obj": True, "params": tag}
    with DAG(f"tagged_{mapped}", schedule=None, **about) as dag:
        if mapped:
            task = SegmentExportOperator.partial(**options, audience="{{ params.tag }}", create_audience=True)
            task.expand(conn_id=[conn_id])
        else:
            SegmentExportOperator(**options, conn_id=conn_id, audience="{{ params.tag }}", create_audience=True)
    assert "success" == stage.run(dag).state
    held = {tag["id"]: tag["members"] for tag in stage.vendor("omnisend")["audiences"]}
    assert 2 == held["1_000"]
    assert "1000" not in held
