"""Files of an unfinished run and of an audience that have changed since: only clear errors, and the right people."""

from __future__ import annotations

import random
import shutil
from contextlib import suppress
from pathlib import Path

import pytest
from vendors.accounts import Account, people

from airflow_provider_segexport.errors import DamagedState, SegexportError
from airflow_provider_segexport.export import repair
from airflow_provider_segexport.ports.audiences import audiences
from airflow_provider_segexport.ports.places import local

KEPT = {"upserts.arrow", "removals.arrow", "plan.json", "journal.jsonl"}


def day(account: Account, number: int, emails: list[str], **options) -> dict:
    return account.day(number, emails, first=dict.fromkeys(emails, f"Day {number}"), **options)


def dies(_: int) -> bool:
    raise KeyboardInterrupt


@pytest.fixture
def account(sim, tmp_path):
    """A finished day with five people, and a second with three that was killed while its job ran."""
    found = Account(sim, "dotdigital", tmp_path / "home", batch_rows=2)
    day(found, 1, people(5))
    with pytest.raises(KeyboardInterrupt):
        day(found, 2, people(3), world=found.world("day-2", pause=dies))
    sim.clock.advance(3600)
    return found


def files(account: Account) -> list[Path]:
    """What is read again of the unfinished run, and of the audience."""
    under = [path for folder in ("runs/day-2", "ledgers") for path in (account.home / folder).rglob("*")]
    return sorted(
        path
        for path in under
        if path.is_file()
        and (
            path.name in KEPT
            or path.name.startswith("standing")
            or (path.name[:1] == "0" and path.suffix == ".parquet")
        )
    )


def flip(path: Path, random_: random.Random) -> None:
    content = bytearray(path.read_bytes())
    content[random_.randrange(len(content))] ^= 1 << random_.randrange(8)
    path.write_bytes(content)


def cut(path: Path, random_: random.Random) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: random_.randrange(1, len(content))])


def empty(path: Path, _: random.Random) -> None:
    path.write_bytes(b"")


def replaced(path: Path, _: random.Random) -> None:
    path.write_bytes(b'{"a": [1, 2]}')


def remove(path: Path, _: random.Random) -> None:
    path.unlink()


def mend(account: Account) -> None:
    for place in audiences(local(str(account.home))):
        repair.repair(place, local, clock=account.sim.clock.now, sleep=account.sleep)
    for folder, why in repair.unreadable_runs([account.world("day-2").folder]):
        repair.set_run_aside(folder, why, account.sim.clock.now())


@pytest.mark.parametrize("seed", range(1))
@pytest.mark.parametrize("damage", [flip, cut, empty, replaced], ids=lambda damage: damage.__name__)
def test_a_damaged_file_gives_our_own_error_and_the_right_audience_after_repair(account, damage, seed):
    """The next try, the next run and, after `repair`, another run: nobody is removed by mistake or keeps old values."""
    for path in files(account):
        shutil.copytree(account.home, account.home.parent / "kept", dirs_exist_ok=True)
        damage(path, random.Random(f"{seed} {path.name}"))
        for number in (2, 3):
            with suppress(SegexportError):
                day(account, number, people(3))
        mend(account)
        day(account, 4, people(3))
        members = account.members()
        assert account.active() >= set(people(3)), path
        assert "Day 1" not in str([members[email] for email in people(3)]), path
        assert set(people(3)) <= {email for email, kept in account.ledger().items() if kept["state"] == "in"}
        shutil.rmtree(account.home)
        shutil.copytree(account.home.parent / "kept", account.home)


@pytest.mark.parametrize("name", ["plan.json", "upserts.arrow", "standing", "ledger"])
def test_one_flipped_bit_anywhere_is_seen(account, name):
    """Each of these files: the error names the file, the audience and the command that sets it aside."""
    path = next(
        file
        for file in files(account)
        if file.name.startswith(name) or (name == "ledger" and file.parent.name != "01" and file.suffix == ".parquet")
    )
    whole = path.read_bytes()
    for seed in range(8):
        flip(path, random.Random(seed))
        with pytest.raises(DamagedState, match="airflow segexport repair") as caught:
            day(account, 2, people(3))
        assert path.name in str(caught.value)
        assert account.audience in str(caught.value)
        path.write_bytes(whole)
    assert day(account, 2, people(3))["counts"]["delivered"] == 3


def test_a_ledger_that_cannot_be_read_is_never_taken_for_an_empty_one(account):
    """The version before takes its place, all content is sent again, and whoever left is still taken out."""
    day(account, 2, people(3))
    day(account, 3, people(3))
    newest = max(path for path in files(account) if path.parent.name != "01" and path.suffix == ".parquet")
    flip(newest, random.Random(1))
    with pytest.raises(DamagedState):
        day(account, 4, people(2))
    assert account.active() == set(people(3))
    mend(account)
    report = day(account, 4, people(2))
    assert report["counts"]["delivered"] == 2
    assert account.active() == set(people(2))


def test_a_plan_of_another_version_is_refused(account):
    """Its format is named, and nothing is sent."""
    path = account.home / "runs/day-2/01/plan.json"
    path.write_text('{"planned": {}, "target": {}}')
    with pytest.raises(DamagedState, match="another version"):
        day(account, 2, people(3))
