"""Backfills by `airflow backfill create` on a running scheduler, through the DAG that refreshes a segment by days."""

from __future__ import annotations

DAYS = ["2026-02-01", "2026-02-02", "2026-02-03", "2026-02-04"]
NEWEST = {f"person{n}@example.com" for n in range(40, 70)}


def backfill(live, dag_id, *more):
    live.command("backfill", "create", "--dag-id", dag_id, "--from-date", DAYS[0], "--to-date", DAYS[-1], *more)


def test_oldest_first_it_ends_in_the_newest_state(live):
    """Every day is exported in its turn, and at last the audience is as the newest day has it: leavers are out."""
    backfill(live, "refresh_forward", "--max-active-runs", "1")
    assert dict.fromkeys(DAYS, "success") == live.ended("export_forward", len(DAYS))
    people = live.sim.members("campaign_monitor", 0)
    active = {email: person for email, person in people.items() if person["status"] == "Active"}
    assert NEWEST == set(active)
    assert all("of 2026-02-04" in person["name"] for person in active.values())
    assert {f"person{n}@example.com" for n in range(10, 40)} == set(people) - NEWEST
    assert len(DAYS) == len(sent(live, 0))


def test_newest_first_it_changes_nothing_after_its_first_run(live):
    """The days before are skipped, and nothing more is sent than the newest day's people."""
    backfill(live, "refresh_backward", "--max-active-runs", "1", "--run-backwards")
    states = live.ended("export_backward", len(DAYS))
    assert {**dict.fromkeys(DAYS, "skipped"), DAYS[-1]: "success"} == states
    assert NEWEST == set(live.sim.members("campaign_monitor", 1))
    assert 1 == len(sent(live, 1))


def test_days_that_were_held_up_are_caught_up_by_the_newest(live):
    """Four days wait behind one another; with `latest_only=True` one run exports, and the others say why not."""
    backfill(live, "refresh_held_up", "--max-active-runs", "1")
    live.finished("refresh_held_up", len(DAYS))
    live.wait_for_runs("export_held_up", len(DAYS))
    (live.home / "data" / "go").touch()
    states = live.ended("export_held_up", len(DAYS))
    assert {**dict.fromkeys(DAYS, "skipped"), DAYS[-1]: "success"} == states
    assert NEWEST == set(live.sim.members("campaign_monitor", 2))
    assert 1 == len(sent(live, 2))


def sent(live, number):
    """The calls that sent people to one audience."""
    audience = live.sim.audience("campaign_monitor", number)
    return [call for call in live.sim.calls("campaign_monitor", "import.json") if audience in call["path"]]
