"""dotdigital: what reads reject, and the statuses that they return (contacts specification 3.4.3)."""

from __future__ import annotations

import pytest

V3_TO_V2 = {
    "hardBounced": "HardBounced",
    "ispComplained": "IspComplained",
    "domainSuppressed": "DomainSuppression",
    "sharedsuppression": "SharedSuppression",
    "knownComplainer": "NotAvailableInThisVersion",
}
"""Statuses of the email channel, and the status of v2 for each."""


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("path", ["email/ada@example", "contactId/ada", f"customerId/{'x' * 257}"])
def test_a_value_that_the_identifier_cannot_have(dd, method, path):
    """It is 400 contacts:invalidId, although no contact has it."""
    reply = dd(method, f"/contacts/v3/{path}", {"identifiers": {}} if method[0] == "P" else None)
    assert (reply.status_code, reply.json()["errorCode"]) == (400, "contacts:invalidId")


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"~created": "gte::2022-08-01T00:00:00Z", "~modified": "gte::2022-08-01T00:00:00Z"}, "invalidFilter"),
        ({"include": "lists|orders"}, "badRequest"),
    ],
)
def test_parameters_that_do_not_fit(dd, params, code):
    """The two dates exclude each other, and only the documented parts can be included."""
    reply = dd("GET", "/contacts/v3", params=params)
    assert (reply.status_code, reply.json()["errorCode"]) == (400, f"contacts:{code}")


@pytest.mark.parametrize(("status", "v2_status"), V3_TO_V2.items())
def test_statuses_of_v2_have_other_names(sim, dd, status, v2_status):
    """Each version has its own names; v2 says which status it does not know."""
    sim.seed("dotdigital", [{"email": "gone@example.com", "status": status}], str(dd.book))
    (item,) = dd("GET", "/contacts/v3?include=channelProperties").json()["_items"]
    assert (item["status"], item["channelProperties"]["email"]["status"]) == ("suppressed", status)
    (row,) = dd("GET", "/v2/contacts/suppressed-since/2020-01-01").json()
    assert (row["reason"], row["suppressedContact"]["status"]) == (v2_status, v2_status)


def test_who_waits_for_a_confirmation_is_pending_in_the_list(dd):
    """The status in the list is pending, as the status of the contact is pendingOptIn."""
    dd.load(dd.contact("ada@example.com", channelProperties={"email": {"optInType": "verifiedDouble"}}))
    shown = dd.show("ada@example.com")
    assert (shown["status"], shown["lists"][0]["status"]) == ("pendingOptIn", "pending")
