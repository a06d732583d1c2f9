"""The pages over HTTP, behind Airflow's own log-in and rights: who may see which, and that nothing leaves them."""

from __future__ import annotations

import json
import re

import pytest
from ui.page_factories import HOSTILE, TASK, audience_path
from ui_factories import stories, summary, with_folder, write_run

from airflow_provider_segexport.error_help import ERROR_HELP

pytestmark = pytest.mark.airflow
PATHS = [
    "",
    "audiences",
    "audience?vendor=omnisend&account=a&audience=b",
    f"task?{TASK}",
    f"live?{TASK}",
    f"rejects.csv?{TASK}",
    "history.csv?vendor=omnisend&account=a&audience=b",
    "person",
    "assets/style.css",
    "assets/page.js",
]


@pytest.mark.parametrize("path", PATHS)
def test_nothing_answers_without_a_login(client, path):
    """Not even the style sheet."""
    assert 401 == client(path, user=None).status_code


@pytest.mark.parametrize("path", ["docs", "redoc", "openapi.json", "assets/../web.py", "assets/web.py", "nothing"])
def test_nothing_else_is_served(client, path):
    """No description of the API, and no file but the two."""
    assert client(path).status_code in {404, 405}


def test_every_route_asks_who_is_there_and_none_changes_anything():
    """A route that is added later is covered too."""
    from airflow_provider_segexport.plugins.permissions import rights
    from airflow_provider_segexport.plugins.web import make_app

    app = make_app()
    assert [rights] == [route.dependency for route in app.router.dependencies]
    methods = {(method, route.path) for route in app.routes for method in route.methods}
    assert {("POST", "/person")} == {(method, path) for method, path in methods if method not in {"GET", "HEAD"}}


@pytest.mark.parametrize("path", PATHS[1:3])
def test_a_page_may_load_nothing_from_elsewhere(client, path):
    """And no frame of another site may hold it."""
    headers = client(path).headers
    assert "default-src 'none'" in headers["content-security-policy"]
    assert "frame-ancestors 'self'" in headers["content-security-policy"]
    assert "nosniff" == headers["x-content-type-options"]
    assert "unsafe" not in headers["content-security-policy"]


def test_pages_hold_no_style_and_no_script_of_their_own(client, root):
    """The policy would keep a browser from running them."""
    stories(root, 3, runs=3)
    page = client("audiences").text
    assert not re.search(r"\sstyle=|\son\w+=|<style|<script(?! src=)|https?://(?!airflow\.test)", page)


@pytest.mark.parametrize("count", [0, 1, 50])
def test_the_list_shows_every_audience(client, root, count):
    """None says what to do; many are one table."""
    stories(root, count, runs=3)
    page = client("audiences").text
    assert count == page.count('<th scope="row"')
    assert ("No export has run yet" in page) == (count == 0)


def test_a_user_sees_audiences_of_their_own_dags_only(client, root):
    """The same list, for three people."""
    for dag_id, audience in (("exports", "theirs"), ("bob_exports", "bobs own")):
        audience_report = summary(
            run=f"{dag_id}/export/r/0", audience=audience, audience_name=audience, run_folder=f"/{dag_id}"
        )
        write_run(root, audience_report, members=5)
    assert [True, True] == [name in client("audiences").text for name in ("theirs", "bobs own")]
    assert [False, True] == [name in client("audiences", user="bob").text for name in ("theirs", "bobs own")]
    assert [False, False] == [name in client("audiences", user="cem").text for name in ("theirs", "bobs own")]


def test_the_page_of_an_audience_that_is_not_ones_own_is_not_there(client, root):
    """The answer does not tell whether there is one."""
    report = summary()
    write_run(root, report, members=5)
    assert 200 == client(audience_path(report)).status_code
    hidden, missing = (
        client(audience_path(report), user="bob"),
        client(audience_path(summary(audience="zz")), user="bob"),
    )
    assert (404, 404) == (hidden.status_code, missing.status_code)
    assert hidden.text == missing.text


def test_a_hooks_run_is_for_those_who_may_read_its_connection(client, root):
    """There is no DAG whose rights could say."""
    write_run(root, summary(run="hook/omnisend_default/17", audience_name="By hand"), members=5)
    assert "By hand" in client("audiences").text
    assert "By hand" not in client("audiences", user="bob").text


@pytest.mark.parametrize("path", ["task", "live"])
def test_the_tab_of_another_dag_is_refused(client, path):
    """By the same rights as the task instance itself."""
    assert 200 == client(f"{path}?{TASK}").status_code
    assert 403 == client(f"{path}?{TASK}", user="bob").status_code


def test_hostile_words_stay_words(client, root):
    """Names and errors come from vendors and segments: none of it becomes markup."""
    report = summary(
        audience=HOSTILE,
        audience_name=HOSTILE,
        account=HOSTILE,
        mode=HOSTILE,
        as_of=HOSTILE,
        error=HOSTILE,
        finished=False,
        conn_id=HOSTILE,
        reasons={HOSTILE: {HOSTILE: 3}},
        guards=[{"name": HOSTILE, "message": HOSTILE, "tripped": True, "action": HOSTILE}],
        optouts={"path": HOSTILE, "count": 1},
        run_folder=HOSTILE,
    )
    write_run(root, report, members=5)
    with_folder(root, report)
    for path in ("audiences", audience_path(report), f"task?{TASK}"):
        answer = client(path)
        assert 200 == answer.status_code
        assert "<script>alert" not in answer.text
        assert "<img" not in answer.text
        assert "&lt;script&gt;" in answer.text


@pytest.mark.parametrize("evil", ["../../../../etc", "/etc/passwd", "..%2f..%2fetc", "a\0b"])
def test_no_text_of_an_address_leads_out_of_the_root(client, root, evil):
    """A file that does not exist is not found, whatever its name."""
    (root.parent / "secret").mkdir(exist_ok=True)
    (root.parent / "secret.json").write_text(json.dumps({**summary(), "runs": []}))
    params = {"vendor": "campaign_monitor", "account": evil, "audience": evil}
    assert 404 == client("audience", params=params).status_code
    params = {"dag_id": "exports", "run_id": evil, "task_id": evil, "map_index": evil}
    assert 404 == client("rejects.csv", params=params).status_code
    assert (404 if "\0" in evil else 200) == client("task", params=params).status_code


def test_a_report_that_names_another_place_opens_nothing_there(client, root, tmp_path_factory):
    """Only the path that the task instance's own name leads to is read; the path in a record is a text."""
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "summary.json").write_text(json.dumps(summary(audience_name="from elsewhere")))
    report = summary(run_folder=str(elsewhere))
    write_run(root, report, members=5)
    with_folder(root, report)
    for path in ("audiences", audience_path(report), f"task?{TASK}"):
        assert "from elsewhere" not in client(path).text


def test_the_map_index_of_a_task_that_is_not_mapped_is_no_number(client):
    """Airflow leaves `{MAP_INDEX}` unchanged."""
    assert 200 == client("task?dag_id=exports&run_id=r&task_id=export&map_index={MAP_INDEX}").status_code


def test_links_are_relative(client, root):
    """Airflow may be served below a path: an address that begins with a slash would leave it."""
    report = summary()
    write_run(root, report, members=5)
    with_folder(root, report, rejects=[])
    for path in ("audiences", audience_path(report), f"task?{TASK}"):
        links = re.findall(r'(?:href|src|data-source)="([^"]*)"', client(path).text)
        assert links
        assert [] == [link for link in links if link.startswith(("/", "http"))]


def test_the_front_door_leads_to_the_list(client):
    """Below any path."""
    answer = client("")
    assert (307, "audiences") == (answer.status_code, answer.headers["location"])


def test_every_error_code_has_its_entry_on_the_page(client):
    """Where the links of the pages lead."""
    page = client("errors").text
    for code in ERROR_HELP:
        assert f'id="{code}"' in page
    assert "<code>airflow segexport login</code>" in page
