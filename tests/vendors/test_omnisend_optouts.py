"""Omnisend's list of unsubscribed contacts, as it may look while others change contacts: no opt-out is missed."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from airflow_provider_segexport.errors import RetryableError
from airflow_provider_segexport.model import Audience, Response
from airflow_provider_segexport.vendors.omnisend.optouts import list_optouts
from airflow_provider_segexport.vendors.operations import run_operation

TARGET = Audience(base_url="https://v.test", account="1", account_name="Shop", audience="Customers")
START = 1_767_225_600  # 2026-01-01T00:00:00Z


def at(seconds):
    return f"{datetime.fromtimestamp(START + seconds, UTC):%Y-%m-%dT%H:%M:%SZ}"


def contact(name, updated, status_changed=None):
    """A contact that changed at `updated`, and opted out at `status_changed`; in seconds, or as text."""
    updated, status_changed = (
        moment if isinstance(moment, str) else at(moment) for moment in (updated, status_changed or updated)
    )
    channels = {"email": {"status": "unsubscribed", "statusChangedAt": status_changed}}
    email = f"{name}@example.com"
    return {
        "email": email,
        "updatedAt": updated,
        "identifiers": [{"type": "email", "id": email, "channels": channels}],
    }


def listed(pages, since=0):
    """The names in the opt-outs, in order, and the number of calls. Each page is `(contacts, paging)`."""
    optouts, calls = [], iter(pages)

    def send(_):
        contacts, paging = next(calls)
        return Response(200, {"content-type": "application/json"}, json.dumps(page(contacts, paging)).encode())

    run_operation(list_optouts(TARGET, START + since, optouts.extend), send, lambda _: None)
    return [optout.email.partition("@")[0] for optout in optouts], len(pages) - len(list(calls))


def page(contacts, paging):
    return {"contacts": contacts, "paging": paging}


def more(cursor):
    return {"hasMore": True, "cursors": {"after": cursor}}


LAST = {"hasMore": False, "cursors": {"after": None}}


def test_a_contact_that_moves_to_the_first_page_meanwhile():
    """Another export changes `c` after the first page was read, so the second page no longer holds it."""
    a, b, c, d = (contact(name, 100 - number) for number, name in enumerate("abcd"))
    moved = contact("c", 200, status_changed=98)
    names, calls = listed([([a, b], more("2")), ([d], LAST), ([moved, a, b], more("2"))])
    assert (names, calls) == (["a", "b", "d", "c", "a"], 3)
    assert c["email"] == moved["email"]


def test_contacts_that_move_while_they_are_read_again():
    """As long as more than a page has changed, it is read again."""
    first = [([contact("a", 9)], more("2")), ([contact("b", 8)], LAST)]
    again = [([contact("c", 12)], more("2")), ([contact("d", 11)], more("3")), ([contact("a", 9)], LAST)]
    names, calls = listed([*first, *again, ([contact("e", 13), contact("c", 12), contact("d", 11)], more("2"))])
    assert (names, calls) == (["a", "b", "c", "d", "a", "e", "c"], 6)


def test_a_contact_that_changes_in_the_second_of_the_newest_change():
    """The vendor's times may be whole seconds: `c` changed after the first read, and has the same time as `a`."""
    first = [([contact("a", 9)], more("2")), ([contact("b", 8)], LAST)]
    names, calls = listed([*first, ([contact("c", 9), contact("a", 9), contact("b", 8)], more("2"))])
    assert (names, calls) == (["a", "b", "c", "a"], 3)


def test_a_first_contact_of_unknown_date():
    """The newest change is that of the contacts behind it, so what changes after it is read as well."""
    unknown = contact("a", "0001-01-01T00:00:00Z")
    pages = [([unknown, contact("b", 9)], more("2")), ([contact("c", 8)], LAST)]
    names, _ = listed([*pages, ([contact("d", 12), contact("b", 9), contact("c", 8)], more("2"))])
    assert names == ["a", "b", "c", "d", "b"]


def test_each_address_of_a_contact_has_opted_out():
    """A contact that was merged from two has both addresses; a phone number is none."""
    merged = contact("a", 9)
    (other,) = contact("b", 5)["identifiers"]
    merged["identifiers"] += [other, {"type": "phone", "id": "+491701234567"}, {"type": "email", "id": None}]
    assert listed([([merged], LAST)]) == (["a", "b"], 1)


def test_one_page_is_read_once():
    """Within one response nothing moves."""
    assert listed([([contact("a", 9)], LAST)]) == (["a"], 1)


def test_a_list_out_of_order_is_read_to_its_end():
    """The vendor might ignore `sort`: an old contact then says nothing about those behind it."""
    pages = [([contact("a", 50), contact("old", -90), contact("b", 60)], more("2")), ([contact("c", 70)], LAST)]
    assert listed(pages) == (["a", "b", "c"], 2)


def test_a_list_out_of_order_is_not_read_again_and_again():
    """A single contact in the wrong place would make every read one of several pages."""
    pages = [([contact("a", 50), contact("b", 60)], more("2")), ([contact("c", 40)], LAST)]
    assert listed(pages * 9) == (["a", "b", "c"], 2)


@pytest.mark.parametrize("unknown", ["0001-01-01T00:00:00Z", "1970-01-01T00:00:00Z", "yesterday"])
def test_a_contact_of_unknown_date_ends_no_list(unknown):
    """It is an opt-out of unknown time, and there may be later ones behind it."""
    names, _ = listed([([contact("a", unknown, unknown)], more("2")), ([contact("b", 5)], LAST)])
    assert names == ["a", "b"]


@pytest.mark.parametrize(
    "pages",
    [
        [([contact("a", 9)], {"hasMore": True, "cursors": {"after": None}})],
        [([contact("a", 9)], {"hasMore": True})],
        [([contact("a", 9)], more("2")), ([contact("b", 8)], more("2"))],
        [([contact("a", 9)], more("2")), ([contact("b", 8)], more("3")), ([contact("b", 8)], more("2"))],
    ],
)
def test_a_list_that_does_not_go_on(pages):
    """There are more contacts, and no new cursor leads to them: the list is not taken for whole."""
    with pytest.raises(RetryableError, match="ends before its last page"):
        listed(pages)
