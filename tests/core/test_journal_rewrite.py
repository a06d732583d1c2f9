"""A damaged journal that is replaced: no entry that can be read is lost, also if the process is killed."""

from __future__ import annotations

from typing import Any

import pytest
from core.group_commits import Calls, created, names, store
from upath import UPath

from airflow_provider_segexport.errors import DamagedState
from airflow_provider_segexport.storage import group_commit, journal_rewrite
from airflow_provider_segexport.storage.journal import Journal
from airflow_provider_segexport.storage.journal_rewrite import rewrite
from airflow_provider_segexport.storage.paths import list_names, local_path, read, write

__all__ = ["store"]


@pytest.fixture(params=["disk", "store"])
def path(request, tmp_path) -> Any:
    """A journal of three processes; in object storage, the objects of the first one are folded."""
    home: UPath = request.getfixturevalue("store") if request.param == "store" else local_path(str(tmp_path))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(group_commit, "FOLD_AFTER", 3)
        Calls(created(home)).make(names(200))
    Calls(Journal(home)).make(names(3, first=200))
    Calls(Journal(home)).make(names(3, first=300))
    return home


def journal_files(path) -> list[str]:
    return [name for name in list_names(path) if name.startswith("journal")]


def readable(path) -> dict[str, Any]:
    return Journal(path, lenient=True).states()


def read_strictly(path) -> None:
    Journal(path).check()
    Journal(path).states()


def change_line(path, name: str, number: int) -> None:
    lines = read(path / name).split(b"\n")
    lines[number] = b"x" + lines[number][1:]
    write(path / name, b"\n".join(lines))


@pytest.mark.parametrize("number", [0, 1])
def test_the_entries_that_can_be_read_stay(path, number):
    """Any file, and its first line or another one. The next process continues the new journal."""
    for name in journal_files(path):
        contents = {file: read(path / file) for file in journal_files(path)}
        change_line(path, name, number)
        before = readable(path)
        with pytest.raises(DamagedState):
            read_strictly(path)
        rewrite(path, before.values())
        journal = Journal(path)
        journal.check()
        assert journal.states() == before
        Calls(Journal(path)).make(names(2, first=400))
        Journal(path).check()
        assert Journal(path).states().keys() == before.keys() | set(names(2, first=400))
        assert read(path / f"damaged-{name}")
        for file in journal_files(path):
            (path / file).unlink()
        for file, content in contents.items():
            write(path / file, content)


@pytest.mark.parametrize("lost", [0, 1, -1])
def test_a_lost_object_is_missed_no_more(store, lost):
    """The journal begins again, so the number of an object that is gone is not looked for."""
    Calls(created(store)).make(names(3))
    Calls(Journal(store)).make(names(3, first=100))
    Calls(Journal(store)).make(names(3, first=200))
    (store / journal_files(store)[lost]).unlink()
    before = readable(store)
    rewrite(store, before.values())
    Journal(store).check()
    assert Journal(store).states() == before


def test_a_kill_at_any_write_loses_no_entry(path, monkeypatch):
    """The damaged journal or the new one is there, and the rewriting is repeated."""
    change_line(path, journal_files(path)[-1], 1)
    before = readable(path)
    for at in range(40):
        left = [at]

        def dies(left: list[int] = left) -> None:
            left[0] -= 1
            if left[0] < 0:
                raise KeyboardInterrupt

        with monkeypatch.context() as patched:
            for name in ("write", "remove"):
                patched.setattr(journal_rewrite, name, after(dies, getattr(journal_rewrite, name)))
            try:
                rewrite(path, readable(path).values())
            except KeyboardInterrupt:
                assert readable(path) == before
                continue
        break
    Journal(path).check()
    assert Journal(path).states() == before


def after(first: Any, call: Any) -> Any:
    def called(*arguments: Any) -> None:
        first()
        call(*arguments)

    return called


@pytest.mark.parametrize("present", ["file", "folder"])
@pytest.mark.parametrize("before", ["nothing", "file", "folder", "link"])
def test_a_replacement_can_be_repeated_and_keeps_the_original(tmp_path, present, before):
    """Whatever has the journal's name, and whatever an earlier repair has set aside under the name of the copy."""
    journal, aside = tmp_path / "journal.jsonl", tmp_path / "damaged-journal.jsonl"
    if present == "file":
        journal.write_bytes(b"the original")
    else:
        journal.mkdir()
    if before == "file":
        aside.write_bytes(b"of an earlier repair")
    elif before == "folder":
        aside.mkdir()
    elif before == "link":
        aside.symlink_to("nowhere")
    for _ in range(3):
        rewrite(local_path(str(tmp_path)), [])
        read_strictly(local_path(str(tmp_path)))
    copies = [path.read_bytes() for path in tmp_path.glob("damaged-*") if path.is_file()]
    assert (b"the original" in copies) is (present == "file")
    assert (b"of an earlier repair" in copies) is (before == "file")
