"""Campaign Monitor: people that an export removed come back, and no other person does."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from vendors.batches import upserts
from vendors.harness import VendorHarness, people
from vendors.removals import RemovalRunner

from airflow_provider_segexport.errors import InvalidConnection, OutcomeUnknown, VendorUnavailable
from airflow_provider_segexport.http.client import RetryLimits
from airflow_provider_segexport.model import Audience, BatchKind, Reason, Response
from airflow_provider_segexport.vendors.auth import ApiEndpoint
from airflow_provider_segexport.vendors.campaign_monitor.subscribers import find_client
from airflow_provider_segexport.vendors.operations import run_operation

DENIED = {"Code": 60, "Message": "You do not have the required permission"}


@pytest.fixture
def account(sim, tmp_path):
    """A list of five, of which the first three were removed."""
    account = VendorHarness(sim, "campaign_monitor", tmp_path)
    sim.seed(account.name, [{"email": email} for email in people(5)], account.audience)
    RemovalRunner(account).leave(people(3))
    return account


def seed(account, status, *emails):
    account.sim.seed(account.name, [{"email": email, "status": status} for email in emails], account.audience)


def revived(account, *emails, **options):
    """The outcome of each address: None for back in the list, or a reason."""
    target = account.call(
        account.vendor.resolve_audience(ApiEndpoint(account.endpoint.base_url, options=options), account.audience)
    )
    batch = upserts(account.name, account.audience, emails, BatchKind.REVIVE)
    settled = account.call(account.vendor.resubscribe_removed(target, batch))
    return dict.fromkeys(emails) | {emails[rejection.index]: rejection.reason for rejection in settled.rejected}


def states(account):
    return {email: member["status"] for email, member in account.members().items()}


def test_an_ordinary_import_brings_no_person_back(account):
    """The vendor answers 205, which says that the person was deleted, but not by which user."""
    report = account.export(account.segment({"email": people(5)}))
    assert report["reasons"] == {"withheld": {"deleted": 3}}
    assert account.facts("resubscribed") == 0


def test_who_was_taken_out_comes_back(account):
    """Active again, with today's row, and without a mail."""
    assert revived(account, *people(2)) == dict.fromkeys(people(2))
    assert states(account) == {email: "Deleted" if email == people(3)[2] else "Active" for email in people(5)}
    assert [account.facts("mails"), account.facts("resubscribed")] == [0, 2]


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        ("unsubscribed", Reason.UNSUBSCRIBED),
        ("bounced", Reason.BOUNCED),
        ("unconfirmed", Reason.PENDING_CONFIRMATION),
    ],
)
def test_every_other_person_that_is_not_active_stays_so(account, status, reason):
    """They are looked at just before, whatever the ledger thinks of them."""
    seed(account, status, "p1@example.com")
    assert revived(account, *people(3)) == {"p0@example.com": None, "p1@example.com": reason, "p2@example.com": None}
    assert states(account)["p1@example.com"] == status.capitalize()
    assert account.facts("resubscribed") == 2


def test_who_is_suppressed_stays_so(account):
    """A deleted person may have opted out of everything through another list of the client."""
    seed(account, "suppressed", "p1@example.com")
    assert revived(account, *people(3))["p1@example.com"] is Reason.SUPPRESSED
    assert states(account)["p1@example.com"] == "Deleted"


def test_a_long_suppression_list(account):
    """It is read to its end, or until all are found."""
    seed(account, "suppressed", *(f"s{number}@example.com" for number in range(2500)), "p1@example.com")
    assert revived(account, *people(3)) == {
        "p0@example.com": None,
        "p1@example.com": Reason.SUPPRESSED,
        "p2@example.com": None,
    }


def test_who_is_back_or_new_is_imported_as_anybody(account):
    """Nothing is brought back, for there is nothing to bring back."""
    seed(account, "active", "p1@example.com")
    assert revived(account, "p1@example.com", "new@example.com") == {"p1@example.com": None, "new@example.com": None}
    assert states(account)["new@example.com"] == "Active"
    assert account.facts("resubscribed") == 0


def test_a_call_that_makes_people_active_is_not_repeated_by_itself(account):
    """An attempt without a response may have made them active, and they may have unsubscribed since."""
    account.sim.faults([{"path": "import.json$", "drop": True, "when": "after"}])
    with pytest.raises(OutcomeUnknown):
        revived(account, *people(2))
    seed(account, "unsubscribed", "p1@example.com")
    assert revived(account, *people(2)) == {"p0@example.com": None, "p1@example.com": Reason.UNSUBSCRIBED}
    assert account.facts("resubscribed") == 2


def test_a_run_whose_call_that_makes_people_active_has_no_response(account):
    """The next attempt reads the people again, and imports those who are active by now like all others."""
    account = VendorHarness(account.sim, "campaign_monitor", account.home)
    account.day(1, people(7)[5:])
    account.day(2, people(6)[5:])
    account.sim.faults([{"path": "import.json$", "contains": '"Resubscribe":true', "drop": True, "when": "after"}])
    with pytest.raises(OutcomeUnknown):
        account.day(3, people(7)[5:])
    assert account.day(3, people(7)[5:])["counts"]["delivered"] == 1
    assert account.facts("resubscribed") == 1


def test_the_connection_s_client_is_not_the_list_s(account):
    """Its suppression list is that of other people: nothing is sent."""
    client = account.described["client"]["id"]
    account.sim.faults([{"path": f"/clients/{client}/lists.json$", "body": [{"ListID": "f" * 32, "Name": "Other"}]}])
    with pytest.raises(InvalidConnection, match=f"The client {client} of the connection has no list"):
        revived(account, *people(2), client_id=client)
    assert account.facts("resubscribed") == 0


def test_a_key_that_may_not_read_the_suppression_list(account):
    """No person is brought back: whether they opted out cannot be known. The client's id in the connection helps."""
    account.sim.faults([{"path": "/clients.json$", "count": 0, "status": 401, "body": DENIED}])
    assert revived(account, *people(2)) == dict.fromkeys(people(2), Reason.DELETED)
    assert account.facts("resubscribed") == 0
    client = account.described["client"]["id"]
    assert revived(account, *people(2), client_id=f" {client} ") == dict.fromkeys(people(2))


def test_the_client_of_a_list_among_many():
    """An account's key lists its clients, and each of them its lists; what is no id is not called with."""
    first, two, three = ("a" * 32, "b" * 32, "c" * 32)
    lists: dict[object, list[str]] = {7: [], first: ["0" * 32], two: ["1" * 32], three: ["2" * 32]}
    called = []

    def send(request):
        called.append(request.url.removeprefix("https://cm.test"))
        client = request.url.split("/")[-2]
        body = [{"ListID": list_id, "Name": "L"} for list_id in lists.get(client, [])]
        if request.url.endswith("/clients.json"):
            body = [{"ClientID": name, "Name": f"{name}"} for name in lists]
        return Response(200, {"content-type": "application/json"}, json.dumps(body).encode(), request.url)

    def client(audience):
        return run_operation(
            find_client(Audience("https://cm.test", "all", "Shop", audience, extra={"client_id": ""})), send
        )

    assert client("1" * 32) == two
    assert called == ["/clients.json", f"/clients/{first}/lists.json", f"/clients/{two}/lists.json"]
    assert client("9" * 32) == ""


@pytest.mark.parametrize("when", ["before", "after"])
def test_who_was_taken_out_by_a_call_without_an_answer(sim, tmp_path, when):
    """The next try finds them deleted, knows that it was this export, and brings them back when they return."""
    account = VendorHarness(sim, "campaign_monitor", tmp_path)
    account.day(1, people(4))
    sim.faults([{"method": "DELETE", "drop": True, "when": when}])
    with pytest.raises(VendorUnavailable):
        account.day(2, people(3), environment=account.environment("day-2", patience=RetryLimits(attempts=1)))
    report = account.day(2, people(3))
    assert {name: count for name, count in report["removals"].items() if count} == {"planned": 1, "removed": 1}
    assert account.ledger()["p3@example.com"]["state"] == "removed"
    assert account.day(3, people(4))["counts"]["delivered"] == 1
    assert account.active() == set(people(4))


def test_who_was_taken_out_without_an_answer_at_a_vendor_that_then_calls_them_absent(sim, tmp_path):
    """They count as removed too, also where the vendor keeps no trace of a person that it has removed."""
    account = VendorHarness(sim, "campaign_monitor", tmp_path)
    removal = account.vendor.removal

    def remove(audience, batch):
        result = yield from removal.remove(audience, batch)
        absent = tuple(replace(row, reason=Reason.NOT_IN_AUDIENCE) for row in result.rejected)
        return replace(result, rejected=absent)

    account.vendor = replace(account.vendor, removal=replace(removal, remove=remove))
    account.day(1, people(4))
    sim.faults([{"method": "DELETE", "drop": True, "when": "after"}])
    with pytest.raises(VendorUnavailable):
        account.day(2, people(3), environment=account.environment("day-2", patience=RetryLimits(attempts=1)))
    report = account.day(2, people(3))
    assert {name: count for name, count in report["removals"].items() if count} == {"planned": 1, "removed": 1}
    assert account.ledger()["p3@example.com"]["state"] == "removed"


def test_a_person_that_a_user_deleted_at_the_vendor_is_not_ours(sim, tmp_path):
    """A leaver who is deleted already, and by no call of this run, is absent: only a person may bring them back."""
    account = VendorHarness(sim, "campaign_monitor", tmp_path)
    account.day(1, people(4))
    sim.seed(account.name, [{"email": "p3@example.com", "status": "deleted"}], account.audience)
    report = account.day(2, people(3))
    assert {name: count for name, count in report["removals"].items() if count} == {"planned": 1, "already_gone": 1}
    assert account.day(3, people(4))["reasons"] == {"withheld": {"deleted": 1}}


class DyingSender:
    """A sender whose process is killed after the response to a request of one method."""

    def __init__(self, send, method):
        self.send, self.method = send, method
        self.traffic = send.traffic

    def __call__(self, request):
        response = self.send(request)
        if request.method == self.method and "subscribers" in request.url:
            raise KeyboardInterrupt
        return response

    def close(self):
        self.send.close()


@pytest.mark.parametrize(("method", "state"), [("GET", "Deleted"), ("DELETE", "Active")])
def test_only_a_deletion_that_may_have_left_counts_as_the_runs_own(sim, tmp_path, method, state):
    """A process that is killed after it read who is deleted has deleted no person; a user has the last word."""
    account = VendorHarness(sim, "campaign_monitor", tmp_path)
    account.day(1, people(4))
    if method == "GET":
        seed(account, "deleted", "p3@example.com")
    environment = account.environment("day-2", send=DyingSender(account.sender(), method))
    with pytest.raises(KeyboardInterrupt):
        account.day(2, people(3), environment=environment)
    assert states(account)["p3@example.com"] == "Deleted"
    account.day(2, people(3))
    report = account.day(3, people(4))
    assert report["counts"].get("delivered", 0) == (method == "DELETE")
    assert states(account)["p3@example.com"] == state
