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
    heard = [(exchange.entry.method, exchange.entry.path.rpartition("/")[0]) for exchange in published]
    assert ("PUT", "/contacts/v3") in heard
    assert ("GET", "/contacts/v3/import") in heard
    assert len(heard) == len(sim.requests(vendor="dotdigital"))


def test_a_breach_is_caught(sim, tmp_path, published):
    """A contact whose lists are texts is accepted by no specification."""
    account = VendorHarness(sim, "dotdigital", tmp_path)
    account.export(account.segment({"email": people(1)}))
    (call,) = [exchange for exchange in published if exchange.entry.method == "PUT"]
    broken = call.entry.body.replace(f"[{account.audience}]".encode(), b'["all"]')
    assert broken != call.entry.body
    call.entry.body, original = broken, call.entry.body
    with pytest.raises(jsonschema.ValidationError):
        Exchange(call.entry, call.answer).check()
    call.entry.body = original


@pytest.fixture
def imported(sim, tmp_path, published):
    """The import of an export to Constant Contact."""
    account = VendorHarness(sim, "constant_contact", tmp_path)
    columns = {"email": people(2), "sex": ["f", "m"], "zip": ["02451", "1010"]}
    account.export(account.segment(columns), field_mapping={"gender": "sex", "postcode": "zip"})
    return next(exchange for exchange in published if exchange.entry.path.endswith("_import"))


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
    original, (good, bad) = imported.entry.body, BREACHES[breach]
    assert good in original
    imported.entry.body = original.replace(good, bad)
    with pytest.raises(jsonschema.ValidationError):
        imported.check()
    imported.entry.body = original


@pytest.mark.parametrize(
    ("name", "value"), [("limit", "501"), ("limit", "0"), ("states", "completed"), ("state", "running")]
)
def test_a_breach_in_a_query_is_caught(sim, tmp_path, published, name, value):
    """A name that is not documented, and a value beyond the documented ones."""
    account = VendorHarness(sim, "constant_contact", tmp_path, batch_rows=1)
    account.export(account.segment({"email": people(3)}))
    listing = next(exchange for exchange in published if exchange.entry.path == "/v3/activities")
    original = dict(listing.entry.query)
    listing.entry.query[name] = value
    with pytest.raises((jsonschema.ValidationError, AssertionError)):
        listing.check()
    listing.entry.query.clear()
    listing.entry.query.update(original)


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
    spoilt = next(exchange for exchange in published if exchange.entry.fault)
    original = spoilt.entry.body
    spoilt.entry.body = original.replace(b'"email":', b'"e_mail":')
    with pytest.raises(jsonschema.ValidationError):
        spoilt.check()
    spoilt.entry.body = original


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
    ("vendor", "breach"), [(vendor, number) for vendor, breaches in REMOVALS.items() for number in range(len(breaches))]
)
def test_a_breach_in_a_removal_is_caught(sim, tmp_path, published, vendor, breach):
    """Calls that take people out are held to the specification like those that bring them."""
    account = VendorHarness(sim, vendor, tmp_path)
    sim.seed(vendor, [{"email": email} for email in people(1)], account.audience)
    account.members()
    RemovalRunner(account).leave(people(1))
    method, path = account.row.removal
    (call,) = [
        exchange for exchange in published if exchange.entry.method == method and exchange.entry.path.endswith(path)
    ]
    _, *pairs = REMOVALS[vendor][breach]
    original = call.entry.body
    call.entry.body = (
        original.replace(pairs[0], pairs[1]).replace(*pairs[2:]) if pairs[2] else original.replace(*pairs[:2])
    )
    assert call.entry.body != original
    with pytest.raises((jsonschema.ValidationError, AssertionError)):
        call.check()
    call.entry.body = original
