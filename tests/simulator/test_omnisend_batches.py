"""Omnisend: batches, item by item."""

from __future__ import annotations

import pytest
from simulator.omnisend_client import hold, person

from airflow_provider_segexport.simulator import ControlError
from airflow_provider_segexport.simulator.clock import iso

DAY = 86_400


def by_email(rows):
    return {row["request"]["identifiers"][0]["id"]: row for row in rows}


def test_a_batch(om):
    """A batch is accepted with its count, applied later, and reported item by item."""
    made = om.start(person("ada@example.com", tags=["seg a"]), "bob@example.com", origin="segexport")
    assert (made.status_code, made.json()["totalCount"]) == (201, 2)
    assert om.people() == {}
    om.sim.clock.advance(10)
    shown = om("GET", f"/batches/{made.json()['batchID']}/items").json()
    assert (shown["status"], shown["finishedCount"], shown["errorsCount"], shown["origin"]) == (
        "finished",
        2,
        0,
        "segexport",
    )
    rows = by_email(shown["responses"])
    assert {row["responseCode"] for row in rows.values()} == {201}
    hold(rows["ada@example.com"]["response"], "contact")
    assert om.people("seg a").keys() == {"ada@example.com"}
    assert {row["responseCode"] for row in om.load("ada@example.com")["responses"]} == {200}


def test_times_are_in_whole_seconds(om):
    """Batches and contacts have times without fractions, as the OpenAPI's examples have; statuses have them."""
    om.sim.clock.advance(0.25)
    batch_id = om.start("ada@example.com").json()["batchID"]
    om.sim.clock.advance(10)
    shown = om("GET", f"/batches/{batch_id}").json()
    contact = om("GET", "/contacts?email=ada@example.com").json()["contacts"][0]
    times = [shown[name] for name in ("createdAt", "startedAt", "endedAt")] + [contact["createdAt"]]
    assert {len(text) for text in times} == {len("2026-01-01T00:00:00Z")}
    assert "." in contact["statuses"][0]["statusChangedAt"]
    om.sim.clock.advance(0.75)


def test_items_fail_one_by_one(om):
    """A bad value fails its item with a problem; the others are done."""
    shown = om.load(
        "bad",
        person("ada@example.com", gender="female"),
        person("bob@example.com", birthdate="1990-02-30"),
        {"identifiers": [{"type": "email", "id": "cy@example.com"}, {"type": "phone", "id": "0202"}]},
        person("di@example.com", countryCode="XXX"),
        7,
        "ok@example.com",
    )
    assert (shown["finishedCount"], shown["errorsCount"]) == (7, 6)
    assert {row["responseCode"] for row in shown["errors"]} == {400}
    fields = {
        row["request"]["identifiers"][0]["id"]: row["response"]["errors"][0]["field"]
        for row in shown["errors"]
        if isinstance(row["request"], dict)
    }
    assert fields == {
        "bad": "identifiers.0.id",
        "ada@example.com": "gender",
        "bob@example.com": "birthdate",
        "cy@example.com": "identifiers.1.id",
        "di@example.com": "countryCode",
    }
    assert by_email(shown["responses"]).keys() == {"ok@example.com"}


def test_items_come_in_no_order(om):
    """Results are not in the order of the request, and their ids do not tell it."""
    emails = [f"p{number}@example.com" for number in range(20)]
    rows = om.load(*emails)["responses"]
    got = [row["request"]["identifiers"][0]["id"] for row in rows]
    assert sorted(got) == sorted(emails)
    assert got != emails


@pytest.mark.parametrize("status", [429, 503, 408, 403])
def test_items_that_fail_for_a_while(om, status):
    """A scripted item fails, so often, with the status of the script, and then goes through."""
    om.act("fail_items", status=status, email="ada@example.com", times=2)
    for _ in range(2):
        shown = om.load("ada@example.com", "bob@example.com")
        assert [row["responseCode"] for row in shown["errors"]] == [status]
    assert om.load("ada@example.com")["errorsCount"] == 0


def test_every_nth_item_may_fail(om):
    """A script may strike every nth item of all batches."""
    om.act("fail_items", status=503, every=3, times=4)
    emails = [f"p{number}@example.com" for number in range(20)]
    assert om.load(*emails)["errorsCount"] == 4
    with pytest.raises(ControlError, match="status"):
        om.act("fail_items", status="503")


def test_a_stopped_batch_leaves_items_undone(om):
    """A batch that is stopped reports the items that it did, and not the others."""
    om.act("stop_batches", after=[2, 0])
    shown = om.load(*(f"p{number}@example.com" for number in range(5)))
    assert (shown["status"], shown["totalCount"], shown["finishedCount"]) == ("stopped", 5, 2)
    assert by_email(shown["responses"]).keys() == om.people().keys() == {"p0@example.com", "p1@example.com"}
    assert om.load("p9@example.com")["finishedCount"] == 0
    assert om.load("p9@example.com")["status"] == "finished"


def test_too_many_errors_stop_a_batch(sim, om):
    """After so many failed items (here 3) the rest is not looked at."""
    sim.configure({"omnisend": {"stop_after_errors": 3}})
    shown = om.load("ok@example.com", "bad", "worse", "worst", "late@example.com")
    assert (shown["status"], shown["finishedCount"], shown["errorsCount"]) == ("stopped", 4, 3)
    assert om.people().keys() == {"ok@example.com"}
    assert om.load("ok@example.com", "bad", "worse", "worst")["status"] == "finished"


@pytest.mark.parametrize(
    "change",
    [
        {"items": []},
        {"items": [person("a@example.com")] * 101},
        {"items": None},
        {"method": "PUT"},
        {"endpoint": "orders"},
    ],
)
def test_a_wrong_batch_is_refused_whole(om, change):
    """No items, more than 100, another verb or endpoint answer 400, and nothing is kept."""
    body = {"method": "POST", "endpoint": "contacts", "items": [person("a@example.com")], **change}
    assert om("POST", "/batches", body).status_code == 400
    assert om("GET", "/batches?endpoint=contacts").json()["batches"] == []


def test_a_body_may_be_too_large(sim, om):
    """A limit of the body's size is a setting; the answer is 413."""
    sim.configure({"omnisend": {"max_body_bytes": 100}})
    assert om.start("ada@example.com", "bob@example.com").status_code == 413


def test_the_states_of_a_batch(sim, om):
    """A batch is pending, in progress, finished."""
    sim.configure({"omnisend": {"start_seconds": 10, "job_seconds": 100}})
    batch_id = om.start("ada@example.com").json()["batchID"]
    seen = []
    for wait in (1, 10, 100):
        sim.clock.advance(wait)
        shown = om("GET", f"/batches/{batch_id}").json()
        seen.append((shown["status"], shown["finishedCount"], "startedAt" in shown, "endedAt" in shown))
    assert seen == [("pending", 0, False, False), ("inProgress", 0, True, False), ("finished", 1, True, True)]


@pytest.mark.parametrize("end", ["stopped", "lost"])
def test_scripted_states(om, end):
    """A script moves a batch one state a poll; a bad or unknown end has no effect."""
    om.act("script_jobs", scripts=[["pending", "inProgress", end]])
    batch_id = om.start("ada@example.com").json()["batchID"]
    assert [om("GET", f"/batches/{batch_id}").json()["status"] for _ in range(4)] == ["pending", "inProgress", end, end]
    assert om.people() == {}


def test_one_call_polls_many_batches(sim, om):
    """The list shows batches newest first, by offset, filtered by state and day."""
    made = [om.start(f"p{number}@example.com").json()["batchID"] for number in range(5)]
    sim.clock.advance(10)
    waiting = om.start("late@example.com").json()["batchID"]
    first = om("GET", "/batches?endpoint=contacts&limit=4").json()
    assert [row["batchID"] for row in first["batches"]] == [waiting, *reversed(made[2:])]
    assert "previous" not in first["paging"]
    rest = om.session.get(first["paging"]["next"], timeout=10).json()
    assert [row["batchID"] for row in rest["batches"]] == [made[1], made[0]]
    assert (rest["paging"]["offset"], rest["paging"].get("next")) == (4, None)
    finished = om("GET", "/batches?endpoint=contacts&status=finished&limit=250").json()
    assert len(finished["batches"]) == 5
    tomorrow = iso(sim.clock.now() + DAY)[:10]
    assert om("GET", f"/batches?endpoint=contacts&dateFrom={tomorrow}").json()["batches"] == []
    assert om("GET", "/batches?endpoint=products").json()["batches"] == []


@pytest.mark.parametrize("query", ["", "endpoint=contacts&limit=251", "endpoint=contacts&status=done", "endpoint=x"])
def test_wrong_queries(om, query):
    """The endpoint is required; values out of range are refused."""
    assert om("GET", f"/batches?{query}").status_code == 400


def test_batches_are_kept_for_seven_days(sim, om):
    """After seven days a batch, its items and its place in the list are gone."""
    batch_id = om.load("ada@example.com")["batchID"]
    sim.clock.advance(7 * DAY)
    assert om("GET", f"/batches/{batch_id}").status_code == 404
    assert om("GET", f"/batches/{batch_id}/items").status_code == 404
    assert om("GET", "/batches?endpoint=contacts").json()["batches"] == []


def test_what_a_batch_did_is_in_the_request_log(sim, om):
    """The entry of a batch states, once it is done, how many items were created, failed and harmed."""
    om.load(
        "bad", {"identifiers": [{"type": "email", "id": "ada@example.com"}]}, person("bob@example.com", colour="red")
    )
    entry = next(e for e in sim.requests() if e["method"] == "POST")
    assert entry["facts"] == {"rows": 3, "created": 2, "failures": 1, "mails": 1}
    assert entry["notes"] == ["unknown field 'colour' ignored in 1 item"]


def test_seeded_people(om):
    """People can be seeded in every state, with a tag and properties."""
    om.sim.seed(
        "omnisend",
        [
            {"email": "a@example.com", "status": "suppressed", "fields": {"firstName": "A", "loyalty": "gold"}},
            {"email": "b@example.com", "status": "deleted"},
        ],
        "seg a",
    )
    held = om.people("seg a")
    assert {email: row["status"] for email, row in held.items()} == {"a@example.com": "unsubscribed"}
    assert om.find("a@example.com")["customProperties"] == {"loyalty": "gold"}
    assert om("GET", "/contacts").json()["contacts"][0]["email"] == "a@example.com"
    assert om.load("b@example.com")["responses"][0]["responseCode"] == 201
    with pytest.raises(ControlError, match="nonSubscribed"):
        om.sim.seed("omnisend", [{"email": "a@example.com", "status": "sleepy"}])


def test_the_control_api_says_what_is_right(om):
    """Wrong control calls are refused with a sentence."""
    for action, details in (("spend", {}), ("stop_batches", {"after": 3}), ("unsubscribe", {"email": "x"})):
        with pytest.raises(ControlError):
            om.act(action, **details)


def test_refused_whole(sim, om):
    """A scripted refusal has the vendor's own shape."""
    sim.faults([{"vendor": "omnisend", "path": "batches", "refuse": True}])
    reply = om.start("ada@example.com")
    assert (reply.status_code, reply.json()["type"]) == (400, "https://problems.omnisend.com/validation-failed")


def test_limits_can_be_switched_off(sim, om):
    """Without limits there is nothing to spend, and any number of calls passes."""
    sim.configure({"omnisend": {"calls_per_minute": None}})
    assert om.act("spend", calls=9) == 0
    assert {om("GET", "/brands/current").status_code for _ in range(410)} == {200}
