"""Omnisend: batches of 100, polled by the list, with results by address."""

from __future__ import annotations

import pytest
from core.factories import batch_of
from vendors.harness import VendorHarness, people
from vendors.omnisend_responses import API, TARGET, problem, reply

from airflow_provider_segexport.errors import BatchRejected, UnexpectedResponse, VendorUnavailable
from airflow_provider_segexport.model import Audience, JobState, Reason
from airflow_provider_segexport.vendors import omnisend
from airflow_provider_segexport.vendors.operations import run_operation

VENDOR = omnisend.VENDOR


@pytest.fixture
def account(sim, tmp_path):
    return VendorHarness(sim, "omnisend", tmp_path)


def test_batches_of_a_hundred(account):
    """A job whose counters say that all went well is not asked for its items."""
    report = account.export(account.segment({"email": people(250)}))
    assert [100, 100, 50] == sorted((len(call["body"]["items"]) for call in account.upserts()), reverse=True)
    assert 250 == report["counts"]["delivered"]
    assert [] == [call for call in account.sim.requests(vendor="omnisend") if call["path"].endswith("/items")]


def test_a_row_larger_than_a_batch_may_be(account):
    """It is in the report with its reason; the others are delivered."""
    report = account.export(
        account.segment({"email": people(3), "note": ["short", "x" * 1_000_000, "short"]}), custom_fields={"n": "note"}
    )
    assert [2, 1] == [report["counts"]["delivered"], report["counts"]["rejected"]]
    assert ["row_too_large"] == [row["reason"] for row in account.rejects()]


# Jobs


def test_items_that_failed_for_the_moment_go_out_again(account):
    """429, 503 and 408 in an item mean the item, not the batch; no person arrives twice, none is lost."""
    for status, number in ((503, 1), (429, 4), (408, 7)):
        account.sim.act("omnisend", "fail_items", {"status": status, "email": f"p{number}@example.com"})
    report = account.export(account.segment({"email": people(9)}))
    assert 9 == report["counts"]["delivered"]
    assert [9, 3] == [len(call["body"]["items"]) for call in account.upserts()]


def test_an_item_that_fails_for_ever_has_a_verdict(account):
    """After some tries its row is reported as failed; the others are delivered."""
    account.sim.act("omnisend", "fail_items", {"status": 503, "email": "p1@example.com", "times": 99})
    report = account.export(account.segment({"email": people(3)}))
    assert [2, 1] == [report["counts"]["delivered"], report["counts"]["rejected"]]
    assert ["job_failed"] == [row["reason"] for row in account.rejects()]
    assert 4 == len(account.upserts())


def test_a_stopped_batch_keeps_what_it_did(account):
    """Rows before the stop are settled; the rest goes out again."""
    account.sim.act("omnisend", "stop_batches", {"after": [4]})
    report = account.export(account.segment({"email": people(10)}))
    assert 10 == report["counts"]["delivered"]
    assert [10, 6] == [len(call["body"]["items"]) for call in account.upserts()]


def test_a_batch_that_was_stopped_before_its_first_item_is_halved(account):
    """The row that stopped it is alone in a batch sooner or later."""
    account.sim.act("omnisend", "stop_batches", {"after": [0]})
    report = account.export(account.segment({"email": people(10)}))
    assert 10 == report["counts"]["delivered"]
    assert [10, 5, 5] == [len(call["body"]["items"]) for call in account.upserts()]


def test_a_batch_that_is_gone_goes_out_again(account):
    """They are kept for 7 days: a run that is resumed later finds nothing of them."""
    account.sim.act("omnisend", "script_jobs", {"scripts": [["pending"] * 50]})
    account.sim.configure({"omnisend": {"batch_days": 0}})
    target = account.call(VENDOR.resolve_audience(account.endpoint, account.audience))
    gone = "5f92cbf10cf217478ba93561"
    assert {gone: JobState.FAILED} == account.call(VENDOR.poll(target, [gone]))
    settled = account.call(VENDOR.collect(target, batch_of(3), gone))
    assert ((0, 1, 2), ()) == (settled.retry, settled.rejected)


@pytest.mark.parametrize("status", ["pending", "inProgress"])
def test_a_batch_that_runs_again_after_it_had_ended(status):
    """Another server of the vendor knows an older state: no row has a result, and none is sent again."""
    with pytest.raises(VendorUnavailable, match="still runs"):
        collected(3, item_of(0, 201), status=status)


def item_of(number, code, response=None, address=None):
    identifiers = [
        {"type": "phone", "id": "+37061234567"},
        {"type": "email", "id": address or f"P{number}@Example.com"},
    ]
    return {"itemID": "1", "request": {"identifiers": identifiers}, "response": response, "responseCode": code}


def collected(rows, *errors, responses=(), status="finished", count=None):
    batch_body = {
        "status": status,
        "totalCount": rows,
        "errorsCount": len(errors) if count is None else count,
        "errors": list(errors),
        "responses": list(responses),
    }
    return run_operation(VENDOR.collect(TARGET, batch_of(rows), "t"), lambda _: reply(batch_body))


def test_items_are_matched_by_address_and_not_by_position():
    """The vendor promises no order, and echoes addresses in any case."""
    settled = collected(
        3,
        item_of(0, 400, problem(400, "gender")),
        responses=[item_of(2, 201, {"id": "c2"}), item_of(1, 200, {"id": "c1"})],
    )
    assert [(0, Reason.INVALID_VALUE, "400", "gender: Is wrong")] == [
        (rejection.index, rejection.reason, rejection.code, rejection.message) for rejection in settled.rejected
    ]
    assert ({1: "c1", 2: "c2"}, ()) == (settled.contact_ids, settled.retry)


@pytest.mark.parametrize(
    ("response", "reason"),
    [
        (problem(400, "identifiers.0.id"), Reason.INVALID_EMAIL),
        (problem(400, "identifiers[0].id"), Reason.INVALID_EMAIL),
        (problem(400, "identifiers.1.id"), Reason.INVALID_VALUE),
        (problem(400, "birthdate", "identifiers.0.id"), Reason.INVALID_EMAIL),
        (problem(409), Reason.REJECTED_BY_VENDOR),
        ("no object", Reason.REJECTED_BY_VENDOR),
        (None, Reason.REJECTED_BY_VENDOR),
    ],
)
def test_an_items_problem_becomes_a_reason(response, reason):
    """By the fields that the vendor names: the address is the first identifier that is sent."""
    assert [reason] == [rejection.reason for rejection in collected(1, item_of(0, 400, response)).rejected]


def test_a_row_that_stands_nowhere_goes_out_again_unless_the_counters_vouch_for_it():
    """A stop leaves rows out; a finished batch may leave out those that went well."""
    assert () == collected(3, item_of(0, 400)).retry
    assert (1, 2) == collected(3, item_of(0, 400), count=2).retry
    assert (1, 2) == collected(3, item_of(0, 400), status="stopped").retry
    stranger = item_of(0, 400, address="nobody@example.com")
    assert (1, 2) == collected(3, stranger, item_of(0, 400)).retry
    assert (0,) == collected(1, status="stopped", count=0).retry
    silent = {**item_of(0, 400), "request": None}
    assert (0,) == collected(1, silent).retry


def test_a_batch_stopped_with_nothing_done_is_refused_whole():
    """So that it is halved; one row alone is sent again."""
    with pytest.raises(BatchRejected, match="stopped"):
        collected(2, status="stopped")


# Polling


class Batches:
    """The vendor's list of batches, in an order of its own."""

    def __init__(self, *batches, listed=None):
        self.held = {batch_body["batchID"]: batch_body for batch_body in batches}
        self.listed = list(self.held.values()) if listed is None else listed
        self.calls = []

    def __call__(self, request):
        self.calls.append((request.url.removeprefix(f"{API}/"), dict(request.query)))
        if not request.url.endswith("/batches"):
            batch_body = self.held.get(request.url.rpartition("/")[2])
            return reply(batch_body) if batch_body else reply(problem(404), 404)
        offset = int(request.query["offset"])
        return reply({"batches": self.listed[offset : offset + 250], "paging": {"offset": offset}})

    def poll(self, *tickets, target=TARGET):
        return run_operation(VENDOR.poll(target, tickets), self)


def job(number, status="finished", total=100, finished=None, errors=0):
    return {
        "batchID": f"b{number}",
        "status": status,
        "totalCount": total,
        "finishedCount": total if finished is None else finished,
        "errorsCount": errors,
    }


@pytest.mark.parametrize(
    ("batch_body", "state"),
    [
        (job(1, "pending", finished=0), JobState.RUNNING),
        (job(1, "inProgress", finished=50), JobState.RUNNING),
        (job(1), JobState.ACCEPTED),
        (job(1, errors=1), JobState.FINISHED),
        (job(1, finished=99), JobState.FINISHED),
        (job(1, "stopped", errors=50), JobState.FAILED),
    ],
)
def test_the_states_of_a_batch(batch_body, state):
    """A batch that finished with all its items taken needs no collecting."""
    assert {"b1": state} == Batches(batch_body).poll("b1")


def test_an_unknown_state_stops():
    """It is not taken for one that is known."""
    with pytest.raises(UnexpectedResponse, match="'paused', which is not documented"):
        Batches(job(1, "paused")).poll("b1")


def test_one_call_tells_two_hundred_and_fifty():
    """Pages end as soon as all are found; they begin on the day of the check."""
    batches = Batches(*[job(number) for number in range(600)])
    assert 300 == len(batches.poll(*[f"b{number}" for number in range(300)]))
    page = {"endpoint": "contacts", "limit": "250", "dateFrom": "2025-12-31"}
    assert [("batches", {**page, "offset": "0"}), ("batches", {**page, "offset": "250"})] == batches.calls


def test_without_a_day_the_list_begins_where_the_vendor_begins_it():
    """A waiting trigger knows only the address and the tag."""
    batches = Batches(job(1), job(2))
    batches.poll("b1", "b2", target=Audience(API, "", "", "x"))
    assert "dateFrom" not in batches.calls[0][1]


def test_a_single_batch_is_asked_for_by_itself():
    """A page would cost as much, and holds the batches of every program."""
    batches = Batches(*[job(number) for number in range(600)])
    batches.poll("b599")
    assert [("batches/b599", {})] == batches.calls


def test_pages_are_read_while_they_cost_less_than_asking_singly():
    """The order of the list is not documented: where it puts ours last, polling does not eat the quota."""
    batches = Batches(*[job(number) for number in range(10_000)])
    last = [f"b{number}" for number in range(9_995, 10_000)]
    assert last == sorted(batches.poll(*last))
    assert ["batches"] * 4 == [path for path, _ in batches.calls if path == "batches"]
    assert 4 + 5 == len(batches.calls)


def test_a_batch_that_the_list_leaves_out_is_asked_for():
    """If the list changes while it is read, no person is lost."""
    batches = Batches(*[job(number) for number in range(4)], listed=[job(0), job(1)])
    states = batches.poll("b0", "b1", "b2", "b3", "gone")
    assert [JobState.ACCEPTED] * 4 + [JobState.FAILED] == [states[name] for name in ("b0", "b1", "b2", "b3", "gone")]
    assert ["batches", "batches/b2", "batches/b3", "batches/gone"] == [path for path, _ in batches.calls]
