"""The benchmark runs: a few hundred rows through its processes. What it measures is not looked at."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
ROWS = 500


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    """Loads a module of the benchmark, which keeps its files in a folder of the test's."""
    home = tmp_path_factory.mktemp("bench")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("SEGEXPORT_BENCH", str(home))
        patched.syspath_prepend(str(BENCHMARKS))
        yield importlib.import_module


def test_the_same_number_of_rows_is_the_same_segment(bench, tmp_path):
    """A file made on another machine, or another day, holds the same people."""
    people = bench("people")
    first, again = (people.write(tmp_path / f"{number}.parquet", ROWS) for number in (1, 2))
    assert first.read_bytes() == again.read_bytes()


def test_the_second_snapshot_changes_every_hundredth_row(bench, tmp_path):
    """What a delta run sends is known beforehand."""
    people, pq = bench("people"), bench("pyarrow.parquet")
    first, second = (
        pq.read_table(people.write(tmp_path / f"{number}.parquet", ROWS, snapshot=number)).to_pylist()
        for number in (1, 2)
    )
    assert ROWS // 100 == sum(one != other for one, other in zip(first, second, strict=True))


@pytest.mark.airflow
def test_a_round_brings_every_figure(bench):
    """Tasks, imports, stages and a quota are measured, and the tables of them are written; peers are another matter.

    On the way no task imports pandas, which pyarrow does unasked.
    """
    run, page = bench("run"), bench("page")
    made = run.Bench({"10k": ROWS}, plan={"size": ROWS, "stage_rounds": 0}, say=lambda _: None)
    made.keep("idle", run.task({}))
    made.imports()
    made.full_and_delta("10k")
    for vendor in run.VENDORS[1:]:
        made.export(f"export_10k/{vendor}", vendor, "10k", stages=True)
    made.keep("quota/omnisend", run.quota.measure("omnisend", calls=3))
    reports = [one["report"] for runs in made.runs.values() for one in runs if "report" in one]
    assert [] == [name for report in reports for name in report.get("heavy", [])]
    found = run.figures(made.runs)
    assert set(run.VENDORS) == found["export_10k"]["by_vendor"].keys()
    assert {"import_over_airflow_s", "cpu_ratio", "quota_ratio"} <= found.keys()
    assert ROWS // 100 == found["delta_10k"]["rows"]
    assert found["quota"]["omnisend"]["imports"] == found["quota"]["omnisend"]["imports_at_least"]
    words = page.whole({**run.machine(), "rounds": 1, **found})
    assert all(title in words for title in ("Campaign Monitor", "Omnisend", "## Whole exports", "## Quotas"))
