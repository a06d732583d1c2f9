"""The DAG `segment_exports`: what starts it, what it pairs, and what it then sends."""

from __future__ import annotations

import json
import subprocess
import sys
from copy import deepcopy
from datetime import UTC, date, datetime
from pathlib import Path

import pyarrow as pa
import pytest
from airflow.dag_processing.dagbag import BundleDagBag, sync_bag_to_db
from airflow.models import DagModel
from airflow.models.asset import AssetEvent
from airflow.models.dagrun import DagRun
from airflow.sdk.exceptions import ParamValidationError
from airflow.utils.session import create_session
from airflow_fixtures import Run, people
from airflow_home import REPO

from unification.assets import SEGMENT_ASSETS, SEGMENTS
from unification.data_files import segment_folder, write_atomically
from unification.pairing import pairs, segment_paths

pytestmark = pytest.mark.airflow

DAGS = REPO / "dags"
TWO = ("campaign_monitor", "dotdigital")

PARSE = """
import socket, sys
def refuse(*args, **kwargs):
    raise AssertionError("the network was asked for")
socket.socket.connect = socket.getaddrinfo = refuse
import airflow.sdk
before = set(sys.modules)
sys.path.insert(0, sys.argv[1])
import segment_exports, unification_refresh
new = {name.partition(".")[0] for name in set(sys.modules) - before}
print(sorted(new & {"pandas", "numpy", "pyarrow", "duckdb", "requests", "email_validator"}))
"""


@pytest.fixture(scope="module")
def bag(airflow_db):
    bag = BundleDagBag(dag_folder=DAGS, bundle_path=DAGS, bundle_name="dags-folder")
    sync_bag_to_db(bag, "dags-folder", None)
    return bag


@pytest.fixture
def exports(bag):
    """A new copy: a run in this process leaves its params in the DAG."""
    file = DAGS / "segment_exports.py"
    return BundleDagBag(dag_folder=file, bundle_path=DAGS, bundle_name="dags-folder").dags["segment_exports"]


@pytest.fixture
def root(tmp_path, monkeypatch):
    """Where segments lie in this test."""
    monkeypatch.setenv("SEGEXPORT_DEMO_ROOT", str(tmp_path / "data"))
    return str(tmp_path / "data")


def write(root, segment, day, count, start=0):
    rows = people(count, start=start).assign(gender="f", postcode="N1", loyalty_tier="gold")
    write_atomically(
        pa.Table.from_pandas(rows), f"{segment_folder(root, segment, date.fromisoformat(day))}/part-0.parquet"
    )


@pytest.fixture
def ready(stage, root):
    """Connections as the DAG names them, an audience for each pair, and two days of segments."""
    for vendor in TWO:
        stage.connection(vendor, f"{vendor}_default", extra={"default_audience": None})
    audiences = {
        f"{vendor}_default": {name: stage.audience(vendor, n) for n, name in enumerate(SEGMENTS)} for vendor in TWO
    }
    stage.setenv("AIRFLOW_VAR_SEGEXPORT_AUDIENCES", json.dumps(audiences))
    for number, segment in enumerate(SEGMENTS):
        write(root, segment, "2026-11-20", 2)
        write(root, segment, "2026-11-21", 3 + number)
    return stage


CONNECTIONS = [f"{vendor}_default" for vendor in TWO]


class TestFile:
    """The DAG as Airflow's DAG processor reads it."""

    def test_loads(self, bag):
        """Both examples load without an error, and nothing else in the folder is taken for a DAG."""
        assert {} == bag.import_errors
        assert {"segment_exports", "unification_refresh"} <= set(bag.dags)

    def test_parsing_is_cheap_and_quiet(self):
        """Neither example asks the network or imports a data library."""
        script = [sys.executable, "-c", PARSE, str(DAGS)]
        done = subprocess.run(script, capture_output=True, text=True, check=True)
        assert "[]" == done.stdout.strip().splitlines()[-1]

    def test_runs_for_a_day_when_all_segments_are_there(self, exports):
        """The timetable is partitioned, and waits for every segment."""
        with create_session() as session:
            assert session.get(DagModel, exports.dag_id).timetable_partitioned
        waited_for = {asset.uri for asset in exports.timetable.asset_condition.objects}
        assert {asset.uri for asset in SEGMENT_ASSETS.values()} == waited_for

    def test_a_deferred_task_may_be_failed_once(self, exports):
        """Airflow 3.3 may fail a task whose trigger fires early: retries are set."""
        assert exports.get_task("export").retries >= 1

    def test_two_runs_never_write_one_audience(self, exports):
        """One run at a time."""
        assert 1 == exports.max_active_runs


class TestForm:
    """Params of a run by hand."""

    @pytest.mark.parametrize(
        ("param", "value"),
        [
            ("segments", []),
            ("segments", ["nobody"]),
            ("segments", ["lapsed", "lapsed"]),
            ("segments", "lapsed"),
            ("connections", []),
            ("connections", ["a", "a"]),
            ("connections", None),
            ("mode", "sync"),
            ("dry_run", "perhaps"),
            ("mode", None),
            ("day", "yesterday"),
            ("day", 20261121),
        ],
    )
    def test_refuses(self, exports, param, value):
        """The form shows what is wrong before a run begins."""
        with pytest.raises(ParamValidationError):
            deepcopy(exports.params.get_param(param)).resolve(value)

    @pytest.mark.parametrize(
        ("param", "value"),
        [
            ("segments", ["lapsed"]),
            ("connections", ["my_own"]),
            ("mode", "mirror"),
            ("dry_run", True),
            ("day", "2026-11-21"),
            ("day", None),
        ],
    )
    def test_takes(self, exports, param, value):
        """One segment, a connection of one's own, a day or none."""
        assert value == deepcopy(exports.params.get_param(param)).resolve(value)

    def test_opens_with_values_that_it_takes(self, exports):
        """A user that changes nothing exports everything."""
        assert set(SEGMENTS) == set(exports.params["segments"])
        exports.params.validate()


class TestPairs:
    """Which segment goes through which connection to which audience."""

    def test_the_event_says_where_a_segment_lies(self, root):
        """And its `as_of`; the last event that has one counts."""
        event = {"path": "/elsewhere", "as_of": "2026-11-21T00:00:00+00:00"}
        paths = segment_paths(["lapsed"], {"segment_lapsed": [{"path": "/old", "as_of": "x"}, event, {}]}, None)
        assert {"lapsed": event} == paths

    def test_by_hand_it_is_the_newest(self, root):
        """Days that have been written count, not folders that are empty."""
        write(root, "lapsed", "2026-11-20", 1)
        write(root, "lapsed", "2026-11-21", 1)
        Path(root, "segments", "lapsed", "2026-11-22").mkdir()
        segment = segment_paths(["lapsed"], {}, None)["lapsed"]
        assert (f"{root}/segments/lapsed/2026-11-21", "2026-11-21T00:00:00+00:00") == (
            segment["path"],
            segment["as_of"],
        )

    def test_by_hand_it_may_be_another_day(self, root):
        """The day asked for, or the partition's."""
        segment = segment_paths(["lapsed"], {}, "2026-11-20")["lapsed"]
        assert (f"{root}/segments/lapsed/2026-11-20", "2026-11-20T00:00:00+00:00") == (
            segment["path"],
            segment["as_of"],
        )

    def test_a_segment_that_was_never_written(self, root):
        """The error says what to run first."""
        with pytest.raises(FileNotFoundError, match="run the DAG unification_refresh first"):
            segment_paths(["lapsed"], {}, None)

    def test_each_segment_goes_through_each_connection(self):
        """To the audience that the Variable names, or else the connection's own."""
        paths = {name: {"path": f"/{name}/day", "as_of": "2026-11-21"} for name in ("a", "b")}
        exports = pairs(paths, ["c1", "c2"], {"c1": {"a": "7"}}, {"mode": "full"})
        arguments = [(export["conn_id"], export["segment"], export["audience"], export["mode"]) for export in exports]
        assert [
            ("c1", "/a/day", "7", "full"),
            ("c2", "/a/day", None, "full"),
            ("c1", "/b/day", None, "full"),
            ("c2", "/b/day", None, "full"),
        ] == arguments

    def test_one_pair_has_arguments_of_its_own(self):
        """As the newsletter's export to Omnisend, which subscribes the people with proof of consent."""
        paths = {name: {"path": f"/{name}/day", "as_of": "2026-11-21"} for name in ("a", "b")}
        exports = pairs(paths, ["c1", "c2"], {}, {}, {"c2": {"b": {"subscribe": "with_proof"}}})
        assert [None, None, None, "with_proof"] == [export.get("subscribe") for export in exports]


class TestRun:
    """Real runs against the simulator."""

    def test_by_hand(self, ready, exports):
        """The chosen segments of the newest day go through the chosen connections, one task a pair."""
        conf = {"segments": ["high_value", "lapsed"], "connections": CONNECTIONS}
        run = Run(exports.test(run_conf=conf))
        assert "success" == run.state
        assert [3, 3, 5, 5] == [run.summary(map_index=index)["counts"]["delivered"] for index in range(4)]
        assert [3, 0, 5] == [len(ready.members("dotdigital", n)) for n in range(3)]
        titles = [instance.rendered_map_index for instance in run.instances("export")]
        assert "campaign_monitor_default high_value" == titles[0]

    def test_one_bad_connection_does_not_hold_up_the_others(self, ready, exports):
        """Each pair is a task of its own: the good ones are delivered, and the run says that one was not."""
        ready.connection("campaign_monitor", "campaign_monitor_default", password="not-this-one")
        conf = {"segments": ["lapsed"], "connections": CONNECTIONS}
        run = Run(exports.test(run_conf=conf))
        assert "failed" == run.state
        assert ["failed", "success"] == [instance.state for instance in run.instances("export")]
        assert 5 == len(ready.members("dotdigital", 2))

    def test_for_a_partition(self, ready, exports, bag, root):
        """The day's own segments are used, at the paths of that day's events, with its date as `as_of`."""
        refreshed = bag.dags["unification_refresh"].test(run_conf={"profiles": 300, "day": "2026-11-19"})
        assert "success" == refreshed.state
        kind = {"partition_key": "2026-11-19", "partition_date": datetime(2026, 11, 19, tzinfo=UTC)}
        run = ready.begin(exports, run_id="partition", conf={"connections": ["dotdigital_default"]}, **kind)
        with create_session() as session:
            events = session.query(AssetEvent).filter_by(source_run_id=refreshed.run_id).all()
            consumer = session.get(DagRun, run.dag_run.id)
            consumer.consumed_asset_events.extend(events)
        assert "success" == run.go(exports, "choose")
        chosen = run.summary("choose")
        assert [f"{root}/segments/{name}/2026-11-19" for name in SEGMENTS] == [choice["segment"] for choice in chosen]
        assert {"2026-11-19T00:00:00+00:00"} == {choice["as_of"] for choice in chosen}
