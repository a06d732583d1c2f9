"""Omnisend: contacts are read in pages, by tag, status and time of change."""

from __future__ import annotations

import pytest
from simulator.omnisend_client import person

from airflow_provider_segexport.simulator.clock import iso


def read_all(om, **query):
    """All pages forwards; returns addresses page by page, and the last page."""
    pages = [om("GET", "/contacts", params=query).json()]
    while pages[-1]["paging"]["hasMore"]:
        cursor = pages[-1]["paging"]["cursors"]["after"]
        pages.append(om("GET", "/contacts", params={"after": cursor, "limit": query["limit"]}).json())
    return [[row["email"] for row in page["contacts"]] for page in pages], pages


def test_reading_a_tag_in_pages(om):
    """Contacts with a tag come newest first, in pages that lead on and back."""
    om.load(*(person(f"p{number}@example.com", tags=["seg a"]) for number in range(5)), "other@example.com")
    emails, pages = read_all(om, tag="seg a", limit=2)
    assert emails == [["p4@example.com", "p3@example.com"], ["p2@example.com", "p1@example.com"], ["p0@example.com"]]
    assert pages[0]["paging"]["cursors"]["before"] is None
    assert pages[-1]["paging"]["cursors"]["after"] is None
    back = om("GET", "/contacts", params={"before": pages[-1]["paging"]["cursors"]["before"], "limit": 2}).json()
    assert [row["email"] for row in back["contacts"]] == emails[1]
    assert read_all(om, tag="seg a", limit=5)[0] == [[f"p{number}@example.com" for number in range(4, -1, -1)]]
    assert read_all(om, tag="unused", limit=5)[0] == [[]]
    ascending = om("GET", "/contacts", params={"direction": "asc", "limit": 1}).json()
    assert ascending["contacts"][0]["email"] == "p0@example.com"


def test_filters(sim, om):
    """Contacts are found by status, and by the time of change."""
    om.load("ada@example.com", "bob@example.com")
    sim.clock.advance(3600)
    since = iso(sim.clock.now() - 1800)
    om.act("unsubscribe", email="ada@example.com")
    assert read_all(om, status="unsubscribed", limit=9)[0] == [["ada@example.com"]]
    assert read_all(om, updatedAtFrom=since, limit=9)[0] == [["ada@example.com"]]
    newest = om("GET", "/contacts", params={"sort": "updatedAt", "limit": 1}).json()
    assert newest["contacts"][0]["email"] == "ada@example.com"


@pytest.mark.parametrize(
    "query",
    ["limit=251", "limit=0", "colour=red", "tag=a&status=subscribed", "updatedAtFrom=2026-01-01&tag=a", "after=x"],
)
def test_wrong_queries(om, query):
    """Values out of range, unknown parameters and forbidden combinations answer 400."""
    assert om("GET", f"/contacts?{query}").status_code == 400


def test_filters_cannot_change_between_pages(om):
    """A cursor with another filter is refused."""
    om.load(*(person(f"p{number}@example.com", tags=["a", "b"]) for number in range(3)))
    cursor = om("GET", "/contacts?tag=a&limit=1").json()["paging"]["cursors"]["after"]
    assert om("GET", "/contacts", params={"after": cursor, "tag": "a"}).status_code == 200
    assert om("GET", "/contacts", params={"after": cursor, "tag": "b"}).status_code == 400


@pytest.mark.parametrize(
    "query",
    ["sort=name", "direction=up", "after=x&before=y", "status=glad", "updatedAtFrom=now", "updatedAtFrom=2026-01-01"],
)
def test_more_queries(om, query):
    """Orders, cursors, statuses and dates are checked; a plain date is one."""
    assert om("GET", f"/contacts?{query}").status_code == (200 if query.endswith("01-01") else 400)


def test_a_tag_by_time_of_change(om):
    """A tag's people can be read in the order of their changes."""
    om.load(*(person(f"p{number}@example.com", tags=["a"]) for number in range(2)))
    om.load("p0@example.com")
    assert read_all(om, tag="a", sort="updatedAt", limit=1)[0] == [["p0@example.com"], ["p1@example.com"]]
