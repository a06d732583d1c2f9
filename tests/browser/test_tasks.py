"""The tab Export of a task, its links, and runs from the form."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path
from urllib.parse import quote

import pytest
from browser_shots import keep

from airflow_provider_segexport.ports.run_folder import safe

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
        rows = list(csv.DictReader(io.StringIO(Path(download.value.path()).read_text())))
        assert rows
        assert {"rejected", "withheld"} >= {row["outcome"] for row in rows}


def test_the_task_has_links_to_audience_report_and_rejects(site):
    """Under Details; the report is the tab."""
    with site.page() as page:
        run_id = first_run(site)
        page.goto(f"{site.ui.url}/dags/{DAG}/runs/{quote(run_id)}/tasks/export/mapped/2/details")
        for name in ("Audience at the vendor", "Report", "Rejects"):
            page.get_by_role("link", name=name).wait_for()
        assert page.get_by_role("link", name="Audience at the vendor").get_attribute("href").startswith("http")
        keep(page, "task-links")
        page.goto(page.get_by_role("link", name="Report").get_attribute("href"))
        page.frame_locator("iframe").get_by_text("Finished", exact=True).wait_for()


def trigger_form(site, page):
    page.goto(f"{site.ui.url}/dags/{DAG}")
    page.get_by_role("button", name=re.compile("trigger", re.IGNORECASE)).first.click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_text("Segments", exact=True).wait_for()
    return dialog


def test_the_trigger_form_offers_choices(site):
    """Segments, connections and mode are chosen, with a word on each."""
    with site.page(size=(1200, 1400)) as page:
        dialog = trigger_form(site, page)
        for words in ("Which segments go out.", "Mode", "Dry run"):
            if not dialog.get_by_text(words, exact=True).first.is_visible():
                for section in ("What", "Where to", "How"):
                    dialog.get_by_role("button", name=section, exact=True).click()
                    if dialog.get_by_text(words, exact=True).first.is_visible():
                        break
            assert dialog.get_by_text(words, exact=True).first.is_visible(), words
        keep(page, "trigger-form")


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
            frame.get_by_text("Under way").wait_for(timeout=60_000)
            frame.locator(".badge.live", has_text="running").first.wait_for(timeout=60_000)
            keep(page, "task-live")
            frame.get_by_text("Finished", exact=True).wait_for(timeout=120_000)
        site.wait(lambda: site.state(DAG, run_id) == "success", "the run has not ended")
    finally:
        site.sim("/_sim/settings", {"dotdigital": {"job_seconds": 1}})


def _folders(site, run_id: str):
    """Plans of the run."""
    return (site.ui.home / "state" / "runs" / DAG / "export").glob(f"{safe(run_id)}/0/*/plan.json")
