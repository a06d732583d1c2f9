"""Pages of runs whose ids have characters with a meaning in URLs, paths or HTML."""

from __future__ import annotations

import csv
import html
import io
import re
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from ui_factories import ledger_path, summary, with_folder, write_run

pytestmark = pytest.mark.airflow
RUN_IDS = [
    "manual__2026-11-24T00:00:00+00:00",
    "asset_triggered__2026-11-24T00:00:00.123+00:00_aB3",
    "a+b c&d=e",
    "50%25 %2F",
    "x?y#z;w",
    "2026/11/24",
    "ünïkødé ✓",
    "'\"<b>&amp;",
    "..",
    "~backfill@v1:2",
]
TASK_IDS = ["export", "group.export", "group.sub-group.exp_1"]


@pytest.fixture
def odd(root, request):
    """A run of such ids, with its run folder and a row that was rejected."""
    run_id, task_id = request.param
    report = summary(run=f"exports/{task_id}/{run_id}/0")
    write_run(root, report, members=5)
    with_folder(root, report)
    return run_id, task_id, report


CASES = [(run_id, TASK_IDS[number % len(TASK_IDS)]) for number, run_id in enumerate(RUN_IDS)]


@pytest.mark.parametrize("odd", CASES, ids=[str(number) for number in range(len(CASES))], indirect=True)
def test_every_page_of_a_run_with_odd_ids_is_found_by_its_links(client, root, odd):
    """List, page of the audience, tab and history name the run; each link has its ids, and leads to it."""
    run_id, task_id, report = odd
    folders = ledger_path(root, report).relative_to(root / "ledgers").parts
    params = dict(zip(("vendor", "account", "audience"), folders, strict=True))
    pages = [client("audiences"), client("audience", params=params)]
    task = {"dag_id": "exports", "run_id": run_id, "task_id": task_id, "map_index": "-1"}
    pages.append(client("task", params=task))
    for page in pages:
        assert 200 == page.status_code
        links = [html.unescape(link) for link in re.findall(r'(?:href|data-source)="([^"]*)"', page.text)]
        runs = [match for link in links if (match := re.search(r"dags/([^/]+)/runs/([^/?#]+)", link))]
        assert {(unquote(dag), unquote(run)) for dag, run in (match.groups() for match in runs)} <= {
            ("exports", run_id)
        }
        for link in links:
            query = parse_qs(urlsplit(link).query)
            if "run_id" in query:
                assert ([run_id], [task_id]) == (query["run_id"], query["task_id"]), link
    assert "Finished" in pages[2].text
    (line,) = csv.DictReader(io.StringIO(client("history.csv", params=params).text.removeprefix("\ufeff")))
    assert (run_id.lstrip("'"), task_id) == (line["run_id"].lstrip("'"), line["task_id"])
