"""Which run folders are removed when: what a retry, the next run, undo or explain needs never is."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest
from core.factories import TARGET

from airflow_provider_segexport.storage import history, retention
from airflow_provider_segexport.storage.audience_state import AudienceState, Doubt
from airflow_provider_segexport.storage.journal import Entry, State
from airflow_provider_segexport.storage.ledger import Ledger
from airflow_provider_segexport.storage.paths import as_storage_path
from airflow_provider_segexport.storage.plan import Plan, PlanFacts
from airflow_provider_segexport.storage.retention import DAY_S, KEPT_RUNS, OldRun, Retention, remove_run
from airflow_provider_segexport.storage.run_folder import RunFolder

PLANNED = Plan(0, 0, 0, (), 0)
NOW = 1_800_000_000.0


class Runs:
    """Run folders of one task."""

    def __init__(self, root):
        self.root = root
        self.task = root / "runs" / "dag" / "task"

    def add(self, run, age_days, generation="01", index="0", **summary):
        folder = RunFolder(as_storage_path(self.task / run / index / generation))
        folder.write_summary({"finished": True, "ended_at": NOW - age_days * DAY_S, **summary})
        (self.task / run / index / generation / "removals").mkdir()
        (self.task / run / index / generation / "removals" / "removals.arrow").write_bytes(b"people")
        (self.task / run / index / generation / "rejects.parquet").write_bytes(b"people")
        return self.task / run / index / generation

    def old(self, now=NOW, days=30, **more):
        folders = Retention(as_storage_path(self.root), now, days).old(as_storage_path(self.task), **more)
        return sorted(str(run.path) for run in folders)

    def plan(self, run, age_days, generation="01", version=0, audience="audience"):
        """A run that has a plan, and no report."""
        folder = RunFolder(as_storage_path(self.task / run / "0" / generation))
        target = replace(TARGET, account="account", audience=audience)
        folder.write_plan(PLANNED, PlanFacts("vendor", target, "full", "", NOW - age_days * DAY_S, version))
        (folder.path / "upserts.arrow").write_bytes(b"people")
        return folder

    def ledger(self, audience="audience"):
        return Ledger(as_storage_path(self.root / "ledgers" / "vendor" / "account" / audience))

    def commit(self, by):
        """The first version of the ledger, by a run."""
        self.ledger().commit([], 0, {"by": by})
        AudienceState().write(self.ledger().path)

    def remove(self, now=NOW):
        for run in list(Retention(as_storage_path(self.root), now, 30).old(as_storage_path(self.task))):
            remove_run(run)


@pytest.fixture
def runs(tmp_path):
    """Enough recent runs that age alone decides of the others."""
    made = Runs(tmp_path)
    for number in range(KEPT_RUNS):
        made.add(f"recent{number}", 0.1 * number)
    return made


def test_only_runs_that_ended_before_the_limit(runs):
    """To the second."""
    old = runs.add("old", 30.01)
    runs.add("young", 29.99)
    assert runs.old() == [str(old)]


def test_the_newest_runs_stay_at_any_age(tmp_path):
    """Explain reads them, and a clock that runs years ahead removes no more than that leaves."""
    runs = Runs(tmp_path)
    folders = [runs.add(f"r{number}", 100 + number) for number in range(KEPT_RUNS + 2)]
    assert runs.old() == sorted(map(str, folders[KEPT_RUNS:]))
    assert runs.old(now=NOW + 1e9) == sorted(map(str, folders[KEPT_RUNS:]))


def test_a_run_whose_task_may_go_on_stays(runs):
    """No other run has written the audience since its plan: a retry goes on with it, after any time."""
    runs.plan("first", 100)
    assert runs.old() == []
    runs.commit("dag/task/first/0")
    assert runs.old() == []  # its own version, by the try that was killed


def test_a_run_that_another_has_overtaken_is_old_like_any_other(runs):
    """It has no report, and none will be written: a next try would make a new plan."""
    overtaken, young = runs.plan("overtaken", 100), runs.plan("young", 20)
    runs.commit("dag/task/newer/0")
    assert runs.old() == [str(overtaken.path)]
    runs.remove()
    assert not overtaken.path.exists()
    assert young.has_plan()


def test_a_run_counts_from_what_it_wrote_last(runs):
    """Its jobs ran for weeks, or its retry came late."""
    folder = runs.plan("late", 40)
    runs.commit("dag/task/newer/0")
    assert runs.old() == [str(folder.path)]
    folder.journal.clock = lambda: NOW - 29 * DAY_S
    folder.journal.write([Entry("b1", State.SENDING, 2)])
    assert runs.old() == []


def test_the_journal_of_an_overtaken_run_never_meets_a_new_plan(runs, monkeypatch):
    """Its removal breaks off after the plan is gone: the task begins in another generation."""
    folder = runs.plan("overtaken", 100)
    folder.journal.write([Entry("b1", State.SETTLED, 2, accepted=2)])
    runs.commit("dag/task/newer/0")
    plain = type(runs.root).unlink

    def unlink(path, **more):
        if path.name == "plan.json":
            raise OSError("in use")
        plain(path, **more)

    with monkeypatch.context() as patched:
        patched.setattr(type(runs.root), "unlink", unlink)
        with pytest.raises(OSError, match="in use"):
            runs.remove()
    assert RunFolder.open(folder.path.parent).path.name == "02"
    assert runs.old() == [str(folder.path)]
    runs.remove()
    assert not folder.path.exists()


def test_a_plan_that_was_left_for_other_arguments(runs):
    """The task went on in a next generation, and never comes back to it."""
    left = runs.plan("left", 100)
    runs.add("left", 99, generation="02")
    assert runs.old() == [str(left.path), str(left.path.parent / "02")]


def test_a_run_that_died_while_it_planned(runs):
    """Nothing was sent, and nothing is gone on with: its files say how old it is."""
    folder = runs.task / "died" / "0" / "01"
    folder.mkdir(parents=True)
    for number, name in enumerate(("config.json", "upserts.arrow")):
        (folder / name).write_bytes(b"people")
        os.utime(folder / name, (NOW - (31 - number) * DAY_S,) * 2)
    assert runs.old() == []  # its last file is 30 days old to the second
    assert runs.old(now=NOW + 1) == [str(folder)]


def test_a_run_that_a_guard_stopped(runs):
    """It has a report and no plan; a retry makes a new plan."""
    stopped = runs.add("stopped", 100, finished=False)
    assert runs.old() == [str(stopped)]


def test_a_run_that_cannot_be_read_stays_and_hides_no_other(runs):
    """`airflow segexport repair` reports it."""
    damaged, old = runs.add("damaged", 100), runs.add("old", 100)
    (damaged / "summary.json").write_text("{")
    assert runs.old() == [str(old)]


def test_a_superseded_run_that_is_in_doubt_stays(runs):
    """Each newer run reads its journal and its rows again, until it has confirmed its stop."""
    doubtful = runs.plan("doubtful", 100)
    runs.commit("dag/task/newer/0")
    AudienceState(doubts=(Doubt(str(doubtful.path), "mark", NOW),)).write(runs.ledger().path)
    assert runs.old() == []
    AudienceState().write(runs.ledger().path)
    assert runs.old() == [str(doubtful.path)]


def test_the_reports_that_explain_reads_stay(runs):
    """The last five of each audience, even if the task has had newer runs at others."""
    folders_by_name = {name: [runs.add(f"{name}{number}", 100 - number) for number in range(7)] for name in ("a", "b")}
    for name, folders in folders_by_name.items():
        for number, path in enumerate(folders):
            summary = {"run_folder": str(path), "ended_at": NOW - (100 - number) * DAY_S, "run": f"{name}{number}"}
            history.record_run(runs.ledger(name).path, summary, members=1)
    assert runs.old() == sorted(str(path) for folders in folders_by_name.values() for path in folders[:2])


def test_a_run_that_an_audience_still_needs_stays(runs):
    """The next run reads what it sent; the root may be mounted elsewhere by then."""
    needed, other = runs.add("needed", 100, superseded=True, finished=False), runs.add("other", 100)
    ledger = as_storage_path(runs.root / "ledgers" / "vendor" / "account" / "audience")
    for name in (str(needed), f"s3://bucket/x/{needed.relative_to(runs.root / 'runs')}"):
        AudienceState(open_run_folder=name).write(ledger)
        assert runs.old() == [str(other)]


def test_reports_of_a_wrong_clock(runs):
    """One from the future or from before 1970, or without a time, is not old."""
    runs.add("future", -400)
    runs.add("negative", 0, ended_at=-5.0)
    runs.add("none", 0, ended_at=None)
    assert runs.old() == []
    assert runs.old(now=0.0) == []


def test_a_clock_that_is_set_back_removes_nothing(runs):
    """All reports are of the future then."""
    runs.add("old", 100)
    assert runs.old(now=NOW - 200 * DAY_S) == []


def test_a_removal_leaves_nothing(runs):
    """Nor empty folders of the run; the other runs stay."""
    old = runs.add("old", 100)
    for _ in range(2):
        remove_run(OldRun(as_storage_path(old), 0.0))
        assert not (runs.task / "old").exists()
        assert (runs.task / "recent0" / "0" / "01" / "summary.json").exists()


def test_a_removal_that_broke_off_is_taken_up_again(runs, monkeypatch):
    """The report goes last: it says that the folder is old."""
    old, removed = runs.add("old", 100), []
    path_type = type(old)

    def unlink(self, **_):
        removed.append(self.name)
        if len(removed) == 2:
            raise OSError("in use")
        self.rename(self.with_name(f".gone{len(removed)}"))

    with monkeypatch.context() as patched:
        patched.setattr(path_type, "unlink", unlink)
        with pytest.raises(OSError, match="in use"):
            remove_run(OldRun(as_storage_path(old), 0.0))
    assert "summary.json" not in removed
    assert runs.old() == [str(old)]


def test_a_few_reports_are_read_at_a_time(runs):
    """In the end each is: where it begins moves with the minutes."""
    for number in range(20):
        runs.add(f"old{number:02d}", 100)
    removable = set()
    for minute in range(60):
        removable |= set(runs.old(now=NOW + 60 * minute, most=retention.KEPT_RUNS + 2))
    assert len(removable) == 20


def test_a_run_that_has_ended_well_keeps_no_planned_row(tmp_path):
    """Plan, journal, reports, rejected rows and opt-outs stay; a second removal finds nothing to do."""
    remaining = ["plan.json", "journal.jsonl", "summary.json", "rejects.parquet", "removals.parquet", "optouts.parquet"]
    bodies = [
        "upserts.arrow",
        "not_sent.parquet",
        "leavers_not_sent.parquet",
        "returning.parquet",
        "batch_results/b.parquet",
    ]
    bodies += ["removals/removals.arrow", "removals/batch_results/remove-b.parquet"]
    for name in remaining + bodies:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"people")
    for _ in range(2):
        RunFolder(as_storage_path(tmp_path)).drop_bodies()
        assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == sorted(remaining)
