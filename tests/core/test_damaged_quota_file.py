"""The file that counts an account's calls is damaged, or of another version: it costs one attempt, and no export."""

from __future__ import annotations

import itertools
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from damages import other_bytes, remove
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_segexport.errors import RetryableError
from airflow_provider_segexport.ratelimit.sqlite import SqliteQuotaStore
from airflow_provider_segexport.ratelimit.store import QuotaCall
from airflow_provider_segexport.ratelimit.store_base import ACCOUNT_SCOPE
from airflow_provider_segexport.vendors.registry import VENDORS

NOW = 1_790_000_000.0
NUMBERS = itertools.count()


def acquire(folder: Path, vendor: str, at: float) -> float:
    """Count one call in a process of its own; return the seconds to wait."""
    with closing(SqliteQuotaStore(str(folder), "account", VENDORS[vendor].limits)) as store:
        return store.acquire(QuotaCall(f"call-{next(NUMBERS)}", (ACCOUNT_SCOPE,), at))


def failures(folder: Path, vendor: str) -> list[str]:
    """Return the errors of three attempts: a page that no earlier statement reads fails in a later one."""
    messages = []
    for attempt in range(3):
        try:
            assert acquire(folder, vendor, NOW + 101 + attempt) >= 0
        except RetryableError as error:
            messages.append(str(error))
    return messages


def costs_one_attempt(folder: Path, vendor: str) -> bool:
    """Return whether at most one of three attempts fails, and says that the file was damaged."""
    messages = failures(folder, vendor)
    return len(messages) <= 1 and all("was damaged" in message for message in messages)


@pytest.mark.parametrize("vendor", VENDORS)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_damage_costs_one_attempt(tmp_path, vendor: str, data: st.DataObject):
    """Flipped bits, also in the text of the schema, a cut file, and another file in its place."""
    remove(tmp_path)
    tmp_path.mkdir()
    acquire(tmp_path, vendor, NOW)
    file = tmp_path / "account.sqlite"
    file.write_bytes(data.draw(other_bytes(file.read_bytes())))
    assert costs_one_attempt(tmp_path, vendor)


def test_every_bit_of_the_schema(tmp_path):
    """SQLite quotes a damaged schema in its error, and Python cannot decode each of these texts."""
    acquire(tmp_path, "dotdigital", NOW)
    file = tmp_path / "account.sqlite"
    content = file.read_bytes()
    page = int.from_bytes(content[16:18], "big")
    for at in range(100, page, 13):
        file.write_bytes(content[:at] + bytes([content[at] ^ 0x80]) + content[at + 1 :])
        assert costs_one_attempt(tmp_path, "dotdigital")


@pytest.mark.parametrize(
    "change",
    [
        "drop table window_states; create table window_states (scope text primary key, calls integer)",
        "alter table window_states add column more text",
        "drop table clocks; create table clocks (machine text)",
        f"insert or replace into window_states values ('{ACCOUNT_SCOPE}', 'many', 'soon', 'x', 'y')",
        f"insert or replace into window_states values ('{ACCOUNT_SCOPE}', 0, 9e99, 0, 0)",
    ],
)
def test_a_file_of_another_version(tmp_path, change):
    """Its tables have other columns, or values that no version writes."""
    acquire(tmp_path, "dotdigital", NOW)
    with closing(sqlite3.connect(tmp_path / "account.sqlite")) as file:
        file.executescript(change)
    assert costs_one_attempt(tmp_path, "dotdigital")
