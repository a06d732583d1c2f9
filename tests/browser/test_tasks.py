"""The tab Export of a task, its links, and runs from the form."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path
from urllib.parse import quote

import pytest
from browser_shots import keep

from airflow_provider_segexport.storage.folder_names import safe_name

DAG = "segment_exports"


def tab(site, page, run_id: str, index: int):
    """The tab of a mapped export."""
    path = f"dags/{DAG}/runs/{quote(run_id)}/tasks/export/mapped/{index}/plugin/segment_export"
    return site.open(page, path)


def first_run(site) -> str:
    return str(min(site.api.runs(DAG), key=lambda run: run["run_after"])["dag_run_id"])


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_the_tab_shows_what_a_run_did(site, dark):
    """Where the profiles ended, why some were not delivered, what it took; the rejects as a file."""
    with site.page(dark=dark, size=(1500, 1150)) as page:
        frame = tab(site, page, first_run(site), 2)
        assert frame.get_by_text("Finished", exact=True).is_visible()
        legend = frame.locator(".legend").first.inner_text()
        assert all(word in legend for word in ("Delivered", "Unchanged", "Rejected", "Withheld", "Not attempted"))
        assert frame.get_by_text("not a valid email address").is_visible()
        keep(page, f"task-{'dark' if dark else 'light'}")
        with page.expect_download() as download:
            frame.get_by_role("link", name="Download rejects").click()
        rows = list(csv.DictReader(io.StringIO(Path(download.value.path()).read_text("utf-8-sig"))))
        assert rows
        assert {"rejected", "withheld"} >= {row["outcome"] for row in rows}


def test_the_task_has_links_to_audience_report_and_rejects(site):
    """Under Details; the report is the tab."""
    with site.page() as page:
        run_id = first_run(site)
        page.goto(f"{site.ui.url}/dags/{DAG}/runs/{quote(run_id)}/tasks/export/mapped/2/details")
        for name in ("Report", "Rejects"):
            page.get_by_role("link", name=name).wait_for()
        assert page.get_by_role("link", name="Audience at the vendor").count() == 0  # the simulator is no vendor
        keep(page, "task-links")
        page.goto(page.get_by_role("link", name="Report").get_attribute("href"))
        page.frame_locator("iframe").get_by_text("Finished", exact=True).wait_for()


def trigger_form(site, page):
    page.goto(f"{site.ui.url}/dags/{DAG}")
    page.get_by_role("button", name=re.compile("trigger", re.IGNORECASE)).first.click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="What", exact=True).wait_for()
    return dialog


def imports(site) -> list[str]:
    """Calls that sent people to Campaign Monitor, by path."""
    calls = site.sim("/_sim/requests?vendor=campaign_monitor")["requests"]
    return [call["path"] for call in calls if call["path"].endswith("/import.json")]


def test_a_run_from_the_form_does_what_it_says(site):
    """Choices with a word on each; a bad value is refused; what was chosen is what the vendor is sent."""
    lists = [str(audience["id"]) for audience in site.sim("/_sim")["vendors"]["campaign_monitor"]["audiences"]]
    before, runs = imports(site), {run["dag_run_id"] for run in site.api.runs(DAG)}
    with site.page(size=(1200, 1000)) as page:
        dialog = trigger_form(site, page)
        start = dialog.get_by_role("button", name="Trigger", exact=True)
        dialog.get_by_role("button", name="What", exact=True).click()
        dialog.get_by_text("The segments to export.").wait_for()
        keep(page, "trigger-form")
        segments = dialog.locator("#element_segments")
        for _ in range(3):
            segments.get_by_label(re.compile("^Remove ")).first.click()
        assert start.is_disabled()
        segments.get_by_role("combobox").click()
        assert ["high_value", "newsletter_active", "lapsed"] == dialog.get_by_role("option").all_inner_texts()
        dialog.get_by_role("option", name="lapsed").click()
        dialog.get_by_role("button", name="Where to", exact=True).click()
        for name in ("constant_contact", "dotdigital", "omnisend"):
            dialog.get_by_label(f"Remove {name}_default").click()
        dialog.get_by_role("button", name="How", exact=True).click()
        dialog.get_by_text("Dry run").first.wait_for()
        dialog.locator("#element_mode").get_by_role("combobox").click()
        dialog.get_by_role("option", name="Every profile").click()
        keep(page, "trigger-form-how")
        start.click()
        dialog.wait_for(state="hidden")
    (run_id,) = {run["dag_run_id"] for run in site.api.runs(DAG)} - runs
    site.wait(lambda: site.state(DAG, run_id) in {"success", "failed"}, "the run has not ended")
    assert "success" == site.state(DAG, run_id)
    sent = imports(site)[len(before) :]
    assert sent
    assert all(lists[2] in path for path in sent)  # the third segment's list


def test_a_job_is_watched_while_it_runs(site):
    """The tab keeps itself fresh: under way with a job at the vendor, then finished, without a reload."""
    site.sim("/_sim/settings", {"dotdigital": {"job_seconds": 25}})
    try:
        run_id = site.run(
            DAG, {"segments": ["high_value"], "connections": ["dotdigital_default"], "mode": "full", "dry_run": False}
        )
        with site.page(size=(1500, 1000)) as page:
            page.goto(f"{site.ui.url}/dags/{DAG}/runs/{quote(run_id)}")
            site.wait(lambda: list(_folders(site, run_id)), "the export has not begun")
            frame = tab(site, page, run_id, 0)
            frame.get_by_text("Running", exact=True).wait_for(timeout=60_000)
            frame.locator(".badge.live", has_text="running").first.wait_for(timeout=60_000)
            keep(page, "task-live")
            frame.get_by_text("Finished", exact=True).wait_for(timeout=120_000)
        site.wait(lambda: site.state(DAG, run_id) == "success", "the run has not ended")
    finally:
        site.sim("/_sim/settings", {"dotdigital": {"job_seconds": 1}})


def _folders(site, run_id: str):
    """Plans of the run."""
    return (site.ui.home / "state" / "runs" / DAG / "export").glob(f"{safe_name(run_id)}/0/*/plan.json")


def test_a_plan_out_of_the_ordinary_asks_a_person(site):
    """The request shows the counts; the list of audiences says that someone is waited for; approved, it goes on."""
    dag_id = "segment_export_with_approval"
    site.api.call("PATCH", f"/api/v2/dags/{dag_id}", {"is_paused": False})
    conf = {"connection": "omnisend_default", "audience": "approval", "mode": "mirror"}
    first = site.run(dag_id, {**conf, "segment": "high_value"})
    site.wait(lambda: site.state(dag_id, first) == "success", "the first export has not ended")
    second = site.run(dag_id, {**conf, "segment": "newsletter_active"})
    path = f"/api/v2/dags/{dag_id}/dagRuns/{quote(second)}/taskInstances/ask"
    site.wait(lambda: site.api.call("GET", path)["state"] == "awaiting_input", "nobody was asked")
    with site.page(size=(1360, 1000)) as page:
        frame = site.open(page, "plugin/segment_exports")
        frame.get_by_text("Awaiting approval").first.wait_for()
        question = f"{site.ui.url}/dags/{dag_id}/runs/{quote(second)}/tasks/ask/required_actions"
        button = page.get_by_role("button", name="Approve")

        def has_ended() -> bool:
            """Approve if Airflow asks, which it does again if the answer came before it knew that the task waits."""
            if site.state(dag_id, second) in {"success", "failed"}:
                return True
            if site.api.call("GET", path)["state"] == "awaiting_input":
                page.goto(question)
                page.wait_for_timeout(3000)  # milliseconds until the page shows the question
                if button.is_visible():
                    button.click()
            return False

        page.goto(question)
        button.wait_for()
        page.get_by_text("would be taken out").first.wait_for()
        keep(page, "approval")
        site.wait(has_ended, "the approved plan was not carried out")
    assert "success" == site.state(dag_id, second)
