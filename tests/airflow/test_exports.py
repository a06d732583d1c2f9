"""Exports by real DAG runs, every vendor, from Parquet to the people that the vendor then holds."""

from __future__ import annotations

import itertools
import json

import pyarrow.parquet as pq
import pytest
from airflow.models.asset import AssetEvent
from airflow.sdk import DAG, Asset, AssetAlias, task
from airflow.utils.session import create_session
from airflow_fixtures import FIELD_MAPPING, people

from airflow_provider_segexport.operators.segment_export import SegmentExportOperator
from airflow_provider_segexport.vendors.registry import VENDORS

pytestmark = pytest.mark.airflow

TWO = ("campaign_monitor", "dotdigital")


def events(name: str) -> list[AssetEvent]:
    with create_session() as session:
        events = session.query(AssetEvent).order_by(AssetEvent.id).all()
        return [event for event in events if event.asset.name == name]


@pytest.mark.parametrize("vendor", VENDORS)
def test_every_profile_arrives_and_the_counts_say_so(stage, vendor):
    """The vendor holds exactly the people of the segment, and the task's summary counts them."""
    stage.segment(250)
    run = stage.export(conn_id=stage.connection(vendor))
    assert "success" == run.state
    assert {f"person{n}@example.com" for n in range(250)} == set(stage.members(vendor))
    summary = run.summary()
    assert 250 == summary["counts"]["profiles"] == summary["counts"]["delivered"]
    assert (vendor, stage.audience(vendor)) == (summary["vendor"], summary["audience"])
    signed = [call for call in stage.sim.requests(vendor=vendor) if not call["path"].endswith("/token")]
    assert len(signed) == summary["calls"]


@pytest.mark.parametrize("vendor", VENDORS)
def test_a_second_run_sends_only_what_changed(stage, vendor):
    """Rows that the ledger holds are not sent again; a new profile and a changed one are."""
    conn_id = stage.connection(vendor)
    stage.segment(20)
    stage.export(conn_id=conn_id)
    rows = people(21)
    rows.loc[3, "first_name"] = "Changed"
    stage.segment(rows)
    counts = stage.export(conn_id=conn_id).summary()["counts"]
    assert (2, 19) == (counts["delivered"], counts["unchanged"])
    assert 21 == len(stage.members(vendor))


@pytest.mark.parametrize("vendor", TWO)
def test_custom_fields_arrive_and_are_made_on_request(stage, vendor):
    """A custom field that the vendor lacks is created with `create_custom_fields`, and holds its values."""
    stage.segment(3)
    fields = {"Tier": "tier", "Shop_Orders": "orders"}
    run = stage.export(conn_id=stage.connection(vendor), custom_fields=fields, create_custom_fields=True)
    assert "success" == run.state
    delivered_fields = stage.members(vendor)["person1@example.com"]["fields"]
    assert ("gold", "1") == (str(delivered_fields["Tier"]), str(delivered_fields["Shop_Orders"]).removesuffix(".0"))


@pytest.mark.parametrize("vendor", TWO)
def test_rejects_are_reported_by_row_and_reason_and_stay_out_of_xcom(stage, vendor):
    """The report's file names the rows; the summary has counts and reasons, no address and no secret."""
    rows = people(10)
    rows.loc[2, "email"] = "no-address"
    rows.loc[5, "email"] = None
    rows.loc[7, "email"] = "PERSON0@example.com"
    stage.segment(rows)
    refused = {"campaign_monitor": "unsubscribed", "dotdigital": "globallySuppressed"}[vendor]
    stage.sim.seed(vendor, [{"email": "person9@example.com", "status": refused}], stage.audience(vendor))
    summary = stage.export(conn_id=stage.connection(vendor)).summary()
    assert {"profiles": 10, "delivered": 6} == {key: summary["counts"][key] for key in ("profiles", "delivered")}
    assert 10 == sum(count for name, count in summary["counts"].items() if name != "profiles")
    rejects = pq.read_table(f"{summary['run_folder']}/rejects.parquet").to_pylist()
    assert {2: "invalid_email", 5: "no_email", 7: "duplicate"}.items() <= {
        r["row"]: r["reason"] for r in rejects
    }.items()
    assert 9 in {reject["row"] for reject in rejects}
    text = json.dumps(summary)
    secrets = stage.vendor(vendor)["credentials"]
    assert "@" not in text
    assert not [value for value in secrets.values() if isinstance(value, str) and value in text]


def test_several_segments_are_united(stage):
    """A list of segments is one export, in which the first row of a duplicate wins."""
    first, second = stage.segment(people(5), "first"), stage.segment(people(5, start=3), "second")
    run = stage.export(conn_id=stage.connection("dotdigital"), segment=[first, second])
    assert 8 == run.summary()["counts"]["delivered"] == len(stage.members("dotdigital"))


def test_reports_go_where_the_task_says(stage, tmp_path):
    """`reports_path` moves the run folder; ledgers stay below the root."""
    stage.segment(3)
    run = stage.export(conn_id=stage.connection("dotdigital"), reports_path=str(tmp_path / "elsewhere"))
    assert run.summary()["run_folder"].startswith(str(tmp_path / "elsewhere"))
    assert not (tmp_path / "state" / "runs").exists()
    assert (tmp_path / "state" / "ledgers").exists()


def test_one_task_maps_over_segments_and_connections(stage):
    """`.partial().expand()` makes one task instance a pair, each with a run folder and a summary of its own."""
    connections = [stage.connection(vendor) for vendor in TWO]
    segments = [stage.segment(people(4), "some"), stage.segment(people(3, start=50), "others")]
    with DAG("mapped", schedule=None) as dag:
        SegmentExportOperator.partial(task_id="export", field_mapping=FIELD_MAPPING).expand(
            conn_id=connections, segment=segments
        )
    run = stage.run(dag)
    assert "success" == run.state
    assert [4, 3, 4, 3] == [run.summary(map_index=index)["counts"]["delivered"] for index in range(4)]
    assert 4 == len({run.summary(map_index=index)["run_folder"] for index in range(4)})
    assert [7, 7] == [len(stage.members(vendor)) for vendor in TWO]


NO_LIMITS = {"max_removals_share": None, "max_shrink": None, "max_growth": None}


@pytest.mark.parametrize("kind", ["mapped", "mapped frames", "tasks", "tasks with another export between"])
def test_one_export_is_mirrored_once_in_a_dag_run(stage, kind):
    """The second segment would take out the people of the first one, also if the audience is shared."""
    options = {"conn_id": stage.connection("dotdigital"), "field_mapping": FIELD_MAPPING, "guards": NO_LIMITS}
    mirror = {**options, "mode": "mirror", "allow_shared_audience": True, "max_active_tis_per_dagrun": 1}
    paths = [stage.segment(people(2, start=10 * number), f"part{number}") for number in range(3)]
    with DAG(f"mirrored_once_{kind.replace(' ', '_')}", schedule=None) as dag:
        if kind == "mapped":
            SegmentExportOperator.partial(task_id="export", **mirror).expand(segment=paths[:2])
        elif kind == "mapped frames":
            frames = task.segment_export(task_id="export", **mirror)(lambda start: people(2, start=start))
            frames.expand(start=[0, 10])
        else:
            names = {"first": "crm", "second": "crm"}
            if kind != "tasks":
                names = {"first": "crm", "other": "shop", "second": "crm"}
            tasks = [
                SegmentExportOperator(task_id=task_id, export_name=name, segment=path, **mirror)
                for (task_id, name), path in zip(names.items(), paths, strict=False)
            ]
            for before, after in itertools.pairwise(tasks):
                before >> after
    run = stage.run(dag)
    assert "as the same export" in run.error
    assert "To fix: give each task its own audience; or set another `export_name` in each" in run.error
    assert len(stage.members("dotdigital")) == (4 if "other" in dag.task_ids else 2)


def test_exports_of_their_own_names_share_an_audience_in_a_dag_run(stage):
    options = {"conn_id": stage.connection("dotdigital"), "field_mapping": FIELD_MAPPING, "mode": "mirror"}
    parts = [
        {"segment": stage.segment(people(2, start=10 * number), f"part{number}"), "export_name": f"part{number}"}
        for number in range(2)
    ]
    with DAG("own_names", schedule=None) as dag:
        mapped = SegmentExportOperator.partial(task_id="export", allow_shared_audience=True, **options)
        mapped.expand_kwargs(parts)
    assert "success" == stage.run(dag).state
    assert 4 == len(stage.members("dotdigital"))


def test_the_event_of_an_outlet_carries_the_counts(stage):
    """A consumer of the asset learns what was exported, without reading the report."""
    stage.segment(4)
    asset = Asset("exported_for_the_event", uri="segexport://exported/event")
    stage.export(conn_id=stage.connection("dotdigital"), outlets=[asset])
    [event] = events(asset.name)
    assert 4 == event.extra["counts"]["delivered"]
    assert {"vendor", "audience", "reasons", "run_folder", "as_of"} <= event.extra.keys()
    assert "@" not in json.dumps(event.extra)


def test_an_alias_has_the_event_of_an_asset_that_the_author_adds(stage):
    """After the export, in `post_execute`."""
    stage.segment(4)
    asset, alias = Asset("added_to_an_alias", uri="segexport://exported/alias"), AssetAlias("crm")

    def add_asset(context, result):
        context["outlet_events"][alias].add(asset, extra=result)

    stage.export(conn_id=stage.connection("dotdigital"), outlets=[alias], post_execute=add_asset)
    [event] = events(asset.name)
    assert 4 == event.extra["counts"]["delivered"]


def test_an_outlet_without_events_does_not_fail_an_export_that_is_done(stage, capsys):
    """Airflow accepts any object as an outlet. One that is no asset is named in the log, and the others have events."""
    stage.segment(4)
    asset = Asset("beside_odd_outlets", uri="segexport://exported/beside")
    odd = ["s3://bucket/of/an/older/dag", 7, Asset.ref(name="defined_by_no_dag"), asset | Asset("another")]
    run = stage.export(conn_id=stage.connection("dotdigital"), outlets=[*odd, asset])
    assert "success" == run.state
    [event] = events(asset.name)
    assert 4 == event.extra["counts"]["delivered"]
    assert len(odd) == capsys.readouterr().out.count("Emitting no event for the outlet")


def test_the_segment_may_come_from_the_task_before(stage):
    """The return value of an upstream task is used as a path, or as a list of them."""
    path = stage.segment(6)
    with DAG("downstream", schedule=None) as dag:

        @task
        def write():
            return [path]

        SegmentExportOperator(
            task_id="export", conn_id=stage.connection("dotdigital"), segment=write(), field_mapping=FIELD_MAPPING
        )
    assert 6 == stage.run(dag).summary()["counts"]["delivered"]
