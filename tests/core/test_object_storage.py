"""Ledgers and leases on an S3 server, whose conditional writes decide between two that come at once."""

from __future__ import annotations

import io
import threading
from contextlib import suppress

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from core.factories import TARGET
from upath import UPath

from airflow_provider_segexport.errors import AudienceLocked, RetryableError, Superseded
from airflow_provider_segexport.storage import exclusive, paths
from airflow_provider_segexport.storage.lease import Lease
from airflow_provider_segexport.storage.lease_files import WRITE_VISIBILITY_S
from airflow_provider_segexport.storage.ledger import Ledger
from airflow_provider_segexport.storage.ledger_schema import SCHEMA

NO_CREDENTIALS = {
    "client_kwargs": {"endpoint_url": "http://127.0.0.1:1"},
    "config_kwargs": {"retries": {"total_max_attempts": 1}},
}
PART = 5 << 20
"""The smallest part of an upload that S3 takes."""


@pytest.fixture(params=["s3", "heedless"])
def bucket(request, server):
    """A bucket of the test's own, at a server that heeds the condition, and at one that does not."""
    from s3 import KEYS, Heedless, new_bucket  # noqa: PLC0415 - as above

    plain, name = server.app, f"b{abs(hash(request.node.name))}"
    server.app = Heedless(plain) if request.param == "heedless" else plain
    endpoint = f"http://127.0.0.1:{server.port}"
    new_bucket(endpoint, name)

    def machine():
        """The bucket as another machine sees it, which shares no listing."""
        options = {
            **KEYS,
            "default_block_size": PART,
            "client_kwargs": {"endpoint_url": endpoint},
            "skip_instance_cache": True,
        }
        return UPath(f"s3://{name}/segexport", **options)

    machine.heeds = request.param == "s3"
    yield machine
    server.app = plain


def rows(*emails):
    content = {field.name: pa.nulls(len(emails), field.type) for field in SCHEMA}
    return pa.table(content | {"email": pa.array(emails)}, schema=SCHEMA).to_batches()


def emails(ledger, version):
    with ledger.file(version).open("rb") as file:
        return pq.read_table(file, columns=["email"]).column(0).to_pylist()


def test_a_lost_race_is_an_error(bucket):
    """A writer that read a version that is no longer the newest must read again; the winner's version stays."""
    first, other = (Ledger.of(bucket(), "plain", TARGET) for _ in range(2))
    assert [0, 0] == [first.version(), other.version()]
    assert 1 == first.commit(rows("winner@example.com"), 0, {"run": "one"})
    with pytest.raises(RetryableError, match="Another run"):
        other.commit(rows("loser@example.com"), 0)
    assert [1, {"run": "one", "members": "0"}] == [other.version(), other.facts()]
    assert 2 == other.commit(rows("next@example.com"), 1)
    assert [2, ["next@example.com"], ["winner@example.com"]] == [first.version(), emails(first, 2), emails(first, 1)]


def race(bucket, monkeypatch, writers):
    """All look whether the number is free before any of them writes."""
    looked = threading.Barrier(writers)
    plain = exclusive.create_object

    def put_new(path, source):
        looked.wait(30)
        return plain(path, source)

    monkeypatch.setattr("airflow_provider_segexport.storage.ledger.create_object", put_new)
    won, lost = [], []

    def compete(number):
        ledger = Ledger.of(bucket(), "plain", TARGET)
        try:
            ledger.commit(rows(f"p{number}@example.com"), 0)
            won.append(number)
        except RetryableError:
            lost.append(number)

    threads = [threading.Thread(target=compete, args=(number,)) for number in range(writers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return won, lost


def test_of_two_at_once_one_wins_and_the_other_fails(bucket, monkeypatch):
    """Both found the number free. S3 accepts one; elsewhere the last one stays, and every later reader sees it."""
    won, lost = race(bucket, monkeypatch, writers=2)
    ledger = Ledger.of(bucket(), "plain", TARGET)
    assert [f"p{won[-1]}@example.com"] == emails(ledger, 1)
    assert 2 == len(won + lost)
    if bucket.heeds:
        assert [1, 1] == [len(won), len(lost)]


def test_a_put_whose_answer_was_lost_is_ones_own(bucket, monkeypatch):
    """The client put it again, and was refused by what it had put itself."""
    plain = exclusive.create_object

    def twice(path, source):
        plain(path, source)
        raise FileExistsError(str(path))

    monkeypatch.setattr("airflow_provider_segexport.storage.ledger.create_object", twice)
    ledger = Ledger.of(bucket(), "plain", TARGET)
    assert 1 == ledger.commit(rows("a@example.com"), 0)
    assert 1 == ledger.version()


def test_a_crash_while_writing_leaves_nothing(bucket):
    """A file that is not complete never reaches the bucket."""
    ledger = Ledger.of(bucket(), "plain", TARGET)
    ledger.commit(rows("a@example.com"), 0)

    def broken():
        yield from rows("b@example.com")
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        ledger.commit(broken(), 1)
    assert ["00000001.parquet"] == paths.list_names(ledger.path)


def test_of_many_runs_one_holds_an_audience(bucket):
    """At S3 at once; at a server without conditions after a moment, in which the last writer's file stays."""
    now = [0.0]
    settled = threading.Barrier(4)

    def sleep(seconds):
        with suppress(threading.BrokenBarrierError):
            settled.wait(WRITE_VISIBILITY_S)

    won, busy = [], []

    def compete(number):
        lease = Lease(bucket(), f"dag/task/run {number}/-1", clock=lambda: now[0], sleep=sleep)
        try:
            lease.acquire()
            won.append(lease)
        except AudienceLocked as error:
            busy.append(error.holder)

    threads = [threading.Thread(target=compete, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [1, 3] == [len(won), len(busy)]
    if bucket.heeds:  # elsewhere a run that reads in between may see a writer that does not stay
        assert {won[0]._owner} == set(busy)
    now[0] = 100
    won[0].check()
    now[0] = 1000
    later = Lease(bucket(), "dag/task/later/-1", clock=lambda: now[0], sleep=sleep)
    later.acquire()
    with pytest.raises(RetryableError, match="taken over by dag/task/later"):
        won[0].check()
    later.release()


def test_a_process_suspended_before_its_put_takes_the_next_number(bucket):
    """Where no condition protects the number, its put lands on the winner's: both would hold the same number."""
    passed, is_suspended = [0.0], [True]

    def clock():
        if is_suspended and is_suspended.pop():
            other.acquire()
            passed[0] += 60
        return 0.0

    def lease(name, clock):
        return Lease(bucket(), f"dag/task/{name}/-1", clock=clock, sleep=lambda _: None, monotonic=lambda: passed[0])

    late, other = lease("late", clock), lease("other", lambda: 0.0)
    if bucket.heeds:
        with pytest.raises(AudienceLocked):
            late.acquire()
        other.check()
    else:
        late.acquire()
        assert [2, True] == [late.number, late.unclean]
        with pytest.raises(Superseded):
            other.check()
    other.release()
    late.release()


def test_a_store_that_does_not_answer_is_an_oserror(bucket, caplog):
    """Like a disk's failure: the lease is held until its time, and its holder gets the error then."""
    now = [0.0]
    lease = Lease(bucket(), "dag/task/run/-1", clock=lambda: now[0], sleep=lambda _: None)
    lease.acquire()
    lease._home = UPath("s3://none/lease", **{**lease._home.storage_options, **NO_CREDENTIALS})
    for name in ("list_names", "read", "exists"):
        with pytest.raises(OSError, match="cannot be reached"):
            getattr(paths, name)(lease._home)
    now[0] = 100
    lease.heartbeat()
    assert "Renewing a lease failed and is tried again" in caplog.text
    now[0] = 130
    with pytest.raises(RetryableError, match="neither renewed nor read"):
        lease.check()
    lease.release()


def test_what_goes_up_in_parts_appears_under_the_same_condition(bucket):
    """The condition is asked for when the parts are put together."""
    content = bytes(2 * PART + 1)
    assert exclusive.create_object(bucket() / "large", io.BytesIO(content))
    if bucket.heeds:
        with pytest.raises(FileExistsError):
            exclusive.create_object(bucket() / "large", io.BytesIO(content[:-1]))
        assert content == paths.read(bucket() / "large")
