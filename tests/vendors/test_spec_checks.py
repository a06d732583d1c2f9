"""The listener that holds every exchange to the vendors' specifications, held to account itself."""

from __future__ import annotations

from dataclasses import replace

import jsonschema
import pytest
from simulator.specifications import SPECS
from vendors.harness import VendorHarness, people
from vendors.removals import RemovalRunner
from vendors.spec_checks import Exchange

pytestmark = pytest.mark.skipif(not SPECS.is_dir(), reason=f"the published specifications are not at {SPECS.name}/")


def test_requests_and_replies_are_heard(sim, tmp_path, published):
    """An export's calls and the replies to them are all checked, without being picked."""
    account = VendorHarness(sim, "dotdigital", tmp_path)
    account.export(account.segment({"email": people(3)}))
    heard = [(one.entry.method, one.entry.path.rpartition("/")[0]) for one in published]
    assert ("PUT", "/contacts/v3") in heard
    assert ("GET", "/contacts/v3/import") in heard
    assert len(heard) == len(sim.requests(vendor="dotdigital"))


def test_a_breach_is_caught(sim, tmp_path, published):
    """A contact whose lists are texts is accepted by no specification."""
    account = VendorHarness(sim, "dotdigital", tmp_path)
    account.export(account.segment({"email": people(1)}))
    (call,) = [one for one in published if one.entry.method == "PUT"]
    broken = call.entry.body.replace(f"[{account.audience}]".encode(), b'["all"]')
    assert broken != call.entry.body
    call.entry.body, kept = broken, call.entry.body
    with pytest.raises(jsonschema.ValidationError):
        Exchange(call.entry, call.answer).check()
    call.entry.body = kept


@pytest.fixture
def imported(sim, tmp_path, published):
    """The import of an export to Constant Contact."""
    account = VendorHarness(sim, "constant_contact", tmp_path)
    columns = {"email": people(2), "sex": ["f", "m"], "zip": ["02451", "1010"]}
    account.export(account.segment(columns), field_mapping={"gender": "sex", "postcode": "zip"})
    return next(one for one in published if one.entry.path.endswith("_import"))


BREACHES = {
    "a column that the vendor would drop": (b'"zip":', b'"postal_code":'),
    "a custom field without its prefix": (b'"cf:Gender":', b'"Gender":'),
    "a number where a text belongs": (b'"1010"', b"1010"),
    "a value that is too long": (b'"cf:Gender":"f"', b'"cf:Gender":"' + b"f" * 256 + b'"'),
    "a permission": (b'"list_ids":', b'"permission_to_send":"explicit","list_ids":'),
    "no list": (b'"list_ids":', b'"lists":'),
}


@pytest.mark.parametrize("breach", BREACHES)
def test_a_breach_in_a_row_is_caught(imported, breach):
    """Also where the vendor would take the rest, and say nothing."""
    kept, (good, bad) = imported.entry.body, BREACHES[breach]
    assert good in kept
    imported.entry.body = kept.replace(good, bad)
    with pytest.raises(jsonschema.ValidationError):
        imported.check()
    imported.entry.body = kept


@pytest.mark.parametrize(
    ("name", "value"), [("limit", "501"), ("limit", "0"), ("states", "completed"), ("state", "running")]
)
def test_a_breach_in_a_query_is_caught(sim, tmp_path, published, name, value):
    """A name that is not documented, and a value beyond the documented ones."""
    account = VendorHarness(sim, "constant_contact", tmp_path, batch_rows=1)
    account.export(account.segment({"email": people(3)}))
    listing = next(one for one in published if one.entry.path == "/v3/activities")
    kept = dict(listing.entry.query)
    listing.entry.query[name] = value
    with pytest.raises((jsonschema.ValidationError, AssertionError)):
        listing.check()
    listing.entry.query.clear()
    listing.entry.query.update(kept)


def test_a_breach_in_a_reply_is_caught(imported):
    """A simulator that answers with what the vendor has not is no second opinion."""
    answer = replace(imported.answer, content=imported.answer.content.replace(b'"state":', b'"status_word":'))
    with pytest.raises(jsonschema.ValidationError):
        replace(imported, answer=answer).check()


def test_a_request_is_checked_whatever_became_of_it(sim, tmp_path, published):
    """A fault that spoils the reply is no excuse for the request."""
    account = VendorHarness(sim, "constant_contact", tmp_path)
    account.fault(status=503, body="down")
    account.export(account.segment({"email": people(1)}))
    spoilt = next(one for one in published if one.entry.fault)
    kept = spoilt.entry.body
    spoilt.entry.body = kept.replace(b'"email":', b'"e_mail":')
    with pytest.raises(jsonschema.ValidationError):
        spoilt.check()
    spoilt.entry.body = kept


REMOVALS = {
    "dotdigital": [
        ("ids that are texts", b"[", b'["', b"]", b'"]'),
        ("ids in an object", b"[", b'{"ids":[', b"]", b"]}"),
    ],
    "constant_contact": [
        ("addresses for ids", b'"contact_ids"', b'"emails"', b"", b""),
        ("no list", b'"list_ids"', b'"lists"', b"", b""),
    ],
    "omnisend": [
        ("ids for addresses", b'"emails"', b'"ids"', b"", b""),
        ("no tag", b'"tags"', b'"tag"', b"", b""),
    ],
}


@pytest.mark.parametrize(
    ("vendor", "breach"), [(vendor, number) for vendor, found in REMOVALS.items() for number in range(len(found))]
)
def test_a_breach_in_a_removal_is_caught(sim, tmp_path, published, vendor, breach):
    """Calls that take people out are held to the specification like those that bring them."""
    account = VendorHarness(sim, vendor, tmp_path)
    sim.seed(vendor, [{"email": email} for email in people(1)], account.audience)
    account.members()
    RemovalRunner(account).leave(people(1))
    method, path = account.row.removal
    (call,) = [one for one in published if one.entry.method == method and one.entry.path.endswith(path)]
    _, *pairs = REMOVALS[vendor][breach]
    kept = call.entry.body
    call.entry.body = kept.replace(pairs[0], pairs[1]).replace(*pairs[2:]) if pairs[2] else kept.replace(*pairs[:2])
    assert call.entry.body != kept
    with pytest.raises((jsonschema.ValidationError, AssertionError)):
        call.check()
    call.entry.body = kept
