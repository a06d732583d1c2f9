"""`airflow segexport runs` and `show`, through Airflow's own parser."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest
from airflow_fixtures import FIELD_MAPPING, export_dag
from airflow_run_lists import bad_rows, exported, listed

from airflow_provider_segexport.cli import output
from airflow_provider_segexport.hooks import get_hook
from airflow_provider_segexport.hooks.base import SegmentExportHook
from airflow_provider_segexport.vendors.registry import VENDORS

__all__ = ["exported", "listed"]

pytestmark = pytest.mark.airflow


class TestRuns:
    @pytest.mark.parametrize("vendor", VENDORS)
    def test_a_dag_run_is_listed_with_its_counts_and_shown_by_its_id(self, stage, command, listed, vendor):
        """At every vendor: the list, the report and the rejects agree with what the task returned."""
        stage.segment(bad_rows())
        run = stage.export(conn_id=stage.connection(vendor), dag_id=f"listed_{vendor}")
        assert run.state == "success", run.error
        summary = run.summary()
        [entry] = listed()
        assert entry["counts"] == summary["counts"]
        assert entry["run"] == f"listed_{vendor}/export/{run.dag_run.run_id}/0"
        assert (entry["outcome"], entry["mode"], entry["vendor"]) == ("finished", "upsert", vendor)
        code, text = command("show", entry["id"][:8], "-o", "json")
        report = json.loads(text)
        assert code == 0
        assert [] == [name for name, value in summary.items() if name in report and report[name] != value]
        assert {"http", "versions", "estimate", "guards"} <= set(report)
        code, text = command("rejects", entry["id"], "-o", "json")
        assert code == 0
        assert {(row["email"], row["reason"]) for row in json.loads(text)} == {
            ("=no address", "invalid_email"),
            ("person3@example.com", "duplicate"),
        }

    def test_newest_first_and_as_many_as_asked_for(self, exported, listed, command):
        """Over all audiences, or of one: by id, by name, by its full name."""
        folders = [exported(number)["run_folder"] for number in (3, 4, 5)]
        assert [entry["run_folder"] for entry in listed()] == folders[::-1]
        [newest] = listed("--limit", "1")
        assert newest["run_folder"] == folders[-1]
        for name in (newest["audience"], "name:Customers", f"dotdigital/{_account(newest)}/{newest['audience']}"):
            assert len(listed(name)) == 3
        assert command("runs", "nobody's list")[0] == 1
        assert command("runs", "--limit", "0")[0] == 2

    def test_the_other_formats(self, exported, command):
        """With the id that `show` takes."""
        exported()
        for form in ("table", "plain", "yaml"):
            code, text = command("runs", "-o", form)
            assert (code, "hook/dotdigital" in text, "finished" in text) == (0, True, True), text

    def test_without_a_run_it_is_exit_code_3(self, stage, command):
        """Nothing is printed to stdout in a table, an empty list in JSON."""
        assert command("runs") == (3, "There is no run in the state path yet.\n")
        code, text = command("runs", "-o", "json")
        assert (code, text.splitlines()[0]) == (3, "[]")

    def test_a_run_that_a_guard_has_stopped(self, exported, listed, command):
        """The list says stopped, the report why, with the guard."""
        exported(30)
        with pytest.raises(Exception, match="Nothing is sent"):
            exported(3)
        entry = listed()[0]
        assert (entry["outcome"], entry["counts"]["not_attempted"]) == ("stopped", 0)
        code, text = command("show", entry["id"])
        assert code == 0
        assert "max_shrink | tripped" in text
        assert "Nothing is sent" in text

    def test_a_run_at_work_is_listed_with_its_tasks_state(self, stage, command, listed, monkeypatch):
        """While its job runs at the vendor: list and report from plan and journal; the rejects come later."""
        seen = []
        advance = stage.sim.clock.advance

        def look(seconds):
            monkeypatch.setattr(SegmentExportHook, "sleep", staticmethod(advance))
            entry = listed()[0]
            seen.append((entry, json.loads(command("show", entry["id"], "-o", "json")[1])))
            seen.append(command("show", entry["id"]))
            seen.append(command("rejects", entry["id"]))
            advance(seconds)

        stage.sim.configure({"dotdigital": {"job_seconds": 30.0}})
        stage.segment(bad_rows())
        monkeypatch.setattr(SegmentExportHook, "sleep", staticmethod(look))
        run = stage.export(conn_id=stage.connection("dotdigital"), dag_id="at_work", deferrable=False)
        assert run.state == "success", run.error
        (entry, report), shown, refused = seen
        assert (entry["outcome"], entry["ended_at"], entry["counts"]["profiles"]) == ("running", None, 6)
        assert entry["run"] == f"at_work/export/{run.dag_run.run_id}/0"
        assert report["counts"] == {
            "profiles": 6, "delivered": 0, "unchanged": 0, "rejected": 1, "withheld": 1, "pending": 4
        }  # fmt: skip
        assert [len(report["jobs"]), report["batches"], report["batches_with_result"]] == [1, 1, 0]
        assert shown[0] == 0
        assert "0 of 1" in shown[1]
        assert refused[0] == 1
        assert "has written no report yet" in refused[1]

    def test_a_run_that_died_is_not_called_running(self, stage, command, listed, monkeypatch):
        """Airflow knows that its task has ended; outside a task it is unknown, so the run is open."""

        def die(_):
            raise KeyboardInterrupt

        stage.sim.configure({"dotdigital": {"job_seconds": 30.0}})
        monkeypatch.setattr(SegmentExportHook, "sleep", staticmethod(die))
        with pytest.raises(KeyboardInterrupt):
            get_hook(stage.connection("dotdigital")).export(segment=stage.segment(3), field_mapping=FIELD_MAPPING)
        [entry] = listed()
        assert (entry["outcome"], entry["counts"]["profiles"]) == ("open", 3)
        monkeypatch.setattr("airflow_provider_segexport.cli.task_states.task_state", lambda _: "failed")
        assert listed()[0]["outcome"] == "interrupted"

    def test_a_task_that_was_stopped_and_tries_again_is_at_work(self, stage, listed):
        """Its history says stopped, Airflow that another try comes."""
        stage.sim.faults([{"path": "/contacts/v3/import", "count": 0, "status": 500, "body": {}}])
        stage.segment(3)
        dag = export_dag("again", stage.folder, conn_id=stage.connection("dotdigital"), retries=2)
        run = stage.begin(dag)
        assert run.go(dag) == "up_for_retry"
        [entry] = listed()
        assert entry["outcome"] in {"up_for_retry", "stopped"}
        assert entry["error"]


def _account(entry):
    """The account's folder."""
    state = Path(entry["run_folder"].split("/runs/")[0])
    [folder] = (state / "ledgers" / entry["vendor"]).iterdir()
    return folder.name


class TestNames:
    """How a run is named."""

    def test_by_path_id_and_task(self, exported, listed, command, monkeypatch):
        """All of these are the same run."""
        folder = exported()["run_folder"]
        runs = folder.split("/runs/")[0] + "/runs"
        below = folder.removeprefix(runs + "/")
        entry = listed()[0]
        monkeypatch.chdir(runs)
        for name in (
            folder, folder + "/", f"file://{folder}", f"{folder}/summary.json", folder.rpartition("/")[0], below,
            f"./{below}", entry["id"], entry["id"][:4],
        ):  # fmt: skip
            code, text = command("show", name, "-o", "json")
            assert code == 0, text
            assert json.loads(text)["run_folder"] == folder

    def test_by_the_run_of_a_task(self, stage, listed, command):
        """As the list has it, although the folder's name is another."""
        stage.segment(3)
        run = stage.export(conn_id=stage.connection("dotdigital"), dag_id="named")
        code, text = command("show", f"named/export/{run.dag_run.run_id}/0", "-o", "json")
        assert code == 0, text
        assert json.loads(text)["counts"]["delivered"] == 3

    def test_a_name_of_no_run_is_exit_code_1(self, exported, command):
        """With one line that says how a run is named."""
        exported(2)
        names = [
            "nope", "", " ", "abc", "0000", "abcdef012345", "abcdef0123456", "ABCD", "/", "/etc", "/etc/passwd",
            "../state", "a/../../b", "runs/..", "/no/such/folder", "a/b/c/0", "~/x", "nosuch://bucket/run/01",
            "s3://", "file://", "a/\x00b", "a/\x1b[31mb", "x" * 5000 + "/y", "/" + "x/" * 3000, "☃/☃",
        ]  # fmt: skip
        for what, name in itertools.product(("show", "rejects"), names):
            code, text = command(what, name)
            assert (code, "To fix: " in text, "\x1b" in text) == (1, True, False), (what, name[:50], text)

    def test_an_ambiguous_id_lists_the_candidates(self, exported, command, monkeypatch):
        """With the run of each."""
        numbers = itertools.count()
        monkeypatch.setattr(
            "airflow_provider_segexport.storage.history.hash_of", lambda _: f"abcdabcda{next(numbers):03d}"
        )
        exported(2)
        exported(3)
        code, text = command("show", "abcd")
        assert code == 1
        assert "begins the ids of several runs" in text
        assert text.count("hook/dotdigital") == 2

    def test_a_dry_run_is_shown_by_its_path_and_not_listed(self, exported, command, listed):
        """It has changed nothing."""
        exported(3)
        dry = exported(4, dry_run=True)
        assert len(listed()) == 1
        code, text = command("show", dry["run_folder"])
        assert code == 0
        assert "dry run" in text

    def test_a_run_folder_elsewhere(self, exported, command, listed, tmp_path):
        """`reports_path` may be any folder."""
        folder = exported(3, reports_path=str(tmp_path / "elsewhere"))["run_folder"]
        assert folder.startswith(str(tmp_path / "elsewhere"))
        for name in (listed()[0]["id"], folder):
            assert command("show", name)[0] == 0

    def test_a_state_path_that_was_moved(self, exported, command, listed, monkeypatch, tmp_path):
        """The history names the old place."""
        folder = exported(bad_rows())["run_folder"]
        root = Path(folder.split("/runs/")[0])
        root.rename(tmp_path / "moved")
        monkeypatch.setenv("AIRFLOW__SEGEXPORT__STATE_PATH", str(tmp_path / "moved"))
        entry = listed()[0]
        assert command("rejects", entry["id"])[0] == 0
        assert command("show", entry["id"])[0] == 0


def test_a_bucket(exported, s3_root, command, listed):
    """List, report and rejects of a state path in object storage."""
    exported(bad_rows())
    [entry] = listed()
    assert entry["run_folder"].startswith("s3://")
    for name in (entry["id"][:8], entry["run_folder"]):
        assert json.loads(command("show", name, "-o", "json")[1])["counts"]["delivered"] == 4
    assert len(json.loads(command("rejects", entry["run_folder"], "-o", "json")[1])) == 2
    code, text = command("show", entry["run_folder"].rpartition("/")[0] + "/../01")
    assert (code, "without `..`" in text) == (1, True)


def test_a_text_that_looks_like_a_number_stays(capsys):
    """An id of digits and an e, one with zeros before it, a name in markup."""
    for form in ("plain", "table"):
        output.print_rows([{"id": "23e168", "other": "00123456", "count": 1234, "name": "[vip]"}], form)
        assert capsys.readouterr().out.replace("|", " ").split()[-4:] == ["23e168", "00123456", "1,234", "[vip]"]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_json_is_json_if_a_report_has_a_number_that_json_has_not(capsys, value):
    """A person may have changed the report."""
    output.print_object({"a": [{"b": value}, 1.5, None, True], "c": value}, "json")
    assert '{"a": [{"b": null}, 1.5, null, true], "c": null}' == capsys.readouterr().out.strip()


def test_progress_is_for_terminals_only(monkeypatch, capsys):
    """A pipe or a log gets nothing."""
    with output.progress("Working", 2) as tick:
        tick()
    assert capsys.readouterr() == ("", "")
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    with output.progress("Working", 2) as tick:
        tick()
    out, err = capsys.readouterr()
    assert (out, "Working" in err) == ("", True)
