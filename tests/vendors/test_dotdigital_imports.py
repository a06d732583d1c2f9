"""dotdigital: final states of an import, and failure codes in any spelling."""

from __future__ import annotations

import json

import pytest
from core.factories import batch_of
from vendors.dotdigital_responses import TARGET, reply
from vendors.harness import VendorHarness, people

from airflow_provider_segexport.errors import FatalError, UnexpectedResponse, VendorUnavailable
from airflow_provider_segexport.model import JobState, Reason
from airflow_provider_segexport.vendors import dotdigital as vendor
from airflow_provider_segexport.vendors.operations import run_operation


@pytest.fixture
def account(sim, tmp_path):
    return VendorHarness(sim, "dotdigital", tmp_path)


def collected(rows=3, **fields):
    fields = {"importId": "t", "status": "Finished", **fields}
    return run_operation(vendor.VENDOR.collect(TARGET, batch_of(rows), "t"), lambda _: reply(fields))


def failure(number, code, description="Words"):
    identifiers = {"email": f"P{number}@example.com"}
    return {"identifiers": identifiers, "failures": [{"failureCode": code, "description": description}]}


def made(*numbers):
    return [{"contactId": 100 + number, "identifiers": {"email": f"p{number}@example.com"}} for number in numbers]


@pytest.mark.parametrize(
    ("state", "ours"),
    [
        ("NotFinished", JobState.RUNNING),
        ("notFinished", JobState.RUNNING),
        ("Finished", JobState.FINISHED),
        ("Failed", JobState.FAILED),
        ("RejectedByWatchdog", JobState.FAILED),
        ("ExceedsAllowedContactLimit", JobState.FAILED),
    ],
)
def test_the_states_of_an_import(state, ours):
    """All final states are known, in any spelling; anything else is no state."""
    states = run_operation(vendor.VENDOR.poll(TARGET, ["t"]), lambda _: reply({"importId": "t", "status": state}))
    assert states == {"t": ours}
    with pytest.raises(UnexpectedResponse, match="'Resting'"):
        run_operation(vendor.VENDOR.poll(TARGET, ["t"]), lambda _: reply({"importId": "t", "status": "Resting"}))


def test_an_import_that_runs_again_after_it_had_ended():
    """Another server of the vendor knows an older state: no row has a result, and no watchdog has rejected any."""
    with pytest.raises(VendorUnavailable, match="still runs"):
        collected(status="NotFinished")
    with pytest.raises(UnexpectedResponse, match="'Resting'"):
        collected(status="Resting")


@pytest.mark.parametrize(
    ("state", "reason", "message"),
    [
        ("ExceedsAllowedContactLimit", "contact_limit_reached", "contact limit is reached"),
        ("RejectedByWatchdog", "job_failed", "data watchdog"),
    ],
)
def test_final_states_that_a_person_must_mend(account, state, reason, message):
    """The batch has its result, nothing more is sent, and the counts add up."""
    account = VendorHarness(account.sim, "dotdigital", account.home, batch_rows=2, max_jobs=1)
    account.sim.act("dotdigital", "script_jobs", {"scripts": [["Finished"], [state]]})
    with pytest.raises(FatalError, match=message):
        account.export(account.segment({"email": people(6)}))
    summary = json.loads((account.home / "runs" / "run" / "01" / "summary.json").read_text())
    assert summary["counts"] == {
        "profiles": 6,
        "delivered": 2,
        "unchanged": 0,
        "rejected": 2,
        "withheld": 0,
        "not_attempted": 2,
    }
    assert summary["reasons"] == {"rejected": {reason: 2}}
    assert len(account.upserts()) == 2


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("invalidEmail", Reason.INVALID_EMAIL),
        ("InvalidEmail", Reason.INVALID_EMAIL),
        ("InvalidDomain", Reason.INVALID_EMAIL),
        ("globallySuppressed", Reason.SUPPRESSED),
        ("SuppressedByDomain", Reason.SUPPRESSED),
        ("Blocker", Reason.SUPPRESSED),
        ("duplicateIdentifier", Reason.REJECTED_BY_VENDOR),
        ("ApiSchemaViolation", Reason.INVALID_VALUE),
        ("somethingNew", Reason.REJECTED_BY_VENDOR),
    ],
)
def test_failure_codes_in_any_spelling(code, reason):
    """The table and the examples of the documents name them differently; the set is open."""
    settled = collected(created=made(0, 2), failures=[failure(1, code)])
    (refusal,) = settled.rejected
    assert (refusal.index, refusal.reason, refusal.code, refusal.message) == (1, reason, code, "Words")
    assert settled.contact_ids == {0: "100", 2: "102"}


def test_a_contact_in_two_lists_of_the_report_is_delivered():
    """Updated, and something attached to it failed: the lists are not disjoint."""
    settled = collected(updated=made(0, 1, 2), failures=[failure(1, "consentRecordsNotApplied")])
    assert (settled.rejected, set(settled.contact_ids)) == ((), {0, 1, 2})


def test_a_contact_that_the_report_does_not_mention():
    """It has no result, and is not counted as delivered."""
    (refusal,) = collected(created=made(0, 2)).rejected
    assert (refusal.index, refusal.reason) == (1, Reason.NO_RESULT)


@pytest.mark.parametrize(
    ("failed", "summary", "unattributed"),
    [
        ((), None, 3),
        ((), {"newContacts": 1, "updatedContacts": 2}, 0),
        ((), {"newContacts": 1, "updatedContacts": None}, 2),
        ((2,), {"newContacts": 2}, 0),
        ((2,), {"updatedContacts": 1}, 1),
        ((2,), {"newContacts": 7}, 0),
    ],
)
def test_a_report_without_lists_of_accepted_contacts(failed, summary, unattributed):
    """Only id and state are required: without proof of acceptance, the run reads the book."""
    result = collected(failures=[failure(row, "invalidEmail") for row in failed], summary=summary)
    assert [rejection.index for rejection in result.rejected] == list(failed)
    assert result.unattributed == unattributed


def test_a_report_that_is_gone_sends_the_batch_again():
    """How long reports are kept is not published."""
    gone = reply({"errorCode": "contacts:importNotFound", "description": ""}, 404)
    assert run_operation(vendor.VENDOR.poll(TARGET, ["t"]), lambda _: gone) == {"t": JobState.FAILED}
    assert run_operation(vendor.VENDOR.collect(TARGET, batch_of(3), "t"), lambda _: gone).retry == (0, 1, 2)
