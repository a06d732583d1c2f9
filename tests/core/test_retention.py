"""Which run folders are removed when: what a retry, the next run, undo or explain needs never is."""

from __future__ import annotations

import pytest

from airflow_provider_segexport.ports import retention
from airflow_provider_segexport.ports.places import as_place
from airflow_provider_segexport.ports.retention import DAY_S, NEWEST, Retention, remove
from airflow_provider_segexport.ports.run_folder import RunFolder
from airflow_provider_segexport.ports.standing import Standing

NOW = 1_800_000_000.0


class Runs:
    """Run folders of one task."""

    def __init__(self, root):
        self.root = root
        self.task = root / "runs" / "dag" / "task"

    def add(self, run, age_days, generation="01", index="0", **summary):
        folder = RunFolder(as_place(self.task / run / index / generation))
        folder.write_summary({"finished": True, "ended_at": NOW - age_days * DAY_S, **summary})
        (self.task / run / index / generation / "removals").mkdir()
        (self.task / run / index / generation / "removals" / "removals.arrow").write_bytes(b"people")
        (self.task / run / index / generation / "rejects.parquet").write_bytes(b"people")
        return self.task / run / index / generation

    def old(self, now=NOW, days=30, **more):
        found = Retention(as_place(self.root), now, days).old(as_place(self.task), **more)
        return sorted(str(place) for place in found)


@pytest.fixture
def runs(tmp_path):
    """Enough recent runs that age alone decides of the others."""
    made = Runs(tmp_path)
    for number in range(NEWEST):
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
    places = [runs.add(f"r{number}", 100 + number) for number in range(NEWEST + 2)]
    assert runs.old() == sorted(map(str, places[NEWEST:]))
    assert runs.old(now=NOW + 1e9) == sorted(map(str, places[NEWEST:]))


def test_a_run_that_has_not_ended_stays(runs):
    """A retry goes on in it, or the trigger brings the task back: older generations of it stay, too."""
    runs.add("deferred", 100)
    runs.add("deferred", 99, generation="02", finished=False)
    begun = runs.task / "begun" / "0" / "01"
    begun.mkdir(parents=True)
    (begun / "plan.json").write_text("{}")
    assert runs.old() == []


def test_a_run_that_an_audience_still_needs_stays(runs):
    """The next run reads what it sent; the root may be mounted elsewhere by then."""
    needed, other = runs.add("needed", 100, superseded=True, finished=False), runs.add("other", 100)
    ledger = as_place(runs.root / "ledgers" / "vendor" / "account" / "audience")
    for name in (str(needed), f"s3://bucket/x/{needed.relative_to(runs.root / 'runs')}"):
        Standing(open=name).write(ledger)
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
    remove(as_place(old))
    assert not (runs.task / "old").exists()
    assert (runs.task / "recent0" / "0" / "01" / "summary.json").exists()
    remove(as_place(old))


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
            remove(as_place(old))
    assert "summary.json" not in removed
    assert runs.old() == [str(old)]


def test_a_few_reports_are_read_at_a_time(runs):
    """In the end each is: where it begins moves with the minutes."""
    for number in range(20):
        runs.add(f"old{number:02d}", 100)
    found = set()
    for minute in range(60):
        found |= set(runs.old(now=NOW + 60 * minute, most=retention.NEWEST + 2))
    assert len(found) == 20


def test_a_run_that_has_ended_well_keeps_no_planned_row(tmp_path):
    """Plan, journal, reports, rejected rows and opt-outs stay; a second removal finds nothing to do."""
    kept = ["plan.json", "journal.jsonl", "summary.json", "rejects.parquet", "removals.parquet", "optouts.parquet"]
    bodies = ["upserts.arrow", "aside.parquet", "leavers_aside.parquet", "returners.parquet", "settled/b.parquet"]
    bodies += ["removals/removals.arrow", "removals/settled/remove-b.parquet"]
    for name in kept + bodies:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"people")
    for _ in range(2):
        RunFolder(as_place(tmp_path)).drop_bodies()
        assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == sorted(kept)
