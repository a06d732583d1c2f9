"""The listener that holds every exchange to the vendors' specifications, held to account itself."""

from __future__ import annotations

import jsonschema
import pytest
from simulator.specifications import SPECS
from vendors.accounts import Account, people
from vendors.published import Exchange

pytestmark = pytest.mark.skipif(not SPECS.is_dir(), reason=f"the published specifications are not at {SPECS.name}/")


def test_requests_and_replies_are_heard(sim, tmp_path, published):
    """An export's calls and the replies to them are all checked, without being picked."""
    account = Account(sim, "dotdigital", tmp_path)
    account.export(account.segment({"email": people(3)}))
    heard = [(one.entry.method, one.entry.path.rpartition("/")[0]) for one in published]
    assert ("PUT", "/contacts/v3") in heard
    assert ("GET", "/contacts/v3/import") in heard
    assert len(heard) == len(sim.requests(vendor="dotdigital"))


def test_a_breach_is_caught(sim, tmp_path, published):
    """A contact whose lists are texts is accepted by no specification."""
    account = Account(sim, "dotdigital", tmp_path)
    account.export(account.segment({"email": people(1)}))
    (call,) = [one for one in published if one.entry.method == "PUT"]
    broken = call.entry.body.replace(f"[{account.audience}]".encode(), b'["all"]')
    assert broken != call.entry.body
    call.entry.body, kept = broken, call.entry.body
    with pytest.raises(jsonschema.ValidationError):
        Exchange(call.entry, call.answer).check()
    call.entry.body = kept
