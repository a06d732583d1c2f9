"""Accounts with more audiences than a page holds: listed, looked up, duplicates refused, created once."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from threading import Barrier, Thread

import pytest
from vendors.audience_rows import audience_row
from vendors.audiences_by_name import WITH_DIRECTORY, add, by_name, creations, entries, fill, named, rename
from vendors.harness import VendorHarness

from airflow_provider_segexport.errors import AudienceLocked, AudienceNotFound, InvalidArgument
from airflow_provider_segexport.vendors.operations import run_operation

EDGES = (0, 1, 498, 499, 500, 501, 979)
"""Numbers of audiences, also those around the edges of pages."""


@pytest.fixture(params=WITH_DIRECTORY)
def account(sim, request, tmp_path):
    account = VendorHarness(sim, request.param, tmp_path)
    fill(account)
    return account


def title(number: int) -> str:
    return f"List {number}"


def id_of(account: VendorHarness, number: int) -> str:
    [audience] = named(account, title(number))
    return audience


def numbers(account: VendorHarness) -> list[int]:
    """The numbers to try: the edges of pages, and the last ones."""
    count = audience_row(account.name).count
    return [number for number in (*EDGES, 995, 996, 997, 998, 999, 1000, 1999, 2000, count - 1) if number < count]


def test_each_is_listed_once(account):
    listed = entries(account)
    assert len({entry.id for entry in listed}) == len(listed)
    assert {title(number) for number in range(audience_row(account.name).count)} <= {entry.name for entry in listed}


def test_each_is_found_by_its_name(account):
    """Wherever it is in the pages; a name that is the beginning of others is not taken for one of them."""
    by_number = {entry.name: entry.id for entry in entries(account)}
    for number in numbers(account):
        assert id_of(account, number) == by_number[title(number)]
    last = numbers(account)[-1]
    assert by_name(account, title(last))["audience"] == by_number[title(last)]
    with pytest.raises(AudienceNotFound, match=r"nearest of \d,\d{3}|nearest of \d{3}"):
        by_name(account, "List", run="other")


def test_duplicates_on_different_pages_are_refused_with_both_ids(account):
    first, last = id_of(account, 1), id_of(account, numbers(account)[-1])
    rename(account, last, title(1))
    for create in (False, True):
        with pytest.raises(InvalidArgument) as error:
            by_name(account, title(1), create_audience=create, run=f"run-{create}")
        assert first in str(error.value)
        assert last in str(error.value)
    assert account.upserts() == []
    assert creations(account) == 0


def test_creating_finds_the_one_on_a_later_page(account):
    for number in numbers(account)[-3:]:
        report = by_name(account, title(number), create_audience=True, run=f"run-{number}")
        assert report["audience"] == id_of(account, number)
        assert "audience_created" not in report
    assert creations(account) == 0


def test_tasks_that_create_at_once_make_one(account):
    """All of them look before any creates: one creates, and the others use what it has made."""
    barrier, outcomes = Barrier(3), list[dict]()
    directory = account.vendor.directory
    looked = set[str]()

    def run(name: str) -> None:
        task = VendorHarness.__new__(VendorHarness)
        task.__dict__.update({key: value for key, value in account.__dict__.items() if key != "config"})

        def list_audiences(resolved, with_counts):
            listed = yield from directory.list_audiences(resolved, with_counts)
            if name not in looked:  # each task's first look
                looked.add(name)
                barrier.wait(60)
            return listed

        task.vendor = replace(account.vendor, directory=replace(directory, list_audiences=list_audiences))
        options = {"create_audience": True, "allow_shared_audience": True, "export_name": name}
        for attempt in range(20):
            with suppress(AudienceLocked):
                outcomes.append(by_name(task, "Made at once", run=name, by=f"dag/{name}/{attempt}/0", **options))
                return

    threads = [Thread(target=run, args=(f"task-{number}",)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(180)
    assert creations(account) == 1
    assert len(named(account, "Made at once")) == 1
    assert outcomes
    audiences = {report["audience"] for report in outcomes}
    assert audiences == set(named(account, "Made at once"))


def test_one_that_is_deleted_while_members_are_counted(account):
    """A colleague deletes a list after the list of lists was read: the others are shown."""
    if account.name != "campaign_monitor":
        pytest.skip("the list of audiences has their counts")
    doomed = add(account, "Doomed")
    lists = account.sim._vendors[account.name].account.client.lists
    for audience in [audience for audience in lists if audience != doomed][5:]:
        del lists[audience]
    send = account.sender()

    def deleting(request):
        if request.url.endswith("/stats.json") and doomed in lists:
            del lists[doomed]
        return send(request)

    resolved = account.call(account.vendor.resolve_audience(account.endpoint, None))
    with_counts = True
    listed = run_operation(account.vendor.directory.list_audiences(resolved, with_counts), deleting)
    assert {entry.id for entry in listed} == set(lists)
    assert all(entry.member_count is not None for entry in listed)
