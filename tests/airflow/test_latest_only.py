"""`latest_only=True`: of days that were missed, or that a backfill goes over, only the newest is exported."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from zoneinfo import ZoneInfo

import pytest
from airflow.sdk import Asset, PartitionedAssetTimetable
from airflow.sdk.exceptions import AirflowRuntimeError, ErrorType
from airflow.sdk.execution_time.comms import ErrorResponse
from airflow.timetables.base import DagRunInfo, DataInterval, Timetable
from airflow.utils.session import create_session
from airflow.utils.state import DagRunState
from airflow.utils.types import DagRunType
from airflow_fixtures import FIELD_MAPPING, export_dag, people

from airflow_provider_segexport.errors import InvalidArgument
from airflow_provider_segexport.hooks import get_hook, latest_only, rate_limit
from airflow_provider_segexport.ratelimit.backends import open_store

pytestmark = pytest.mark.airflow

DAY = timedelta(days=1)


def days_ago(number):
    """Return the start of a day, by the machine's clock, which Airflow reads."""
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return today - number * DAY


def scheduled(number, run_type=DagRunType.SCHEDULED):
    """The run of a daily schedule whose interval ended so many days ago."""
    start = days_ago(number + 1)
    return {
        "run_id": f"{run_type.value}__{start:%Y-%m-%d}",
        "run_type": run_type,
        "logical_date": start,
        "data_interval": (start, start + DAY),
        "run_after": start + DAY,
    }


@pytest.fixture
def daily(stage):
    """A DAG that exports every day, and would rather not catch up."""
    stage.segment(4)
    return lambda dag_id, **options: export_dag(
        dag_id, stage.folder, **{"conn_id": stage.connection("dotdigital"), "latest_only": True, **options}
    )


def test_a_time_is_shown_in_utc():
    """The timetable of a DAG in Berlin has Berlin's time, an hour or two ahead."""
    moment = datetime(2026, 3, 29, 3, 30, tzinfo=ZoneInfo("Europe/Berlin"))
    run = SimpleNamespace(partition_key=None, data_interval_end=moment, logical_date=None, run_after=None)
    assert latest_only._describe_time(run) == "2026-03-29 01:30:00 UTC"


class TestSchedule:
    """Runs that the scheduler makes up for."""

    def test_a_missed_day_is_skipped_and_the_newest_is_not(self, stage, daily, capsys):
        """The day before has a newer one that is due; the last interval that has ended has none."""
        dag = daily("missed", schedule="@daily")
        older = stage.begin(dag, **scheduled(3))
        assert "skipped" == older.go(dag)
        log = capsys.readouterr().out
        assert f"next run, of {days_ago(2):%Y-%m-%d} 00:00:00 UTC, is due" in log
        assert "because `latest_only` is set" in log
        assert [] == stage.sim.requests(vendor="dotdigital")

    def test_the_callback_of_the_skip_has_the_reason(self, stage, daily):
        """A person who gets the message need not open the log."""
        messages = []
        dag = daily("skips", schedule="@daily", on_skipped_callback=lambda it: messages.append(it["segexport"]))
        assert "skipped" == stage.begin(dag, watched=False, **scheduled(3)).go(dag)
        [message] = messages
        assert message["error_code"] == "skipped"
        assert "next run, of " in message["body"]
        assert "success" == stage.begin(dag, **scheduled(0)).go(dag)
        assert 4 == len(stage.members("dotdigital"))

    def test_by_hand_every_day_goes_out(self, stage, daily):
        """A user that starts a run wants that run."""
        dag = daily("by_hand", schedule="@daily")
        assert "success" == stage.begin(dag, **scheduled(3, DagRunType.MANUAL)).go(dag)

    def test_without_it_every_day_goes_out(self, stage, daily):
        """`all` is the default, and what a template says is heeded."""
        dag = daily("all_days", schedule="@daily", latest_only="{{ false }}")
        assert ["success", "success"] == [stage.begin(dag, **scheduled(n)).go(dag) for n in (3, 2)]

    def test_a_dag_that_has_ended_ends_in_its_last_day(self, stage, daily):
        """No run comes after a DAG's end: the last one is the newest, however long ago."""
        dag = daily("ended", schedule="@daily")
        dag.end_date = days_ago(4)
        assert ["skipped", "success"] == [stage.begin(dag, **scheduled(n)).go(dag) for n in (5, 3)]


class TestBackfill:
    """Runs of a backfill, which has its days queued from the start."""

    def test_oldest_first_only_the_last_goes_out(self, stage, daily):
        """As long as a later day waits, this one is needless."""
        dag = daily("forward", schedule="@daily")
        runs = [stage.begin(dag, **scheduled(n, DagRunType.BACKFILL_JOB)) for n in (30, 29, 28)]
        assert ["skipped", "skipped", "success"] == [ended(run, run.go(dag)) for run in runs]
        assert days_ago(28).isoformat() == runs[-1].summary()["as_of"]

    def test_newest_first_the_first_goes_out(self, stage, daily):
        """Nothing later waits when the newest runs; the others find a newer state in the ledger."""
        dag = daily("backwards", schedule="@daily")
        runs = [stage.begin(dag, **scheduled(n, DagRunType.BACKFILL_JOB)) for n in (28, 29, 30)]
        assert ["success", "skipped", "skipped"] == [ended(run, run.go(dag)) for run in runs]
        assert 1 == len(stage.sent("dotdigital"))

    @pytest.mark.parametrize(
        ("run_type", "behind"),
        [(DagRunType.BACKFILL_JOB, True), (DagRunType.SCHEDULED, False), (DagRunType.MANUAL, False)],
    )
    def test_its_calls_go_after_those_of_scheduled_runs(self, stage, daily, monkeypatch, run_type, behind):
        """Where an account's quota is scarce: a run by hand is what a user wants now."""
        low_priority = []

        def opened(*args, backfill, machine):
            low_priority.append(backfill)
            return open_store(*args, backfill=backfill, machine=machine)

        monkeypatch.setattr(rate_limit, "open_store", opened)
        dag = daily(f"behind_{run_type.value}", schedule="@daily", latest_only=False)
        assert "success" == stage.begin(dag, **scheduled(3, run_type)).go(dag)
        assert {behind} == set(low_priority)


class TestAssets:
    """Runs that an upstream DAG's partitions start."""

    @pytest.fixture
    def dag(self, stage, daily, request):
        name = request.node.name
        segment = Asset(name, uri=f"segexport://segments/{name}")
        return daily(name, schedule=PartitionedAssetTimetable(assets=segment))

    def begin(self, stage, dag, key, *, at):
        """The run that a partition's event has started."""
        moment = days_ago(0) + timedelta(minutes=at)
        about = {"run_id": f"{key}_{at}".replace("|", "_"), "run_type": DagRunType.ASSET_TRIGGERED, "run_after": moment}
        return stage.begin(dag, partition_key=key, **about)

    def test_of_partitions_that_wait_only_the_newest_day_goes_out(self, stage, dag, capsys):
        """The first runs see that a later day has come, and that its run waits."""
        runs = [self.begin(stage, dag, f"2026-02-0{day}", at=day) for day in (1, 2, 3)]
        assert ["skipped", "skipped", "success"] == [ended(run, run.go(dag)) for run in runs]
        assert "Run 2026-02-03_3, of partition 2026-02-03, is queued or running" in capsys.readouterr().out
        assert "2026-02-03T00:00:00+00:00" == runs[-1].summary()["as_of"]

    def test_newest_first_the_first_goes_out(self, stage, dag):
        """Events of older days that come later make no run needless."""
        runs = [self.begin(stage, dag, f"2026-02-0{day}", at=10 - day) for day in (3, 2, 1)]
        assert ["success", "skipped", "skipped"] == [ended(run, run.go(dag)) for run in runs]

    def test_a_later_day_whose_run_is_over_leaves_it_to_the_ledger(self, stage, dag):
        """The newer day may have failed: then this state is better than none."""
        first, second = (self.begin(stage, dag, f"2026-02-0{day}", at=day) for day in (1, 2))
        ended(second, "failed")
        assert "success" == first.go(dag)

    def test_only_runs_of_the_same_other_dimensions_are_compared(self, stage, dag):
        """A later day of another region replaces nothing; a later day of the same one does."""
        keys = ("2026-02-01|eu", "2026-02-02|us", "2026-02-03|eu")
        runs = [self.begin(stage, dag, key, at=at) for at, key in enumerate(keys)]
        assert ["skipped", "success", "success"] == [ended(run, run.go(dag)) for run in runs]

    def test_partitions_that_are_no_days_do_not_make_each_other_needless(self, stage, dag):
        """Regions have no order; only the same one again is newer."""
        dag.get_task("export").as_of = "2026-02-01"
        north, south = (self.begin(stage, dag, key, at=at) for key, at in (("north", 1), ("south", 2)))
        again = self.begin(stage, dag, "north", at=3)
        states = [ended(run, run.go(dag)) for run in (north, south, again)]
        assert ["skipped", "success", "success"] == states


def ended(run, state):
    """The scheduler's part: a run whose task has ended has ended."""
    with create_session() as session:
        session.merge(run.dag_run).state = DagRunState.FAILED if state == "failed" else DagRunState.SUCCESS
    run.errors.clear()  # of a task that is skipped Airflow hands on no exception
    return state


class OwnTimetable(Timetable):
    """A timetable that needs the interval of the run before, as those of Airflow's documentation do."""

    def infer_manual_data_interval(self, *, run_after):
        return DataInterval.exact(run_after)

    def next_dagrun_info(self, *, last_automated_data_interval, restriction):
        return DagRunInfo.interval(last_automated_data_interval.end, last_automated_data_interval.end + DAY)


class TimetableWithoutZone(OwnTimetable):
    """A timetable whose times have no zone."""

    def next_dagrun_info(self, *, last_automated_data_interval, restriction):
        return DagRunInfo.interval(datetime(2026, 1, 1), datetime(2026, 1, 2))  # noqa: DTZ001 - on purpose


@pytest.mark.parametrize("timetable", [OwnTimetable(), TimetableWithoutZone()], ids=["no-interval", "no-zone"])
def test_a_timetable_that_fails_does_not_stop_the_run(timetable, monkeypatch, caplog):
    """The next run is then unknown, and the ledger prevents that an older snapshot overwrites a newer one."""
    monkeypatch.setattr(latest_only, "_unfinished_runs", lambda _: iter(()))
    run = SimpleNamespace(run_type="scheduled", run_after=days_ago(3), partition_key=None)
    latest_only.skip_unless_latest({"dag_run": run, "dag": SimpleNamespace(timetable=timetable, end_date=None)})
    assert "without asking the timetable" in caplog.text


def test_outside_a_task_it_is_refused(stage):
    """As in a function of `@task.virtualenv`: a missed day would be exported as if it were the newest."""
    hook = get_hook(stage.connection("campaign_monitor"))
    with pytest.raises(InvalidArgument, match="no context of Airflow, so the DAG's newer runs are unknown"):
        hook.export(people(3), FIELD_MAPPING, latest_only=True)
    assert stage.nothing_was_sent()


def test_an_api_server_that_fails_does_not_stop_the_run(daily, stage, monkeypatch, caplog):
    """Whether there is a newer run is unknown, and the ledger never lets an older snapshot overwrite a newer one."""

    def fails(**_):
        raise AirflowRuntimeError(ErrorResponse(error=ErrorType.API_SERVER_ERROR))

    monkeypatch.setattr(latest_only.task_runner.RuntimeTaskInstance, "get_task_states", fails)
    dag = daily("api_fails")
    run = stage.begin(dag, **scheduled(0, DagRunType.BACKFILL_JOB))
    assert "success" == run.go(dag), run.errors
    assert "Running without asking Airflow for newer runs" in caplog.text
