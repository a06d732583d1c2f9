"""The generated reference describes what the package does: every key of a report, every reason, error and metric."""

from __future__ import annotations

import inspect
import sys
from pathlib import Path

import pytest

from airflow_provider_segexport import errors
from airflow_provider_segexport.export.report_schema import REPORT_TYPES
from airflow_provider_segexport.export.verify_schema import VERIFY_TYPES
from airflow_provider_segexport.hooks import metrics
from airflow_provider_segexport.reasons import MEANINGS, PROOF_MEANINGS, PROOF_NOT_APPLIED, ProofState, Reason

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "docs" / "_ext"))
import tables


@pytest.mark.parametrize("part", tables.PARTS)
def test_every_part_has_rows_and_no_empty_meaning(part):
    """Each row of a table has as many cells as its header, and its first cell is not empty."""
    lines = list(tables.PARTS[part]())
    width = 0
    rows = 0
    for before, line in zip(["", *lines], lines, strict=False):
        if not line.startswith("|"):
            continue
        cells = line.replace("\\|", "").count("|")
        width = width if before.startswith("|") else cells
        assert cells == width, line
        assert line.split("|")[1].strip(), line
        rows += 1
    assert rows > 3


def test_an_options_help_is_shown_as_the_command_line_shows_it():
    """A percent sign is doubled for argparse only."""
    rows = list(tables.PARTS["commands"]())
    assert [] == [row for row in rows if "%%" in row]
    assert any("born=%d.%m.%Y" in row for row in rows)


def test_every_type_of_the_report_documents_each_key():
    """A key without a meaning has no row in the reference."""
    for report_type in (*REPORT_TYPES, *VERIFY_TYPES):
        assert set(tables.attributes_of(report_type)) == set(tables.fields_of(report_type)), report_type


def test_every_reason_has_a_meaning():
    """The list of reasons is closed."""
    assert list(MEANINGS) == list(Reason)
    assert list(PROOF_MEANINGS) == [*ProofState, PROOF_NOT_APPLIED]


def test_every_exception_is_listed_with_what_airflow_does():
    """Classes that only group others are left out."""
    listed = "\n".join(tables.exceptions())
    classes = [c for c in vars(errors).values() if inspect.isclass(c) and issubclass(c, errors.SegexportError)]
    missing = {c.__name__ for c in classes if f"| `{c.__name__}` |" not in listed}
    assert missing == {"SegexportError", "RetryableError", "FatalError"}
    assert "newer state than this snapshot. | skips the task or fails the task without a retry |" in listed
    assert "| `ExportsDisabled` |" in listed
    assert "| skips the task |" in listed


def test_no_metric_is_sent_that_is_not_listed(monkeypatch):
    """Every name that the module sends is in `METRICS`, with the kind and the tags of the list."""
    sent: dict[str, tuple[str, set[str]]] = {}

    class Stats:
        @staticmethod
        def incr(name, count, tags):
            sent[name] = ("counter", set(tags))

        @staticmethod
        def gauge(name, value, tags):
            sent[name] = ("gauge", set(tags))

        @staticmethod
        def timing(name, value, tags):
            sent[name] = ("timing", set(tags))

    monkeypatch.setattr(metrics, "Stats", Stats)
    report = {"counts": {"profiles": 2, "delivered": 2}, "removals": {"planned": 1, "removed": 1}, "seconds": 1.0}
    metrics.record_end("dotdigital", report)
    verified = {"mode": "verify", "people": {"in_sync": 2}, "match_rate": 1.0, "audience": "7", "seconds": 1.0}
    metrics.record_end("dotdigital", verified)
    metrics.record_failure("dotdigital", errors.RateLimited("later"))
    metrics.record_traffic("dotdigital", metrics.Traffic(calls=2, bytes_sent=10, retries=1, wait_s=1.0))
    assert sent == {f"segexport.{m.name}": (m.kind, {"vendor", *m.tags}) for m in metrics.METRICS}
