"""The product against a model of vendor, ledger and report that was written from the documentation alone.

`make chaos N=1000` plays 1,000 sequences a vendor; `make test` plays two. One again:
`make chaos VENDOR=omnisend SEED=17 N=1`.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from chaos.person_model import Row
from chaos.planted_bugs import PLANTS, VIP, B, C, segment
from chaos.player import Player
from chaos.product_runs import Disagreement
from chaos.shrinking import smallest
from chaos.steps import Break, Erase, FieldChange, Generator, Hand, Release, Sequence, Undo, Verification

from airflow_provider_segexport.simulator import ManualClock, Simulator

N = int(os.environ.get("CHAOS_N", "2"))
SEED = int(os.environ.get("CHAOS_SEED", "0"))
LENGTH = 6
SHRINKS = min(150, 10 * N)
"""Sequences that are played to make one smaller: a second each."""


@pytest.fixture(autouse=True)
def no_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """No file is synced: 160 syncs a sequence; other tests cut the power."""
    monkeypatch.setattr(os, "fsync", lambda _: None)


def plays(sim: Simulator, home: Path) -> Callable[[Sequence], Disagreement | None]:
    """Return a function that plays a sequence in an account of its own, and returns how model and product differ."""

    def play(sequence: Sequence) -> Disagreement | None:
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir()
        sim.context.clock = ManualClock()
        try:
            Player(sim, home, sequence).play()
        except Disagreement as error:
            return error
        return None

    return play


@pytest.mark.parametrize("breaks", [False, True], ids=["plain", "breaks"])
def test_model_and_product_agree(simulator: Simulator, vendor: str, tmp_path: Path, *, breaks: bool):
    """Random sequences, half of them with runs that stop half-way; the smallest that differs is printed."""
    play = plays(simulator, tmp_path / "home")
    for seed in range(SEED, SEED + (N + 1) // 2):
        sequence = Generator(vendor, seed, breaks=breaks).sequence(LENGTH)
        error = play(sequence)
        if error is not None:
            _, error = smallest(sequence, error, play, most=SHRINKS)
            pytest.fail(f"seed {seed}: {error}", pytrace=False)


@pytest.mark.parametrize("name", PLANTS)
def test_a_planted_bug_is_caught(simulator: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str):
    """The sequence agrees with the model, and does not with the product broken in one line."""
    plant = PLANTS[name]
    play = plays(simulator, tmp_path / "home")
    sequence = Sequence(plant.vendor, plant.shared, list(plant.steps))
    assert play(sequence) is None
    module = sys.modules[f"airflow_provider_segexport.{plant.module}"]
    owner, _, name_in_class = plant.name.partition(".")
    right = getattr(module, owner)
    if name_in_class:
        monkeypatch.setattr(right, name_in_class, plant.wrong)
    for name_of, module in list(sys.modules.items()):
        if name_of.startswith("airflow_provider_segexport.") and getattr(module, plant.name, None) is right:
            monkeypatch.setattr(module, plant.name, plant.wrong)
    error = play(sequence)
    assert error is not None
    assert str(sequence) in str(error)


ERASE = (segment("ann", "bob"), Erase("bob"), segment("ann"), segment("ann", "bob"))


def test_an_erasure_is_what_the_model_says(simulator: Simulator, vendor: str, tmp_path: Path):
    """The person is out, in no ledger, and comes back where the vendor lets them."""
    assert plays(simulator, tmp_path / "home")(Sequence(vendor, shared=False, steps=list(ERASE))) is None


DELETED_LATER = (
    segment("ann", "bob"),
    Erase("bob"),
    segment("ann", "bob"),
    Hand("bob", "remove"),
    segment("ann"),
    segment("ann", "bob"),
)


def test_an_erased_person_who_came_back_and_was_deleted_by_hand_stays_out(simulator: Simulator, tmp_path: Path):
    """The erasure's mark ended when they were in again, so that the later deletion is not ours."""
    sequence = Sequence("campaign_monitor", shared=False, steps=list(DELETED_LATER))
    assert plays(simulator, tmp_path / "home")(sequence) is None


UNDO = (segment("ann", "bob"), segment("ann", "cat"), segment("ann", "cat"), Undo(), segment("ann", "cat"))
BOTH = (
    segment("ann", "bob"),
    segment("bob", "cat", **VIP),
    segment("ann", **VIP),
    Undo("shop.vip"),
    Release("shop.daily", "shop.new"),
    segment("cat", **VIP),
    Release("shop.new"),
    segment("cat", **VIP),
)


@pytest.mark.parametrize("name", ["campaign_monitor", "constant_contact", "omnisend"])
def test_an_undo_is_what_the_model_says(simulator: Simulator, tmp_path: Path, name: str):
    """A person put in is out again, a person taken out is in again, and the next export goes on from there."""
    assert plays(simulator, tmp_path / "home")(Sequence(name, shared=False, steps=list(UNDO))) is None


def test_undo_and_release_among_sharers_are_what_the_model_says(simulator: Simulator, tmp_path: Path):
    """A claim that was given up comes back; a renamed export holds its people; a retired one's are taken out."""
    assert plays(simulator, tmp_path / "home")(Sequence("dotdigital", shared=True, steps=list(BOTH))) is None


SMALLEST = {
    "a run that has checked what it may read, and has not sent anything, does not keep its audience": Sequence(
        "omnisend",
        shared=False,
        steps=[segment("ann", mode="upsert", beside=True)],
    ),
    "a run whose removals had no response is the one that an undo takes back": Sequence(
        "dotdigital",
        shared=False,
        steps=[segment("ann", "bob"), segment("ann", trouble=Break("lost", at=3, removals=True)), Undo()],
    ),
    "what is found out later about a run that broke off is no later change": Sequence(
        "omnisend",
        shared=False,
        steps=[segment("ann"), segment("ann", "bob", trouble=Break("lost", at=3)), Undo()],
    ),
    "a guard that keeps all people does not hide who has left": Sequence(
        "constant_contact",
        shared=False,
        steps=[segment("ann", "bob", "cat"), Hand("bob", "leave"), segment("ann", guard="skip_removals")],
    ),
    "an undo leaves a person in the list who has unsubscribed since": Sequence(
        "constant_contact",
        shared=False,
        steps=[segment("ann", mode="upsert"), Hand("ann", "unsubscribe"), Undo()],
    ),
    "a hand that adds a person again leaves the values of other fields": Sequence(
        "dotdigital",
        shared=False,
        steps=[segment("ann", gus=C, mode="upsert", field="create"), Undo(), Hand("gus", "add")],
    ),
    "a sharer sends the values of a field that another one made": Sequence(
        "campaign_monitor",
        shared=True,
        steps=[segment("bob"), segment(ann=C, field="create", **VIP), segment("bob", ann=C, field="create")],
    ),
    "a field that was recreated before a run that does not map it": Sequence(
        "constant_contact",
        shared=False,
        steps=[
            segment(ann=C, field="create", mode="upsert"),
            FieldChange(remade=True),
            segment(bob=C, mode="upsert"),
            segment(ann=C, field="create", mode="upsert"),
        ],
    ),
    "a person who was in no segment when a run recreated the field": Sequence(
        "campaign_monitor",
        shared=False,
        steps=[
            segment(ann=C, field="create", mode="upsert"),
            FieldChange(),
            segment(bob=C, field="create", mode="upsert"),
            segment(ann=C, field="create", mode="upsert"),
        ],
    ),
    "a full run whose responses were lost has not delivered what was unchanged": Sequence(
        "constant_contact",
        shared=False,
        steps=[
            segment("gus", mode="upsert"),
            segment("cat", "eve", "fay", "gus", mode="full", trouble=Break("killed", at=12)),
            segment("gus", cat=B),
        ],
    ),
    "an erasure removes a member who has unsubscribed from everything": Sequence(
        "constant_contact",
        shared=False,
        steps=[segment("ann", mode="upsert"), Hand("ann", "unsubscribe"), Erase("ann")],
    ),
    "a person that no response has shown in the audience has not left it": Sequence(
        "constant_contact",
        shared=False,
        steps=[
            segment("ann", mode="upsert", field="create", trouble=Break("killed", at=10)),
            segment("ann", mode="upsert", trouble=Break("jobs", at=9)),
            Verification(),
        ],
    ),
    "who was erased beside an unfinished run is sent again, whatever its results say": Sequence(
        "omnisend",
        shared=False,
        steps=[segment("cat", mode="upsert", trouble=Break("lost", at=12)), Erase("cat"), segment("cat")],
    ),
    "a person whose row the first export withholds was in the audience before": Sequence(
        "campaign_monitor",
        shared=False,
        steps=[
            Hand("ann", "add"),
            segment("bob", ann=Row(consent=False)),
            segment("ann", "bob"),
            segment("bob"),
            Hand("bob", "remove"),
        ],
    ),
    "a read of an address book returns people who have unsubscribed from it": Sequence(
        "dotdigital",
        shared=False,
        steps=[segment("eve", mode="upsert"), Hand("eve", "leave"), Undo(), segment("eve", mode="upsert")],
    ),
    "what was delivered before a removal does not count": Sequence(
        "omnisend",
        shared=True,
        steps=[
            segment("ann", mode="upsert"),
            segment("hal"),
            segment(ann=C, mode="upsert", **VIP),
            segment("ann"),
        ],
    ),
    "the first run of a second export reads the audience again": Sequence(
        "omnisend",
        shared=True,
        steps=[segment("bob"), Hand("ann", "add"), segment("ann", **VIP), segment("bob", **VIP), segment("bob")],
    ),
    "what an unfinished run removed before an erasure does not count as found out": Sequence(
        "omnisend",
        shared=False,
        steps=[
            segment("ann", "bob", "cat"),
            segment("ann", "bob", trouble=Break("killed", at=4, removals=True)),
            Erase("cat"),
            segment("ann", "bob"),
        ],
    ),
}


@pytest.mark.parametrize("name", SMALLEST)
def test_a_sequence_in_which_model_and_product_once_differed(simulator: Simulator, tmp_path: Path, name: str):
    """The smallest of each kind."""
    assert plays(simulator, tmp_path / "home")(SMALLEST[name]) is None
