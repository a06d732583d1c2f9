"""Constant Contact: a second run, with a person that left and a person that unsubscribed, killed at every step."""

from __future__ import annotations

import json
import shutil

from vendors.constant_contact import Lists
from vendors.harness import people
from vendors.test_resume import killed_after

__all__ = ["killed_after"]

EVERY = 5
"""Steps between two kills; an odd number, so that kills before a call and after it come in turn."""

LEFT, GONE = "p1@example.com", "p6@example.com"


def begun(sim, home):
    """Four people are in the list, one of them leaves it, and one who joins the segment is unsubscribed."""
    sim.reset(seed=1)
    lists = Lists(sim, home, batch_rows=3, max_concurrency=2, max_jobs=2)
    ledger = home.parent / "ledgers"
    if ledger.exists():  # what the first run leaves behind is always the same
        lists.seed(*people(4), audience=lists.audience)
        shutil.copytree(ledger, home / "ledgers")
    else:
        lists.export(lists.segment({"email": people(4)}, "before.parquet"), "before")
        shutil.copytree(home / "ledgers", ledger)
    lists.leave(LEFT)
    lists.seed({"email": GONE, "status": "unsubscribed"})
    return lists, lists.segment({"email": people(8)})


def test_a_second_run_killed_anywhere(sim, tmp_path, killed_after):
    """No person that left comes back, every unsubscribed person is named, and every row ends once."""
    lists, segment = begun(sim, tmp_path / "whole")
    steps, lived = killed_after(lists, segment, float("inf"))
    assert lived
    for left in range(0, steps, EVERY):
        lists, segment = begun(sim, tmp_path / str(left))
        if killed_after(lists, segment, left)[1]:
            break  # two threads do not take the same number of steps twice
        report = lists.export(segment)
        assert {"rejected": {"unsubscribed": 1}, "withheld": {"left_audience": 1}} == report["reasons"], left
        assert 6 == report["counts"]["delivered"], left
        assert set(people(8)) - {LEFT, GONE} == set(lists.members()), left
        assert {} == lists.harm(), left
        assert 0 == lists.facts("rejoined"), left
        assert LEFT not in json.dumps(lists.rows_sent()), left


def test_the_ledger_after_it_knows_who_is_in_the_list(sim, tmp_path, killed_after):
    """The next run sends only the one row that may not be added, and counts no other person as left."""
    lists, segment = begun(sim, tmp_path / "run")
    for steps in (25, 31, 37, 43):
        if killed_after(lists, segment, steps)[1]:
            break
    else:
        lists.export(segment)
    report = lists.export(segment, "after", mode="upsert")
    assert {"rejected": {"unsubscribed": 1}, "withheld": {"left_audience": 1}} == report["reasons"]
    assert 6 == report["counts"]["unchanged"]
