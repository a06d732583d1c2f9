"""`doc_md` of tasks whose author wrote none."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from airflow.sdk import DAG, Asset, task
from airflow.serialization.serialized_objects import DagSerialization
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from airflow_provider_segexport.operators import task_docs
from airflow_provider_segexport.operators.segment_export import SegmentExportOperator
from airflow_provider_segexport.operators.segment_export_erase import SegmentExportEraseOperator
from airflow_provider_segexport.operators.segment_export_undo import SegmentExportUndoOperator
from airflow_provider_segexport.operators.segment_export_verify import SegmentExportVerifyOperator

pytestmark = pytest.mark.airflow
EXPORT = {"conn_id": "dotdigital_default", "segment": "/data/{{ ds }}.parquet", "field_mapping": {"email": "email"}}
MARKDOWN = MarkdownIt()


@pytest.fixture
def dag():
    with DAG("documented", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC)) as dag:
        yield dag


def shown(dag, task_id):
    """Return the documentation that the UI has: that of the stored DAG."""
    return DagSerialization.deserialize_dag(DagSerialization.serialize_dag(dag)).get_task(task_id).doc_md


def test_an_export(dag):
    """Segment, audience, mode and consent; a template is shown as it is written."""
    SegmentExportOperator(task_id="plain", **EXPORT)
    assert shown(dag, "plain") == (
        "Exports `/data/{{ ds }}.parquet` to the default audience of connection `dotdigital_default`.\n\n"
        "- **Mode:** `upsert`: sends new and changed profiles\n"
        "- **Consent:** subscribes no person who has opted out"
    )
    SegmentExportOperator(
        task_id="all",
        **EXPORT | {"segment": [Asset("s3://lake/a.parquet"), "b", "c", "d"]},
        audience="name:News",
        mode="mirror",
        dry_run="{{ params.dry_run }}",
        consent_column="agreed",
        suppression_list="/data/never.parquet",
        subscribe="with_proof",
    )
    text = shown(dag, "all")
    assert "Plans the export of `s3://lake/a.parquet`, `b`, `c`, and 1 more to audience `name:News` of" in text
    assert "removes people that this export added" in text
    assert "- **Dry run:** nothing is sent if `{{ params.dry_run }}` is true" in text
    assert "without a yes in column `agreed` or in the suppression list `/data/never.parquet`" in text


@pytest.mark.parametrize("name", task_docs.DOC_ARGUMENTS)
def test_what_the_author_wrote_stays(dag, name):
    """In whichever format, of mapped tasks too, and from the default arguments."""
    written = {name: "Mine."}
    SegmentExportOperator(task_id="plain", **EXPORT, **written)
    SegmentExportOperator.partial(task_id="mapped", field_mapping={}, conn_id="x", **written).expand(segment=["a"])
    other = "Mine." if name == "doc_md" else None
    assert [other, other] == [shown(dag, task_id) for task_id in ("plain", "mapped")]


def test_default_arguments_of_the_dag():
    """They are in the documentation of a mapped task, and documentation among them stays."""
    defaults = {"conn_id": "from_defaults"}
    with DAG("a", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC), default_args=defaults) as dag:
        SegmentExportOperator.partial(task_id="mapped", field_mapping={}).expand(segment=["a"])
    assert "an audience of connection `from_defaults`" in shown(dag, "mapped")
    defaults = {"doc_md": "Mine.", "conn_id": "x"}
    with DAG("b", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC), default_args=defaults) as dag:
        SegmentExportOperator.partial(task_id="mapped", field_mapping={}).expand(segment=["a"])
    assert "Mine." == shown(dag, "mapped")


def test_mapped_tasks(dag):
    """A mapped argument is called so, because each task has another one."""
    SegmentExportOperator.partial(task_id="segments", conn_id="c", field_mapping={}, mode="full").expand(segment=["a"])
    assert shown(dag, "segments").startswith("Exports a mapped segment to an audience of connection `c`.")
    assert "`full`: sends every profile" in shown(dag, "segments")
    SegmentExportOperator.partial(task_id="all", field_mapping={}).expand_kwargs([{"conn_id": "c", "segment": "a"}])
    assert shown(dag, "all").startswith("Exports a mapped segment to an audience of a mapped connection.")


@pytest.mark.parametrize("dry_run", [False, True])
def test_a_test_row(dag, dry_run):
    """The task exports nothing, and the address is not shown."""
    SegmentExportOperator(task_id="row", **EXPORT, test_row_to="me@my-domain.example", dry_run=dry_run)
    given = {"conn_id": "dotdigital_default", "field_mapping": {"email": "email"}, "dry_run": dry_run}
    partial = SegmentExportOperator.partial(task_id="rows", **given, test_row_to="me@my-domain.example")
    partial.expand(segment=["a", "b"])
    text = "Sends one row of `/data/{{ ds }}.parquet` to the author's own address in the default audience of connection"
    assert shown(dag, "row").startswith(text)
    assert shown(dag, "rows").startswith("Sends one row of a mapped segment")
    for name in ("row", "rows"):
        assert "@" not in shown(dag, name)
        assert dry_run is ("- **Dry run:** nothing is sent" in shown(dag, name))


def test_decorated_tasks(dag):
    """The function's docstring if it has one; else what the arguments say."""

    @task.segment_export(conn_id="c", field_mapping={"email": "email"})
    def silent():
        return "/data/x.parquet"

    @task.segment_export(conn_id="c", field_mapping={"email": "email"})
    def spoken(day):
        """Export the VIPs."""

    @task.segment_export
    def bare():
        return "/data/x.parquet"

    silent()
    spoken("x")
    silent.override(task_id="mode", mode="mirror")()
    silent.override(task_id="written", doc_md="Mine.")()
    bare.override(task_id="bare", conn_id="c", field_mapping={})()
    spoken.override(task_id="mapped_spoken").expand(day=["a", "b"])

    @task.segment_export(conn_id="c", field_mapping={"email": "email"}, mode="mirror")
    def mapped(day):
        return f"/data/{day}.parquet"

    mapped.expand(day=["a", "b"])
    mapped.override(task_id="kwargs").expand_kwargs([{"day": "a"}])
    mapped.override(task_id="mine", doc_md="Mine.").expand(day=["a"])
    start = "Exports what its function returns to"
    for task_id in ("silent", "bare", "mode"):
        assert shown(dag, task_id).startswith(f"{start} the default audience of connection `c`.")
    assert "`mirror`" in shown(dag, "mode")
    for task_id in ("mapped", "kwargs"):
        assert shown(dag, task_id).startswith(f"{start} an audience of connection `c`.")
        assert "`mirror`" in shown(dag, task_id)
    assert ["Export the VIPs."] * 2 == [shown(dag, task_id) for task_id in ("spoken", "mapped_spoken")]
    assert ["Mine."] * 2 == [shown(dag, task_id) for task_id in ("written", "mine")]


def test_the_output_of_another_task(dag):
    """A segment that an upstream task writes is called by the task's name."""

    @task
    def write():
        return "/data/x.parquet"

    SegmentExportOperator(task_id="export", **EXPORT | {"segment": write()})
    assert shown(dag, "export").startswith("Exports the output of task `write` to")


def test_the_other_operators(dag):
    """Undo, verification, erasure; mapped too."""
    SegmentExportUndoOperator(task_id="undo", conn_id="c", ledger_version="{{ params.version }}", dry_run=True)
    SegmentExportVerifyOperator(task_id="verify", conn_id="c", audience=7, segment="/data/x.parquet", repair=True)
    SegmentExportEraseOperator(task_id="erase", emails_path="/data/people.txt", requested_by="desk")
    SegmentExportEraseOperator.partial(task_id="erases", requested_by="desk").expand(emails_path=["/a", "/b"])
    assert "Reverts version `{{ params.version }}` of the ledger of the default audience of connection `c`." in (
        shown(dag, "undo")
    )
    assert "- **Dry run:** nothing is sent" in shown(dag, "undo")
    assert shown(dag, "verify").startswith("Compares audience `7` of connection `c` with its ledger and with `/data/x")
    assert "Their addresses: `/data/people.txt`." in shown(dag, "erase")
    assert "Their addresses: a file that is mapped." in shown(dag, "erases")


SECRETS = [
    "https://user:hunter2@host/a.parquet",
    "abfs://c@host/a.parquet?sv=1&sig=hunter2",
    "s3://id:hunter2@bucket/a",
]


@pytest.mark.parametrize("path", SECRETS)
def test_no_secret_of_a_path_is_shown(dag, path):
    """Neither a password nor a token."""
    SegmentExportOperator(task_id="export", **EXPORT | {"segment": [path, f"{path} "]}, suppression_list=path)
    assert "hunter2" not in shown(dag, "export")
    assert "***" in shown(dag, "export")


@given(st.text(max_size=400), st.text(max_size=40))
def test_any_value_is_shown_as_one_piece_of_code(segment, conn_id):
    """Markdown in a value is not interpreted, whatever the value is."""
    text = task_docs.export_doc({"segment": segment or "x", "conn_id": conn_id or "x"})
    assert len(text) < 600
    first, *rest = [token for token in MARKDOWN.parse(text) if token.type == "inline"]
    kinds = [child.type for child in first.children]
    assert ["text", "code_inline", "text", "code_inline", "text"] == kinds, text
    assert len(rest) == 2


def test_a_stored_dag_grows_by_a_few_hundred_bytes(dag):
    """Each task adds that much, whatever its arguments are."""
    SegmentExportOperator(task_id="a", **EXPORT)
    SegmentExportOperator(task_id="b", **EXPORT, doc="x")
    a, b = (len(json.dumps(node)) for node in DagSerialization.to_dict(dag)["dag"]["tasks"])
    assert 100 < a - b < 400


@pytest.mark.parametrize(("word", "text"), [("yes", True), ("True", True), ("no", False), ("0", False), (False, False)])
def test_a_word_for_yes_or_no_is_documented_as_the_task_reads_it(word, text):
    """`dry_run="no"` sends, so the documentation does not say that nothing is sent."""
    export = SegmentExportOperator(task_id="export", conn_id="c", segment="s", field_mapping={}, dry_run=word)
    assert text is ("- **Dry run:** nothing is sent" in export.doc_md)
    assert text is export.doc_md.startswith("Plans the export of")
