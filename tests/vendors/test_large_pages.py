"""A segment of one page a column, as fastparquet writes it, goes out: the plan takes the memory that it needs."""

from __future__ import annotations

from importlib import import_module

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from core.factories import one_page
from vendors.harness import VendorHarness

ROWS, CHARS, CONSENTING = 40_000, 500, 5
LITTLE_MEMORY = "16MB"


@pytest.mark.parametrize("vendor", ["dotdigital"])
def test_a_plan_that_needs_more_memory_is_made_again_with_it(account: VendorHarness, monkeypatch, caplog):
    """The first plan meets its limit; the second has one that holds the largest page, and the run exports."""
    rows = range(ROWS)
    table = pa.table(
        {
            "email": [f"p{number}@example.com" for number in rows],
            "note": [f"{number:0{CHARS}}" for number in rows],
            "agreed": [number < CONSENTING for number in rows],
        }
    )
    path = account.home / "one_page.parquet"
    pq.write_table(
        table,
        path,
        **one_page(ROWS),
    )
    monkeypatch.setattr(import_module("airflow_provider_segexport.export.planning"), "MEMORY", LITTLE_MEMORY)
    field_mapping = {"email": "email", "first_name": "note"}
    report = account.export(path, field_mapping=field_mapping, consent=account.consent("agreed"))
    assert "Planning again with more memory" in caplog.text
    assert ROWS == report["counts"]["profiles"]
    assert report["reasons"]["withheld"] == {"no_consent": ROWS - CONSENTING}
