"""Records with times, counts and entries that no run writes: the pages open, and show the rest."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ui_factories import ledger_path, run_folder, stories, summary, with_folder, write_run

pytestmark = pytest.mark.airflow

TASK = "task?dag_id=exports&run_id=scheduled__2026-11-24&task_id=export&map_index=-1"
REPORT = summary()
MILLISECONDS = 1_795_600_000_000.0
"""A time in another unit, as another version may write it."""


def pages() -> list[str]:
    vendor, account, audience = ledger_path(Path(), REPORT).parts[-3:]
    query = f"vendor={vendor}&account={account}&audience={audience}"
    return ["audiences", f"audience?{query}", f"history.csv?{query}", TASK]


@pytest.fixture
def written(root):
    """A function that writes an audience with one run, and sets an entry in each of its records."""

    def write(name, value):
        stories(root, 2, runs=2)
        report = {**REPORT, "run_folder": str(run_folder(root, REPORT["run"]))}
        write_run(root, report, members=5)
        folder = with_folder(root, report)
        path = ledger_path(root, report)
        latest = root / "latest" / path.parent.parent.name / path.parent.name / f"{path.name}.json"
        for file in (latest, *(path / "history").iterdir(), folder / "summary.json"):
            content = json.loads(file.read_text())
            for record in (content, *content.get("runs", [])):
                record[name] = value
            file.write_text(json.dumps(content))

    return write


@pytest.mark.parametrize("value", [1e308, -1e308, MILLISECONDS, 253_402_300_800.0, -62_135_596_801.0, -1.0])
def test_a_time_that_no_calendar_has_is_left_out(client, written, value):
    """It no longer stops the list of all audiences."""
    written("ended_at", value)
    for page in pages():
        assert client(page).status_code == 200, page
    assert client("audiences").text.count('<th scope="row"') == 3


@pytest.mark.parametrize("value", [1e308, -1e308, 10**400, "5", None])
@pytest.mark.parametrize("name", ["delivered", "rejected", "profiles"])
def test_a_count_of_nothing_is_zero(client, written, name, value):
    """Charts divide counts."""
    written("counts", {**REPORT["counts"], name: value})
    for page in pages():
        assert client(page).status_code == 200, page


@pytest.mark.parametrize("value", [{}, {"a": 1}, {"count": "4"}, {"count": 3, "path": 7}, {"count": None}, [], 5])
def test_opt_outs_of_another_form_are_shown_as_none_or_without_a_path(client, written, value):
    """Their count is formatted as a number."""
    written("optouts", value)
    for page in pages():
        assert client(page).status_code == 200, page
