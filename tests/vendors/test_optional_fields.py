"""Fields that the published contracts call optional may be absent or null: nobody is lost, and no run crashes."""

from __future__ import annotations

import json

import pytest
from core.made import batch_of

from airflow_provider_segexport.access import Access
from airflow_provider_segexport.contract import drive
from airflow_provider_segexport.errors import VendorUnavailable
from airflow_provider_segexport.model import JobState, Reason, Response, Target
from airflow_provider_segexport.vendors.campaign_monitor import leavers
from airflow_provider_segexport.vendors.constant_contact.contacts import collect
from airflow_provider_segexport.vendors.dotdigital import VENDOR as DOTDIGITAL
from airflow_provider_segexport.vendors.dotdigital.leavers import identify
from airflow_provider_segexport.vendors.omnisend.contacts import state_of, verdicts

TARGET = Target(api="https://v.test", account="1", account_name="Shop", audience="7")


def reply(body, status=200):
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Response(status, {"content-type": "text/html" if isinstance(body, bytes) else "application/json"}, content)


@pytest.mark.parametrize("subscriber", [{"State": "Paused"}, {"State": None}, {}, {"State": "Suppressed"}])
def test_campaign_monitor_leaves_an_unknown_state_alone(subscriber):
    """The person is not deleted, and the reason is named."""
    calls = []

    def send(request):
        calls.append(request.method)
        return reply(subscriber)

    (refusal,) = drive(leavers.remove(TARGET, batch_of(1)), send).refused
    assert calls == ["GET"]
    assert refusal.reason in {Reason.REFUSED_BY_VENDOR, Reason.SUPPRESSED}


@pytest.mark.parametrize("field", ["errorsCount", "finishedCount", "totalCount"])
@pytest.mark.parametrize("lacking", ["absent", "null"])
def test_omnisend_counts_may_lack(field, lacking):
    """A batch without its counts is looked at item by item, and rows without a verdict go out again."""
    batch = {"status": "finished", "errorsCount": 0, "finishedCount": 3, "totalCount": 3, field: None}
    if lacking == "absent":
        del batch[field]
    assert state_of(batch) is JobState.FINISHED
    assert state_of({"status": "finished"}) is JobState.FINISHED
    assert verdicts({"status": "finished", "errors": [{}]}, batch_of(3)).again == (0, 1, 2)


@pytest.mark.parametrize(
    "contact", [{"contactId": 5}, {"contactId": 5, "lists": None}, {"contactId": 5, "lists": [{}]}]
)
def test_dotdigital_contact_without_lists(contact):
    """A contact whose lists are not in the reply counts as not in the address book."""
    told = []
    drive(identify(TARGET, ["a@example.com"], told.extend), lambda _: reply(contact))
    assert told == []


@pytest.mark.parametrize("person", [{}, {"suppressedContact": None}, {"suppressedContact": {"email": "A@example.com"}}])
def test_dotdigital_opt_outs_may_lack_dates(person):
    """An opt-out without a date counts; one without a contact has no address."""
    told = []
    target = TARGET

    def send(request):
        return reply([person] if request.query["skip"] == "0" else [])

    drive(DOTDIGITAL.optouts(target, 0.0, told.extend), send)
    assert {one.email for one in told} == ({"a@example.com"} if person.get("suppressedContact") else set())


def test_dotdigital_data_fields_of_unlisted_types_are_skipped():
    """A type that this version of the API does not know, and none at all."""
    bodies = {
        "account-info": {"id": 1, "properties": [{"name": "ApiEndpoint", "value": "https://v.test"}, {"name": "Name"}]},
        "7": {"id": 7, "name": "Book"},
        "data-fields": [
            {"name": "OK", "type": "String"},
            {"name": "NEW", "type": "NotAvailableInThisVersion"},
            {"name": "NONE"},
        ],
    }
    check = DOTDIGITAL.check(Access("https://v.test", api_is_default=False), "7")
    target = drive(check, lambda request: reply(bodies[request.url.rpartition("/")[2]]))
    assert set(target.fields) == {"ok"}


def test_a_firewall_s_page_is_no_verdict_on_the_account():
    """A 403 in HTML is tried again: it says nothing of a region or a permission."""
    check = DOTDIGITAL.check(Access("https://v.test", api_is_default=False), "7")
    with pytest.raises(VendorUnavailable):
        drive(check, lambda _: reply(b"<!DOCTYPE html><html>Request blocked</html>", 403))


@pytest.mark.parametrize("status", [{}, {"status": None}, {"status": {}}, {"status": {"person_count": None}}])
def test_constant_contact_activity_without_counters(status):
    """A completed activity without counters proves no delivery: the rows are looked for in the list."""
    activity = {"activity_id": "a", "state": "completed", **status}
    settled = drive(collect(TARGET, batch_of(3), "a"), lambda _: reply(activity))
    assert (settled.unnamed, settled.unnamed_reason, settled.refused) == (3, Reason.NO_VERDICT, ())
    activity["activity_errors"] = ["Line 3: Invalid email"]
    settled = drive(collect(TARGET, batch_of(3), "a"), lambda _: reply(activity))
    assert (settled.unnamed, [one.index for one in settled.refused]) == (2, [1])
