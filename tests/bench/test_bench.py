"""The benchmark runs with a few hundred rows; its figures are not checked."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
ROWS = 500


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    """Return a function that imports a module of the benchmark, with its files in a temporary folder."""
    home = tmp_path_factory.mktemp("bench")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("SEGEXPORT_BENCH", str(home))
        patched.syspath_prepend(str(BENCHMARKS))
        yield importlib.import_module


def test_the_same_number_of_rows_is_the_same_segment(bench, tmp_path):
    """A file made on another day holds the same people."""
    people = bench("people")
    first, again = (people.write(tmp_path / f"{number}.parquet", ROWS) for number in (1, 2))
    assert first.read_bytes() == again.read_bytes()


def test_the_second_snapshot_changes_every_hundredth_row(bench, tmp_path):
    """A delta run sends a known number of rows."""
    people, pq = bench("people"), bench("pyarrow.parquet")
    first, second = (
        pq.read_table(people.write(tmp_path / f"{number}.parquet", ROWS, snapshot=number)).to_pylist()
        for number in (1, 2)
    )
    assert ROWS // 100 == sum(value != other for value, other in zip(first, second, strict=True))


@pytest.mark.airflow
def test_a_round_brings_every_figure(bench):
    """A round measures tasks, imports, stages and a quota, and writes the tables; peers are not tested.

    No task imports pandas, which pyarrow may import by itself.
    """
    run, page = bench("run"), bench("page")
    made = run.Bench({"10k": ROWS}, plan={"size": ROWS, "stage_rounds": 0}, say=lambda _: None)
    made.record("idle", run.measure_task({}))
    made.imports()
    made.full_and_delta("10k")
    made.phones("10k", with_distinct=True)
    for vendor in run.VENDORS[1:]:
        made.export(f"export_10k/{vendor}", vendor, "10k", stages=True)
    made.peer("floor", "10k")
    made.peer("floor", "10k", latency_s=0.001)
    made.record("quota/omnisend", run.quota.measure("omnisend", calls=3))
    reports = [result["report"] for results in made.runs.values() for result in results if "report" in result]
    assert [] == [name for report in reports for name in report.get("heavy", [])]
    figures = run.figures(made.runs)
    assert set(run.VENDORS) == figures["export_10k"]["by_vendor"].keys()
    assert {run.NO_PHONES, *run.PHONES} == figures["phones"]["cpu_s"].keys() == page.PHONES.keys()
    assert {"import_over_airflow_s", "cpu_ratio", "quota_ratio"} <= figures.keys()
    assert ROWS // 100 == figures["delta_10k"]["rows"]
    assert set(figures["share_of_floor"]) == {"export", "delta"}
    assert set(figures["latency"]) == {"floor"}
    floor = made.runs["peer_10k/floor"][0]["sink"]
    ours = made.runs["export_10k/campaign_monitor"][0]["sink"]
    assert floor["rows"] == ours["rows"]
    assert abs(floor["bytes"] / ours["bytes"] - 1) < 0.1
    assert figures["quota"]["omnisend"]["imports"] == figures["quota"]["omnisend"]["imports_at_least"]
    text = page.performance_page({**run.machine(), "rounds": 1, **figures})
    titles = ("Campaign Monitor", "Omnisend", "## Whole exports", "## Phone numbers", "## Quotas")
    assert all(title in text for title in titles)


def test_the_page_shows_the_latest_result(bench):
    """A page that was edited by hand, or a result without its page, would differ."""
    run, page = bench("run"), bench("page")
    result = run.read_result("latest")
    assert page.performance_page(result) == (BENCHMARKS.parent / "docs" / "performance.md").read_text()
    assert page.tables(result) == (run.RESULTS / "latest.md").read_text()
    assert result["phones"]["cpu_s"]["e164"] > 0


def test_store_requests_are_counted_by_what_they_are_for(bench):
    """Checks of the lease are listings, and the journal is the objects of that name."""
    requests = [
        ("PUT", "/bench/r/runs/d/t/r/0/01/journal-0001-0000003.jsonl", ""),
        ("GET", "/bench", "list-type=2&prefix=r%2Fledgers%2Fv%2Fa%2Fl%2Flease%2F&delimiter=%2F"),
        ("PUT", "/bench/r/ledgers/v/a/l/lease/00000001.json", ""),
        ("GET", "/bench", "list-type=2&prefix=r%2Fledgers%2Fv%2Fa%2Frelease%2F&delimiter=%2F"),
        ("GET", "/bench/r/runs/d/t/r/0/01/plan.json", ""),
    ]
    log = [{"method": method, "path": path, "query": query} for method, path, query in requests]
    assert bench("object_storage").by_kind(log) == {
        "journal": {"PUT": 1},
        "lease": {"GET": 1, "PUT": 1},
        "other": {"GET": 2},
    }


@pytest.mark.airflow
def test_an_export_whose_state_is_on_a_slow_store(bench):
    """Both days deliver what they should, and every request is in the log."""
    module, processes, pq = bench("object_storage"), bench("processes"), bench("pyarrow.parquet")
    with processes.server(str(BENCHMARKS / "store.py"), "0") as url:
        first, second = module.measure("campaign_monitor", url, rows=ROWS)
    emails = pq.read_table(processes.DATA / f"{ROWS}-1-every-50.parquet").column("email").to_pylist()
    valid = {email.strip().lower() for email in emails if email and "@" in email}
    assert (first["delivered"], second["delivered"]) == (len(valid), ROWS // 50)
    for day in (first, second):
        assert all(sum(methods.values()) for methods in module.by_kind(day["requests"]).values())
    assert "plan.json" in module.trace(first["requests"])
