"""The four pages of a first export, followed to the letter: each field, click and command, with the simulated vendor.

Only the base URL is filled in beside what a page says, because a page leads to the real vendor. The file runs last,
because it adds audiences to the list that other tests count.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from urllib.parse import quote

import pytest
from docs.pages import DOCS, blocks

from airflow_provider_segexport.provider_info import connection_type
from airflow_provider_segexport.simulator.connections import CREDENTIALS
from airflow_provider_segexport.vendors.registry import VENDORS

PAGES = sorted((DOCS / "first-export").glob("*.md"))
EXPORTED = "Of 1 profile: 1 delivered"
UNCHANGED = "Of 1 profile: 1 unchanged"


class Guide:
    """The values and commands that a page gives its reader."""

    def __init__(self, page):
        self.text = " ".join(page.read_text().split())
        self.vendor = VENDORS[page.stem.replace("-", "_")]
        self.conn_id = re.search(r"Enter the connection id `(\w+)`", self.text)[1]
        self.title = re.search(r"connection type \*\*(.+?)\*\*", self.text)[1]
        self.closed = re.search(r"The sections \*(.+?)\* and \*(.+?)\* are closed at first", self.text).groups()
        table = page.read_text().split("| section | field | fill in |\n|---|---|---|\n")[1].split("\n\n")[0]
        self.rows = [tuple(cell.strip() for cell in line.strip("|").split("|")) for line in table.splitlines()]
        self.dag = next(block for block in blocks(page) if block.language == "python")
        self.dag_id = re.search(r'DAG\("(\w+)"', self.dag.text)[1]
        consoles = [block.text for block in blocks(page) if block.language == "console"]
        self.commands = [line for text in consoles for line in text.splitlines()]
        self.commands += re.findall(r"`(airflow [^`]+)`", self.text)

    def command(self, start):
        """Return a command of the page as its arguments; the page must have it."""
        commands = [command for command in self.commands if command.startswith(start)]
        assert commands, f"{self.dag_id}: the page has no command {start!r}"
        return commands[0].split()


def airflow(site, command, **how):
    """Run a command of a page, with the environment of this Airflow."""
    environment = {**os.environ, **site.ui.processes.environment}
    arguments = [sys.executable, "-m", *command]
    return subprocess.run(arguments, env=environment, capture_output=True, text=True, timeout=300, check=False, **how)


def value_of(site, guide, field, text):
    """Return what a reader fills in: a literal of the page, or what the vendor's pages show."""
    described = site.sim("/_sim")["vendors"][guide.vendor.name]
    if field in CREDENTIALS[guide.vendor.name]:
        return str(described["credentials"][CREDENTIALS[guide.vendor.name][field]])
    if literal := re.fullmatch(r"`([^`]+)`|(\d+)", text):
        return literal[1] or literal[2]
    if field == "default_audience":
        return str(described["audiences"][0]["id"])
    return {"your name": "Ann Administrator"}[text]


def fill_in(site, page, guide):
    """Follow step 2 to the button Save."""
    page.goto(site.ui.url)
    page.get_by_role("button", name="Admin").click()
    page.get_by_role("menuitem", name="Connections").click()
    page.get_by_role("button", name="Add Connection").click()
    dialog = page.get_by_role("dialog")
    dialog.locator('input[name="connection_id"]').fill(guide.conn_id)
    dialog.get_by_role("combobox").last.click()
    page.keyboard.type(guide.title)
    page.get_by_role("option", name=guide.title, exact=True).click()
    for section in guide.closed:
        dialog.get_by_text(section, exact=True).wait_for()
    about = connection_type(guide.vendor)
    standard = {label: name for name, label in about["ui-field-behaviour"]["relabeling"].items()}
    own = {(field["schema"]["section"], field["label"]): name for name, field in about["conn-fields"].items()}
    described = site.sim("/_sim")["vendors"][guide.vendor.name]
    dialog.locator('input[name="host"]').fill(described["base_url"])
    opened = {"Standard Fields"}
    for section, label, text in guide.rows:
        if section not in opened:
            assert section in guide.closed
            assert not dialog.get_by_text(label, exact=False).first.is_visible()
            dialog.get_by_text(section, exact=True).click()
            opened.add(section)
        dialog.get_by_text(label).first.wait_for()
        name = standard[label] if section == "Standard Fields" else own[section, label]
        if text.startswith("on."):
            dialog.locator(f'input[name="element_{name}"]').evaluate("one => one.click()")
            continue
        selector = f'input[name="{name}"]' if section == "Standard Fields" else f'input[name="element_{name}"]'
        dialog.locator(selector).fill(value_of(site, guide, name, text))
    dialog.get_by_role("button", name="Save").click()
    dialog.wait_for(state="hidden")


def log_in(site, guide):
    """Follow the login of Constant Contact: the command shows an address, whose page has a button."""
    command = guide.command("airflow segexport login")
    environment = {**os.environ, **site.ui.processes.environment, "PYTHONUNBUFFERED": "1"}
    site.sim("/_sim/settings", {"constant_contact": {"device_interval": 1}})
    running = subprocess.Popen(
        [sys.executable, "-m", *command], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        shown = ""
        while not (address := re.search(r"https?://\S+user_code=[\w-]+", shown)):
            line = running.stdout.readline()
            assert line, shown
            shown += line
        vendor_page = site.browser.new_page()
        vendor_page.goto(address[0])
        vendor_page.get_by_role("button").click()
        vendor_page.get_by_text("may go on").wait_for()
        vendor_page.close()
        rest, _ = running.communicate(timeout=120)
        assert 0 == running.returncode, shown + rest
    finally:
        running.kill()


def press_test(site, page, guide):
    """Press the button that the page names, and run its commands."""
    page.goto(f"{site.ui.url}/connections")
    row = page.get_by_role("row", name=re.compile(rf"\b{guide.conn_id}\b"))
    row.get_by_role("button", name="Test Connection").press("Enter")
    toast = page.locator("[data-scope=toast][data-part=root]").filter(has_text="Test Connection")
    message = toast.inner_text()  # it disappears by itself
    done = airflow(site, guide.command("airflow connections test"))
    assert 0 == done.returncode, done.stdout + done.stderr
    for shown in (message, " ".join(done.stdout.split())):
        assert f"{guide.vendor.title} account" in shown
        assert "Not ready" not in shown
    for command in guide.commands:
        if command.startswith("airflow segexport audiences"):
            assert 0 == airflow(site, command.split()).returncode


def started(site, page, guide):
    """Trigger the DAG in its page; returns the run's id."""
    before = {run["dag_run_id"] for run in site.api.runs(guide.dag_id)}
    page.get_by_role("button", name=re.compile("trigger", re.IGNORECASE)).first.click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="Trigger", exact=True).click()
    dialog.wait_for(state="hidden")
    (run_id,) = {run["dag_run_id"] for run in site.api.runs(guide.dag_id)} - before
    site.wait(lambda: site.state(guide.dag_id, run_id) in {"success", "failed"}, "the run has not ended")
    return run_id


def task_log(site, guide, run_id):
    """Return the end of the export's log, for the message of a test that fails."""
    path = f"/api/v2/dags/{guide.dag_id}/dagRuns/{quote(run_id)}/taskInstances/export/logs/1"
    return str(site.api.call("GET", path))[-3000:]


def log_of(site, page, guide, run_id):
    """Open the log of the export."""
    page.goto(f"{site.ui.url}/dags/{guide.dag_id}/runs/{quote(run_id)}/tasks/export")
    page.get_by_test_id("summary-Check").wait_for()


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_a_reader_who_follows_the_page_exports_a_profile(site, path):
    """Connection, login, test, DAG, trigger, log: as the page says; the second run has nothing to send."""
    guide = Guide(path)
    settings = dict(re.findall(r"export (AIRFLOW__\w+)=(\w+)", "\n".join(guide.commands)))
    assert settings.items() <= site.ui.processes.environment.items()
    with site.root(lambda _: None), site.page(size=(1300, 1000)) as page:  # a reader's audience is no export's yet
        fill_in(site, page, guide)
        if any(command.startswith("airflow segexport login") for command in guide.commands):
            log_in(site, guide)
        press_test(site, page, guide)
        text = guide.dag.text.replace("you@your-company.example", "you@example.com")
        assert text != guide.dag.text
        (site.dags / guide.dag.title.removeprefix("dags/")).write_text(text)
        assert 0 == airflow(site, guide.command("airflow dags reserialize")).returncode
        page.goto(f"{site.ui.url}/dags")
        page.get_by_role("link", name=guide.dag_id, exact=True).first.click()
        page.wait_for_url(f"**/dags/{guide.dag_id}**")
        page.get_by_role("heading", name=guide.dag_id).first.wait_for()
        page.get_by_test_id("toggle-pause").last.click()
        site.wait(lambda: not site.api.call("GET", f"/api/v2/dags/{guide.dag_id}")["is_paused"], "the DAG is paused")
        first = started(site, page, guide)
        assert "success" == site.state(guide.dag_id, first), task_log(site, guide, first)
        log_of(site, page, guide, first)
        page.get_by_text(EXPORTED).wait_for()
        page.get_by_text("Run folder, with every row that was not delivered").wait_for()
        assert not page.get_by_text("Planning done").is_visible()
        page.get_by_test_id("summary-Plan").click()
        page.get_by_text("Planning done").wait_for()
        page.goto(f"{site.ui.url}/dags/{guide.dag_id}")
        second = started(site, page, guide)
        log_of(site, page, guide, second)
        page.get_by_text(UNCHANGED).wait_for()
    audience = next(text for _, label, text in guide.rows if label.startswith("Default "))
    wanted = value_of(site, guide, "default_audience", audience)
    shown = site.sim(f"/_sim/{guide.vendor.name}/audiences/{quote(wanted)}")
    assert "you@example.com" in str(shown)
