"""Pages over a state path of which parts cannot be read: the rest is shown, and the page says that it is not all."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from ui_factories import ledger_path, run_folder, stories, summary, with_folder, write_run

from airflow_provider_segexport.storage import paths
from airflow_provider_segexport.storage.attempts import Attempt, Status, attempts_file, record

pytestmark = pytest.mark.airflow

TASK = "dag_id=exports&run_id=scheduled__2026-11-24&task_id=export&map_index=-1"
REPORT = summary()
REJECT = {"file": "s.parquet", "file_row": 3, "row": 3, "email": "jane@example.com", "outcome": "rejected"}
REJECT |= {"reason": "invalid_email", "field": "email", "vendor_code": "", "vendor_message": ""}
NOTICE = "of the state path cannot be read, so audiences or failed runs may be missing here."


def address(page: str = "audience") -> str:
    vendor, account, audience = ledger_path(Path(), REPORT).parts[-3:]
    return f"{page}?vendor={vendor}&account={account}&audience={audience}"


@pytest.fixture
def state(root):
    """A state path with four audiences, and one with a run folder and an attempt."""
    stories(root, 4, runs=3)
    write_run(root, {**REPORT, "run_folder": str(run_folder(root, REPORT["run"]))}, members=5)
    with_folder(root, REPORT, [REJECT])
    file = attempts_file(root, "campaign_monitor_default", "aa11", "exports/export")
    record(file, Attempt(REPORT["run"], Status.FAILED, 1.0, 1.0, 2.0, "campaign_monitor_default", "aa11"))
    return root


@pytest.fixture
def deny(monkeypatch):
    """A function that takes the permission to list folders away; modes of files do not bind a test of root."""
    list_folder = os.listdir

    def refuse(*denied: Path) -> None:
        def listdir(path):
            if any(Path(path).is_relative_to(folder) for folder in denied):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
            return list_folder(path)

        monkeypatch.setattr(paths.os, "listdir", listdir)

    return refuse


def other_account(root: Path) -> Path:
    return next((root / "ledgers" / "dotdigital").iterdir())


@pytest.mark.parametrize(
    ("folder", "shown"),
    [
        (lambda root: root / "ledgers" / "dotdigital", 4),
        (other_account, 4),
        (lambda root: root / "attempts", 5),
        (lambda root: root / "attempts" / "campaign_monitor_default", 5),
    ],
    ids=["vendor", "account", "attempts", "attempts of a connection"],
)
def test_a_folder_without_permission_is_left_out_and_counted(client, state, deny, folder, shown):
    """The list shows the other audiences, and does not name the folder, which a user may not see."""
    deny(folder(state))
    page = client("audiences")
    assert (page.status_code, page.text.count('<th scope="row"')) == (200, shown)
    assert f"1 folder {NOTICE}" in page.text
    assert str(state) not in page.text
    page = client(address())
    assert (page.status_code, NOTICE in page.text) == (200, "attempts" in str(folder(state)))


def test_newest_states_without_permission_are_taken_from_the_histories(client, state, deny):
    """Nothing is missing then."""
    deny(state / "latest")
    page = client("audiences")
    assert (page.status_code, page.text.count('<th scope="row"')) == (200, 5)
    assert NOTICE not in page.text


def test_the_search_for_a_person_says_that_it_did_not_reach_every_audience(client, state, deny):
    """Also if it reached none: the user does not lack rights then."""
    deny(other_account(state))
    page = client("person", method="POST", data={"email": "jane@example.com"})
    assert (page.status_code, NOTICE in page.text) == (200, True)
    deny(*(state / "ledgers").iterdir())
    page = client("person", method="POST", data={"email": "jane@example.com"})
    assert (page.status_code, f"4 folders {NOTICE}" in page.text) == (200, True)


@pytest.mark.parametrize(
    "path", ["audiences", address(), address("history.csv"), f"task?{TASK}", f"live?{TASK}", f"rejects.csv?{TASK}"]
)
def test_without_permission_for_all_of_it_every_page_says_so(client, state, deny, path):
    """The status is that of a service that cannot answer now; the path is in the log alone."""
    deny(state)
    response = client(path)
    assert response.status_code == 503
    assert "(PermissionError: Permission denied)" in response.json()["detail"]
    assert "To fix: let the API server's user read `[segexport] state_path`" in response.json()["detail"]
    assert str(state) not in response.text
    assert "default-src 'none'" in response.headers["content-security-policy"]


def test_a_state_path_that_cannot_be_opened_is_named_by_every_page(client, root, monkeypatch):
    """Its store has no provider on the API server."""
    monkeypatch.setenv("AIRFLOW__SEGEXPORT__STATE_PATH", "nope://bucket/x")
    for path in ("audiences", address(), f"task?{TASK}"):
        response = client(path)
        assert response.status_code == 503
        assert "`[segexport] state_path` begins with 'nope://'" in response.json()["detail"]


@pytest.mark.parametrize("name", [b"caf\xe9", b"a b", b"<b>", b"x\ny"])
@pytest.mark.parametrize("depth", [0, 1, 2])
def test_a_folder_whose_name_no_export_gives_is_no_audience(client, state, name, depth):
    """A copy of an audience's folder by hand, with a name that is not UTF-8 or has other characters."""
    ledger = ledger_path(state, REPORT)
    parts = [os.fsencode(part) for part in ledger.relative_to(state / "ledgers").parts]
    parts[depth] = name
    copy = Path(os.fsdecode(b"/".join([os.fsencode(state / "ledgers"), *parts])))
    (copy / "history").mkdir(parents=True)
    for file in (ledger / "history").iterdir():
        content = file.read_text().replace('"audience": "aa11"', '"audience": ""')
        (copy / "history" / file.name).write_text(content)
    page = client("audiences")
    assert (page.status_code, page.text.count('<th scope="row"')) == (200, 5)
    assert client("person", method="POST", data={"email": "jane@example.com"}).status_code == 200
