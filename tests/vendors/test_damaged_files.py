"""Every file that real runs leave is damaged, in a folder and in object storage: a clear error, and a repair.

The files are listed after real runs, so a new kind of file is covered as soon as a run writes it.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from upath import UPath
from vendors.harness import VendorHarness, people

from airflow_provider_segexport.errors import DamagedState, RetryableError, StaleSnapshot
from airflow_provider_segexport.export import repair
from airflow_provider_segexport.http.client import RetryLimits
from airflow_provider_segexport.person.files import run_folders
from airflow_provider_segexport.storage import sealing
from airflow_provider_segexport.storage.history import ledger_paths
from airflow_provider_segexport.storage.paths import local_path
from airflow_provider_segexport.storage.run_folder import RunFolder

Damage = Callable[[bytes, random.Random], bytes]
SUPERFLUOUS = ("/damaged-", "/lease/")
"""Parts of names of files that no run reads as state: a lease that cannot be read is replaced by its next holder."""


def flip(content: bytes, chance: random.Random) -> bytes:
    changed = bytearray(content or b" ")
    changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
    return bytes(changed)


def cut(content: bytes, chance: random.Random) -> bytes:
    return content[: chance.randrange(1, max(2, len(content)))]


def empty(_: bytes, __: random.Random) -> bytes:
    return b""


def foreign(_: bytes, chance: random.Random) -> bytes:
    return chance.choice([b'{"a": [1, 2]}', b"[1, 2]", b"null", b'"text"', b"1e999", b"[" * 100_000, b"\xff\xfe{}"])


DAMAGES: dict[str, Damage] = {"flip": flip, "cut": cut, "empty": empty, "foreign": foreign}


class Account(VendorHarness):
    """An account whose state is below `root`; exports name their audience."""

    def __init__(self, sim, vendor: str, home: Path, root: Any, resolve: Callable[[str], Any]) -> None:
        super().__init__(sim, vendor, home, batch_rows=2)
        self.root, self.resolve = root, resolve
        self.name_given = f"name:{self.described['audiences'][0]['name']}" if vendor != "omnisend" else self.audience

    def config(self, segment: Path, **options: Any):
        return replace(super().config(segment, **options), audience=self.name_given)

    def environment(self, run: str = "run", **options: Any):
        made = super().environment(run, **options)
        folder = RunFolder.open(self.root / "runs" / run)
        return replace(made, run_folder=folder, state_root=self.root, resolve=self.resolve)

    def export_day(self, number: int, emails: list[str], **options: Any) -> dict[str, Any]:
        sealing._verified.clear()  # each try is a process of its own
        return self.day(number, emails, first=dict.fromkeys(emails, f"Day {number}"), **options)

    def files(self) -> dict[str, bytes]:
        """Return the content of all files of the state, by their path below the root."""
        start = len(str(self.root))
        return {str(path)[start:]: path.read_bytes() for path in sorted(self.root.rglob("*")) if path.is_file()}

    def restore(self, content: dict[str, bytes]) -> None:
        """Make the files of the state those of an earlier moment."""
        for name in self.files().keys() - content.keys():
            (self.root / name.lstrip("/")).unlink()
        for name, text in content.items():
            path = self.root / name.lstrip("/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text)

    def repair(self) -> list[str]:
        """Do what the command does; return what it reports."""
        clock = self.sim.clock.now
        diagnoses = [
            repair.repair(path, self.resolve, clock=clock, sleep=self.sleep, runs=list(run_folders(self.root / "runs")))
            for path in ledger_paths(self.root)
        ]
        causes = [str(diagnosis) for diagnosis in diagnoses if diagnosis.damaged]
        for folder, why in repair.unreadable_runs(run_folders(self.root / "runs")):
            repair.set_run_aside(folder, why, clock())
            causes.append(why)
        return causes


def dies(_: int) -> bool:
    raise KeyboardInterrupt


@pytest.fixture(params=["folder", "folder, without jobs", "object storage"])
def account(request, sim, tmp_path) -> Account:
    """A finished day with five people, and a second with three that was killed while its job ran."""
    vendor = os.environ.get("SEGEXPORT_DAMAGED_VENDOR", "dotdigital")
    if request.param == "folder, without jobs":
        vendor = "campaign_monitor"
    if request.param.startswith("folder"):
        (tmp_path / "state").mkdir()
        made = Account(sim, vendor, tmp_path, tmp_path / "state", local_path)
        made.root = local_path(str(tmp_path / "state"))
    else:
        root = UPath(f"memory://{tmp_path.name}-{os.getpid()}/state")
        made = Account(sim, vendor, tmp_path, root, lambda text: UPath(text) if "://" in text else local_path(text))
    made.export_day(1, people(5))
    if vendor == "campaign_monitor":  # it has no jobs to wait for
        made.fault(drop=True, when="after")
    environment = made.environment("day-2", pause=dies, patience=RetryLimits(attempts=1))
    with pytest.raises((KeyboardInterrupt, RetryableError)):
        made.export_day(2, people(3), environment=environment)
    sim.clear_faults()
    sim.clock.advance(3600)
    return made


@pytest.mark.parametrize("damage", DAMAGES)
def test_every_file_of_a_state(account: Account, damage: str):
    """The retry and the next run either are right, or name the file, the audience and the command that repairs it."""
    files = account.files()
    assert len(files) > 10
    for name, content in files.items():
        if any(part in name for part in SUPERFLUOUS):
            continue
        account.restore({**files, name: DAMAGES[damage](content, random.Random(name))})
        is_seen = False
        for number in (1, 2, 3):
            try:
                with suppress(StaleSnapshot, RetryableError):
                    account.export_day(number, people(3))
            except DamagedState as error:
                text, is_seen = str(error), True
                assert name.rsplit("/", 1)[1] in text, text
                assert "airflow segexport repair" in text
                assert account.audience in text or account.name_given in text or "/summary.json" in name
        causes = account.repair()
        assert causes or not is_seen, name
        with suppress(StaleSnapshot, RetryableError):  # a newer run has been, or the plan is made again
            account.export_day(2, people(3))
        account.export_day(4, people(2))
        members = account.members()
        assert account.active() >= set(people(2)), name
        assert "Day 1" not in str([members[email] for email in people(2)]), name
        assert account.repair() == [], name


@pytest.mark.parametrize("damage", DAMAGES)
def test_the_audience_of_a_run_that_has_no_plan_yet(account: Account, damage: str, monkeypatch):
    """The repaired run looks the name up again, also because its new folder does not read the damaged file."""

    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    if account.name == "omnisend":
        pytest.skip("an audience is a tag, which is not looked up")
    account.export_day(2, people(3))
    with monkeypatch.context() as patched:
        patched.setattr(RunFolder, "write_plan", stopped)
        with pytest.raises(KeyboardInterrupt):
            account.export_day(3, people(4))
    folder = account.root / "runs/day-3/01"
    (folder / "config.json").write_bytes(b"{}")
    path = folder / "audience.json"
    path.write_bytes(DAMAGES[damage](path.read_bytes(), random.Random(damage)))
    with pytest.raises(DamagedState, match=r"audience\.json of audience 'name:.*`airflow segexport repair`"):
        account.export_day(3, people(4))
    assert "audience.json" in str(account.repair())
    assert account.export_day(3, people(4))["counts"]["delivered"] == 4
    assert account.repair() == []
