"""An audience that two DAGs fill, and a hook outside any DAG: a user sees nothing of the runs that are not theirs."""

from __future__ import annotations

import re
import shlex
from dataclasses import replace
from types import SimpleNamespace

import pytest
from ui.page_factories import REJECT, attempt_of, attempted, audience_path, verification
from ui_factories import NOW, ledger, ledger_path, run_folder, summary, with_folder, write_run

from airflow_provider_segexport.plugins.audience_page import undo
from airflow_provider_segexport.plugins.audiences import RunIdentity
from airflow_provider_segexport.storage import verifications

pytestmark = pytest.mark.airflow

SHARED = summary(audience="shared")
HOOK_RUN = summary(run="hook/omnisend_default/1700000000000000000-ab/0", vendor="omnisend", audience="hooked")
HIDDEN = re.compile("h1dden|791,?9|2031-03-03|hooked|jane@")


def hidden(run: str, number: int) -> dict:
    """A run of the other DAG: each text and each number of it can be recognised."""
    texts = dict.fromkeys(("error", "error_code", "conn_id", "segment", "mode"), "h1dden")
    count = 791_900 + number
    return SHARED | {
        **texts,
        "run": run,
        "run_folder": f"h1dden{number}",
        "as_of": "2031-03-03T00:00:00+00:00",
        "counts": dict.fromkeys(SHARED["counts"], count),
        "removals": {"planned": count, "removed": count},
        "optouts": {"path": "h1dden", "count": count},
        "ended_at": NOW + number,
        "seconds": float(count),
        "ledger_version": number,
        "finished": False,
    }


@pytest.fixture
def state(root):
    """Runs of both DAGs in turn, with ledgers, rejects, attempts and verifications; the last run is the other DAG's."""
    for number in range(1, 6):
        own = SHARED | {"run": f"bob_exports/export/r{number}/0", "run_folder": f"/{number}", "ended_at": NOW + number}
        report = hidden(f"exports/h1dden/h1dden{number}/0", number) if number % 2 else own | {"ledger_version": number}
        write_run(root, report, members=791_977 if number % 2 else 55)
        ledger(root, report, 791_966 if number % 2 else 55)
        with_folder(root, report, [REJECT])
        error = "h1dden" if number % 2 else "Own error."
        attempted(root, replace(attempt_of(report), error=error, code=error, audience_name=error))
        run = f"{'exports' if number % 2 else 'bob_exports'}/verify/r/0"
        people = dict.fromkeys(verification()["people"], 791_955 if number % 2 else 4)
        verifications.record(ledger_path(root, SHARED), verification(run, run_folder=f"/{number}", people=people))
    write_run(root, HOOK_RUN, members=5)
    with_folder(root, HOOK_RUN, [REJECT])
    return root


TASKS = [
    "dag_id=exports&task_id=h1dden&run_id=h1dden5",
    "dag_id=hook&task_id=omnisend_default&run_id=1700000000000000000-ab",
    "dag_id=bob_exports&task_id=..%2F..%2Fexports%2Fh1dden&run_id=r1",
]
PAGES = ["audiences", *(audience_path(SHARED).replace("audience", page, 1) for page in ("audience", "history.csv"))]
PAGES += [f"{page}?{task}" for page in ("task", "live", "rejects.csv") for task in TASKS]


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("user", ["bob", "cem"])
def test_no_page_shows_a_run_of_a_dag_that_the_user_may_not_read(client, state, page, user):
    """Neither its counts nor its snapshot, segment, error, connection or paths."""
    response = client(page, user)
    shown = response.text.replace("/h1dden&amp;", "").replace("exports%2Fh1dden", "")
    assert response.status_code < 500
    assert [] == HIDDEN.findall(shown + str(response.headers))


def test_of_a_version_that_another_dag_wrote_the_number_alone_is_shown(client, state):
    """And no command to undo it, which would need the other DAG's connection."""
    page = client(audience_path(SHARED), "bob").text
    assert page.count('<tr><th scope="row" class="nowrap">') == 5
    assert "undo-command" not in page
    assert "who may see the run that wrote the newest version" in page
    assert "airflow segexport undo h1dden shared --ledger-version 5" in client(audience_path(SHARED)).text


@pytest.mark.parametrize("tag", ["vip", "-vip", "--dry-run"])
def test_the_command_that_undoes_a_run_is_one_that_airflow_reads(airflow_db, tag):
    """A tag may begin with a dash, as an option does."""
    from airflow.cli.cli_parser import get_parser

    overview = SimpleNamespace(conn_id="shop", audience=tag)
    shown = undo(overview, [SimpleNamespace(number=5, members=1), SimpleNamespace(number=4, members=1)])
    args = get_parser().parse_args(shlex.split(shown["command"])[1:])
    assert (args.conn_id, args.audience, args.ledger_version, args.dry_run) == ("shop", tag, 5, False)


@pytest.mark.parametrize("page", ["task", "live", "rejects.csv"])
@pytest.mark.parametrize("index", ["-1", "0", "1", "{MAP_INDEX}"])
def test_a_hooks_run_has_no_tab_for_a_user_who_may_edit_every_dag(client, state, monkeypatch, page, index):
    """Its folder has the form of a task's, but no DAG's rights apply to it, and its rejects have addresses."""
    from ui_auth_manager import PickyAuthManager

    monkeypatch.setattr(PickyAuthManager, "is_authorized_connection", lambda self, **_: False)
    assert (run_folder(state, HOOK_RUN["run"]) / "rejects.parquet").exists()
    response = client(f"{page}?{TASKS[1]}&map_index={index}")
    assert (404, []) == (response.status_code, HIDDEN.findall(response.text))


@pytest.mark.parametrize("name", ["a" * 256, "9" * 400, "a" * 10_000])
@pytest.mark.parametrize("part", ["account", "audience"])
@pytest.mark.parametrize("page", ["audience", "history.csv"])
def test_an_audience_whose_name_no_folder_can_have_does_not_exist(client, state, name, part, page):
    """The state path can be read, so the page does not say that it cannot."""
    params = {"vendor": "omnisend", "account": "a", "audience": "b"} | {part: name}
    assert 404 == client(page, params=params).status_code


@pytest.mark.parametrize(
    "run", ["exports/export/a\0b/0", "\0/t/r/0", "hook/a\0b/17", "/t/r/0", "d//r/0", "hook//17", f"d/t/r/{'9' * 5000}"]
)
def test_a_run_that_no_database_can_look_up_is_left_out(client, root, run):
    """PostgreSQL rejects a null character in a text, and an integer has a largest value."""
    assert RunIdentity.read(run) is None
    write_run(root, SHARED | {"run": run}, members=5)
    write_run(root, SHARED | {"audience": "other", "audience_name": "The other one"}, members=5)
    page = client("audiences")
    assert (200, 1) == (page.status_code, page.text.count('<th scope="row"'))


@pytest.mark.parametrize("name", ["dag_id", "run_id", "task_id"])
def test_a_task_instance_whose_id_has_a_null_character_does_not_exist(client, root, name):
    """A database would end the request with an error."""
    params = {"dag_id": "exports", "run_id": "r", "task_id": "t"}
    assert 404 == client("task", params=params | {name: f"a{chr(0)}b"}).status_code
