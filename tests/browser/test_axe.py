"""Each page by axe, in a browser without Airflow around it: three widths, light and dark, no findings."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlencode

import pytest
from ui.conftest import client, rooms, root
from ui.page_factories import GUARDS, REJECT, TASK, attempt_of, attempted, audience_path
from ui.test_person_page import ROW, audience
from ui_factories import NOW, stories, summary, with_folder, write_run

from airflow_provider_segexport.http.call_log import CallLog
from airflow_provider_segexport.storage.calls import Call, write_calls
from airflow_provider_segexport.storage.paths import as_storage_path

__all__ = ["client", "rooms", "root"]

pytestmark = pytest.mark.airflow

HOST = "http://airflow.test/segexport/"
SIZES = [(1360, 860), (800, 860), (390, 844)]
SUPPRESSION = {"name": "/data/no.parquet", "read": 5, "understood": 4, "not_understood": 1, "blank": 0, "matched": 2}


def a_finished_run(root):
    """A run with everything that its tab can show."""
    removals = {"planned": 12, "removed": 9, "already_gone": 1, "kept": 1, "rejected": 1, "not_attempted": 0}
    more = {"consent": {"yes": 5, "no": 2}, "suppression": [SUPPRESSION], "guards": GUARDS, "removals": removals}
    folder = with_folder(root, summary(**more), rejects=[REJECT])
    log = CallLog()
    for status in (200, 200, 429):
        log.record(Call(NOW, "POST", "/v3/contacts/import", status, 40))
    write_calls(as_storage_path(folder), log.take(), is_resumed=False)


def a_dry_run(root):
    """Three masked rows, and guards."""
    estimate = {"calls": 1, "bytes": 900, "estimated_minutes": 2.5, "upserts": 970, "removals": 12, "samples": {}}
    items = [{"email": "j…@e….com"}] * 3
    with_folder(root, summary(dry_run=True, estimate=estimate, guards=GUARDS, preview=items))


def a_refused_run(root):
    """No plan was made."""
    attempted(root, attempt_of(summary()))


def audiences(root):
    """All states, and one audience that was never filled."""
    stories(root, 12, runs=8, now=NOW)
    attempted(root, attempt_of(summary(), audience="never filled"))


def one_audience(root):
    """With a run that was refused."""
    write_run(root, summary(), members=5)
    attempted(root, attempt_of(summary()))


PAGES = {
    "list": (audiences, "audiences"),
    "no-audience": (lambda _: None, "audiences"),
    "audience": (one_audience, audience_path(summary())),
    "story": (audiences, None),
    "errors": (lambda _: None, "errors"),
    "person": (lambda _: None, "person"),
    "found-person": (lambda root: audience(root, rows=[{**ROW, "reason": "suppressed", "attempts": 3}]), "person"),
    "finished": (a_finished_run, f"task?{TASK}"),
    "dry-run": (a_dry_run, f"task?{TASK}"),
    "refused": (a_refused_run, f"task?{TASK.replace('scheduled__2026-11-24', 'refused')}"),
    "no-task": (lambda _: None, f"task?{TASK}"),
}


def page_text(ask: Any, name: str, path: str | None) -> str:
    """The page as the server sends it."""
    if path is None:  # the first audience of the list
        path = re.search(r'href="(audience\?[^"]+)"', ask("audiences").text)[1].replace("&amp;", "&")
    if name == "found-person":
        kind = {"content-type": "application/x-www-form-urlencoded"}
        response = ask(path, "ann", "POST", kind, content=urlencode({"email": ROW["email"]}))
    else:
        response = ask(path)
    assert 200 == response.status_code, response.text
    return response.text


def findings(page: Any) -> list[str]:
    """The violations that axe reports: the rule, and the first element that breaks it."""
    from axe_playwright_python.sync_playwright import Axe  # noqa: PLC0415 - requirements/ui.txt

    violations = Axe().run(page).response["violations"]
    return [f"{rule['id']}: {rule['nodes'][0]['html'][:200]} ({len(rule['nodes'])})" for rule in violations]


@pytest.mark.parametrize("name", PAGES)
def test_axe_finds_nothing_on_any_page(client, root, browser, name):
    """At the widths of a desk, a tablet and a phone; the page is never wider than its window."""
    make, path = PAGES[name]
    make(root)
    text = page_text(client, name, path)
    assets = {asset: client(f"assets/{asset}").content for asset in ("style.css", "page.js")}
    violations = {}
    for dark in (False, True):
        context = browser.new_context(color_scheme="dark" if dark else "light")
        page = context.new_page()
        page.route("**/*", lambda route: route.fulfill(**served(route.request.url, text, assets)))
        page.goto(HOST + "page")
        page.locator(f"html[data-theme={'dark' if dark else 'light'}]").wait_for()
        for width, height in SIZES:
            page.set_viewport_size({"width": width, "height": height})
            problems = findings(page)
            if page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") > 0:
                problems.append("wider than its window")
            violations |= {f"{width} {'dark' if dark else 'light'}": problems} if problems else {}
        context.close()
    assert {} == violations


def served(url: str, text: str, assets: dict[str, bytes]) -> dict[str, Any]:
    """An asset, or else the page."""
    name = url.rpartition("/")[2]
    if name in assets:
        return {"body": assets[name], "content_type": "text/css" if name.endswith("css") else "text/javascript"}
    return {"body": text, "content_type": "text/html; charset=utf-8"}
