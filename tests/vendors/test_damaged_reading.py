"""Files of an interrupted verification that are damaged: the audience is read again from the beginning."""

from __future__ import annotations

import random
import shutil

import pytest
from damages import NO_FILES, OTHER_TEXTS, remove
from vendors.harness import VendorHarness, people
from vendors.test_verify import Dying, Killed, change_by_hand, kinds, small_pages, verify

from airflow_provider_segexport.storage import reading


def flip(content: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(content))
    return content[:at] + bytes([content[at] ^ 1 << chance.randrange(8)]) + content[at + 1 :]


def cut(content: bytes, chance: random.Random) -> bytes:
    return content[: chance.randrange(len(content))]


def other(_: bytes, chance: random.Random) -> bytes:
    return chance.choice(OTHER_TEXTS)


DAMAGES = (flip, cut, other, None, *NO_FILES)
"""Changes of the content; None for a lost file; and things that are no file."""


def test_any_damage_to_a_reading_is_a_reading_from_the_beginning(account: VendorHarness, monkeypatch):
    """Each file of it in each way: the result is that of a verification without interruption."""
    small_pages(account, monkeypatch)
    account.day(1, people(25))
    change_by_hand(account)
    expected = kinds(verify(account, "undisturbed"))
    monkeypatch.setattr(reading, "SAVE_INTERVAL_S", 0.0)
    for calls in range(3, 30):
        with pytest.raises(Killed):
            verify(account, "broken", environment={"send": Dying(account, calls, Killed())})
        if (account.home / "runs/broken/01/reading").exists():
            break
    folder = account.home / "runs/broken/01"
    shutil.copytree(folder, account.home / "copied")
    names = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    assert {"reading.json", "known.parquet"} < set(names)
    for name in names:
        change = random.Random(name + account.name).choice(DAMAGES)
        remove(folder)
        shutil.copytree(account.home / "copied", folder)
        path = folder / name
        content = path.read_bytes()
        path.unlink()
        if change in NO_FILES:
            change(path)
        elif change is not None:
            path.write_bytes(change(content, random.Random(name)))
        assert kinds(verify(account, "broken")) == expected, (name, change)
