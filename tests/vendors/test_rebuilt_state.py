"""The state of an audience that a repair has rebuilt: each export has its own people; no run counts twice."""

from __future__ import annotations

import random
import shutil
from dataclasses import replace

import pytest
from vendors.harness import VendorHarness, people
from vendors.sharing import FIRST_EXPORT, SECOND_EXPORT

from airflow_provider_segexport.errors import StaleSnapshot
from airflow_provider_segexport.export import release, repair
from airflow_provider_segexport.export.release import Release
from airflow_provider_segexport.person.files import run_folders
from airflow_provider_segexport.storage.audience_state import AudienceState
from airflow_provider_segexport.storage.history import ledger_paths
from airflow_provider_segexport.storage.paths import StoragePath, local_path
from airflow_provider_segexport.storage.run_folder import RunFolder

FIRST_PEOPLE, SECOND_PEOPLE = people(4)[:2], people(4)[2:]
"""The segments of the two exports."""


def names(first: str) -> dict[str, str]:
    return dict.fromkeys(SECOND_PEOPLE, first)


@pytest.fixture
def account(sim, tmp_path) -> VendorHarness:
    """An audience of two exports; the one that was first has run last."""
    harness = VendorHarness(sim, "dotdigital", tmp_path / "home", batch_rows=2)
    harness.day(1, FIRST_PEOPLE, name="one-1", **FIRST_EXPORT)
    harness.day(1, SECOND_PEOPLE, name="two-1", **SECOND_EXPORT)
    harness.day(2, FIRST_PEOPLE, name="one-2", **FIRST_EXPORT)
    return harness


def ledger_of(account: VendorHarness) -> StoragePath:
    [path] = ledger_paths(local_path(str(account.home)))
    return path


def dies(_: int) -> bool:
    raise KeyboardInterrupt


def repaired_state(account: VendorHarness) -> AudienceState:
    """Damage the state of the audience, repair it, and return it."""
    path = ledger_of(account)
    for file in account.home.rglob("audience_state*"):
        content = bytearray(file.read_bytes())
        content[random.Random(1).randrange(len(content))] ^= 1
        file.write_bytes(content)
    runs = list(run_folders(account.home / "runs"))
    repair.repair(path, local_path, clock=account.sim.clock.now, sleep=account.sleep, runs=runs)
    return AudienceState.of(path)


@pytest.mark.parametrize("history", [True, False])
def test_each_export_has_its_own_people(account, history):
    """The history is for display, and it ends: without it, no export gets the people of another one."""
    before = AudienceState.of(ledger_of(account))
    if not history:
        shutil.rmtree(account.home / "latest")
        shutil.rmtree(ledger_of(account) / "history")
    assert repaired_state(account).sharers == before.sharers
    account.day(3, FIRST_PEOPLE, name="one-3", **FIRST_EXPORT)
    account.day(3, SECOND_PEOPLE[:1], name="two-3", **SECOND_EXPORT)
    assert account.active() == {*FIRST_PEOPLE, *SECOND_PEOPLE[:1]}


def test_an_export_that_has_taken_another_one_over_has_its_people(account):
    """The history holds both names. A person who leaves the segment of the second one is removed."""
    options = {"clock": account.sim.clock.now, "sleep": account.sleep}
    release.release(ledger_of(account), Release("crm.one", to="crm.three"), **options)
    release.release(ledger_of(account), Release("crm.two"), **options)
    account.day(3, FIRST_PEOPLE, name="three-1", **{**FIRST_EXPORT, "export_name": "crm.three"})
    assert repaired_state(account).sharers == ("crm.three",)
    account.day(4, FIRST_PEOPLE[:1], name="three-2", **{**FIRST_EXPORT, "export_name": "crm.three"})
    assert FIRST_PEOPLE[1] not in account.active()


@pytest.mark.parametrize("journal", ["there", "lost"])
def test_an_older_snapshot_than_that_of_the_unfinished_run_is_refused(account, journal):
    """The run that was killed is in no version of the ledger, and its snapshot counts as started."""
    with pytest.raises(KeyboardInterrupt):
        account.day(
            5,
            FIRST_PEOPLE,
            environment=account.environment("one-5", pause=dies),
            first={FIRST_PEOPLE[0]: "New"},
            **FIRST_EXPORT,
        )
    account.sim.clock.advance(3600)
    if journal == "lost":
        (account.home / "runs/one-5/01/journal.jsonl").unlink()
    repaired_state(account)
    with pytest.raises(StaleSnapshot):
        account.day(4, FIRST_PEOPLE, name="one-4", first={FIRST_PEOPLE[0]: "Old"}, **FIRST_EXPORT)


def test_an_export_of_which_only_the_unfinished_run_is_known_has_its_people(sim, tmp_path):
    """No version of the ledger and no history names it; another export does not get its people."""
    account = VendorHarness(sim, "dotdigital", tmp_path / "home", batch_rows=2)
    account.day(1, FIRST_PEOPLE, name="one-1", **FIRST_EXPORT)
    environment = account.environment("two-1", pause=dies)
    with pytest.raises(KeyboardInterrupt):
        account.day(1, SECOND_PEOPLE, name="two-1", environment=environment, **SECOND_EXPORT)
    account.sim.clock.advance(3600)
    repaired_state(account)
    account.day(3, FIRST_PEOPLE[:1], name="three-1", **{**SECOND_EXPORT, "export_name": "crm.three"})
    assert account.active() == {*FIRST_PEOPLE, *SECOND_PEOPLE}


def test_a_run_that_a_later_run_has_recovered_is_not_recovered_again(account, tmp_path):
    """The later run's folder is elsewhere, because `reports_path` was changed. The ledger has what it sent."""
    with pytest.raises(KeyboardInterrupt):
        account.day(
            3, SECOND_PEOPLE, environment=account.environment("two-3", pause=dies), first=names("Old"), **SECOND_EXPORT
        )
    account.sim.clock.advance(3600)
    environment = replace(
        account.environment(), run_folder=RunFolder(local_path(str(tmp_path / "other/runs/two-4/01")))
    )
    account.day(4, SECOND_PEOPLE, environment=environment, first=names("New"), **SECOND_EXPORT)
    assert not repaired_state(account).open_run_folder
    account.day(5, SECOND_PEOPLE, first=names("Old"), **SECOND_EXPORT)
    assert "New" not in str(account.members())
