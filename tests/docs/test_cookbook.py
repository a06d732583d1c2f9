"""The recipes of the cookbook, run through Airflow against the simulator, with files as other tools write them."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import yaml
from airflow.providers.smtp.notifications.smtp import SmtpNotifier
from airflow.sdk.bases.notifier import BaseNotifier
from docs.pages import DOCS, blocks
from docs.recipes import PAGE, frame

pytestmark = pytest.mark.airflow


def bigquery(folder):
    """Shards with twelve digits."""
    frame(5, upper=True)[:3].to_parquet(folder / "000000000000.parquet", index=False)
    frame(5, upper=True)[3:].to_parquet(folder / "000000000001.parquet", index=False)


def snowflake(folder):
    """One file for each thread, compressed."""
    frame(5, upper=True)[:2].to_parquet(folder / "data_0_0_0.snappy.parquet", index=False, compression="snappy")
    frame(5, upper=True)[2:].to_parquet(folder / "data_0_1_0.snappy.parquet", index=False, compression="snappy")


def spark(folder):
    """Parts, a marker, checksums, and an empty part."""
    job = "b2c4-4f7e-c000.snappy.parquet"
    frame(5, upper=True).to_parquet(folder / f"part-00000-{job}", index=False)
    frame(5, upper=True)[:0].to_parquet(folder / f"part-00001-{job}", index=False)
    (folder / "_SUCCESS").write_bytes(b"")
    (folder / "._SUCCESS.crc").write_bytes(b"crc\0")
    (folder / f".part-00000-{job}.crc").write_bytes(b"crc\0")


@pytest.mark.parametrize("write", [bigquery, snowflake, spark], ids=lambda write: write.__name__)
def test_segments_that_a_warehouse_writes(write, stage, data, recipe):
    """Every row of the folder is exported once; what is no segment file is passed over."""
    folder = data / "high_value"
    folder.mkdir()
    write(folder)
    stage.connection("dotdigital", "dotdigital_default")
    run = stage.run(recipe("warehouse_export"))
    assert "success" == run.state
    assert 5 == run.summary()["counts"]["delivered"]


def test_many_audiences_from_a_yaml_file(stage, data, recipe):
    """Each entry is a task with its own audience and owner; another entry's failure stops no other."""
    (data / "audiences.yaml").write_text(PAGE["/data/audiences.yaml"].text.replace("/data", str(data)))
    frame(4).to_parquet(data / "newsletter.parquet", index=False)
    frame(2).to_parquet(data / "vip.parquet", index=False)
    stage.connection("campaign_monitor", "campaign_monitor_default")
    stage.connection("omnisend", "omnisend_default")
    run = stage.run(recipe("audiences"))
    assert "success" == run.state
    summaries = [run.summary(map_index=number) for number in range(2)]
    assert [4, 2] == [summary["counts"]["delivered"] for summary in summaries]
    assert ["audiences.newsletter", "audiences.vip"] == [summary["export_name"] for summary in summaries]
    assert ["mirror", "upsert"] == [summary["mode"] for summary in summaries]
    assert "vip" == summaries[1]["audience"]


def test_a_field_that_is_no_argument_stops_the_audiences(stage, data, recipe):
    """A misspelt field exports nothing, instead of something else than its author meant."""
    (data / "audiences.yaml").write_text("- {name: x, conn_id: omnisend_default, segmnet: /x.parquet}")
    run = stage.run(recipe("audiences"))
    assert "failed" == run.state
    assert "segmnet" in str(run.errors[0])
    assert stage.nothing_was_sent()


def test_a_suppression_list_from_a_table(stage, data, recipe):
    """A person in the table is withheld; a person who is added later is withheld from then on."""
    frame(4).to_parquet(data / "newsletter.parquet", index=False)
    with closing(sqlite3.connect(data / "crm.sqlite")) as connection, connection:
        connection.execute("create table do_not_mail (email text)")
        connection.execute("insert into do_not_mail values ('P1@example.com')")
    stage.connection("constant_contact", "constant_contact_default")
    run = stage.run(recipe("suppressed_export"))
    assert ("success", []) == (run.state, run.errors)
    counts = run.summary()["counts"]
    assert (3, 1) == (counts["delivered"], counts["withheld"])
    assert "p1@example.com" not in stage.members("constant_contact")


def test_an_erasure_on_request(stage, data, recipe):
    """The people of the file are out of the audience, and no address is in what the task returns."""
    frame(4).to_parquet(data / "newsletter.parquet", index=False)
    stage.connection("dotdigital", "dotdigital_default")
    stage.export(
        conn_id="dotdigital_default", segment=str(data / "newsletter.parquet"), field_mapping={"email": "email"}
    )
    assert "p2@example.com" in stage.members("dotdigital")
    (data / "privacy").mkdir()
    (data / "privacy" / "requests.txt").write_text("p2@example.com\n")
    run = stage.run(recipe("erasure"))
    assert ("success", []) == (run.state, run.errors)
    assert set(stage.members("dotdigital")) == {"p0@example.com", "p1@example.com", "p3@example.com"}
    assert "example.com" not in str(run.summary("erase"))


def test_a_daily_mirror_that_a_person_approves(stage, data, recipe):
    """An ordinary plan is carried out at once; an unusual one waits, and is then carried out as it was approved."""
    (data / "newsletter").mkdir()
    stage.connection("dotdigital", "dotdigital_default", extra={"allowed_dags": "approved_mirror"})
    frame(10).to_parquet(data / "newsletter" / "2026-01-02.parquet", index=False)
    frame(4).to_parquet(data / "newsletter" / "2026-01-03.parquet", index=False)
    first = stage.run(recipe("approved_mirror"), logical_date=datetime(2026, 1, 2, tzinfo=UTC))
    assert ("success", []) == (first.state, first.errors)
    assert "skipped" == first.task("ask").state
    assert len(stage.members("dotdigital")) == 10
    dag, day = recipe("approved_mirror"), datetime(2026, 1, 3, tzinfo=UTC)
    second = stage.begin(dag, run_id="second", logical_date=day, run_after=day, data_interval=(day, day))
    assert ["success", "success"] == [second.go(dag, task_id) for task_id in ("plan", "choose")]
    assert [None, None] == [
        second.task(task_id).state for task_id in ("ask", "export")
    ]  # the export waits for the answer
    assert len(stage.members("dotdigital")) == 10
    assert "success" == second.go(dag, "export")  # as after an approval
    assert second.summary()["removals"]["removed"] == 6
    assert len(stage.members("dotdigital")) == 4


class StandIn(BaseNotifier):
    """As Slack's notifier, whose provider is not installed here."""

    template_fields = ("text",)
    sent: list = []  # noqa: RUF012 - emptied by the test

    def __init__(self, slack_webhook_conn_id, text):
        super().__init__()
        self.text = text

    def notify(self, context):
        self.sent.append(self.text)


def test_alerts_in_slack_and_by_mail(stage, data, recipe, monkeypatch):
    """A success is a mail; a failure is a message in the chat, with what to do."""
    name = "airflow.providers.slack.notifications.slack_webhook"
    for parent in ("airflow.providers.slack", "airflow.providers.slack.notifications"):
        monkeypatch.setitem(sys.modules, parent, ModuleType(parent))
    monkeypatch.setitem(sys.modules, name, SimpleNamespace(SlackWebhookNotifier=StandIn))
    monkeypatch.setattr(StandIn, "sent", [])
    mails = []
    monkeypatch.setattr(
        SmtpNotifier, "notify", lambda self, _: mails.append((self.to, self.subject, self.html_content))
    )
    frame(3).to_parquet(data / "vip.parquet", index=False)
    for password in (None, "wrong"):
        changes = {"password": password} if password else {}
        stage.connection("omnisend", "omnisend_default", **changes)
        dag = recipe("alerting_export")
        stage.begin(dag, watched=False, run_id=f"with_{password}").go(dag)
    [(to, subject, html)] = mails
    assert to == "marketing@example.com"
    assert "3 delivered" in subject
    assert "<" in html
    [text] = StandIn.sent
    assert "alerting_export.export has stopped" in text
    assert "What to do" in text
    assert "example.com" not in text


def test_celery_and_kubernetes_executors(tmp_path):
    """Options exist, the values of Celery complete the others, and scratch is in the volume of TMPDIR."""
    kubernetes, celery = (yaml.safe_load(PAGE[name].text) for name in ("values.yaml", "values-celery.yaml"))
    chart = yaml.safe_load(next(block.text for block in blocks(DOCS / "kubernetes.md") if block.title == "values.yaml"))
    assert kubernetes.items() <= {**chart, "config": kubernetes["config"]}.items()
    assert kubernetes["config"]["segexport"] == chart["config"]["segexport"]
    assert ["KubernetesExecutor", "CeleryExecutor"] == [values["executor"] for values in (kubernetes, celery)]
    assert (
        1
        <= celery["config"]["celery"]["worker_concurrency"] * 4
        <= int(celery["volumes"][0]["emptyDir"]["sizeLimit"].removesuffix("Gi"))
    )
    for values in (kubernetes, celery):
        assert values["volumes"][0]["name"] == kubernetes["volumeMounts"][0]["name"]
    (temporary,) = (entry["value"] for entry in kubernetes["env"] if entry["name"] == "TMPDIR")
    assert temporary == kubernetes["volumeMounts"][0]["mountPath"]
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    own, spill, frame = subprocess.run(
        [sys.executable, "-c", SHOW_SCRATCH], env=environment, check=True, capture_output=True, text=True, timeout=120
    ).stdout.split()
    assert Path(own) == tmp_path / f"segexport-scratch-{os.getuid()}"
    assert Path(own) in Path(spill).parents
    assert Path(own) in Path(frame).parents
    assert [] == [path for path in Path(own).rglob("*") if path.is_file() and path.suffix != ".lock"]


SHOW_SCRATCH = """
from airflow_provider_segexport.storage.duckdb_engine import engine
from airflow_provider_segexport.storage.private import own_folder
from airflow_provider_segexport.storage.scratch import NAME, scratch
with engine() as sql, scratch("frame") as frame:
    print(own_folder(NAME), sql.single_row("select current_setting('temp_directory')")[0], frame)
"""


def test_ci_with_the_simulator(pytester, monkeypatch):
    """The repository of the recipe, run by the last command of its workflow."""
    for name in [name for name in os.environ if name.startswith("AIRFLOW")]:
        monkeypatch.delenv(name)
    for name in ("tests/conftest.py", "tests/test_exports.py", "dags/consented_export.py"):
        (pytester.path / name).parent.mkdir(exist_ok=True)
        (pytester.path / name).write_text(PAGE[name].text)
    steps = yaml.safe_load(PAGE[".github/workflows/exports.yml"].text)["jobs"]["test"]["steps"]
    command = steps[-1]["run"].split()
    assert command[0] == "pytest"
    pytester.runpytest_subprocess(*command[1:], "-q", "-p", "no:cacheprovider").assert_outcomes(passed=1)


def test_every_recipe_is_run():
    """A recipe without a test would be a promise."""
    tested = {"warehouse_export", "audiences", "suppressed_export", "erasure", "approved_mirror", "alerting_export"}
    tested |= {"bucket_export", "consented_export"}
    files = {
        "/data/audiences.yaml",
        "values.yaml",
        "values-celery.yaml",
        "policy.json",
        ".github/workflows/exports.yml",
    }
    files |= {"environment of every Airflow process", "tests/conftest.py", "tests/test_exports.py"}
    assert {f"dags/{name}.py" for name in tested} | files == set(PAGE)
