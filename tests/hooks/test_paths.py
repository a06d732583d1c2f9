"""How a text becomes a place."""

from __future__ import annotations

import pytest

from airflow_provider_segexport.hooks.paths import resolve


@pytest.mark.parametrize("key", ["a?b.parquet", "q?", "x#y", "x#", "a [1]/b*.parquet", "tab\tx", "e%20f", "day=1/x"])
def test_a_key_is_taken_as_it_is_written(key):
    """Airflow's path would cut `q?` and read another object."""
    path = resolve(f"memory://bucket/{key}")
    assert f"/bucket/{key}" == path.path
    assert path.name == key.rpartition("/")[2]
