"""A running Airflow with the examples, the simulated vendors, and a browser: `make test-ui`."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from airflow_home import REPO

ENABLED = bool(os.environ.get("SEGEXPORT_BROWSER"))
collect_ignore_glob = [] if ENABLED else ["test_*.py"]

PATIENCE_MS = 60_000
USERS = "ann:admin,cem:viewer"


class Site:
    """The running site, and the actions of a test on it."""

    def __init__(self, ui: Any, browser: Any, dags: Path) -> None:
        self.ui, self.browser, self.dags = ui, browser, dags
        self.api = ui.api

    @contextmanager
    def page(
        self, user: str | None = "ann", *, dark: bool = False, size: tuple[int, int] = (1360, 860)
    ) -> Iterator[Any]:
        """A browser page with a logged-in user. Any error that the page reports fails the test."""
        width, height = size
        context = self.browser.new_context(
            viewport={"width": width, "height": height}, color_scheme="dark" if dark else "light", accept_downloads=True
        )
        context.set_default_timeout(PATIENCE_MS)
        page = context.new_page()
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("dialog", lambda dialog: (errors.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        page.on("request", lambda request: request.url.startswith(self.ui.url) or errors.append(f"asked {request.url}"))
        if user:
            page.goto(f"{self.ui.url}/auth/login/?next={self.ui.url}/")
            page.fill("input[name=username]", user)
            page.fill("input[name=password]", self.ui.password)
            page.get_by_role("button", name=re.compile("sign in", re.IGNORECASE)).click()
            page.wait_for_url(lambda url: "login" not in url)
        try:
            yield page
        finally:
            context.close()
        assert [] == [error for error in errors if not error.startswith("asked data:") and "asked blob:" not in error]

    def open(self, page: Any, path: str) -> Any:
        """Open a page of the plugin in Airflow; return the frame that contains it."""
        page.goto(f"{self.ui.url}/{path}")
        frame = page.frame_locator("iframe")
        frame.locator("main").wait_for()
        return frame

    def sim(self, path: str, body: Any = None) -> Any:
        """Call the simulator's control API."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.ui.simulator + path, data, {"content-type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as reply:
            text = reply.read()
        return json.loads(text) if text else None

    def run(self, dag_id: str, conf: dict[str, Any]) -> str:
        """Start a run; its id."""
        body = {"logical_date": None, "conf": conf}
        return str(self.api.call("POST", f"/api/v2/dags/{dag_id}/dagRuns", body)["dag_run_id"])

    def state(self, dag_id: str, run_id: str) -> str:
        return str(self.api.call("GET", f"/api/v2/dags/{dag_id}/dagRuns/{run_id}")["state"])

    def wait(self, good: Callable[[], Any], description: str, seconds: float = 240) -> None:
        self.ui.wait(good, description, seconds)

    @contextmanager
    def root(self, made: Callable[[Path], Any]) -> Iterator[Path]:
        """Replace the state path of the exports by another state path."""
        state, aside = self.ui.home / "state", self.ui.home / "state-aside"
        state.rename(aside)
        try:
            state.mkdir()
            made(state)
            yield state
        finally:
            shutil.rmtree(state)
            aside.rename(state)


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Chromium."""
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - requirements/ui.txt

    sys.path.insert(0, str(REPO / "scripts"))
    from ui_browser import chromium  # noqa: PLC0415 - after the path

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture(scope="session")
def site(browser: Any) -> Iterator[Site]:
    """Airflow and the simulator with two days of exports, and Chromium; all ended at the end."""
    from ui_airflow import Ui  # noqa: PLC0415 - in the path of `browser`

    for name in [name for name in os.environ if name.startswith("AIRFLOW__")] + ["AIRFLOW_HOME", "SEGEXPORT_DEMO_ROOT"]:
        os.environ.pop(name, None)  # of the other tests; this Airflow has a home of its own
    dags = REPO / ".ui-test" / "dags"  # a copy, to which a test adds files
    shutil.rmtree(dags, ignore_errors=True)
    shutil.copytree(REPO / "dags", dags)
    extra = {
        "AIRFLOW__CORE__AUTH_MANAGER": "ui_auth_manager.PickyAuthManager",
        "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
        "PYTHONPATH": os.pathsep.join([str(REPO), str(REPO / "tests")]),
    }
    wanted = int(os.environ.get("UI_PORT", "0"))
    ui = Ui(home=REPO / ".ui-test" / "run", wanted_port=wanted, profiles=1500, extra=extra, users=USERS, user="ann")
    try:
        ui.start()
        ui.run_days(2)
        ui.wait(lambda: ui.days_exported(2), "the exports are not done", 600)
        yield Site(ui, browser, dags)
    finally:
        ui.processes.stop()
