"""Constant Contact: the opt-out of a deleted contact, and the times of contacts and lists (swagger 3.0.178)."""

from __future__ import annotations


def test_deletion_has_the_date_of_an_opt_out(cc):
    """A deleted contact has been opted out by the account, keeps its permission, and is back without that date."""
    cc.load("ada@example.com")
    cc("DELETE", f"/contacts/{cc.find('ada@example.com')['contact_id']}")
    opted_out = "/contacts?status=all&optout_after=2020-01-01T00:00:00Z"
    shown = cc("GET", opted_out).json()["contacts"][0]
    address = shown["email_address"]
    assert (address["opt_out_source"], address["permission_to_send"]) == ("Account", "implicit")
    assert shown["deleted_at"] == address["opt_out_date"][:10]
    cc.load("ada@example.com")
    assert "opt_out_date" not in cc.find("ada@example.com")["email_address"]
    assert cc("GET", opted_out).json()["contacts"] == []


def test_times_have_the_zone_of_the_account(cc):
    """Times of contacts and lists have an offset; those of opt-ins are in UTC, as in the swagger's examples."""
    cc.load("ada@example.com")
    shown = cc.find("ada@example.com")
    assert shown["created_at"][19:] == shown["email_address"]["updated_at"][19:] == "-05:00"
    assert shown["email_address"]["opt_in_date"][-1] == "Z"
    assert cc("GET", f"/contact_lists/{cc.list}").json()["updated_at"][19:] == "-05:00"
