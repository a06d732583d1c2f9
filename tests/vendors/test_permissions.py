"""The connection test names every permission, privilege and scope that is missing, and an export sends nothing then."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import chain, combinations

import pytest
from vendors.harness import VendorHarness, people
from vendors.rows import Bearer

from airflow_provider_segexport.errors import PermissionDenied, SegexportError
from airflow_provider_segexport.vendors.omnisend.permissions import BATCH_PERMISSIONS

BATCHES = ["contacts.read", "events.read", "products.read"]
PRIVILEGES = ["contacts:read", "contacts:write", "contacts:lists:read"]


def subsets(names: Sequence[str]) -> list[list[str]]:
    return [list(some) for some in chain.from_iterable(combinations(names, size) for size in range(len(names) + 1))]


def missing(account: VendorHarness, auth=None) -> str:
    """The message of the connection test; empty if it succeeds."""
    try:
        account.call(account.vendor.check_permissions(account.endpoint), auth)
    except PermissionDenied as error:
        return str(error)
    return ""


def assert_sends_nothing(account: VendorHarness, auth=None) -> None:
    environment = account.environment("denied", send=account.sender(auth))
    with pytest.raises(SegexportError):
        account.export(account.segment({"email": people(3)}), environment=environment)
    changing = [call for call in account.sim.requests(vendor=account.name) if call["method"] not in {"GET", "HEAD"}]
    assert [call["path"] for call in changing if "/oauth" not in str(call["path"])] == []


@pytest.mark.parametrize("batch_read", [["contacts.read"], ["events.read", "products.read"], ["products.read"]])
@pytest.mark.parametrize("granted", subsets(["brands.read", *BATCHES]), ids=",".join)
def test_omnisend(sim, tmp_path, granted, batch_read):
    """Whatever the vendor asks for to read batches, of the permissions that it documents."""
    account = VendorHarness(sim, "omnisend", tmp_path)
    sim.configure({"omnisend": {"permissions": [*granted, "contacts.write"], "batch_read_permissions": batch_read}})
    expected = {
        "brands.read": "brands.read" not in granted,
        "contacts.read (": "contacts.read" not in granted,
        BATCH_PERMISSIONS: not set(batch_read) <= set(granted),
    }
    text = missing(account)
    assert {name: name in text for name in expected} == expected
    if any(expected.values()):
        assert_sends_nothing(account)
    else:
        assert account.export(account.segment({"email": people(3)}))["counts"]["delivered"] == 3


@pytest.mark.parametrize("granted", subsets(PRIVILEGES), ids=",".join)
def test_privileges_at_constant_contact(sim, tmp_path, granted):
    """With the roles that have them."""
    account = VendorHarness(sim, "constant_contact", tmp_path)
    sim.configure({"constant_contact": {"privileges": ["account:read", *granted]}})
    text = missing(account)
    lacking = [name for name in PRIVILEGES if name not in granted]
    named = re.search(r"lacks the privileges? ([a-z:, ]+)\.", text)
    assert (named[1].split(", ") if named else []) == lacking
    assert ("Account Owner and Account Manager" in text) is bool(lacking)
    if lacking:
        assert_sends_nothing(account)


@pytest.mark.parametrize("scopes", subsets(["contact_data", "account_read"]), ids=",".join)
def test_scopes_at_constant_contact(sim, tmp_path, scopes):
    account = VendorHarness(sim, "constant_contact", tmp_path)
    token = sim.act("constant_contact", "authorize", {"scopes": [*scopes, "offline_access"]})["access_token"]
    text = missing(account, Bearer(token))
    assert ("scope contact_data" in text) is ("contact_data" not in scopes)
    assert ("scope account_read" in text) is (not scopes)  # alone, it only adds the account's name
    if "contact_data" not in scopes:
        assert_sends_nothing(account, Bearer(token))
    elif "account_read" not in scopes:
        note = account.call(account.vendor.check_permissions(account.endpoint), Bearer(token))
        assert "lacks the scope account_read" in note


@pytest.mark.parametrize("scopes", subsets(["ManageLists", "ImportSubscribers"]), ids=",".join)
def test_scopes_at_campaign_monitor(sim, tmp_path, scopes):
    """No read needs ImportSubscribers: the first import names it."""
    account = VendorHarness(sim, "campaign_monitor", tmp_path)
    sim.configure({"campaign_monitor": {"scopes": scopes}})
    auth = Bearer(account.described["credentials"]["oauth"]["access_token"])
    assert ("lacks the scope ManageLists" in missing(account, auth)) is ("ManageLists" not in scopes)
    if "ManageLists" not in scopes:
        assert_sends_nothing(account, auth)
    elif "ImportSubscribers" not in scopes:
        environment = account.environment("denied", send=account.sender(auth))
        with pytest.raises(PermissionDenied, match="ImportSubscribers"):
            account.export(account.segment({"email": people(3)}), environment=environment)
