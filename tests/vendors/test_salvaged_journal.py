"""A damaged journal keeps what can be read: the next run waits for the jobs that it names."""

from __future__ import annotations

from typing import Any

import pytest
from vendors.harness import VendorHarness, people

from airflow_provider_segexport.errors import DamagedState
from airflow_provider_segexport.export import repair
from airflow_provider_segexport.person.files import run_folders
from airflow_provider_segexport.storage.history import ledger_paths
from airflow_provider_segexport.storage.paths import StoragePath, list_names, local_path, read, write
from airflow_provider_segexport.storage.run_folder import RunFolder

JOB_S = 2400.0

STAYING, DAY_2 = people(3), people(5)
"""The people of the first and third day, and those of the second: two more."""


class Account(VendorHarness):
    """An account whose second day is killed and whose state is repaired."""

    def export_day(self, number: int, emails: list[str], **options: Any) -> dict[str, Any]:
        return self.day(number, emails, **{"first": dict.fromkeys(emails, f"Day {number}"), **options})

    def kill_day_2(self, emails: list[str] = DAY_2) -> RunFolder:
        """Kill the second day while its jobs run; jobs from then on would overtake them."""
        self.sim.configure({self.name: {"job_seconds": JOB_S}})
        with pytest.raises(KeyboardInterrupt):
            self.export_day(2, emails, environment=self.environment("day-2", pause=dies))
        self.sim.configure({self.name: {"job_seconds": 1}})
        self.sim.clock.advance(JOB_S / 2)
        folder = RunFolder.latest(local_path(str(self.home / "runs/day-2")))
        assert folder is not None
        return folder

    def values(self) -> str:
        """Return the vendor's data of the people who stay."""
        members = self.members()
        return str([members[email] for email in STAYING])

    def repair(self) -> None:
        """The next try and the next run name the damage; then repair it."""
        for number in (2, 3):
            with pytest.raises(DamagedState, match="airflow segexport repair"):
                self.export_day(number, STAYING)
        assert self.mend().damaged

    def mend(self) -> repair.Diagnosis:
        options: Any = {
            "clock": self.sim.clock.now,
            "sleep": self.sleep,
            "runs": list(run_folders(local_path(str(self.home / "runs")))),
        }
        [path] = ledger_paths(local_path(str(self.home)))
        diagnosis = repair.repair(path, local_path, **options)
        assert not repair.look(path, local_path).damaged
        return diagnosis


def dies(*_: object, **__: object) -> bool:
    raise KeyboardInterrupt


@pytest.fixture
def account(request, sim, tmp_path) -> Account:
    """An account to which three people were exported on the first day, two in a batch."""
    made = Account(sim, request.param, tmp_path / "home", batch_rows=2)
    made.export_day(1, STAYING)
    return made


def change_line(file: StoragePath, *contained: bytes) -> None:
    """Change one bit of the first line that contains a text."""
    lines = read(file).split(b"\n")
    at = next(number for number, line in enumerate(lines) if all(text in line for text in contained))
    lines[at] = bytes([lines[at][0] ^ 1]) + lines[at][1:]
    write(file, b"\n".join(lines))


def journals(folder: RunFolder) -> list[StoragePath]:
    return [folder.path / name for name in list_names(folder.path) if name.startswith("journal")]


@pytest.mark.parametrize("number", [2, 3], ids=["retry", "next run"])
@pytest.mark.parametrize("part", ["entry", "first line"])
@pytest.mark.parametrize("account", ["dotdigital", "constant_contact", "omnisend"], indirect=True)
def test_the_next_run_waits_for_the_jobs_that_a_damaged_journal_still_names(account, part, number):
    """They would overwrite newer values, and add people who are to be removed."""
    folder = account.kill_day_2()
    if part == "entry":
        file = next(file for file in reversed(journals(folder)) if b'"sending"' in read(file))
        change_line(file, b'"sending"')
    else:
        change_line(journals(folder)[0], b"created")
    account.repair()
    account.export_day(number, STAYING, first=dict.fromkeys(STAYING, "New"))
    account.sim.clock.advance(JOB_S)
    assert account.active() == set(STAYING)
    assert "Day" not in account.values()
    assert any(name.startswith("damaged-journal") for name in list_names(folder.path))


@pytest.mark.parametrize("account", ["dotdigital"], indirect=True)
def test_people_of_a_batch_without_a_readable_entry_count_as_perhaps_sent(account):
    """A person who was added by such a batch and has left the segment is removed; values are sent again."""
    folder = account.kill_day_2()
    account.sim.clock.advance(JOB_S)
    for file in journals(folder):
        lines = read(file).split(b"\n")
        write(file, b"\n".join(line if b'"batch"' not in line else b"x" + line for line in lines))
    account.repair()
    account.export_day(3, STAYING)
    assert account.active() == set(STAYING)
    assert "Day 2" not in account.values()


@pytest.mark.parametrize("account", ["dotdigital"], indirect=True)
def test_a_repair_that_is_killed_is_repeated(account, monkeypatch):
    """Before, between and after the two journals: the next run waits for the jobs."""
    folder = account.kill_day_2()
    change_line(journals(folder)[0], b'"sending"')
    for killed in ("count_as_sent", "salvage", "set_run_aside"):
        with monkeypatch.context() as patched:
            patched.setattr(repair, killed, dies)
            with pytest.raises(KeyboardInterrupt):
                account.repair()
        account.sim.clock.advance(300)
    account.mend()
    account.export_day(3, STAYING)
    account.sim.clock.advance(JOB_S)
    assert account.active() == set(STAYING)
    assert "Day 2" not in account.values()
