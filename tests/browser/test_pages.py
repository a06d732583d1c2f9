"""The pages of segment exports in Airflow's own frame, looked at as a person does."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest
from browser_shots import keep
from ui_factories import stories, summary, with_folder, write_run

DAGS = ("segment_exports",)
LIST = "plugin/segment_exports"
HOSTILE = '"><script>alert(1)</script><img src=x onerror=alert(2)>'


def newest_run(site) -> str:
    return str(site.api.runs("segment_exports")[-1]["dag_run_id"])


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_the_list_shows_all_that_was_exported(site, dark):
    """Twelve audiences after two days, each fresh; in the colours that Airflow has."""
    with site.page(dark=dark) as page:
        frame = site.open(page, LIST)
        assert 12 == frame.locator("tbody tr").count()
        assert {"Up to date"} == set(frame.locator("tbody .badge").all_inner_texts())
        assert ("dark" if dark else "light") == frame.locator("html").get_attribute("data-theme")
        keep(page, f"exports-{'dark' if dark else 'light'}")


def test_the_page_is_reached_from_the_navigation(site):
    """Under Browse."""
    with site.page() as page:
        page.get_by_role("button", name="Browse").click()
        page.get_by_role("menuitem", name="Segment exports").click()
        page.frame_locator("iframe").get_by_role("heading", name="Segment exports").wait_for()


def test_the_theme_follows_airflow_at_once(site):
    """Without a reload."""
    with site.page() as page:
        frame = site.open(page, LIST)
        page.evaluate("document.documentElement.classList.replace('light', 'dark')")
        frame.locator("html[data-theme=dark]").wait_for()


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_an_audience_shows_its_history_ledger_opt_outs_and_undo(site, dark):
    """From the list to the page of one, and from there to the run's tab in Airflow."""
    with site.page(dark=dark, size=(1360, 1500)) as page:
        frame = site.open(page, LIST)
        frame.get_by_role("link", name="Newsletter").first.click()
        frame.get_by_role("heading", name="History").wait_for()
        assert frame.locator("table.runs tbody tr:not(.error)").count() in {2, 3}  # the schedule adds one at 02:00 UTC
        for heading in ("Runs", "Ledger", "Opt-outs", "Undo"):
            assert frame.get_by_role("heading", name=re.compile(heading)).is_visible()
        assert "airflow segexport undo" in frame.locator("#undo-command").inner_text()
        keep(page, f"audience-{'dark' if dark else 'light'}")
        frame.locator("table.runs a").first.click()
        page.wait_for_url("**/plugin/segment_export**")


def test_a_link_of_the_list_leads_to_the_dag_run(site):
    """Out of the frame, although its sandbox lets no link leave it."""
    with site.page() as page:
        frame = site.open(page, LIST)
        frame.locator("tbody td.ran a").first.click()
        page.wait_for_url("**/dags/segment_exports/runs/**")


def test_the_list_can_be_filtered_and_sorted_by_keyboard_alone(site):
    """Tab reaches the filter and the column headers; screen readers get the order; the focus is visible."""
    with site.page() as page:
        frame = site.open(page, LIST)
        frame.locator("#find").focus()
        page.keyboard.type("lapsed omnisend")
        assert 1 == frame.locator("tbody tr:visible").count()
        assert "1 of 12 audiences shown" == frame.locator("#shown").inner_text()
        page.keyboard.press("Control+A")
        page.keyboard.press("Delete")
        for _ in range(20):
            page.keyboard.press("Tab")
            if frame.locator(":focus").inner_text() == "Members":
                break
        page.keyboard.press("Enter")
        assert "descending" == frame.locator("th[aria-sort]").get_attribute("aria-sort")
        members = [
            int(members.replace(",", ""))
            for members in frame.locator("tbody tr").evaluate_all("rows => rows.map(row => row.dataset.members)")
        ]
        assert sorted(members, reverse=True) == members
        outline = frame.locator(":focus").evaluate("one => getComputedStyle(one).outlineStyle")
        assert "solid" == outline
        page.keyboard.press("Enter")
        assert "ascending" == frame.locator("th[aria-sort]").get_attribute("aria-sort")


def test_the_history_can_be_read_run_by_run_with_the_arrow_keys(site):
    """One slider moves the mark in all charts, and names its position."""
    with (
        site.root(lambda root: stories(root, 3, runs=40, dag_ids=DAGS, now=time.time())),
        site.page(size=(1360, 1500)) as page,
    ):
        frame = site.open(page, LIST)
        frame.locator("tbody a").first.click()
        slider = frame.locator("#run")
        slider.focus()
        before = frame.locator("figure.main output").inner_text()
        page.keyboard.press("ArrowLeft")
        page.keyboard.press("ArrowLeft")
        assert before != frame.locator("figure.main output").inner_text()
        assert "members" in (slider.get_attribute("aria-valuetext") or "")
        frame.locator("figure.main .plot").hover(position={"x": 400, "y": 60})
        keep(page, "audience-history")


@pytest.mark.parametrize("count", [0, 1, 500])
def test_the_list_works_with_none_with_one_and_with_five_hundred(site, count):
    """None says what to do."""
    with site.root(lambda root: stories(root, count, runs=4, dag_ids=DAGS, now=time.time())), site.page() as page:
        frame = site.open(page, LIST)
        assert count == frame.locator("tbody tr").count()
        if count == 500:
            frame.locator("#find").fill("newsletter 1")
            assert 0 < frame.locator("tbody tr:visible").count() < 500
            frame.locator("#find").fill("nobody at all")
            assert frame.locator("#nothing").is_visible()
            frame.locator("#clear").click()
            assert 500 == frame.locator("tbody tr:visible").count()
        keep(page, f"exports-{count}")


def test_a_user_without_dag_permissions_sees_nothing(site):
    """The page is there, and empty; an audience and a task of others are not."""
    with site.page("cem") as page:
        frame = site.open(page, LIST)
        assert frame.get_by_text("No export has run yet").is_visible()
        keep(page, "exports-nothing-allowed")
        run = newest_run(site)
        query = f"dag_id=segment_exports&task_id=export&map_index=0&run_id={run}"
        for path in ("task", "live", "rejects.csv"):
            answer = page.request.get(
                f"{site.ui.url}/segexport/{path}", params=dict(pair.split("=", 1) for pair in query.split("&"))
            )
            assert 403 == answer.status


@pytest.mark.parametrize("path", ["audiences", "audience", "task", "live", "rejects.csv", "assets/page.js", ""])
def test_who_is_not_logged_in_gets_no_page(site, path):
    """Nothing of ours answers."""
    with site.page(None) as page:
        assert 401 == page.request.get(f"{site.ui.url}/segexport/{path}").status


def test_hostile_names_do_nothing_in_a_browser(site):
    """A name with markup in it is a name."""

    def made(root: Path) -> None:
        report = summary(
            run="segment_exports/export/r/0",
            audience_name=HOSTILE,
            account=HOSTILE,
            error=HOSTILE,
            finished=False,
            conn_id=HOSTILE,
        )
        write_run(root, report, members=5)
        with_folder(root, report)

    with site.root(made), site.page() as page:
        frame = site.open(page, LIST)
        assert HOSTILE in frame.locator("tbody th a").inner_text()
        frame.locator("tbody th a").click()
        frame.locator("h1").filter(has_text=HOSTILE).wait_for()
        assert 0 == frame.locator("img").count()


SIZES = [(1360, 860), (800, 860), (390, 844)]


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}px")
def test_no_page_is_wider_than_its_window_and_each_table_can_be_scrolled_by_keyboard(site, size):
    """On a phone, the rows of the two large tables are cards."""
    with (
        site.root(lambda root: stories(root, 12, runs=20, dag_ids=DAGS, now=time.time())),
        site.page(size=size) as page,
    ):
        frame = site.open(page, LIST)
        for name in ("list", "audience"):
            if name == "audience":
                frame.locator("tbody a").first.click()
                frame.get_by_role("heading", name="History").wait_for()
            assert frame.locator("html").evaluate("one => one.scrollWidth - one.clientWidth") <= 0
            cut = frame.locator(".sheet").evaluate_all(
                "sheets => sheets.filter(one => one.scrollWidth > one.clientWidth && one.tabIndex < 0).length"
            )
            assert cut == 0
            keep(page, f"{name}-{size[0]}px")


def test_filters_stay_on_the_way_back_and_are_in_the_address(site):
    """Errors of the frame, and of Airflow's own page."""
    with site.root(lambda root: stories(root, 12, runs=4, dag_ids=DAGS, now=time.time())), site.page() as page:
        frame = site.open(page, LIST)
        frame.locator("#find").fill("newsletter")
        rows = frame.locator("tbody tr:visible").count()
        assert 0 < rows < 12
        page.wait_for_url(re.compile("[#?]q=newsletter$"), timeout=15_000)
        address = page.url
        frame.locator("tbody tr:visible a").first.click()
        frame.get_by_role("heading", name="History").wait_for()
        page.go_back()
        frame.locator("#find").wait_for()
        assert "newsletter" == frame.locator("#find").input_value()
        for copied in (address, f"{site.ui.url}/{LIST}#q=newsletter"):
            page.goto("about:blank")
            page.goto(copied)
            frame = page.frame_locator("iframe")
            frame.locator("#find").wait_for()
            assert rows == frame.locator("tbody tr:visible").count()


def test_times_are_in_the_time_zone_of_airflow(site):
    """The one that its UI stores."""
    with site.root(lambda root: stories(root, 1, runs=4, dag_ids=DAGS, now=time.time())), site.page() as page:
        page.evaluate("""localStorage.setItem("timezone", '"Asia/Tokyo"')""")
        frame = site.open(page, LIST)
        frame.locator("tbody a").first.click()
        assert frame.locator("table.runs time").first.inner_text().endswith("GMT+9")
