"""The vendor calls of a run: recorded without ids, bounded, and merged over the processes of a run."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
import requests
from core.sender_harness import PERSON, SenderHarness

from airflow_provider_segexport.errors import SegexportError
from airflow_provider_segexport.http.call_log import CallLog, shown_path
from airflow_provider_segexport.http.client import RetryLimits
from airflow_provider_segexport.model import Request
from airflow_provider_segexport.storage import calls as stored
from airflow_provider_segexport.storage.calls import Call, read_calls, write_calls
from airflow_provider_segexport.storage.paths import as_storage_path

UUID = "2c8a4ab2-09f6-11ef-9d0b-fa163e7b3b41"


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("https://x/contacts/v3/email/jane%40example.com", "/contacts/v3/email/{id}"),
        ("https://x/contacts/v3/email/jane@example.com", "/contacts/v3/email/{id}"),
        ("https://x/api/v3.3/subscribers/0123456789abcdef0123456789abcdef.json", "/api/v3.3/subscribers/{id}.json"),
        ("https://x/api/v3.3/subscribers/0123456789abcdef/import.json", "/api/v3.3/subscribers/{id}/import.json"),
        ("https://x/v5/contacts?email=jane@example.com&lists=a", "/v5/contacts"),
        (f"https://x/v3/contacts/{UUID}", "/v3/contacts/{id}"),
        ("https://x/v3/activities/remove_list_memberships", "/v3/activities/remove_list_memberships"),
        ("https://x/v2/address-books/349394/contacts/suppressed-since/2026-01-02", None),
        ("https://x/v2/contacts/jane", "/v2/contacts/jane"),
        ("https://x/contacts/Jane", "/contacts/{id}"),
        ("https://x/contacts/" + "a" * 40, "/contacts/{id}"),
        ("https://x/contacts/jané", "/contacts/{id}"),
        ("https://x", "/"),
        ("https://x/" + "a/" * 50, "/" + "a/" * 11 + "a"),
    ],
)
def test_a_path_is_shown_without_ids_and_query(url, path):
    """Only lower-case words and versions stay as they are."""
    assert shown_path(url) == (path or "/v2/address-books/{id}/contacts/suppressed-since/{id}")


def call(number: int = 0, status: int = 200, path: str = "/v3/contacts", failure: str = "") -> Call:
    return Call(1_767_225_600.0 + number, "GET", path, status, 10 + number, failure)


def test_a_log_holds_the_newest_calls_and_the_first_failures_and_counts_all():
    """However many there are."""
    log = CallLog()
    for number in range(3000):
        log.record(call(number, 500 if number % 2 else 200))
    calls = log.take()
    assert [(3000, 1000, 1000)] == [(calls.total, len(calls.latest), len(calls.failed))]
    assert (calls.latest[-1].ms, calls.failed[0].ms) == (3009, 11)
    by_status = [(group.status, group.calls, group.max_ms) for group in calls.groups]
    assert by_status == [(200, 1500, 3008), (500, 1500, 3009)]
    assert (log.take().total, log.take().latest) == (0, ())


def test_threads_share_a_log():
    """No call is lost."""
    log = CallLog()
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda number: log.record(call(number % 10)), range(4000)))
    assert log.take().total == 4000


def test_calls_of_a_later_process_are_added(tmp_path):
    """The file keeps its bounds; without calls there is no file."""
    folder = as_storage_path(tmp_path)
    write_calls(folder, CallLog().take(), is_resumed=False)
    assert read_calls(folder) is None
    assert [] == list(tmp_path.iterdir())
    for number in range(3):
        log = CallLog()
        for index in range(700):
            log.record(call(index, 429))
        log.record(call(1, 0, failure="ReadTimeout"))
        write_calls(folder, log.take(), is_resumed=number > 0)
    calls = read_calls(folder)
    assert [(group.status, group.failure, group.calls) for group in calls.groups] == [
        (429, "", 2100),
        (0, "ReadTimeout", 3),
    ]
    assert (len(calls.failed), len(calls.latest)) == (1000, 1000)
    assert calls.latest[-1].failure == "ReadTimeout"
    assert calls.groups[0].mean_ms == 360
    assert (tmp_path / stored.FILE).stat().st_size < 300_000


def test_a_new_run_begins_anew(tmp_path):
    """A first try reads no file, and replaces attempt."""
    folder = as_storage_path(tmp_path)
    for _ in range(2):
        log = CallLog()
        log.record(call())
        write_calls(folder, log.take(), is_resumed=False)
    assert read_calls(folder).total == 1


@pytest.mark.parametrize("content", [b"", b"[]", b'{"groups": 3}', b"\xff", b"[" * 100_000, b'{"latest": [3, null]}'])
def test_a_damaged_file_is_as_none_and_is_replaced(tmp_path, content):
    """The calls are for people who debug; no run depends on them."""
    (tmp_path / stored.FILE).write_bytes(content)
    folder = as_storage_path(tmp_path)
    assert read_calls(folder) is None
    log = CallLog()
    log.record(call())
    write_calls(folder, log.take(), is_resumed=True)
    assert read_calls(folder).total == 1


def test_groups_are_bounded(tmp_path):
    """Also if a server makes up paths."""
    log = CallLog()
    names = [a + b for a in "abcdefghijklmnopqrstuvwxyz" for b in "abcdefghijklmnopqrstuvwxyz"]
    for name in names:
        log.record(call(path=f"/{name}"))
    write_calls(as_storage_path(tmp_path), log.take(), is_resumed=False)
    assert len(read_calls(as_storage_path(tmp_path)).groups) == stored.MAX_GROUPS


def test_a_sender_records_each_attempt_with_status_time_and_error():
    """Without address and query; an attempt without a response has the class of its error."""
    log = CallLog()
    answers = [{"status_code": 503}, {"exc": requests.ReadTimeout}, {"json": {"fine": True}}]
    harness = SenderHarness(answers, call_log=log)
    harness.send(PERSON)
    calls = log.take()
    assert [(attempt.method, attempt.path, attempt.status, attempt.failure) for attempt in calls.latest] == [
        ("GET", "/people", 503, ""),
        ("GET", "/people", 0, "ReadTimeout"),
        ("GET", "/people", 200, ""),
    ]
    assert [attempt.status for attempt in calls.failed] == [503, 0]
    assert all(attempt.at >= 1_767_225_600 and 0 <= attempt.ms < 60_000 for attempt in calls.latest)
    assert "jane" not in repr(calls)


def test_a_call_that_was_not_sent_is_not_recorded():
    """A URL that no request can be made of."""
    log = CallLog()
    harness = SenderHarness([{"json": {}}], call_log=log, retry_limits=RetryLimits(attempts=1))
    with pytest.raises(SegexportError):
        harness.send(Request("GET", "https://"))
    assert log.take().total == 0
