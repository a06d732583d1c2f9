"""`@task.segment_export` and assets below `segexport://`."""

from __future__ import annotations

import importlib.util
import itertools
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from urllib.parse import unquote, urlsplit

import pyarrow as pa
import pytest
from airflow.sdk import DAG, Asset, task
from airflow.sdk.exceptions import AirflowFailException
from airflow_fixtures import FIELD_MAPPING, people
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_segexport import get_provider_info
from airflow_provider_segexport.assets.audience import convert_asset_to_openlineage, create_asset, sanitize_uri
from airflow_provider_segexport.decorators.segment_export import SegmentExportDecoratedOperator, segment_export_task
from airflow_provider_segexport.hooks.paths import state_path
from airflow_provider_segexport.operators.lineage import segment_datasets
from airflow_provider_segexport.operators.segment_export import SegmentExportOperator
from airflow_provider_segexport.storage.attempts import attempt_files, attempts
from airflow_provider_segexport.vendors.registry import VENDORS

pytestmark = pytest.mark.airflow

NUMBERS = itertools.count(1)
HAS_OPENLINEAGE = importlib.util.find_spec("openlineage") is not None
KINDS = {
    "pandas": lambda rows: rows,
    "arrow": lambda rows: pa.Table.from_pandas(rows, preserve_index=False),
}


def dag_of(function, dag_id=None, **arguments):
    """A DAG whose one task exports what the function returns."""
    with DAG(dag_id or f"decorated_{next(NUMBERS)}", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC)) as dag:
        segment_export_task(function, **{"field_mapping": FIELD_MAPPING, "task_id": "export", **arguments})()
    return dag


def test_airflow_knows_the_decorator():
    """As `@task.segment_export`, from the provider's metadata."""
    assert callable(task.segment_export)
    [entry] = get_provider_info()["task-decorators"]
    assert (entry["name"], entry["class-name"].rpartition(".")[2]) == ("segment_export", segment_export_task.__name__)


@pytest.mark.parametrize("kind", KINDS)
def test_a_frame_that_a_function_returns_is_exported(stage, kind):
    """With the function's own arguments, and without a file that stays."""

    def frame():
        return KINDS[kind](people(7))

    run = stage.run(dag_of(frame, conn_id=stage.connection("omnisend")))
    summary = run.summary()
    assert 7 == summary["counts"]["delivered"]
    assert 7 == len(stage.members("omnisend"))


@pytest.mark.parametrize("kind", [str, lambda path: [path], lambda path: Asset("a segment", uri=f"file://{path}")])
def test_a_path_that_a_function_returns_is_exported(stage, kind):
    """One, several, or an asset."""
    path = stage.segment(4)
    run = stage.run(dag_of(lambda: kind(path), conn_id=stage.connection("dotdigital")))
    assert 4 == run.summary()["counts"]["delivered"]


def test_a_frame_from_another_task_is_refused_and_the_decorator_named(stage):
    """Airflow would store its rows, which are people, in its database."""
    with DAG("frame_by_xcom", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC)) as dag:

        @task
        def make():
            return people(2)

        options = {"conn_id": stage.connection("dotdigital"), "field_mapping": FIELD_MAPPING}
        SegmentExportOperator(task_id="export", segment=make(), **options)

    run = stage.run(dag)
    assert "`segment` is of type DataFrame" in run.error
    assert "`@task.segment_export`" in run.error
    assert stage.nothing_was_sent()


def test_arguments_of_the_function_and_templates_of_the_operator(stage):
    """As in any task of TaskFlow."""
    conn_id = stage.connection("campaign_monitor")
    with DAG("with_arguments", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC)) as dag:

        @task
        def size():
            return 3

        @task.segment_export(conn_id=conn_id, field_mapping=FIELD_MAPPING, export_name="{{ dag.dag_id }}.name")
        def export(count, dag_run=None):
            assert dag_run is not None
            return people(count)

        export(size())
    summary = stage.run(dag).summary()
    assert (3, "with_arguments.name") == (summary["counts"]["delivered"], summary["export_name"])


def test_a_deferred_task_does_not_call_the_function_again(stage):
    """The plan holds the rows; the frame of the first call is gone by then."""
    calls = []

    def frame():
        calls.append(len(calls))
        return people(5)

    conn_id = stage.connection("dotdigital")
    run = stage.run(dag_of(frame, conn_id=conn_id, deferrable=True, retries=1))
    assert 5 == run.summary()["counts"]["delivered"]
    assert [0] == calls


def test_a_retry_calls_it_again_and_resumes_the_same_rows(stage):
    """Nothing is sent twice."""
    calls = []

    def frame():
        calls.append(len(calls))
        return people(5)

    stage.sim.faults([{"path": "/contacts/v3/import", "count": 6, "status": 503}])
    conn_id = stage.connection("dotdigital")
    run = stage.run(dag_of(frame, conn_id=conn_id, retries=2, retry_delay=timedelta()))
    run.errors.clear()
    assert 5 == run.summary()["counts"]["delivered"]
    assert len(calls) > 1
    assert run.summary()["run_folder"].endswith("01")


@pytest.mark.parametrize("returned", [None, "", [], 7, {"a": 1}])
def test_what_is_no_segment_stops_the_task(stage, returned):
    """With a sentence, and nothing is sent."""
    run = stage.run(dag_of(lambda: returned, conn_id=stage.connection("omnisend")))
    assert "failed" == run.state
    assert "To fix" in run.error
    assert stage.nothing_was_sent()


def test_mapped_tasks_export_a_frame_each(stage):
    """The parts of an export have names that are the same in each run."""
    conn_id = stage.connection("omnisend")
    with DAG("mapped_frames", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC)) as dag:

        @task.segment_export(conn_id=conn_id, field_mapping=FIELD_MAPPING)
        def export(start):
            return people(2, start=start)

        export.expand(start=[0, 2])
    run = stage.run(dag)
    assert [2, 2] == [run.summary(map_index=index)["counts"]["delivered"] for index in (0, 1)]


def test_lineage_names_no_temporary_file():
    """A frame has no name that another task knows."""
    config = SimpleNamespace(undo=None, segment="/tmp/scratch/segment.parquet")
    assert [] == segment_datasets(SimpleNamespace(config=config, content="DataFrame 00"))
    assert segment_datasets(SimpleNamespace(config=config, content=""))


def test_the_operator_is_an_export_of_every_kind():
    """Arguments, links and templates are those of `SegmentExportOperator`."""
    fields = SegmentExportDecoratedOperator.template_fields
    assert {"op_args", "op_kwargs", "segment", "guards"} <= set(fields)
    assert len(set(fields)) == len(fields)


PARTS = st.text(min_size=1, max_size=20).filter(
    lambda text: text.strip() and not any(0xD800 <= ord(c) < 0xE000 for c in text)
)


@settings(deadline=None)
@given(st.sampled_from(sorted(VENDORS)), PARTS, PARTS)
def test_an_audience_has_one_uri(vendor, account, audience):
    """In every spelling, and its parts can be read again."""
    asset = create_asset(vendor=vendor, account=account, audience=audience)
    once = sanitize_uri(urlsplit(asset.uri))
    assert once == sanitize_uri(once)
    assert [account, audience] == [unquote(part) for part in once.path.removeprefix("/").split("/")]
    dataset = convert_asset_to_openlineage(SimpleNamespace(uri=once.geturl()), None)
    if HAS_OPENLINEAGE:
        assert (f"{vendor}://{account}", audience) == (dataset.namespace, dataset.name)
    else:
        assert dataset is None


def test_an_id_may_be_a_number():
    """As in the operator's `audience`."""
    asset = create_asset(vendor="dotdigital", account=7, audience=349394)
    assert asset.uri == "segexport://dotdigital/7/349394"


@pytest.mark.parametrize(
    ("uri", "same"),
    [
        ("segexport://omnisend/shop/vip/", "segexport://omnisend/shop/vip"),
        ("segexport://OMNISEND/shop/%76ip", "segexport://omnisend/shop/vip"),
        ("segexport://segments/vip/", "segexport://segments/vip"),
        ("segexport://exported", "segexport://exported"),
    ],
)
def test_airflow_normalises_the_uri(uri, same):
    """By the handler in the provider's metadata."""
    assert same == Asset(uri=uri).uri


@pytest.mark.parametrize(
    "uri",
    [
        "segexport://omnisend",
        "segexport://omnisend/shop",
        "segexport://omnisend/a/b/c",
        "segexport://omnisend/ /b",
        "segexport://omnisend/shop/vip?x=1",
        "segexport:///shop/vip",
    ],
)
def test_a_vendor_without_an_audience_is_refused(uri):
    """When the DAG is parsed."""
    with pytest.raises(ValueError, match="To fix: write segexport://<vendor>/<account>/<audience>"):
        sanitize_uri(urlsplit(uri))


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"[" * 100_000, b'{"segment": 5}', b'{"segment": null}', b"\xff", b"{}", None]
)
def test_a_deferred_task_never_takes_the_run_folder_for_its_segment(tmp_path, content):
    """The file that names the segment is damaged or gone: the function has to be called again."""
    operator = SegmentExportDecoratedOperator.__new__(SegmentExportDecoratedOperator)
    if content is not None:
        (tmp_path / "config.json").write_bytes(content)
    with pytest.raises(AirflowFailException, match=r"config\.json.* To fix: clear the task"):
        operator._restore(str(tmp_path))


async def unawaited():
    return people(3)


def yielding():
    yield people(3)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda: people(3)["email"], "A Series is a single column"),
        (lambda: people(3)[["tier"]], "has no column 'email'"),
        (unawaited, "returned a coroutine. To fix: define it with `def`"),
        (yielding, "returned a generator. To fix: define it with `def`"),
    ],
)
def test_what_cannot_be_a_segment_ends_the_task_without_another_try(stage, function, message):
    """The page of exports has the attempt with its error, as of any other argument."""
    conn_id = stage.connection("dotdigital")
    dag = dag_of(function, conn_id=conn_id, retries=1, retry_delay=timedelta(0))
    run = stage.run(dag)
    assert "failed" == run.task().state
    assert message in run.error
    assert stage.nothing_was_sent()
    [attempt] = (item for path in attempt_files(state_path()) if conn_id in str(path) for item in attempts(path))
    assert ("failed", "invalid-segment") == (attempt.status, attempt.code)
