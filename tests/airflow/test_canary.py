"""Planted addresses, names and secrets are searched for in all that Airflow keeps of a run.

The runs are real tries in processes of their own, with log files; the places are the metadata database (every table,
task state and asset events among them, and what it holds encrypted), the log folder, what the supervisor prints, and
all of the state root that is no table of rows.
"""

from __future__ import annotations

import base64
import http.client
import logging
import sqlite3
import tempfile
import time
from contextlib import closing

import pyarrow.parquet as pq
import pytest
from airflow.models.trigger import Trigger
from airflow.utils.session import create_session
from airflow_fixtures import people
from airflow_home import HOME, IS_3_2
from airflow_worker import Worker
from leak_search import NAME, command_lines, readable

from airflow_provider_segexport.hooks import metrics as hook_metrics
from airflow_provider_segexport.hooks.base import SegmentExportHook
from airflow_provider_segexport.stages import clean

pytestmark = pytest.mark.airflow
FIELD_MAPPING = {"email": "email", "first_name": "first_name", "last_name": "last_name"}
PLANTED = "Planted-s3cret-"


@pytest.fixture
def planted(real_time, monkeypatch):
    """A segment whose every row can be recognised: good ones, bad ones, and one that the vendor refuses."""
    monkeypatch.setattr(SegmentExportHook, "sleep", staticmethod(lambda seconds: time.sleep(min(seconds, 0.1))))
    rows = people(40)
    rows["email"] = [f"{NAME}{n}@example.com" for n in range(40)]
    rows["first_name"] = f"{NAME}first"
    rows["last_name"] = f"{NAME}last"
    rows.loc[3, "email"] = f"{NAME} no address"
    rows.loc[4, "email"] = f"{NAME}\u00fc@example.com"
    swift = {"start_seconds": 0.0, "job_seconds": 0.1, "job_seconds_per_row": 0.0}
    real_time.sim.configure(
        {
            "constant_contact": swift,
            "dotdigital": {"job_seconds": 0.1},
            "omnisend": {**swift, "tag_seconds": 0.1, "segment_seconds": 0.1},
        }
    )
    real_time.sim.seed("campaign_monitor", [{"email": f"{NAME}7@example.com", "status": "suppressed"}])
    real_time.sim.seed("dotdigital", [{"email": f"{NAME}7@example.com", "status": "globallySuppressed"}])
    return real_time.segment(rows)


@pytest.fixture(autouse=True)
def metrics(tmp_path, monkeypatch):
    """A file to which every metric goes, also from the processes of tasks."""
    file = tmp_path / "metrics"
    file.touch()

    class Recorder:
        def __getattr__(self, kind):
            def record(*values, **options):
                with file.open("a") as lines:
                    lines.write(f"{kind} {values} {options}\n")

            return record

    monkeypatch.setattr(hook_metrics, "Stats", Recorder())
    monkeypatch.setitem(OUTSIDE, "metrics", file)


OUTSIDE = {}
"""Files of other places that are searched, too."""


def stored_by_airflow() -> dict[str, str]:
    """All that Airflow keeps, as text, by place."""
    texts = {str(path.relative_to(HOME)): path.read_text(errors="replace") for path in (HOME / "logs").rglob("*.log")}
    with closing(sqlite3.connect(HOME / "airflow.db")) as database:
        tables = [name for (name,) in database.execute("select name from sqlite_master where type = 'table'")]
        for table in tables:
            texts[table] = str(database.execute(f'select * from "{table}"').fetchall())
    with create_session() as session:
        texts["trigger, decrypted"] = str([trigger.kwargs for trigger in session.query(Trigger)])
    return texts | {name: file.read_text() for name, file in OUTSIDE.items()}


def state(stage) -> dict[str, str]:
    """Texts in the state root besides rows: leases, newest states, histories, states, plans, journals, reports, quotas.

    Rows are in Parquet and Arrow files, and nowhere else.
    """
    root = stage.folder / "state"
    rows = {".parquet", ".arrow"}
    files = {path for path in root.rglob("*") if path.is_file() and path.suffix not in rows}
    return {str(path.relative_to(root)): path.read_text(errors="replace") for path in files}


def secrets_of(stage, vendor):
    """The vendor's credentials, as they are and as they travel."""
    credentials = stage.vendor(vendor)["credentials"]
    plain = [
        credentials.get("api_key"),
        credentials.get("password"),
        credentials.get("refresh_token"),
        credentials.get("client_secret"),
    ]
    pairs = [(credentials.get("api_key"), "x"), (credentials.get("username"), credentials.get("password"))]
    signed = [base64.b64encode(":".join(pair).encode()).decode() for pair in pairs if all(pair)]
    return [secret for secret in plain if secret] + signed


def nothing_leaked(stage, capfd, secrets):
    outputs = stored_by_airflow() | state(stage) | dict(zip(("stdout", "stderr"), capfd.readouterr(), strict=True))
    leaks = [(source, word) for source, text in outputs.items() for word in [NAME, PLANTED, *secrets] if word in text]
    assert [] == leaks
    return outputs


@pytest.mark.parametrize("vendor", ["campaign_monitor", "constant_contact", "dotdigital", "omnisend"])
def test_a_run_that_succeeds(real_time, planted, capfd, vendor):
    """Rows are delivered, set aside and rejected; no person's name is stored, and no credential."""
    conn_id = real_time.connection(vendor)
    arguments = {
        "conn_id": conn_id,
        "segment": planted,
        "field_mapping": FIELD_MAPPING,
        "export_name": "canary",
        "mode": "mirror",
    }
    arguments |= {
        "outlets": [f"exported_{vendor}"],
        "optouts_asset": f"optouts_{vendor}",
        "guards": {"max_removals_share": None},
    }
    attempt = Worker.start(f"canary_{vendor}", **arguments).work()
    assert "success" == attempt.state, attempt.log
    assert real_time.sent(vendor)
    shrunk = pq.read_table(planted).slice(0, 30)
    pq.write_table(shrunk, planted)
    attempt = Worker.start(f"canary_{vendor}_mirrors", **arguments).work()
    assert "success" == attempt.state, attempt.log
    outputs = nothing_leaked(real_time, capfd, secrets_of(real_time, vendor))
    expected_words = {
        "xcom": "delivered",
        "asset_event": "optouts.parquet",
        f"latest/{vendor}": "removed",
        "audience_state-": "canary",
    }
    expected_words |= {
        "metrics": "segexport.rows",
        "lease/": "until",
        "journal.jsonl": "settled",
        "config.json": "field_mapping",
        "plan.json": "planned",
    }
    for name, word in expected_words.items():
        assert [source for source, text in outputs.items() if name in source and word in text], f"no {word} in {name}"


@pytest.mark.parametrize("vendor", ["campaign_monitor", "constant_contact", "dotdigital", "omnisend"])
def test_a_run_at_debug(real_time, planted, capfd, monkeypatch, vendor):
    """Every logger at DEBUG and `http.client` debug on; the command lines and the temporary files are searched, too.

    Removals and opt-outs read single people: their addresses are in URLs.
    """
    monkeypatch.setenv("AIRFLOW__LOGGING__LOGGING_LEVEL", "DEBUG")
    monkeypatch.setattr(http.client.HTTPConnection, "debuglevel", 1)
    temporary = real_time.folder / "tmp"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    monkeypatch.setattr(tempfile, "tempdir", None)
    root = logging.getLogger()
    monkeypatch.setattr(root, "level", logging.DEBUG)
    monkeypatch.setattr(logging.getLogger("urllib3.connectionpool"), "level", logging.DEBUG)
    conn_id = real_time.connection(vendor)
    arguments = {
        "conn_id": conn_id,
        "segment": planted,
        "field_mapping": FIELD_MAPPING,
        "export_name": "debug",
        "mode": "mirror",
    }
    arguments |= {"optouts_asset": f"optouts_debug_{vendor}", "guards": {"max_removals_share": None}}
    assert "success" == Worker.start(f"debug_{vendor}", **arguments).work().state
    pq.write_table(pq.read_table(planted).slice(0, 30), planted)
    worker, lines, open_to_others = Worker.start(f"debug_{vendor}_mirrors", **arguments), [], set()
    attempt = worker.work(lambda: lines.extend(command_lines()) or open_to_others.update(readable(temporary)) or False)
    assert "success" == attempt.state, attempt.log
    assert "Message withheld (library=urllib3)" in attempt.log
    secrets = secrets_of(real_time, vendor)
    nothing_leaked(real_time, capfd, secrets)
    assert lines
    assert set() == open_to_others
    assert [] == [word for word in [NAME, *secrets] if word in "\n".join(lines)]
    rows = [path for path in temporary.rglob("*") if path.is_file() and NAME.encode() in path.read_bytes()]
    assert [] == rows


def test_a_run_that_waits_in_the_triggerer(real_time, planted, capfd):
    """The trigger's stored arguments name jobs, and no person."""
    real_time.sim.configure({"dotdigital": {"job_seconds": 600.0}})
    conn_id = real_time.connection("dotdigital")
    worker = Worker.start(
        "canary_deferred", conn_id=conn_id, segment=planted, field_mapping=FIELD_MAPPING, deferrable=True
    )
    assert "deferred" == worker.work().state
    outputs = nothing_leaked(real_time, capfd, secrets_of(real_time, "dotdigital"))
    assert "job_ids" in outputs["trigger, decrypted"]
    assert IS_3_2 or "waiting" in outputs["task_state_store"]


def test_runs_that_fail(real_time, planted, capfd, monkeypatch):
    """The vendor's own words, a library's words, credentials that are refused: none of it quotes what was planted."""
    stage = real_time
    monkeypatch.setattr(SegmentExportHook, "sleep", staticmethod(lambda _: None))
    conn_id = stage.connection("campaign_monitor")
    hidden = f"{NAME}1%40example.com, '{NAME}'@example.com, {NAME} Doe, {NAME} +44 20 7946 0958"
    body = {"Code": 999, "Message": f"We cannot take {NAME}1@example.com, {hidden}"}
    page = f"<html>{NAME}1@example.com</html>"
    proxy = {"http": f"http://someone:{PLANTED}proxy@127.0.0.1:9"}
    spoilt = [
        ({"conn_id": conn_id}, [{"path": "import.json", "count": 0, "status": 400, "body": body}]),
        ({"conn_id": conn_id}, [{"path": "import.json", "count": 0, "status": 500, "body": body}]),
        ({"conn_id": conn_id}, [{"path": "import.json", "count": 0, "status": 200, "body": page}]),
        ({"conn_id": conn_id}, [{"path": "import.json", "count": 0, "drop": True}]),
        ({"conn_id": stage.connection("campaign_monitor", password=f"{PLANTED}key")}, []),
        ({"conn_id": stage.connection("campaign_monitor", password=f"{PLANTED}key\n")}, []),
        ({"conn_id": stage.connection("dotdigital", password=f"{PLANTED}password")}, []),
        ({"conn_id": stage.connection("dotdigital", extra={"proxies": proxy})}, []),
        ({"conn_id": conn_id, "field_mapping": {"email": "first_name"}}, []),
    ]
    for number, (arguments, faults) in enumerate(spoilt):
        stage.sim.clear_faults()
        stage.sim.faults(faults)
        worker = Worker.start(
            f"canary_fails_{number}",
            **{"segment": planted, "field_mapping": FIELD_MAPPING, "export_name": "canary", **arguments},
        )
        assert "failed" == worker.work().state

    def burst(*_):
        raise ValueError(f"Could not convert '{NAME}1@example.com' in the row of {NAME}1@example.com")

    stage.sim.clear_faults()
    monkeypatch.setattr(clean, "clean", burst)
    worker = Worker.start(
        "canary_bursts", conn_id=conn_id, segment=planted, field_mapping=FIELD_MAPPING, export_name="canary"
    )
    attempt = worker.work()
    assert "failed" == attempt.state
    assert "Unexpected ValueError" in attempt.log
    assert "Its text is left out, because it may quote a row" in attempt.log
    outputs = nothing_leaked(stage, capfd, secrets_of(stage, "campaign_monitor") + secrets_of(stage, "dotdigital"))
    assert IS_3_2 or "stopped" in outputs["task_state_store"]
    assert "segexport.errors" in outputs["metrics"]


def test_the_search_finds_what_is_there(real_time, planted):
    """A word in an argument that Airflow shows is found in the database and in the log: the search is not blind."""
    conn_id, word = real_time.connection("dotdigital"), "MARK_OF_THE_SEARCH"
    Worker.start(
        "seen", conn_id=conn_id, segment=planted, field_mapping=FIELD_MAPPING, custom_fields={word: "tier"}
    ).work()
    sources = {source for source, text in stored_by_airflow().items() if word in text}
    assert "rendered_task_instance_fields" in sources
    assert [source for source in sources if source.endswith(".log")]
