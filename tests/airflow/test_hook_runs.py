"""The run of an export by `hook.export`: the task instance's in a task, and a run of its own outside any."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
from airflow.sdk import DAG, Asset, task
from airflow.sdk.exceptions import AirflowFailException
from airflow_fixtures import FIELD_MAPPING, people

from airflow_provider_segexport.errors import ConnectionNotAllowed, ExportsDisabled, InvalidArgument
from airflow_provider_segexport.hooks import get_hook
from airflow_provider_segexport.model import Batch

pytestmark = pytest.mark.airflow

FEW_REMOVALS = {"max_removals_share": 0.5}
START = datetime(2026, 1, 1, tzinfo=UTC)


def of_one_task(dag_id, body, **how):
    """A DAG of one task named `export` that does what `body` does."""
    with DAG(dag_id, schedule=None, start_date=START) as dag:
        task(task_id="export", **how)(body)()
    return dag


def polars_people(pl, count):
    """The same people as Polars holds them."""
    return pl.DataFrame(people(count).to_dict("list"))


def active(stage):
    """The addresses on the list that get mail."""
    return {email for email, member in stage.members("campaign_monitor").items() if member["status"] == "Active"}


def folders(stage):
    """Run folders below the state's root."""
    root = stage.folder / "state" / "runs"
    return sorted(str(path.parent.relative_to(root)) for path in root.rglob("config.json"))


class TestInATask:
    """DAG, task, run and map index are the run's name, whatever was exported."""

    @pytest.mark.parametrize("library", ["pandas", "polars"])
    def test_mirror_works_every_day_with_a_frame(self, stage, library):
        """Its file lies somewhere else each time; the export stays the owner of its audience."""
        made = people if library == "pandas" else partial(polars_people, pytest.importorskip("polars"))
        conn_id = stage.connection("campaign_monitor")
        days = {"one": 6, "two": 4}
        reports = []
        for day, count in days.items():

            def body(count=count):
                frame = made(count)
                reports.append(get_hook(conn_id).export(frame, FIELD_MAPPING, mode="mirror", guards=FEW_REMOVALS))

            dag = of_one_task(f"daily_{library}", body)
            assert "success" == stage.begin(dag, run_id=day).go(dag)
        assert [f"daily_{library}/export/{day}/0" for day in days] == [report["run"] for report in reports]
        assert f"daily_{library}.export" == reports[1]["export_name"]
        assert set(people(4)["email"]) == active(stage)

    def test_a_retry_goes_on_where_the_last_try_stopped(self, stage, ten_a_call):
        """With a frame, of which each try writes a file of its own; what arrived is not sent again."""
        conn_id = stage.connection("campaign_monitor")
        stage.sim.faults([{"path": "import.json", "nth": 3, "count": 0, "status": 401}])

        def body():
            get_hook(conn_id).export(people(50), FIELD_MAPPING, mode="full")

        run = stage.begin(dag := of_one_task("resumed", body))
        assert "failed" == run.go(dag)
        assert 20 == len(stage.members("campaign_monitor"))
        stage.sim.clear_faults()
        before = len(stage.sent("campaign_monitor"))
        assert "success" == run.go(dag)
        assert 50 == len(stage.members("campaign_monitor"))
        assert 3 == len(stage.sent("campaign_monitor")) - before
        assert ["resumed/export/by_hand/0/01"] == folders(stage)

    def test_rows_that_are_others_in_the_next_try_make_a_new_plan(self, stage, ten_a_call):
        """A plan is carried out for the rows that it was made of."""
        conn_id = stage.connection("campaign_monitor")
        stage.sim.faults([{"path": "import.json", "nth": 2, "count": 0, "status": 401}])
        tries = iter([people(20), people(20, start=100)])

        def body():
            get_hook(conn_id).export(next(tries), FIELD_MAPPING)

        run = stage.begin(dag := of_one_task("changed", body))
        assert "failed" == run.go(dag)
        stage.sim.clear_faults()
        assert "success" == run.go(dag)
        assert {f"person{n}@example.com" for n in range(100, 120)} <= set(stage.members("campaign_monitor"))

    def test_several_calls_in_one_task_do_not_mix(self, stage):
        """Each has a run folder; a retry finds what each has done, and sends none of it again."""
        conn_id, other = stage.connection("campaign_monitor"), stage.connection("dotdigital")
        fails = iter([True, False])

        def body():
            get_hook(conn_id).export(people(3), FIELD_MAPPING, mode="full")
            get_hook(other).export(people(4), FIELD_MAPPING, mode="full")
            get_hook(other).export(people(5), FIELD_MAPPING, mode="full", audience=stage.audience("dotdigital", 1))
            if next(fails):
                raise RuntimeError

        run = stage.begin(dag := of_one_task("three", body, retries=1))
        assert "up_for_retry" == run.go(dag)
        sent = len(stage.sent("campaign_monitor")) + len(stage.sent("dotdigital"))
        assert "success" == run.go(dag)
        assert sent == len(stage.sent("campaign_monitor")) + len(stage.sent("dotdigital"))
        assert [f"three/export/by_hand/{index}/01" for index in ("0.2", "0.3", "0")] == folders(stage)
        assert [4, 5] == [len(stage.members("dotdigital", number)) for number in (0, 1)]

    def test_two_calls_that_mirror_into_one_audience_are_refused(self, stage):
        """The second would take out the first one's people."""
        conn_id = stage.connection("campaign_monitor")

        def body():
            get_hook(conn_id).export(people(3), FIELD_MAPPING, mode="mirror")
            get_hook(conn_id).export(people(3, start=10), FIELD_MAPPING, mode="mirror")

        run = stage.begin(dag := of_one_task("twice", body))
        assert "failed" == run.go(dag)
        assert "has sent a data frame to this audience as the same export ('twice.export')" in run.error
        assert 3 == len(stage.members("campaign_monitor"))

    def test_mapped_tasks_have_runs_of_their_own(self, stage):
        """By their map index."""
        conn_ids = [stage.connection("campaign_monitor"), stage.connection("dotdigital")]
        with DAG("mapped", schedule=None, start_date=START) as dag:

            @task
            def export(conn_id):
                return get_hook(conn_id).export(people(3), FIELD_MAPPING)["run"].rsplit("/", 1)[1] + "th"

            export.expand(conn_id=conn_ids)
        run = stage.run(dag)
        assert ["0th", "1th"] == [run.summary("export", index) for index in (0, 1)]

    def test_a_task_uses_connections_in_the_name_of_its_own_dag(self, stage):
        """Else any DAG could name one that is allowed."""
        conn_id = stage.connection("dotdigital", extra={"allowed_dags": "allowed"})

        def body():
            with pytest.raises(ConnectionNotAllowed, match="the running task belongs to DAG 'intruder'"):
                get_hook(conn_id).export(people(3), FIELD_MAPPING, dag_id="allowed")

        dag = of_one_task("intruder", body)
        assert "success" == stage.begin(dag).go(dag)
        assert stage.nothing_was_sent()

    def test_an_ending_is_airflows(self, stage):
        """Exports disabled: the task is skipped, without code for it."""
        conn_id = stage.connection("dotdigital", extra={"export_enabled": False})
        dag = of_one_task("switched_off", lambda: get_hook(conn_id).export(people(3), FIELD_MAPPING))
        assert "skipped" == stage.begin(dag).go(dag)


class TestOutsideATask:
    """A program: every call is a run of its own, and the connection or `export_name` names the export."""

    def test_every_call_is_a_run_of_its_own(self, stage):
        """Nothing of an earlier one is gone on with."""
        hook = get_hook(stage.connection("dotdigital"))
        runs = [hook.export(people(3), FIELD_MAPPING)["run"] for _ in range(2)]
        assert 2 == len(set(runs))
        assert all(run.startswith(f"hook/{hook.conn_id}/") for run in runs)

    def test_reports_say_that_the_segment_was_a_data_frame(self, stage):
        """Its temporary file is gone by then: neither the report nor the rejected rows name it."""
        rows = people(4)
        rows.loc[3, "email"] = "no address"
        report = get_hook(stage.connection("dotdigital")).export(rows, FIELD_MAPPING)
        assert "a data frame" == report["segment"]
        rejects = pq.read_table(Path(report["run_folder"]) / "rejects.parquet").to_pylist()
        assert [("a data frame", 3)] == [(row["file"], row["file_row"]) for row in rejects]

    def test_mirror_needs_a_name(self, stage):
        """Two programs on one connection would be one export, and take out each other's people."""
        hook = get_hook(stage.connection("campaign_monitor"))
        with pytest.raises(InvalidArgument, match="needs `export_name`") as caught:
            hook.export(people(3), FIELD_MAPPING, mode="mirror")
        assert isinstance(caught.value, AirflowFailException)
        for count in (6, 4):
            hook.export(people(count), FIELD_MAPPING, mode="mirror", export_name="nightly script", guards=FEW_REMOVALS)
        assert 4 == len(active(stage))

    def test_a_dag_that_is_named_opens_nothing(self, stage):
        """A program could name any DAG: outside a task, only `*` lets it in."""
        hook = get_hook(stage.connection("dotdigital", extra={"allowed_dags": "nightly"}))
        with pytest.raises(ConnectionNotAllowed, match="outside a DAG"):
            hook.export(people(3), FIELD_MAPPING)
        with pytest.raises(ConnectionNotAllowed, match="outside a DAG"):
            hook.export(people(3), FIELD_MAPPING, dag_id="nightly")
        assert stage.nothing_was_sent()

    @pytest.mark.parametrize("kind", ["asset", "list of paths", "JSON text"])
    def test_a_segment_in_files_is_a_path_of_any_kind(self, stage, kind):
        """As the operator takes it."""
        path = stage.segment(3)
        given = {"asset": Asset(f"file://{path}"), "list of paths": [stage.folder / "segment.parquet"]}
        segment = given.get(kind, f'["{path}"]')
        assert 3 == get_hook(stage.connection("dotdigital")).export(segment, FIELD_MAPPING)["counts"]["delivered"]

    def test_switches_and_numbers_may_be_texts(self, stage):
        """As a template or a form brings them."""
        hook = get_hook(stage.connection("dotdigital"))
        report = hook.export(
            people(3),
            FIELD_MAPPING,
            dry_run="yes",
            allow_shared_audience="False",
            max_profiles="3",
            as_of="20260305",
            poll_interval="5",
        )
        assert report["dry_run"]
        assert "2026-03-05T00:00:00+00:00" == report["as_of"]
        assert stage.nothing_was_sent()

    def test_a_frame_with_other_columns_of_any_kind(self, stage):
        """Columns that are not mapped are not read."""
        frame = people(3).assign(mixed=pd.Series([1, "x", b"y"]), phone=["+49 170", 49, None])
        hook = get_hook(stage.connection("dotdigital"))
        assert 3 == hook.export(frame, FIELD_MAPPING)["counts"]["delivered"]


def changes(hook):
    """Every way in which a hook changes something at its vendor, by name."""
    target, vendor = hook.resolve_audience(), hook.vendor
    batch = Batch("b", [0], ["ann@example.com"], ['{"email":"ann@example.com"}'])
    operations = {
        "upsert": vendor.upsert(target, batch),
        **(
            {}
            if vendor.implicit_custom_fields
            else {"create_field": vendor.create_field(target, "shoe_size", "number")}
        ),
        # Campaign Monitor is asked first whether the person is there, and the person is not.
        **({} if vendor.name == "campaign_monitor" else {"remove": vendor.removal.remove(target, batch)}),
        **({"revive": vendor.resubscribe_removed(target, batch)} if vendor.resubscribe_removed else {}),
    }
    calls = {name: partial(hook.run_operation, operation) for name, operation in operations.items()}
    calls["run"] = partial(hook.run, "anything", "{}")
    if vendor.name == "omnisend":
        calls["make_segment"] = partial(hook.create_segment, target.audience)
    return calls


@pytest.mark.parametrize("vendor", ["campaign_monitor", "constant_contact", "dotdigital", "omnisend"])
class TestTheGate:
    """Calls that change data need the permission, whichever way they are made; reads do not."""

    @pytest.mark.parametrize(
        ("extra", "error"),
        [
            ({"export_enabled": False}, ExportsDisabled),
            ({"privacy_consent": False}, ConnectionNotAllowed),
            ({"consented_by": ""}, ConnectionNotAllowed),
            ({"allowed_dags": "trusted"}, ConnectionNotAllowed),
        ],
    )
    def test_outside_a_task(self, stage, vendor, extra, error):
        """A program at the hook."""
        hook = get_hook(stage.connection(vendor, extra=extra))
        for change in changes(hook).values():
            with pytest.raises(error):
                change()
        assert stage.nothing_was_sent()

    def test_in_a_task(self, stage, vendor):
        """The DAG is that of the running task."""
        conn_id = stage.connection(vendor, extra={"allowed_dags": "trusted"})

        def body():
            for change in changes(get_hook(conn_id)).values():
                with pytest.raises(ConnectionNotAllowed, match="DAG 'intruder_"):
                    change()

        dag = of_one_task(f"intruder_{vendor}", body)
        assert "success" == stage.begin(dag).go(dag)
        assert stage.nothing_was_sent()
