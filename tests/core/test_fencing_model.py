"""The fencing model: only the newest writer sends and commits, whichever is paused, killed or has a wrong clock."""

from __future__ import annotations

import os
from pathlib import Path
from random import Random

import pytest
from core.fencing_model import LONGEST_CALL_S, RUNS_OUT_S, Turn, broken, chance, model, pauses, play, recover

from airflow_provider_segexport.export import doubts
from airflow_provider_segexport.storage.audience_state import AudienceState
from airflow_provider_segexport.storage.lease import Lease
from airflow_provider_segexport.storage.ledger import Ledger

__all__ = ["model"]

RUNS = int(os.environ.get("CHAOS_MODEL", "24"))
FIRST = int(os.environ.get("CHAOS_SEED", "0"))

pytestmark = pytest.mark.usefixtures("model")


def complaints(path: Path, *, late: bool = False, ended: bool = False, kill: bool = False) -> list[str]:
    """Complaints at the first step where there are any, if one writer is paused once, at each of its steps."""
    for number, turns in enumerate(pauses(kill=kill, jump=1.0 if ended else RUNS_OUT_S)):
        messages = broken(play(path / str(number), turns, late=late, ended=ended))
        if messages:
            return messages
    return []


@pytest.mark.parametrize("kill", [False, True], ids=["paused", "killed"])
@pytest.mark.parametrize("late", [False, True], ids=["checked", "late"])
def test_at_whatever_step_a_writer_stops_its_successor_is_alone(tmp_path, late, kill):
    """With `late`, each write and call is paused between its check and itself: what it did is done again."""
    assert complaints(tmp_path, late=late, kill=kill, ended=not kill) == []


def test_whatever_three_writers_do_the_newest_rows_are_at_the_vendor(tmp_path):
    """Paused, resumed and killed at any step, with clocks that are wrong by hours and days, and that are set."""
    three = 0
    for seed in range(FIRST, FIRST + RUNS):
        turns, options = chance(Random(seed))
        model = play(tmp_path / str(seed), turns, **options)
        assert broken(model) == [], f"seed {seed}: {options} {turns}"
        three += len(set(model.takings) & set("abc")) == 3
    assert three >= RUNS // 4


def test_a_late_call_that_lands_after_an_unfinished_run_s_call_stays_in_doubt(tmp_path):
    """Three writers: the second one has sent the row and not ended, and the first one's call lands then."""
    turns = [Turn("a", 8, LONGEST_CALL_S), Turn("c", 10), Turn("a", 6), Turn("b", 6)]
    assert broken(play(tmp_path / "audience", turns, late=True, ended=True)) == []


def in_memory(monkeypatch):
    """A lease that is looked at in memory: a suspended process knows nothing of its successor."""
    monkeypatch.setattr(Lease, "check", lambda _: None)


def no_base(monkeypatch):
    """A commit that compares nothing, under a name without a token."""
    plain = Ledger.commit

    def commit(ledger, rows, base, facts):
        return plain(Ledger(ledger.path), rows, Ledger(ledger.path).version(), facts)

    monkeypatch.setattr(Ledger, "commit", commit)
    monkeypatch.setattr(Ledger, "seal", lambda _: None)


def no_token_in_the_state(monkeypatch):
    """A state that any writer may replace."""
    plain = AudienceState.write
    monkeypatch.setattr(AudienceState, "write", lambda audience_state, path, fence=None: plain(audience_state, path))


def no_wait(monkeypatch):
    """A takeover that begins at once."""
    monkeypatch.setattr(Lease, "wait_for_stop", lambda *_: False)


def no_doubts(monkeypatch):
    """A journal that is read once."""
    monkeypatch.setattr(doubts, "settle", lambda _, __, audience_state, ___: audience_state)


def no_recovery(monkeypatch):
    """A run that did not end is forgotten."""
    monkeypatch.setattr(recover, "recover", lambda _, __, audience_state: audience_state)


PLANTS = {
    "the lease is looked at in memory": (in_memory, {}, "a superseded writer sent after its successor had taken over"),
    "a version without a token": (no_base, {"late": True}, "a superseded writer moved the head back"),
    "a state without a token": (no_token_in_the_state, {"late": True}, "a superseded writer's state is read"),
    "a takeover does not wait": (no_wait, {"ended": True}, "a superseded writer's call landed after its successor's"),
    "no doubts from the journal": (no_doubts, {"late": True}, "the vendor holds old rows"),
    "no recovery from the journal": (no_recovery, {"kill": True}, "the vendor holds old rows"),
}


@pytest.mark.parametrize("plant", PLANTS)
def test_a_protection_that_is_taken_away_is_missed(tmp_path, monkeypatch, plant):
    """Each by itself breaks what it is there for."""
    take_away, options, complaint = PLANTS[plant]
    take_away(monkeypatch)
    assert complaint in complaints(tmp_path, **options)
