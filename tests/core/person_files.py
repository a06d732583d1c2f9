"""Ledgers and runs that hold a person, on a disk and in a bucket."""

from __future__ import annotations

import pyarrow as pa
import pytest
from core.factories import TARGET
from upath import UPath

from airflow_provider_segexport.person.erase import ErasureDeps
from airflow_provider_segexport.person.person import Person
from airflow_provider_segexport.storage.ledger import Ledger
from airflow_provider_segexport.storage.ledger_schema import SCHEMA
from airflow_provider_segexport.storage.paths import local_path

NOW = 1_767_225_600.0
ADA = Person.of("ada@example.com")
ROWS = pa.schema([("row", pa.int64()), ("email", pa.string())])


@pytest.fixture(params=["disk", "object storage"])
def root(request, tmp_path):
    """A place on a disk, and one that is none."""
    root = local_path(str(tmp_path)) if request.param == "disk" else UPath(f"memory://{tmp_path.name}")
    root.mkdir(parents=True, exist_ok=True)
    yield root
    if request.param != "disk":
        root.fs.store.clear()


def ledger(root, *versions):
    """A ledger with these people in, version by version."""
    written_ledger = Ledger.of(root, "plain", TARGET)
    for number, people in enumerate(versions):
        table = pa.Table.from_pylist([{"email": email, "state": state} for email, state in people.items()], SCHEMA)
        members = sum(state in {"member", "removing"} for state in people.values())
        written_ledger.commit(table.to_batches(), number, {"members": members})
    return written_ledger


def tools(root, take_out=lambda ledger_row, person: "removed"):
    return ErasureDeps(
        root, local_path if not isinstance(root, UPath) else UPath, take_out, lambda: NOW, lambda _: None
    )
