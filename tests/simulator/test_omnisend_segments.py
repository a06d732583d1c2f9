"""Omnisend: segments, the people in them, and what is asked of them wrongly."""

from __future__ import annotations

import pytest
from simulator.omnisend_client import person


def segment_of(tag, *, without=None, name="Segment"):
    filters = [{"property": "tags", "operator": "anyOf", "value": [tag]}]
    if without:
        filters.append({"property": "tags", "operator": "noneOf", "value": [without]})
    return {
        "name": name,
        "conditionGroups": [{"conditions": [{"entity": "contact", "junction": "and", "filters": filters}]}],
    }


def test_a_segment_is_built_and_then_follows(sim, om):
    """A segment builds for a while, empty, then always holds who fits."""
    om.load(person("ada@example.com", tags=["seg a"]), "bob@example.com")
    made = om("POST", "/segments", segment_of("seg a"))
    segment_id = made.json()["segmentID"]
    assert (made.status_code, made.json()["status"]) == (201, "building")
    assert om("GET", f"/segments/{segment_id}/statistics").json() == {"contactsCount": 0}
    assert om("DELETE", f"/segments/{segment_id}").status_code == 409
    sim.clock.advance(10)
    assert om("GET", f"/segments/{segment_id}").json()["status"] == "ready"
    assert om("GET", f"/segments/{segment_id}/statistics").json() == {"contactsCount": 1}
    om.load(person("bob@example.com", tags=["seg a"]))
    contacts = om("GET", f"/contacts?segmentID={segment_id}").json()["contacts"]
    assert [row["email"] for row in contacts] == ["bob@example.com", "ada@example.com"]
    assert contacts[0]["segments"] == [segment_id]
    assert om("DELETE", f"/segments/{segment_id}").status_code == 204
    assert om("GET", f"/segments/{segment_id}").status_code == 404


def test_leavers_by_segment(sim, om):
    """One call untags every contact in a segment: those of an old generation, however many."""
    om.load(*(person(f"p{number}@example.com", tags=["seg a"]) for number in range(6)))
    om.load(*(person(f"p{number}@example.com", tags=["seg a r2"]) for number in range(2)))
    segment_id = om("POST", "/segments", segment_of("seg a", without="seg a r2")).json()["segmentID"]
    sim.clock.advance(10)
    assert om("DELETE", "/contacts/tags", {"segmentID": segment_id, "tags": ["seg a"]}).status_code == 202
    sim.clock.advance(5)
    assert om.people("seg a").keys() == {"p0@example.com", "p1@example.com"}


def test_segments_are_listed_in_pages(sim, om):
    """Segments come in pages of at most 50, by name or by time."""
    for name in ("b", "c", "a"):
        om("POST", "/segments", segment_of("seg a", name=name))
    first = om("GET", "/segments?sort=name&direction=asc&limit=2").json()
    rest = om("GET", "/segments", params={"after": first["paging"]["cursors"]["after"]}).json()
    assert [row["name"] for row in first["segments"] + rest["segments"]] == ["a", "b", "c"]
    assert [row["name"] for row in om("GET", "/segments").json()["segments"]] == ["a", "c", "b"]
    assert om("GET", "/segments?limit=51").status_code == 400


@pytest.mark.parametrize(
    "body",
    [
        {"name": "x"},
        {"name": "", "conditionGroups": []},
        {"name": "x", "conditionGroups": [{"conditions": []}]},
        segment_of("a") | {"name": "x" * 257},
    ],
)
def test_wrong_segments(om, body):
    """A segment without rules or with a wrong name answers 400."""
    assert om("POST", "/segments", body).status_code == 400


def test_fifteen_segments_a_minute(om):
    """The 16th segment within a minute is refused."""
    statuses = [om("POST", "/segments", segment_of("a")).status_code for _ in range(16)]
    assert statuses == [201] * 15 + [429]
    assert om("GET", "/segments").status_code == 200


def test_segments_by_other_rules(sim, om):
    """Groups are alternatives; conditions hold by status, text and custom property; others are refused."""
    om.load(
        person("ada@example.com", city="Paris"),
        person("bob@example.com", customProperties={"loyalty": "gold"}),
        "cy@example.com",
    )
    om.act("unsubscribe", email="cy@example.com")

    def members(*filters, junction="or"):
        groups = [{"conditions": [{"entity": "contact", "junction": junction, "filters": list(filters)}]}]
        reply = om("POST", "/segments", {"name": "x", "conditionGroups": groups})
        if not reply.ok:
            return reply.status_code
        sim.clock.advance(10)
        page = om("GET", "/contacts", params={"segmentID": reply.json()["segmentID"], "direction": "asc"}).json()
        return [row["email"] for row in page["contacts"]]

    city = {"property": "city", "operator": "anyOf", "value": ["Paris"]}
    loyal = {"property": "custom", "name": "loyalty", "operator": "anyOf", "value": ["gold"], "valueType": "text"}
    left = {"property": "subscriptionStatus", "operator": "equals", "value": "unsubscribed", "channels": ["email"]}
    assert members(city, loyal) == ["ada@example.com", "bob@example.com"]
    assert members(left) == ["cy@example.com"]
    assert members(city, loyal, junction="and") == []
    assert members({"property": "tag", "operator": "anyOf", "value": ["a"]}) == 400
    assert members({"property": "city", "operator": "startsWith", "value": "P"}) == 400
    assert members({**loyal, "valueType": None}) == 400


def test_changing_a_segment(sim, om):
    """A segment can be changed when it is ready, and builds again."""
    om.load(person("ada@example.com", tags=["b"]))
    segment_id = om("POST", "/segments", segment_of("a")).json()["segmentID"]
    assert om("PUT", f"/segments/{segment_id}", segment_of("b")).status_code == 409
    sim.clock.advance(10)
    assert om("PUT", f"/segments/{segment_id}", segment_of("b", name="B")).json()["status"] == "building"
    sim.clock.advance(10)
    assert om("GET", f"/segments/{segment_id}/statistics").json() == {"contactsCount": 1}


@pytest.mark.parametrize("query", ["endpoint=contacts&offset=-1", "endpoint=contacts&dateFrom=yesterday"])
def test_more_wrong_queries(om, query):
    """Offsets and dates are checked."""
    assert om("GET", f"/batches?{query}").status_code == 400
