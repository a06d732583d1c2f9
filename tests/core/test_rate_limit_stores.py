"""The stores in which calls are counted: files, Redis and PostgreSQL, also damaged, held or away."""

from __future__ import annotations

import sqlite3
import sys
from pathlib import Path

import pytest
from core.factories import PLAIN
from core.rate_limits import LONGER, NAME, NOW, READ, TAG, Account, accounts, answer, vendor_of
from quota_stores import quota_store

from airflow_provider_segexport.errors import InvalidConnection, RetryableError
from airflow_provider_segexport.model import Rate
from airflow_provider_segexport.ratelimit.backends import open_store
from airflow_provider_segexport.ratelimit.clocks import clock_offset


def test_a_clock_that_was_set_back_stops_no_task(account):
    """Calls counted in the future count no more."""
    fake_account = account(Rate(2, 60))
    fake_account.now = NOW + 86_400
    fake_account.leave(fake_account.task(), calls=2)
    fake_account.now = NOW
    assert fake_account.leave(fake_account.task(), calls=2) == [0, 0]


def test_old_counts_are_swept(filed):
    """The file does not grow with the years."""
    fake_account = filed(Rate(50, 60))
    task = fake_account.task()
    fake_account.leave(task, calls=500)
    with sqlite3.connect(Path(fake_account.store) / f"{NAME}.sqlite") as file:
        assert file.execute("select count(*) from 'all'").fetchone()[0] <= 150
    file.close()


def test_a_damaged_file_starts_anew(filed):
    """A power failure cuts a file in two: one call is tried again, and then counting goes on."""
    fake_account = filed(Rate(2, 60))
    Path(fake_account.store).mkdir()
    (Path(fake_account.store) / f"{NAME}.sqlite").write_bytes(b"SQLite format 3\0 and no more" * 99)
    task = fake_account.task()
    with pytest.raises(RetryableError, match="was damaged"):
        task(READ)
    assert fake_account.leave(task, calls=2) == [0, 0]


def test_a_damaged_file_that_another_process_has_replaced(filed):
    """Both had the damaged file open. The second deletes no file but the damaged one, and both count in the new one."""
    fake_account = filed(Rate(3, 60))
    tasks = [fake_account.task(), fake_account.task()]
    for task in tasks:
        task(READ)
    with (Path(fake_account.store) / f"{NAME}.sqlite").open("r+b") as file:
        file.write(b"no database" * 9_000)
    with pytest.raises(RetryableError, match="was damaged"):
        tasks[0](READ)
    assert fake_account.leave(tasks[0], calls=2) == [0, 0]
    with pytest.raises(RetryableError, match="cannot be reached"):
        tasks[1](READ)
    assert fake_account.leave(tasks[1], calls=1) == [0]
    assert fake_account.leave(tasks[0], calls=1) == [pytest.approx(60 * LONGER, abs=0.01)]


def test_a_file_that_was_deleted_costs_one_attempt(filed):
    """A person cleans up, or a program that deletes old files: the next attempt creates a new store."""
    fake_account = filed(Rate(2, 60))
    task = fake_account.task()
    task(READ)
    (Path(fake_account.store) / f"{NAME}.sqlite").unlink()
    with pytest.raises(RetryableError, match="cannot be reached"):
        task(READ)
    assert fake_account.leave(task, calls=2) == [0, 0]


def test_a_folder_that_cannot_be_written_counts_for_the_process(filed, caplog):
    """The web server tests a connection without the workers' disk: calls go out, and the log says what is missing."""
    fake_account = filed(Rate(2, 60))
    Path(fake_account.store).write_text("a file in the place of the folder")
    task = fake_account.task()
    assert fake_account.leave(task, calls=3) == [0, 0, pytest.approx(60 * LONGER, abs=0.01)]
    assert "Counting calls for this process only" in caplog.text


def test_a_file_that_another_holds_is_a_reason_to_come_later(filed, monkeypatch):
    """A hanging process elsewhere makes a try fail, not the export; an answer that has come is not lost for it."""
    monkeypatch.setattr("airflow_provider_segexport.ratelimit.sqlite.LOCK_TIMEOUT_S", 0.01)
    fake_account = filed(Rate(2, 60))
    task = fake_account.task()
    task(READ)
    holder = sqlite3.connect(Path(fake_account.store) / f"{NAME}.sqlite", isolation_level=None)
    holder.execute("begin immediate")
    with pytest.raises(RetryableError, match="cannot be reached"):
        task(READ)
    task.record_response(READ, answer(429, retry_after=20))
    holder.close()
    task(READ)


@pytest.mark.parametrize("store", ["s3://bucket", "mysql://db/quotas", "sqlite:///quotas"])
def test_a_store_of_another_kind_is_refused_in_words(store):
    """It is not taken for a folder's name."""
    with pytest.raises(InvalidConnection, match="rate_limit_store"):
        open_store(store, "account", PLAIN.limits)


SERVERS = {
    "redis": ("redis://user:s3cret@127.0.0.1:1/0", "redis://127.0.0.1:1/0"),
    "postgresql": ("postgresql://user:s3cret@127.0.0.1:1/db", "postgresql://127.0.0.1:1/db"),
}


@pytest.mark.parametrize("name", SERVERS)
def test_a_server_that_does_not_answer_is_a_reason_to_come_later(name, messages):
    """The error says where calls are counted, and no password."""
    url, shown = SERVERS[name]
    pace = Account(url, vendor_of(Rate(2, 60))).task()
    with pytest.raises(RetryableError, match=f"at {shown} cannot be reached"):
        pace(READ)
    pace.record_response(READ, answer(429, retry_after=20))
    pace.close()


@pytest.mark.parametrize(
    "url",
    [
        "redis://user:s3cret@127.0.0.1:port/0",
        "redis://user:s3cret@127.0.0.1:1/0?socket_timeout=long",
        "redis://user:s3cret@127.0.0.1:1/0?pace=1",
        "redis://user:s3cret@[::1/0",
        "postgresql://user:s3cret@127.0.0.1:1/db?pace=1",
        "postgresql://user:s3cret@[::1/db",
    ],
)
def test_a_server_s_url_that_its_client_does_not_accept(url):
    """A wrong port or option is a mistake in the configuration, which no later attempt mends."""
    with pytest.raises(InvalidConnection, match=r"port or an option .* To fix: write it as") as raised:
        Account(url, vendor_of(Rate(2, 60))).task()(READ)
    assert "s3cret" not in str(raised.value)


def test_a_postgresql_url_with_several_hosts():
    """The client tries one after the other."""
    url = "postgresql://user:s3cret@127.0.0.1:1,127.0.0.1:2/db"
    with pytest.raises(RetryableError, match=r"at postgresql://127.0.0.1:1,127.0.0.1:2/db cannot be reached"):
        Account(url, vendor_of(Rate(2, 60))).task()(READ)


@pytest.mark.parametrize("name", ["redis", "postgresql"])
def test_a_server_whose_client_is_not_installed(name, monkeypatch):
    """The error names the extra to install."""
    monkeypatch.setitem(sys.modules, {"redis": "redis", "postgresql": "psycopg"}[name], None)
    monkeypatch.delitem(sys.modules, f"airflow_provider_segexport.ratelimit.{name.removesuffix('ql')}", raising=False)
    with pytest.raises(InvalidConnection, match=r"pip install 'airflow-provider-segexport\[(redis|postgres)\]'"):
        open_store(f"{name}://127.0.0.1/0", NAME, PLAIN.limits)


def test_redis_that_was_started_anew(tmp_path):
    """It has lost its scripts: one call is tried again, and then counting goes on."""
    store = quota_store("redis", tmp_path)
    import redis  # noqa: PLC0415 - only with its server

    for make in accounts(store):
        fake_account = make(Rate(2, 60))
        task = fake_account.task()
        task(READ)
        with redis.Redis.from_url(store) as client:
            client.script_flush()
        with pytest.raises(RetryableError, match=r"NoScriptError"):
            task(READ)
        assert [0, pytest.approx(60 * LONGER, abs=0.01)] == fake_account.leave(task, calls=2)


def test_redis_deletes_by_itself_what_no_window_counts_any_more(tmp_path):
    """Every key has a time to live."""
    store = quota_store("redis", tmp_path)
    import redis  # noqa: PLC0415 - only with its server

    for make in accounts(store):
        fake_account = make(Rate(2, 60), tags=Rate(2, 600))
        fake_account.leave(fake_account.task(), TAG)
        with redis.Redis.from_url(store) as client:
            lives = {key.decode().rpartition(":")[2]: client.ttl(key) for key in client.scan_iter(f"*{NAME}*")}
        assert {"all", "tags", "window_states"} == set(lives)
        assert 100 < lives["all"] < 200
        assert 1000 < lives["tags"] < 1400


def test_postgresql_that_closed_the_connection(tmp_path):
    """An idle connection was cut: the call goes out over another one."""
    store = quota_store("postgresql", tmp_path)
    import psycopg  # noqa: PLC0415 - only with its server

    for make in accounts(store):
        fake_account = make(Rate(2, 60))
        task = fake_account.task()
        task(READ)
        number = task._store._connection.info.backend_pid
        with psycopg.connect(store) as connection:
            connection.execute("select pg_terminate_backend(%s)", [number])
        assert [0, pytest.approx(60 * LONGER, abs=0.01)] == fake_account.leave(task, calls=2)


def test_postgresql_whose_zone_is_another(tmp_path):
    """Counts are of moments, whatever zone the database and the connection are set to."""
    store = quota_store("postgresql", tmp_path)
    for make in accounts(f"{store}?options=-c%20timezone%3DAmerica/New_York"):
        fake_account = make(Rate(2, 60))
        assert [0, 0, pytest.approx(60 * LONGER, abs=0.01)] == fake_account.leave(fake_account.task(), calls=3)


@pytest.mark.parametrize(("theirs", "ahead"), [(1000.0, 0.0), (1000.4, 0.0), (1003.0, 2.5), (990.0, -10.5)])
def test_machines_count_by_the_servers_clock(theirs, ahead):
    """How far it is ahead is known to within the time that asking took."""
    assert ahead == clock_offset(theirs, 1000.0, 1001.0)
