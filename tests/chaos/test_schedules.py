"""Random schedules, each of which must keep all promises."""

from __future__ import annotations

import os

import pytest
from chaos.invariants import broken
from chaos.schedule import play

FIRST = int(os.environ.get("CHAOS_SEED", "0"))
SEEDS = int(os.environ.get("CHAOS_N", "2"))
MORE = int(os.environ.get("CHAOS_N", "0"))
"""They take longer, and are left to `make chaos`."""


@pytest.mark.parametrize("seed", range(FIRST, FIRST + SEEDS))
def test_whatever_happens_the_promises_hold(sim, vendor, seed, tmp_path):
    """People come, go, opt out and change; runs are killed, starved, refused and backfilled; nothing is lost."""
    evidence, story = play(sim, vendor, tmp_path, seed)
    wrong = broken(evidence)
    if wrong:
        again = f"make chaos VENDOR={vendor} SEED={seed} N=1"
        pytest.fail("\n".join([*wrong, "", "What happened:", *story, "", f"Run it again: {again}"]), pytrace=False)


@pytest.mark.parametrize("seed", range(FIRST, FIRST + MORE))
def test_the_promises_hold_with_suspended_processes_damage_wrong_clocks_and_odd_names(
    sim, vendor, seed, tmp_path, fork_server
):
    """SIGSTOP and takeovers while the process lives, hostile replies, flipped bits, and names that no one expects."""
    evidence, story = play(sim, vendor, tmp_path, seed, more=True, fork_server=fork_server)
    wrong = broken(evidence)
    if wrong:
        again = f"make chaos VENDOR={vendor} SEED={seed} N=1"
        pytest.fail("\n".join([*wrong, "", "What happened:", *story, "", f"Run it again: {again}"]), pytrace=False)
