"""The pages over HTTP, behind Airflow's own log-in and rights."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from ui_factories import NOW, REJECTS, ledger_path, stories, summary, with_folder, write_run

from airflow_provider_segexport.error_help import ERROR_HELP
from airflow_provider_segexport.http.call_log import CallLog
from airflow_provider_segexport.storage import verifications
from airflow_provider_segexport.storage.attempts import Attempt, Status, attempts_file, record
from airflow_provider_segexport.storage.calls import Call, write_calls
from airflow_provider_segexport.storage.files import write_parquet
from airflow_provider_segexport.storage.ledger import FACTS
from airflow_provider_segexport.storage.ledger_facts import REVERTED_VERSION, taken_back
from airflow_provider_segexport.storage.paths import as_storage_path

pytestmark = pytest.mark.airflow

HOSTILE = '<script>alert("x")</script><img src=x onerror=alert(1)>'
REJECT = {
    "file": "segment.parquet",
    "file_row": 3,
    "row": 3,
    "email": "jane@example.com",
    "outcome": "rejected",
    "reason": "invalid_email",
    "field": "email",
    "vendor_code": "",
    "vendor_message": "",
}


def audience_path(report: dict) -> str:
    parts = place_parts(report)
    return f"audience?vendor={parts[0]}&account={parts[1]}&audience={parts[2]}"


def place_parts(report: dict) -> tuple[str, str, str]:
    from pathlib import Path

    return ledger_path(Path(), report).parts[-3:]


TASK = "dag_id=exports&run_id=scheduled__2026-11-24&task_id=export&map_index=-1"
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


def test_rejects_are_for_those_who_may_edit_the_dag(client, root):
    """They hold addresses. Who may only look at the runs sees the counts."""
    for dag_id in ("exports", "bob_exports"):
        with_folder(root, summary(run=f"{dag_id}/export/r/0"), rejects=[REJECT])
    query = "dag_id=bob_exports&run_id=r&task_id=export&map_index=-1"
    assert "jane@example.com" in client(f"rejects.csv?{query}").text
    refused = client(f"rejects.csv?{query}", user="bob")
    assert 403 == refused.status_code
    assert "jane" not in refused.text
    page = client(f"task?{query}", user="bob")
    assert 200 == page.status_code
    assert "not a valid email address" in page.text
    assert "Download rejects" not in page.text
    assert "Download rejects" in client(f"task?{query}").text


@pytest.mark.parametrize(("setting", "ann"), [("edit", 200), ("logs", 200), ("nobody", 403), ("misspelt", 200)])
def test_who_may_download_rejects_is_a_setting(client, root, monkeypatch, setting, ann):
    """User bob may only read runs of this DAG, whatever is set."""
    monkeypatch.setenv("AIRFLOW__SEGEXPORT__REJECTS_PERMISSION", setting)
    with_folder(root, summary(run="bob_exports/export/r/0"), rejects=[REJECT])
    query = "dag_id=bob_exports&run_id=r&task_id=export&map_index=-1"
    assert ann == client(f"rejects.csv?{query}").status_code
    assert 403 == client(f"rejects.csv?{query}", user="bob").status_code


def test_the_tab_shows_what_consent_and_suppression_lists_came_to(client, root):
    """By answer and by list; an export without them shows neither."""
    lists = {"read": 1200, "blank": 3, "understood": 1190, "not_understood": 7, "matched": 41}
    report = {
        "consent": {"yes": 900, "no": 60, "empty": 25, "unclear": 15},
        "suppression": [{"name": "opt.csv", **lists}],
    }
    with_folder(root, summary(**report))
    text = " ".join(re.sub(r"<[^>]+>", " ", client(f"task?{TASK}").text).split())
    assert "Yes 900 No 60 Empty 25 Neither yes nor no 15" in text
    assert "opt.csv 1,200 1,190 7 3 41" in text
    assert "Proof of consent" not in text
    with_folder(root, summary(consent_proof={"with_proof": 4100, "no_moment": 0, "opted_out_later": 3, "other": 5}))
    text = " ".join(re.sub(r"<[^>]+>", " ", client(f"task?{TASK}").text).split())
    assert "With proof of consent 4,100 Opted out after the consent 3" in text
    with_folder(root, summary(consent={}, suppression=[]))
    plain = client(f"task?{TASK}").text
    assert "Suppression lists" not in plain
    assert "Neither yes nor no" not in plain


def test_the_tab_lists_the_later_calls_of_a_task(client, root):
    """`hook.export` called three times in one task; another map index is another task instance."""
    with_folder(root, summary())
    assert "Later calls" not in client(f"task?{TASK}").text
    run = "exports/export/scheduled__2026-11-24"
    for index, name in (("0.3", "Third"), ("0.2", "Second"), ("1.2", "Another index"), ("0.x", "No call")):
        with_folder(root, summary(run=f"{run}/{index}", audience_name=name, finished=index != "0.3"))
    text = " ".join(re.sub(r"<[^>]+>", " ", client(f"task?{TASK}").text).split())
    assert "Later calls of this task 2" in text
    assert "2 Second Finished 120 850 20 10 0 3 Third Did not finish 120" in text
    assert "Another index" not in text


DAMAGES = {
    "flipped": lambda content: content[:30] + bytes([content[30] ^ 4]) + content[31:],
    "cut": lambda content: content[:-20],
    "empty": lambda _: b"",
    "replaced": lambda _: b"not a table",
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_of_rejects_is_an_error_and_not_sent_in_part(client, root, damage):
    """With what to do, and as no failure of the server."""
    path = Path(str(with_folder(root, summary()))) / "rejects.parquet"
    rows = pa.Table.from_pylist([REJECT])
    write_parquet(as_storage_path(path), rows.to_batches(), rows.schema)
    assert client(f"rejects.csv?{TASK}").status_code == 200
    path.write_bytes(DAMAGES[damage](path.read_bytes()))
    answer = client(f"rejects.csv?{TASK}")
    assert answer.status_code == 409
    assert "The rejects of this run cannot be read" in answer.text
    assert "To fix: restore" in answer.text
    assert "jane" not in answer.text
    assert client(f"task?{TASK}").status_code == 200


def csv_of(answer) -> str:
    """A download as a spreadsheet reads it, without the mark at its beginning."""
    return answer.content.decode("utf-8-sig")


CELLS = [
    "=1+1",
    "+1",
    "-1",
    "@SUM(A1)",
    " =1",
    "\u00a0=1",
    "\u200b=1",
    "a;\u200b=1",
    "a\u2028=1",
    "a\x0b=1",
    "a\x85\ufeff+1",
    "\u3164=1",
    "a\t\u115f@x",
    "\ufeff=1",
    "\t=1",
    "\n=1",
    "\uff1d1",
    "\uff0b1",
    "\uff0d1",
    "\uff20x",
    "\u22121",
    ";=1",
    "a;=1",
    "a; =1",
    "a\t=1",
    'a"\r\n=1',
    ",=1",
]


@pytest.mark.parametrize("text", CELLS)
def test_no_cell_is_a_formula_in_any_locale(client, root, text):
    """Whichever character separates the cells there."""
    with_folder(root, summary(), rejects=[{**REJECT, "email": text}])
    answer = csv_of(client(f"rejects.csv?{TASK}"))
    (row,) = csv.DictReader(io.StringIO(answer, newline=""))
    assert row["email"] == f"'{text}"
    assert all(line.startswith('"') for line in answer.split("\r\n")[:1])


def test_an_ordinary_cell_is_left_as_it_is(client, root):
    """And quoted, as every cell is."""
    with_folder(root, summary(), rejects=[REJECT])
    header, row, _ = csv_of(client(f"rejects.csv?{TASK}")).split("\r\n")
    assert '"jane@example.com"' in row
    assert header == ",".join(f'"{name}"' for name in REJECTS.names)


def test_of_no_rejects_there_is_a_header(client, root):
    """Erasing may leave a file without a row, and without a row group."""
    folder = with_folder(root, summary(run="bob_exports/export/r/0"))
    pq.ParquetWriter(folder / "rejects.parquet", REJECTS).close()
    response = client("rejects.csv?dag_id=bob_exports&run_id=r&task_id=export&map_index=-1")
    assert (200, [REJECTS.names]) == (response.status_code, list(csv.reader(io.StringIO(csv_of(response)))))


def test_no_page_holds_an_address(client, root):
    """Opt-outs and rejects are shown as numbers and places."""
    report = summary()
    write_run(root, report, members=5)
    with_folder(root, report, rejects=[REJECT])
    for path in ("audiences", audience_path(report), f"task?{TASK}"):
        assert "jane" not in client(path).text


def test_a_cell_that_a_spreadsheet_would_run_is_made_text(client, root):
    """An address may begin with an equals sign."""
    evil = {**REJECT, "email": "=HYPERLINK(1)@example.com", "vendor_message": '@SUM(A1),"quoted"\nline'}
    with_folder(root, summary(), rejects=[evil, REJECT])
    answer = client(f"rejects.csv?{TASK}")
    rows = list(csv.DictReader(io.StringIO(csv_of(answer))))
    assert ["'=HYPERLINK(1)@example.com", "jane@example.com"] == [row["email"] for row in rows]
    assert '\'@SUM(A1),"quoted"\nline' == rows[0]["vendor_message"]
    assert "attachment" in answer.headers["content-disposition"]


def test_a_run_without_rejects_has_none_to_download(client, root):
    """It says so."""
    assert 404 == client(f"rejects.csv?{TASK}").status_code


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
    assert 200 == client("task", params=params).status_code


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


def test_the_page_of_an_audience_shows_which_version_was_taken_back(client, root):
    """The page reads the keys that an undo writes into the ledger."""
    report = summary(ledger_version=3)
    write_run(root, report, members=5)
    facts = {"as_of": report["as_of"], "by": report["run"], "members": "5", REVERTED_VERSION: "2"}
    schema = pa.schema([("email", pa.string())], metadata={FACTS: json.dumps(facts).encode()})
    ledger_file = ledger_path(root, report) / "00000003.parquet"
    pq.write_table(pa.table({"email": ["x@example.com"]}, schema=schema), ledger_file)
    assert "undo of version 2" in client(audience_path(report)).text


def test_the_page_of_an_audience_shows_what_was_found_out_about_the_account(client, root):
    """The result of an experiment, with its time."""
    report = summary(account_facts={"tags_on_upsert": {"value": "replace", "learnt_at": 1_767_225_600}})
    write_run(root, report, members=5)
    page = client(audience_path(report)).text
    assert "replace a contact&#39;s tags, so they are sent separately" in page
    assert "found out 2026-01-01 00:00:00 UTC" in text_of(page)
    assert "created by an export" not in page


def test_the_page_of_an_audience_shows_that_an_export_created_it(client, root):
    """Also after later runs, with the time of the run."""
    report = summary(audience_created=True, ended_at=1_767_225_600.0, run_folder="/state/runs/first/01")
    write_run(root, report, members=5)
    write_run(root, summary(), members=6)
    assert "created by an export, 2026-01-01 00:00:00 UTC" in text_of(client(audience_path(report)).text)


@pytest.mark.parametrize("value", ["two", "", None, "-1", "²", "1e3", "9" * 50, [], "2 "])
def test_a_version_that_is_no_number_was_not_taken_back(value):
    """A footer may be of another release."""
    assert taken_back({REVERTED_VERSION: value}) == 0


def attempt_of(report: dict, **changes) -> Attempt:
    """A newer try of a run's export that was refused before it had a plan."""
    dag, task, *_ = report["run"].split("/")
    return replace(
        Attempt(
            f"{dag}/{task}/refused/0",
            Status.FAILED,
            report["ended_at"] + 50,
            report["ended_at"] + 50,
            report["ended_at"] + 60,
            conn_id=report["conn_id"],
            audience=report["audience"],
            vendor=report["vendor"],
            code="authentication-failed",
            error="The vendor's answer was 401. To fix: check the API key.",
        ),
        **changes,
    )


def attempted(root: Path, attempt: Attempt) -> None:
    dag, task, *_ = attempt.run.split("/")
    record(attempts_file(root, attempt.conn_id, attempt.audience, f"{dag}/{task}"), attempt)


def test_an_audience_that_was_refused_last_shows_the_sentence_and_its_entry(client, root):
    """In the row, on the page, and under Runs; the other audience of the connection is as before."""
    report = summary(run="unregistered/refused/scheduled__2026-11-24/0")  # a DAG that no other test registers
    for audience in ("aa11", "bb22"):
        write_run(root, {**report, "audience": audience, "audience_name": audience}, members=5)
    attempted(root, attempt_of(report))
    page = client("audiences").text
    states = re.findall(r'<tr data-state="([a-z-]+)"', page)
    assert ["failing", "manual"] == states  # without a known schedule none is late
    assert page.count("The vendor&#39;s answer was 401") == 2  # the row, and its title
    assert 'href="errors#authentication-failed"' in page
    page = client(audience_path({**report, "audience": "aa11"})).text
    assert page.count("The vendor&#39;s answer was 401") == 2  # the head, and the run
    assert "before there was a plan" in page
    assert "answer was 401" not in client(audience_path({**report, "audience": "bb22"})).text


def test_an_audience_that_was_never_filled_is_listed(client, root):
    """With what went wrong, for those who may see the run."""
    attempted(root, attempt_of(summary(), audience=HOSTILE))
    page = client("audiences").text
    assert '<tr data-state="failing"' in page
    assert "never filled" in page
    assert HOSTILE not in page
    assert "never filled" not in client("audiences", user="bob").text


TRIED = "dag_id=exports&run_id=refused&task_id=export&map_index=-1"


def text_of(page: str) -> str:
    """A page as a person reads it."""
    return " ".join(re.sub(r"<[^>]+>", " ", page).split())


def test_the_tab_of_a_run_without_a_plan_has_sentence_code_and_log(client, root):
    """Not only that nothing was planned."""
    attempted(root, attempt_of(summary()))
    page = client(f"task?{TRIED}").text
    assert "Failed before there was a plan" in page
    assert "answer was 401. To fix: check the API key." in page
    assert 'href="errors#authentication-failed"' in page
    assert 'href="../dags/exports/runs/refused/tasks/export"' in page


@pytest.mark.parametrize(("status", "heading"), [("skipped", "Skipped"), ("waiting", "Waiting")])
def test_the_tab_says_why_a_run_was_skipped_or_waits(client, root, status, heading):
    """The sentence that the log has."""
    sentence = "Exports through connection 'c' are disabled."
    attempted(root, attempt_of(summary(), status=Status(status), error=sentence, code="exports-disabled"))
    text = text_of(client(f"task?{TRIED}").text)
    assert f"{heading} Exports through connection &#39;c&#39; are disabled. Log exports-disabled" in text


def test_the_tab_shows_a_failed_try_above_the_report_of_an_earlier_one(client, root):
    """Cleared after success, and refused then; a report that is newer has the last word."""
    report = summary(run="exports/export/refused/0")
    with_folder(root, report)
    attempted(root, attempt_of(report))
    assert "The figures below are those of an earlier try." in client(f"task?{TRIED}").text
    with_folder(root, {**report, "ended_at": report["ended_at"] + 1000})
    assert "answer was 401" not in client(f"task?{TRIED}").text


GUARDS = [
    {"name": "min_rows", "measured": 10, "limit": 0, "action": "fail", "tripped": False, "message": "Ten rows."},
    {"name": "max_removals", "measured": 90, "limit": 100, "action": "fail", "tripped": False, "message": "Ninety."},
    {"name": "max_shrink", "measured": 0.9, "limit": 0.5, "action": "fail", "tripped": True, "message": "Shrunk."},
]


def test_the_tab_of_a_dry_run_shows_what_an_export_would_do(client, root):
    """No batch was sent, and nothing was left unattempted."""
    estimate = {"calls": 1, "bytes": 900, "estimated_minutes": 2.5, "upserts": 970, "removals": 12, "samples": {}}
    counts = {"profiles": 1000, "delivered": 0, "unchanged": 20, "rejected": 7, "withheld": 3, "not_attempted": 970}
    removals = {"planned": 12, "removed": 0, "already_gone": 0, "kept": 0, "rejected": 0, "not_attempted": 12}
    report = {"dry_run": True, "estimate": estimate, "counts": counts, "guards": GUARDS, "batches": 3}
    with_folder(root, summary(**report, removals=removals))
    text = text_of(client(f"task?{TASK}").text)
    assert "Would be sent 970 Would be removed 12 Unchanged 20 Calls 1" in text
    assert "Time at the quota 2 min 30 s" in text
    assert "Not attempted" not in text
    assert "3 of 3" not in text
    assert "tripped max_shrink Shrunk. near its limit max_removals Ninety. passed min_rows Ten rows." in text


def test_the_tab_of_a_dry_run_shows_rows_as_the_vendor_would_get_them(client, root):
    """Three at most, as the run has masked them, escaped; a report of anything else is no error page."""
    items = [{"email": "j…@e….com", "name": HOSTILE}, {"email": "b…@e….com"}, 3, {"email": "fourth"}]
    with_folder(root, summary(dry_run=True, preview=items))
    page = client(f"task?{TASK}").text
    assert 3 == page.count("<pre")
    assert "j…@e….com" in page
    assert "fourth" not in page
    assert HOSTILE not in page
    for odd in ("text", {"a": 1}, None, [None], [["x"]]):
        with_folder(root, summary(dry_run=True, preview=odd))
        assert 200 == client(f"task?{TASK}").status_code
    with_folder(root, summary(preview=items))
    assert "<pre" not in client(f"task?{TASK}").text


@pytest.mark.parametrize(
    ("batches", "began", "left"),
    [((4, 12), 60, 120.0), ((2, 12), 60, None), ((12, 12), 60, None), ((4, 12), 0, None), ((4, 12), -5, None)],
)
def test_the_time_left_follows_from_the_pace_so_far(batches, began, left):
    """Unknown is unknown: with few batches, and with clocks that differ."""
    from airflow_provider_segexport.plugins.task_run import Report, time_left

    report = Report(over=False, facts={"started_at": 1000.0 - began}, profiles=12, outcomes=(), batches=batches)
    assert left == time_left(report, 1000.0)
    assert time_left(replace(report, over=True), 1000.0) is None


def test_the_history_is_downloaded_as_csv(client, root):
    """Every run that the user may see, also those without a plan; no cell is a formula."""
    report = summary(run="bob_exports/export/=r0/0", run_folder="/bob", error="=cmd|x", finished=False)
    write_run(root, report, members=7)
    for number in range(3):
        write_run(root, summary(run=f"exports/export/r{number}/0", run_folder=f"/{number}"), members=5)
    ledger = place_parts(report)
    failed_try = Attempt("exports/export/r9/0", Status.FAILED, NOW + 5, NOW + 5, NOW + 9, conn_id="c", ledger=ledger)
    record(attempts_file(as_storage_path(root), "c", "", "exports/export"), replace(failed_try, code="invalid-segment"))
    path = audience_path(report).replace("audience?", "history.csv?", 1)
    reply = client(path)
    assert "text/csv; charset=utf-8" == reply.headers["content-type"]
    assert "no-store" == reply.headers["cache-control"]
    rows = list(csv.DictReader(io.StringIO(reply.text.removeprefix("\ufeff"))))
    assert reply.text.startswith("\ufeff")
    assert ("r9", "invalid-segment", "") == (rows[0]["run_id"], rows[0]["error_code"], rows[0]["members"])
    rows = rows[1:]
    assert {"'=r0", "r0", "r1", "r2"} == {row["run_id"] for row in rows}
    [failed] = [row for row in rows if row["state"] == "failed"]
    shown = tuple(failed[name] for name in ("members", "profiles", "delivered", "error"))
    assert ("7", "1000", "120", "'=cmd|x") == shown
    bobs = list(csv.DictReader(io.StringIO(client(path, user="bob").text)))
    assert 1 == len(bobs)
    assert 404 == client(path, user="cem").status_code
    assert 404 == client("history.csv?vendor=omnisend&account=..&audience=..").status_code
    assert path in client(audience_path(report)).text.replace("&amp;", "&")


def test_every_error_code_has_its_entry_on_the_page(client):
    """Where the links of the pages lead."""
    page = client("errors").text
    for code in ERROR_HELP:
        assert f'id="{code}"' in page
    assert "<code>airflow segexport login</code>" in page


def verification(run: str = "exports/verify/r/0", **changes):
    """A report of a verification, as the history keeps it."""
    people = {"in_sync": 970, "missing": 20, "left": 0, "opted_out": 7, "barred": 0, "unsettled": 3, "changed": 0}
    return {
        "ended_at": 1_767_225_600.0,
        "run": run,
        "run_folder": run,
        "match_rate": 0.9798,
        "match_rate_interval": None,
        "sampled": None,
        "people": people | {"not_read": 0, "not_ours": 12},
        "values": {"compared": 500, "different": 4, "by_field": {"firstname": 4}},
        "repaired": 20,
        **changes,
    }


def test_the_page_of_an_audience_shows_match_rate_and_drift_over_time(client, root):
    """The newest verification with what explains it, and every one that the user may see."""
    report = summary()
    write_run(root, report, members=5)
    assert "was not verified yet" in client(audience_path(report)).text
    for number in range(3):
        earlier = verification(run=f"exports/verify/r{number}/0", match_rate=0.9 + number / 100)
        verifications.record(ledger_path(root, report), earlier)
    sample = {"run": "exports/verify/r9/0", "sampled": 400, "match_rate_interval": [0.961, 0.99]}
    verifications.record(ledger_path(root, report), verification(**sample))
    page = client(audience_path(report)).text
    for text in ("97.98%", "96.1% to 99% at 95 % confidence", "sample of 400 people", "have not opted out", ">91%<"):
        assert text in page
    assert "of 500 people compared" in page


def test_a_verification_of_another_users_dag_is_not_shown(client, root):
    """As a run of that DAG is not; a command is shown to those who may read its connection."""
    report = summary(run="bob_exports/export/r/0", run_folder="/bob")
    write_run(root, report, members=5)
    verifications.record(ledger_path(root, report), verification(match_rate=0.1234))
    assert "12.34%" not in client(audience_path(report), user="bob").text
    command = verification(run="command/verify/omnisend_default/1795600000000000000", match_rate=0.5678)
    verifications.record(ledger_path(root, report), command)
    assert "56.78%" in client(audience_path(report)).text


@pytest.mark.parametrize(
    "damaged", ["{", "[]", '{"verifications": 3}', '{"verifications": [3, {"run": 5}, {"run": "a/b/c/0"}]}']
)
def test_a_damaged_history_of_verifications_does_not_close_the_page(client, root, damaged):
    report = summary()
    write_run(root, report, members=5)
    (ledger_path(root, report) / verifications.FILE).write_text(damaged)
    assert client(audience_path(report)).status_code == 200


def test_the_tab_of_a_verification_shows_people_by_kind(client, root):
    report = {**verification(run=summary()["run"]), "mode": "verify", "finished": True, "audience_name": "Newsletter"}
    with_folder(root, report)
    page = client(f"task?{TASK}").text
    assert "1,000 people" in page
    assert "Opted out" in page


def test_names_with_numbers_are_in_their_natural_order(client, root):
    """2 before 11."""
    for number in (11, 2, 1):
        name = f"List {number}"
        write_run(root, summary(audience=name, audience_name=name, run_folder=f"/{number}"), members=5)
    names = re.findall(r">(List [0-9]+)</a>", client("audiences").text)
    assert ["List 1", "List 2", "List 11"] == names


@pytest.mark.parametrize("day", ["day=2026-11-24/", "2026-11-24", "2026/11/24/", "*"])
def test_an_audience_is_found_by_its_segment(client, root, day):
    """The end of the path that names it is shown; the search knows all of it."""
    write_run(root, summary(segment=f"/data/segments/newsletter_active/{day}"), members=5)
    page = client("audiences").text
    assert "segment newsletter_<wbr>active" in page
    assert f"/data/segments/newsletter_active/{day}" in re.search(r'data-text="([^"]*)"', page)[1]


def test_an_audience_stays_when_its_dag_leaves_the_database(client, root):
    """For users who may read any DAG; for others, nothing is known of it."""
    write_run(root, summary(run="removed_dag/export/r/0"), members=5)
    assert 1 == client("audiences").text.count('<th scope="row"')
    assert 200 == client(audience_path(summary())).status_code
    assert 0 == client("audiences", user="cem").text.count('<th scope="row"')


def test_rejects_are_offered_if_there_are_any(client, root):
    """Each run writes the file."""
    with_folder(root, summary(), rejects=[])
    assert "Download rejects" not in client(f"task?{TASK}").text
    with_folder(root, summary(), rejects=[REJECT])
    assert "Download rejects" in client(f"task?{TASK}").text


def test_the_rejects_begin_with_a_byte_order_mark(client, root):
    """Excel reads names as another character set otherwise."""
    with_folder(root, summary(), rejects=[{**REJECT, "email": "zoë@example.com"}])
    content = client(f"rejects.csv?{TASK}").content
    assert content.startswith(b"\xef\xbb\xbf")
    assert "zoë@example.com" in content.decode("utf-8-sig")


def test_the_tab_leads_to_the_page_of_its_audience(client, root):
    """As the run's record names it."""
    report = summary(run="exports/export/refused/0")
    write_run(root, report, members=5)
    with_folder(root, report)
    ledger = place_parts(report)
    attempted(root, attempt_of(report, status=Status.FINISHED, error="", code="", ledger=ledger))
    page = client(f"task?{TRIED}").text
    address = re.search(r'href="(audience\?[^"]+)">History of this audience', page)[1].replace("&amp;", "&")
    assert 200 == client(address).status_code


def test_the_tab_lists_the_vendor_calls_of_a_run(client, root):
    """By path and status, and those that failed; also of a run that failed before its plan. A text stays a text."""
    log = CallLog()
    for number in range(120):
        log.record(Call(NOW + number, "POST", "/v3/contacts/import", 202, 30 + number))
        log.record(Call(NOW + number, "GET", "/v3/contacts/{id}", 0, 30_000, "ReadTimeout"))
    log.record(Call(NOW, "GET", HOSTILE, 500, 1))
    folder = with_folder(root, summary())
    assert "Vendor calls" not in client(f"task?{TASK}").text
    write_calls(as_storage_path(folder), log.take(), is_resumed=False)
    page = client(f"task?{TASK}").text
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert" in page
    text = text_of(page)
    assert "Vendor calls 241" in text
    assert "import 202 120 90 149" in text
    assert "First failed calls 121" in text
    assert "The first 100 are shown." in text
    (folder / "summary.json").unlink()
    assert "Vendor calls 241" in text_of(client(f"task?{TASK}").text)
    (folder / "calls.json").write_text("[]")
    assert 200 == client(f"task?{TASK}").status_code
