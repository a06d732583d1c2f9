"""Omnisend's hook alone: how calls are signed, what the connection's test shows, whose quota they count for."""

from __future__ import annotations

import json
import time

import pytest
from airflow.sdk.io import store
from fsspec.implementations.memory import MemoryFileSystem

from airflow_provider_segexport.errors import AudienceLocked, InvalidConnection, Superseded
from airflow_provider_segexport.hooks import get_hook
from airflow_provider_segexport.hooks.omnisend import OmnisendHook
from airflow_provider_segexport.hooks.paths import state_path
from airflow_provider_segexport.hooks.rate_limit import rate_limit_store
from airflow_provider_segexport.storage.lease import Lease
from airflow_provider_segexport.storage.ledger import Ledger

API = "https://api.omnisend.com/api"
KEY = "5f3c0e1d2b4a6c7d8e9f0a1b-s3cretKey"
BRAND = {"brandID": "5f3c0e1d2b4a6c7d8e9f0a1b", "name": "Example Shop"}


@pytest.fixture
def hook(monkeypatch, tmp_path):
    monkeypatch.setenv("AIRFLOW__SEGEXPORT__STATE_PATH", str(tmp_path))

    def make(**changes):
        extra = {"default_audience": "vip", **changes.pop("extra", {})}
        connection = {"conn_type": "omnisend", "password": KEY, "extra": json.dumps(extra), **changes}
        monkeypatch.setenv("AIRFLOW_CONN_OMNISEND_ALONE", json.dumps(connection))
        return OmnisendHook("omnisend_alone")

    return make


@pytest.fixture
def vendor(requests_mock):
    requests_mock.get(f"{API}/brands/current", json=BRAND)
    requests_mock.get(f"{API}/contacts", json={"contacts": [], "paging": {"hasMore": False}})
    requests_mock.get(f"{API}/batches", json={"batches": [], "paging": {}})
    return requests_mock


def test_every_call_is_signed_and_names_the_version(hook, vendor):
    """The key is sent in its header, as the vendor's API asks; the tag is sent as a filter."""
    target = hook().resolve_audience()
    assert (BRAND["brandID"], "Example Shop", "vip") == (target.account, target.account_name, target.audience)
    for call in vendor.request_history:
        assert f"Omnisend-API-Key {KEY}" == call.headers["Authorization"]
        assert "2026-03-15" == call.headers["Omnisend-Version"]
    assert {"limit": ["1"], "tag": ["vip"]} == vendor.last_request.qs


def test_the_connections_test_names_store_and_tag(hook, vendor):
    """An administrator sees which store a key opens."""
    works, message = hook().test_connection()
    assert works
    assert message.startswith("Omnisend account 'Example Shop', tag 'vip'.")
    assert "contacts.write was not checked" in message
    assert {"GET"} == {call.method for call in vendor.request_history}


@pytest.mark.parametrize("lacking", [["brands/current"], ["batches"], ["brands/current", "contacts", "batches"]])
def test_the_connections_test_names_each_missing_permission(hook, vendor, lacking):
    """All of them at once, so that an administrator changes the key once."""
    for path in lacking:
        vendor.get(f"{API}/{path}", status_code=403, json={"title": "Forbidden", "status": 403})
    works, message = hook().test_connection()
    assert not works
    names = {"brands/current": "brands.read", "contacts": "contacts.read (", "batches": "events.read"}
    assert [name for path, name in names.items() if path in lacking] == [
        name for name in names.values() if name in message
    ]
    assert KEY not in message


def test_a_pinned_store(hook, vendor):
    """The form's brand id: a key of another store fails the test of the connection, and its words say why."""
    works, message = hook(extra={"brand_id": "000000000000000000000000"}).test_connection()
    assert not works
    assert "pinned to brand id 000000000000000000000000" in message
    assert 1 == len(vendor.request_history)
    assert hook(extra={"brand_id": f" {BRAND['brandID']} "}).test_connection()[0]


@pytest.mark.parametrize(
    ("key", "message"),
    [
        (None, "has no API key"),
        ("", "has no API key"),
        (f"{KEY}\n", "begins or ends with a blank"),
        (f" {KEY}", "begins or ends with a blank"),
        ("schlüssel", "contains a blank, a line break"),
    ],
)
def test_a_key_that_cannot_be_one(hook, vendor, key, message):
    """No call goes out, and the error does not show the key."""
    with pytest.raises(InvalidConnection, match=message) as caught:
        hook(password=key).resolve_audience()
    assert "s3cret" not in str(caught.value)
    assert [] == vendor.request_history


def test_the_connection_type_leads_to_the_hook(hook):
    """As an export finds it."""
    hook()
    assert isinstance(get_hook("omnisend_alone"), OmnisendHook)


def test_all_keys_of_a_store_count_for_one_quota(hook, vendor, tmp_path):
    """A key begins with its store's id; another store has a count of its own, and no file's name reveals a key."""
    hook().resolve_audience()
    hook(password=KEY.replace("s3cretKey", "another")).resolve_audience()
    assert 1 == len(list(tmp_path.glob("quotas/omnisend-*.sqlite")))
    hook(password="0000-key").resolve_audience()
    names = [path.name for path in tmp_path.glob("quotas/*.sqlite")]
    assert 2 == len(names)
    assert not any(BRAND["brandID"] in name for name in names)


def test_where_calls_are_counted(hook, monkeypatch, tmp_path):
    """Below the root; on this machine's disk where the root is in object storage; or wherever it is configured."""
    hook()
    assert f"{tmp_path}/quotas" == rate_limit_store()
    monkeypatch.setitem(store._STORE_CACHE, "memory", store.ObjectStore("memory", None, MemoryFileSystem()))
    monkeypatch.setenv("AIRFLOW__SEGEXPORT__STATE_PATH", "memory://bucket/segexport")
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path / "elsewhere"))
    assert str(tmp_path / "elsewhere" / "segexport" / "quotas") == rate_limit_store()
    monkeypatch.setenv("AIRFLOW__SEGEXPORT__RATE_LIMIT_STORE", str(tmp_path / "shared"))
    assert f"{tmp_path}/shared" == rate_limit_store()


def test_a_store_that_is_no_url_is_refused_without_its_password(monkeypatch):
    """The error ends the task, because no retry changes the configuration."""
    monkeypatch.setenv("AIRFLOW__SEGEXPORT__RATE_LIMIT_STORE", "redis://:pass]word@host:6379/0")
    with pytest.raises(InvalidConnection, match="rate_limit_store") as raised:
        rate_limit_store()
    assert "pass]word" not in str(raised.value)


def test_a_segment_for_the_default_tag(hook, vendor):
    """Made where there is none; the hook returns its id."""
    vendor.get(f"{API}/segments", json={"segments": [], "paging": {"hasMore": False}})
    vendor.post(f"{API}/segments", json={"segmentID": "s1", "name": "vip"}, status_code=201)
    ready = {"privacy_consent": True, "consented_by": "Ann", "allowed_dags": "*"}
    assert "s1" == hook(extra=ready).create_segment()
    assert "vip" == vendor.last_request.json()["name"]


def test_a_segment_is_made_while_no_other_run_writes_the_audience(hook, vendor, tmp_path):
    """A run that holds it lets no segment be made; one that takes it over lets no further call out."""
    vendor.get(f"{API}/segments", json={"segments": [], "paging": {"hasMore": False}})
    vendor.post(f"{API}/segments", json={"segmentID": "s1", "name": "vip"}, status_code=201)
    ready = {"privacy_consent": True, "consented_by": "Ann", "allowed_dags": "*"}
    made = hook(extra=ready)
    path = Ledger.of(state_path(), "omnisend", made.resolve_audience()).path
    other = Lease(path, "dag/task/run/0", clock=time.time, sleep=lambda _: None, is_task_running=lambda _: False)
    other.acquire()
    with pytest.raises(AudienceLocked, match="dag/task/run/0"):
        made.create_segment()
    other.release()
    vendor.get(
        f"{API}/segments",
        json=lambda *_: other.acquire() or {"segments": [], "paging": {"hasMore": False}},
    )
    posts = [request for request in vendor.request_history if request.method == "POST"]
    with pytest.raises(Superseded, match="dag/task/run/0"):
        made.create_segment()
    assert posts == [request for request in vendor.request_history if request.method == "POST"]
    other.release()


def test_a_stopped_hook_makes_no_call(hook, vendor):
    """Not even when the quota has room."""
    stopping = hook()
    stopping.request_stop()
    works, message = stopping.test_connection()
    assert (False, "Airflow has stopped the task. A retry resumes where this try stopped.") == (works, message)
    assert [] == vendor.request_history
