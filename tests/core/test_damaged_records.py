"""Files for display and for convenience are damaged in any way: they are read as empty, and written again."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from damages import NO_FILES, damaged, remove
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_segexport.errors import SegexportError
from airflow_provider_segexport.export.find_run import find
from airflow_provider_segexport.export.runs import recent
from airflow_provider_segexport.http.variable_lock import VariableLock
from airflow_provider_segexport.json_values import parse_object
from airflow_provider_segexport.person.explain import explain
from airflow_provider_segexport.person.person import Person
from airflow_provider_segexport.storage import history, verifications
from airflow_provider_segexport.storage.account_record import AccountRecord, LearntFact
from airflow_provider_segexport.storage.announcements import Announcement, Announcements
from airflow_provider_segexport.storage.attempts import Attempt, Status, attempts, record
from airflow_provider_segexport.storage.calls import Call, CallGroup, Calls, read_calls, write_calls
from airflow_provider_segexport.storage.lease_files import Holder, newest
from airflow_provider_segexport.storage.paths import local_path, write
from airflow_provider_segexport.storage.retention import Retention

NOW = 1_767_225_600.0
LEDGER, LATEST = "ledgers/omnisend/shop/vip", "latest/omnisend/shop/vip.json"


def summary(root: Path, number: int) -> dict[str, Any]:
    run_folder = str(root / f"runs/d/t/r{number}/0/01")
    counts = {"profiles": 5, "delivered": 5}
    about = {"vendor": "omnisend", "audience": "vip", "audience_name": "VIP", "conn_id": "c", "mode": "mirror"}
    times = {"ended_at": NOW + number, "as_of": f"2026-01-0{number}T00:00:00Z", "finished": True}
    return {"run": f"d/t/r{number}/0", "run_folder": run_folder, "counts": counts, **about, **times}


def add_run(root: Path, number: int = 3) -> None:
    history.record_run(local_path(str(root / LEDGER)), summary(root, number), members=5)


def read_history(root: Path) -> object:
    """All that reads the history: the list of runs, the search for one, a person, the old runs."""
    path = local_path(str(root / LEDGER))
    assert isinstance(history.latest(path), dict | None)
    assert all(point["run_folder"] for point in history.recent_runs(path))
    list(explain(local_path(str(root)), Person.of("ada@example.com"), local_path))
    tasks = list(Retention(local_path(str(root)), NOW, 1).every_task(local_path))
    runs = recent(list(history.ledger_paths(local_path(str(root)))), local_path, 10)
    for run in runs.runs:
        with suppress(SegexportError):  # the record has no folder any more
            find(local_path(str(root)), run.id, local_path)
    return tasks


def verified(root: Path, number: int = 1) -> None:
    report = {"run": f"d/t/v{number}/0", "run_folder": f"v{number}", "people": {"in_sync": 5}, "match_rate": 1.0}
    verifications.record(local_path(str(root / LEDGER)), report)


def tried(root: Path, number: int = 1) -> None:
    attempt = Attempt(f"d/t/r{number}/0", Status.FAILED, NOW, NOW, NOW, "c", "vip", ledger=("omnisend", "shop", "vip"))
    record(local_path(str(root / "attempts.json")), attempt)


def announced(root: Path) -> None:
    announcements = Announcements(local_path(str(root)))
    announcement = Announcement("late", NOW)
    path = announcements.claim("vip", announcements.announced("vip"), announcement)
    assert path is not None
    announcements.confirm("vip", path, announcement)


def called(root: Path, *, is_resumed: bool = True) -> None:
    calls = Calls((CallGroup("GET", "/v3/lists", 200, "", 1, 5, 5),), (), (Call(NOW, "GET", "/v3/lists", 200, 5),))
    write_calls(local_path(str(root)), calls, is_resumed=is_resumed)


def account(root: Path) -> AccountRecord:
    return AccountRecord.of(local_path(str(root)), "omnisend", "shop", "2026-03-15")


def learnt(root: Path) -> None:
    account(root).record("tags", LearntFact("merge", NOW))


def held(root: Path) -> None:
    write(local_path(str(root / "lease/00000001.json")), Holder("d/t/r/0", NOW + 9, NOW, "waits", "token").content())


@dataclass(frozen=True)
class Kind:
    """A kind of file: how it is written, read, and written again."""

    glob: str
    create: Callable[[Path], object]
    read: Callable[[Path], object]
    again: Callable[[Path], object] | None
    has_new: Callable[[Path], bool] = lambda _: True


KINDS = {
    "latest": Kind(
        LATEST,
        lambda root: [add_run(root, number) for number in (1, 2)],
        read_history,
        add_run,
        lambda root: (
            history.recent_runs(local_path(str(root / LEDGER)))[-1]["run_folder"] == summary(root, 3)["run_folder"]
        ),
    ),
    "history": Kind(
        f"{LEDGER}/history/*-*.json", lambda root: [add_run(root, number) for number in (1, 2)], read_history, add_run
    ),
    "verifications": Kind(
        f"{LEDGER}/verifications.json",
        verified,
        lambda root: verifications.recorded(local_path(str(root / LEDGER))),
        partial(verified, number=2),
        lambda root: verifications.recorded(local_path(str(root / LEDGER)))[-1]["run_folder"] == "v2",
    ),
    "attempts": Kind(
        "attempts.json",
        tried,
        lambda root: attempts(local_path(str(root / "attempts.json"))),
        partial(tried, number=2),
        lambda root: attempts(local_path(str(root / "attempts.json")))[-1].run == "d/t/r2/0",
    ),
    "announcements": Kind(
        "announcements/*.json",
        announced,
        lambda root: Announcements(local_path(str(root))).announced("vip"),
        announced,
        lambda root: Announcements(local_path(str(root))).announced("vip").last.state == "late",
    ),
    "calls": Kind(
        "calls.json",
        called,
        lambda root: read_calls(local_path(str(root))),
        called,
        lambda root: (read_calls(local_path(str(root))) or Calls()).total > 0,
    ),
    "account": Kind(
        "accounts/omnisend/shop/*/*.json",
        learnt,
        lambda root: account(root).fact("tags"),
        learnt,
        lambda root: account(root).fact("tags") == LearntFact("merge", NOW),
    ),
    "lease": Kind("lease/*.json", held, lambda root: newest(local_path(str(root / "lease"))), None),
}


@pytest.mark.parametrize("name", KINDS)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_content_is_read_as_empty_and_written_anew(tmp_path, name: str, data: st.DataObject):
    """Any bytes, and JSON with any value of another type: no error, and the next entry is there."""
    kind = KINDS[name]
    remove(tmp_path)
    tmp_path.mkdir()
    kind.create(tmp_path)
    file = max(tmp_path.glob(kind.glob))
    file.write_bytes(data.draw(damaged(file.read_bytes())))
    kind.read(tmp_path)
    if kind.again is not None:
        kind.again(tmp_path)
        assert kind.has_new(tmp_path)
        kind.read(tmp_path)


@pytest.mark.parametrize("put", NO_FILES, ids=lambda put: put.__name__)
@pytest.mark.parametrize("name", KINDS)
def test_something_that_is_no_file_is_read_as_empty(tmp_path, name: str, put: Callable[[Path], None]):
    """A folder or a link under the file's name."""
    kind = KINDS[name]
    kind.create(tmp_path)
    file = max(tmp_path.glob(kind.glob))
    file.unlink()
    put(file)
    kind.read(tmp_path)
    if kind.again is not None and name != "announcements":  # which always writes a new name
        with suppress(IsADirectoryError):
            kind.again(tmp_path)
        kind.read(tmp_path)


class Texts(dict):
    """A store of texts in memory."""

    def set(self, key: str, text: str) -> None:
        self[key] = text

    def delete(self, key: str) -> None:
        self.pop(key, None)

    def keys(self, prefix: str = "") -> list[str]:
        return [key for key in self if key.startswith(prefix)]


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=damaged(json.dumps({"by": "another", "until": NOW + 60}).encode()))
def test_a_damaged_claim_on_a_lock_ends_by_itself(tmp_path, text: bytes):
    """At the latest when the claim that it was would have ended."""
    clock = [NOW]

    def sleep(seconds: float) -> None:
        clock[0] += seconds

    texts = Texts(key=text.decode("utf-8", "replace"))
    with VariableLock(texts, lambda: clock[0], sleep, tmp_path).hold("key") as check:
        check()


@given(st.text(alphabet=st.characters(), max_size=20))
def test_a_text_that_utf8_cannot_hold_is_read_as_one_that_it_can(value: str):
    """Half a surrogate pair, as an escape in JSON; every other text is as it was."""
    content = json.dumps({"a": value}).encode()
    read = (parse_object(content) or {})["a"]
    assert read == value.encode("utf-8", "replace").decode()


def test_a_record_that_names_the_file_of_another_machine_stops_nothing(tmp_path):
    """Such a URL is no path of this one."""
    record_of_another = {**summary(tmp_path, 3), "run_folder": "file://other/runs/d/t/r3/0/01"}
    history.record_run(local_path(str(tmp_path / LEDGER)), record_of_another, members=5)
    read_history(tmp_path)
    assert history.resolved(local_path, record_of_another["run_folder"]) is None
