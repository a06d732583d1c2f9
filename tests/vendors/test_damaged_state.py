"""Files of an unfinished run and of an audience that have changed since: only clear errors, and the right people."""

from __future__ import annotations

import random
import shutil
from contextlib import suppress
from pathlib import Path

import pytest
from damages import NO_FILES, remove
from vendors.harness import VendorHarness, people

from airflow_provider_segexport.errors import DamagedState, FatalError, RetryableError, SegexportError
from airflow_provider_segexport.export import repair
from airflow_provider_segexport.person.files import run_folders
from airflow_provider_segexport.storage.history import ledger_paths
from airflow_provider_segexport.storage.paths import local_path
from airflow_provider_segexport.storage.run_folder import RunFolder

PLAN_FILES = {"upserts.arrow", "removals.arrow", "plan.json", "journal.jsonl", "existing.parquet", "returning.parquet"}


JOB_S = 2400.0


def day(account: VendorHarness, number: int, emails: list[str], **options) -> dict:
    return account.day(number, emails, first=dict.fromkeys(emails, f"Day {number}"), **options)


def dies(_: int) -> bool:
    raise KeyboardInterrupt


@pytest.fixture
def account(sim, tmp_path):
    """A finished day with five people, and a second with three that was killed while its job ran."""
    harness = VendorHarness(sim, "dotdigital", tmp_path / "home", batch_rows=2)
    day(harness, 1, people(5))
    with pytest.raises(KeyboardInterrupt):
        day(harness, 2, people(3), environment=harness.environment("day-2", pause=dies))
    sim.clock.advance(3600)
    return harness


def files(account: VendorHarness) -> list[Path]:
    """Files of the unfinished run and of the audience that are read again."""
    under = [path for folder in ("runs/day-2", "ledgers") for path in (account.home / folder).rglob("*")]
    return sorted(
        path
        for path in under
        if path.is_file()
        and (
            path.name in PLAN_FILES
            or path.name.startswith("audience_state")
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


def removed(path: Path, _: random.Random) -> None:
    path.unlink()


def mend(account: VendorHarness) -> None:
    runs = list(run_folders(account.home / "runs"))
    for path in ledger_paths(local_path(str(account.home))):
        repair.repair(path, local_path, clock=account.sim.clock.now, sleep=account.sleep, runs=runs)
    for folder, why in repair.unreadable_runs([account.environment("day-2").run_folder]):
        repair.set_run_aside(folder, why, account.sim.clock.now())


@pytest.mark.parametrize("damage", [flip, cut, empty, replaced, removed], ids=lambda damage: damage.__name__)
def test_a_damaged_file_gives_our_own_error_and_the_right_audience_after_repair(account, damage):
    """The next try, the next run and, after `repair`, another run: no person is removed wrongly or keeps old values."""
    for path in files(account):
        shutil.copytree(account.home, account.home.parent / "kept", dirs_exist_ok=True)
        damage(path, random.Random(path.name))
        for number in (2, 3):
            with suppress(SegexportError):
                day(account, number, people(3))
        mend(account)
        day(account, 4, people(3))
        members = account.members()
        assert account.active() >= set(people(3)), path
        assert "Day 1" not in str([members[email] for email in people(3)]), path
        assert set(people(3)) <= {
            email for email, ledger_row in account.ledger().items() if ledger_row["state"] == "member"
        }
        shutil.rmtree(account.home)
        shutil.copytree(account.home.parent / "kept", account.home)


@pytest.mark.parametrize("name", ["plan.json", "upserts.arrow", "audience_state", "ledger"])
def test_one_flipped_bit_anywhere_is_seen(account, name):
    """Each of these files: the error names the file, the audience and the command that sets it aside."""
    path = next(
        file
        for file in files(account)
        if file.name.startswith(name) or (name == "ledger" and file.parent.name != "01" and file.suffix == ".parquet")
    )
    content = path.read_bytes()
    for seed in range(8):
        flip(path, random.Random(seed))
        with pytest.raises(DamagedState, match="airflow segexport repair") as caught:
            day(account, 2, people(3))
        assert path.name in str(caught.value)
        assert account.audience in str(caught.value)
        path.write_bytes(content)
    assert day(account, 2, people(3))["counts"]["delivered"] == 3


def test_a_ledger_that_cannot_be_read_is_never_taken_for_an_empty_one(account):
    """The version before takes its place, all content is sent again, and people that left are still removed."""
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
    path.write_text('{"planned": {}, "facts": {}}')
    with pytest.raises(DamagedState, match="another version"):
        day(account, 2, people(3))


@pytest.mark.parametrize("damage", [cut, empty, removed], ids=lambda damage: damage.__name__)
@pytest.mark.parametrize("name", ["plan.json", "upserts.arrow", "audience_state", "ledger"])
def test_a_file_that_is_cut_empty_or_gone_is_named(account, name, damage):
    """The next try and another run name the audience and the command; nothing is sent, and no person removed."""
    path = next(
        file
        for file in files(account)
        if file.name.startswith(name) or (name == "ledger" and file.parent.name != "01" and file.suffix == ".parquet")
    )
    damage(path, random.Random(name))
    sent, active = len(account.upserts()), account.active()
    for number in (2, 3):
        with pytest.raises(DamagedState, match="airflow segexport repair") as caught:
            day(account, number, people(3))
        assert path.name.partition("-")[0].removesuffix(".json") in str(caught.value)
        assert account.audience in str(caught.value)
    assert (len(account.upserts()), account.active()) == (sent, active)
    mend(account)
    report = day(account, 4, people(2))
    assert report["counts"]["delivered"] == 2
    assert account.active() >= set(people(2))


def test_a_whole_run_folder_that_is_gone_is_named(account):
    """It records which rows the unfinished run has sent."""
    shutil.rmtree(account.home / "runs/day-2")
    with pytest.raises(DamagedState, match=r"day-2/01 of audience .* it is gone"):
        day(account, 3, people(3))
    mend(account)
    assert day(account, 3, people(3))["counts"]["delivered"] == 3


def test_a_run_that_was_stopped_before_its_first_call_is_no_damage(account, monkeypatch):
    """The audience's state names it, and it has no plan yet."""

    def stopped(*_):
        raise KeyboardInterrupt

    day(account, 2, people(3))
    with monkeypatch.context() as patched:
        patched.setattr(RunFolder, "write_plan", stopped)
        with pytest.raises(KeyboardInterrupt):
            day(account, 3, people(4))
    report = day(account, 4, people(4))
    assert report["counts"]["delivered"] == 4


def test_the_newest_version_of_a_ledger_that_is_gone_is_not_taken_for_the_one_before(account):
    """People that the last run added would never be removed. After the repair, the version before is the newest."""
    day(account, 2, people(3))
    day(account, 3, [*people(3), "new@example.com"])
    newest = max(path for path in files(account) if path.parent.name != "01" and path.suffix == ".parquet")
    newest.unlink()
    with pytest.raises(DamagedState, match="it is gone"):
        day(account, 4, people(3))
    assert "new@example.com" in account.active()
    mend(account)
    assert day(account, 4, people(3))["counts"]["delivered"] == 3


def test_a_ledger_that_is_gone_as_a_whole_is_not_taken_for_none(account):
    """No person would be removed any more, and a second first run would read the audience again."""
    day(account, 2, people(3))
    for path in files(account):
        if path.parent.name != "01" and path.suffix == ".parquet":
            path.unlink()
    with pytest.raises(DamagedState, match="it is gone"):
        day(account, 3, people(3))
    mend(account)
    assert day(account, 3, people(3))["counts"]["delivered"] == 3


def test_an_older_version_of_the_ledger_is_repaired_too_because_an_undo_reads_it(account):
    """An undo names it. After the repair, the undo says what is missing, and the next run sends only changes."""
    day(account, 2, people(3))
    oldest, *_ = sorted(path for path in files(account) if path.parent.name != "01" and path.suffix == ".parquet")
    empty(oldest, random.Random())
    with pytest.raises(DamagedState, match=rf"{oldest.name}.*airflow segexport repair"):
        account.undo()
    mend(account)
    with pytest.raises(FatalError, match="is not stored"):
        account.undo()
    assert account.day(3, people(3), first=dict.fromkeys(people(3), "Day 2"))["counts"]["delivered"] == 0


@pytest.mark.parametrize("put", NO_FILES, ids=lambda put: put.__name__)
def test_a_folder_or_link_under_a_file_s_name_is_an_error_of_ours_and_is_set_aside(account, put):
    """For each file of an audience and of its unfinished run: clear errors, and the right people after a repair."""
    copied = account.home.parent / "kept"
    shutil.copytree(account.home, copied)
    for path in files(account):
        path.unlink()
        put(path)
        for number in (2, 3):
            with suppress(SegexportError):
                day(account, number, people(3))
        mend(account)
        day(account, 4, people(3))
        assert account.active() >= set(people(3)), path
        remove(account.home)
        shutil.copytree(copied, account.home, symlinks=True)


@pytest.mark.parametrize("vendor", ["dotdigital", "constant_contact", "omnisend"])
@pytest.mark.parametrize("retried", [False, True])
def test_a_repair_of_the_state_finds_the_unfinished_run_again(sim, tmp_path, vendor, retried):
    """The next run waits for its jobs, which would overwrite newer values, and knows the people that it added."""
    account = VendorHarness(sim, vendor, tmp_path / "home", batch_rows=2)
    day(account, 1, people(3))
    sim.configure({vendor: {"job_seconds": JOB_S}})
    with pytest.raises(KeyboardInterrupt):
        day(account, 2, people(4), environment=account.environment("day-2", pause=dies))
    sim.configure({vendor: {"job_seconds": 1}})  # jobs from now on overtake it
    sim.clock.advance(JOB_S / 2)
    for path in account.home.rglob("audience_state*"):
        flip(path, random.Random(1))
    with pytest.raises(DamagedState):
        day(account, 3, people(3))
    mend(account)
    if retried:  # its plan is older than the version of the ledger that the repair has written
        with pytest.raises(RetryableError):
            day(account, 2, people(4))
    day(account, 3, people(3))
    sim.clock.advance(JOB_S)
    assert account.active() == set(people(3))
    assert "Day 2" not in str(account.members())
