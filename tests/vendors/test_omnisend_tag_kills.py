"""Omnisend: a worker that dies while tags are tried out leaves notes, and the next run gives back what vanished."""

from __future__ import annotations

import pytest
from vendors.harness import people
from vendors.omnisend_brand import MODES, Brand, Killed

from airflow_provider_segexport.errors import DamagedState
from airflow_provider_segexport.export import experiments, repair
from airflow_provider_segexport.model import Request, Response
from airflow_provider_segexport.storage.history import ledger_paths
from airflow_provider_segexport.storage.paths import local_path
from airflow_provider_segexport.storage.sealing import read_json, write_json


@pytest.fixture(params=MODES)
def brand(request, sim, tmp_path):
    return Brand(sim, tmp_path, request.param)


def killed_at(number: int, *, answered: bool):
    """Hooks of a sender that dies at a call that changes something; what they return counts the calls."""
    seen: list[Request] = []

    def before(request: Request) -> None:
        seen.append(request)
        if request.method != "GET" and not answered and changing() == number:
            raise Killed

    def after(response: Response) -> Response:
        if seen[-1].method != "GET" and answered and changing() == number:
            raise Killed
        return response

    def changing() -> int:
        return sum(request.method != "GET" for request in seen)

    return before, after


@pytest.mark.parametrize("answered", [True, False])
@pytest.mark.parametrize("number", range(1, 9))
@pytest.mark.parametrize("next_run", ["the same", "another"])
def test_a_worker_that_dies_at_any_call(brand, number, answered, next_run):
    """The next try, or the next day's run, gives back what vanished, and takes away what was temporary."""
    segment = ["p0@example.com", "p1@example.com", "p2@example.com"]
    before, after = killed_at(number, answered=answered)
    try:
        brand.day(1, segment, environment=brand.watched("day-1", before, after))
    except Killed:
        brand.sim.clock.advance(300)
        brand.day(1, segment) if next_run == "the same" else brand.day(2, segment[1:])
    else:
        if next_run == "another":
            brand.day(2, segment[1:])
    brand.assert_unharmed(*(segment if next_run == "the same" else segment[1:]))


def to_garbage(path):
    path.write_bytes(b"{half")


def to_folder(path):
    path.unlink()
    path.mkdir()


def with_content(**changes):
    def change(path):
        write_json(path, {**read_json(path), **changes})

    change.__name__ = f"with_{'_'.join(changes)}"
    return change


def about_another(**notes):
    """Change the record as a program does that writes a whole file with its checksum."""

    def change(path):
        content = read_json(path)
        write_json(path, {**content, "notes": {**content["notes"], **notes}})

    return change


@pytest.mark.parametrize(
    "notes", [{"email": "stranger@example.com"}, {"temporary": ["VIP"]}], ids=["another_person", "tags_of_others"]
)
def test_notes_about_another_person_are_not_obeyed(brand, notes):
    """A file of another run or of a stranger, with a checksum that is right: no call is made by it."""
    brand.sim.seed(brand.name, [{"email": "stranger@example.com"}], "VIP")
    brand.sim.seed(brand.name, [{"email": people(1)[0]}], "VIP")
    before, after = killed_at(2, answered=True)
    with pytest.raises(Killed):
        brand.day(1, people(3), environment=brand.watched("day-1", before, after))
    brand.sim.clock.advance(300)
    about_another(**notes)(brand.home / "runs" / "day-1" / "01" / experiments.NOTES)
    calls = len(brand.sim.requests(vendor=brand.name))
    for number in (1, 2):
        with pytest.raises(DamagedState, match=r"experiment\.json") as raised:
            brand.day(number, people(3))
        assert "stranger" not in str(raised.value)
    assert {call["method"] for call in brand.sim.requests(vendor=brand.name)[calls:]} <= {"GET"}
    (ledger,) = ledger_paths(brand.home)
    assert "experiment.json" in repair.repair(ledger, local_path, clock=brand.sim.clock.now, sleep=brand.sleep).why


@pytest.mark.parametrize(
    "damage",
    [to_garbage, to_folder, with_content(began_at="x"), with_content(notes={}), with_content(notes=[1])],
    ids=["garbage", "folder", "began_at", "notes", "list"],
)
def test_damaged_notes_stop_the_audience_until_they_are_repaired(brand, damage):
    """Every try says so; `repair` finds the file, and the next run is free."""
    before, after = killed_at(2, answered=True)
    with pytest.raises(Killed):
        brand.day(1, people(3), environment=brand.watched("day-1", before, after))
    brand.sim.clock.advance(300)
    path = brand.home / "runs" / "day-1" / "01" / experiments.NOTES
    damage(path)
    for number in (1, 2):
        with pytest.raises(DamagedState, match=r"experiment\.json"):
            brand.day(number, people(3))
    (ledger,) = ledger_paths(brand.home)
    diagnosis = repair.repair(ledger, local_path, clock=brand.sim.clock.now, sleep=brand.sleep)
    assert "experiment.json" in diagnosis.why
    assert brand.day(3, people(3))["counts"]["not_attempted"] == 0


@pytest.mark.parametrize("number", [1, 2])
def test_the_next_run_gives_the_tags_back_if_the_plan_is_lost(brand, number):
    """The repair sets the run aside, so no try of it undoes its experiment."""
    before, after = killed_at(number, answered=True)
    with pytest.raises(Killed):
        brand.day(1, people(3), environment=brand.watched("day-1", before, after))
    brand.sim.clock.advance(300)
    to_garbage(brand.home / "runs" / "day-1" / "01" / "plan.json")
    (ledger,) = ledger_paths(brand.home)
    assert "plan.json" in repair.repair(ledger, local_path, clock=brand.sim.clock.now, sleep=brand.sleep).why
    assert brand.day(3, people(3))["counts"]["not_attempted"] == 0
    brand.assert_unharmed(*people(3))
