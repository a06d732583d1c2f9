"""The ledger after a sequence of runs: people that are ours to bring back, and people that have left."""

from __future__ import annotations

from dataclasses import replace

import pytest
from requests.auth import HTTPBasicAuth
from vendors.harness import VendorHarness, people

from airflow_provider_segexport.errors import SegexportError
from airflow_provider_segexport.http.client import RetryLimits
from airflow_provider_segexport.person.vendor_removal import VendorRemover

P2 = "p2@example.com"


def impatient(account: VendorHarness, name: str):
    """A world in which one call that fails ends the run."""
    return account.environment(name, patience=RetryLimits(attempts=1))


def fails(account: VendorHarness, number: int, emails, fault, **options) -> None:
    """A day on which a call fails; the run ends with an error, and is not tried again."""
    account.sim.faults([{"vendor": account.name, **fault}])
    name = f"day-{number}"
    with pytest.raises(SegexportError):
        account.day(number, emails, environment=impatient(account, name), **options)
    account.sim.clear_faults()


def upsert(account: VendorHarness) -> dict[str, object]:
    method, path = account.row.upsert
    return {"method": method, "path": f"{path}$"}


def removal(account: VendorHarness) -> dict[str, object]:
    method, path = account.row.removal
    return {"method": method, "path": f"{path}$"}


def test_a_returner_whose_import_failed_is_still_ours_to_bring_back(account: VendorHarness):
    """Taken out, in the segment again, and the call had no answer: the next day brings the person back."""
    account.day(1, people(3))
    account.day(2, people(2))
    fails(account, 3, people(3), {**upsert(account), "status": 503, "body": {}})
    assert account.day(4, people(3))["reasons"] == {}
    assert account.active() == set(people(3))


@pytest.mark.parametrize("between", [False, True], ids=["next", "one_day_between"])
def test_a_removal_whose_answer_was_lost_was_ours(account: VendorHarness, between):
    """It took effect; a newer run comes; the person who returns is put in again."""
    account.day(1, people(3))
    fails(account, 2, people(2), {**removal(account), "drop": True, "when": "after"})
    if between:
        account.day(3, people(2))
        assert account.ledger()[P2]["state"] == "removed"
        account.sim.clock.advance(60)
    assert account.day(4, people(3))["reasons"] == {}
    assert account.active() == set(people(3))


def test_only_who_was_seen_in_the_audience_can_have_left_it(account: VendorHarness):
    """The import never reached the vendor, the next mirror lacks the person, and then they are in the segment again."""
    account.day(1, people(2))
    fails(account, 2, people(3), {**upsert(account), "drop": True, "when": "before"})
    report = account.day(3, people(2))
    assert account.ledger().get(P2, {}).get("state") in {None, "removed"}, "not `left`"
    account.sim.clock.advance(60)
    assert report.get("optouts", {"count": 0})["count"] == 0
    assert account.day(4, people(3))["reasons"] == {}
    assert account.active() == set(people(3))


def test_a_contact_that_was_made_anew_by_hand_is_taken_out(sim, tmp_path):
    """dotdigital: the contact was deleted and made again, with another id; the address says who it is."""
    account = VendorHarness(sim, "dotdigital", tmp_path)
    account.day(1, people(3))
    before = account.members()[P2]
    account.sim.seed(account.name, [{"email": P2, "status": "deleted"}])
    account.sim.seed(account.name, [{"email": P2, "status": "active"}], account.audience)
    assert account.members()[P2] != before
    report = account.day(2, people(2))
    assert {name: count for name, count in report["removals"].items() if count} == {"planned": 1, "removed": 1}
    assert account.active() == set(people(2))


def test_an_erasure_finds_a_contact_that_was_made_anew(sim, tmp_path):
    """dotdigital: the ledger's id is of a contact that is deleted; the person of the address is taken out, no other."""
    account = VendorHarness(sim, "dotdigital", tmp_path)
    account.day(1, people(3))
    account.sim.seed(account.name, [{"email": P2, "status": "deleted"}])
    account.sim.seed(account.name, [{"email": P2, "status": "active"}], account.audience)
    target = account.call(account.vendor.resolve_audience(account.endpoint, account.audience))
    remover = VendorRemover(account.vendor, target, account.call, account.sleep)
    assert remover.remove(P2) == "removed"
    assert account.active() == set(people(2))
    assert remover.remove(P2) == "not_in_audience"


@pytest.fixture
def listed(sim, tmp_path):
    """An account that rejects one person, with a login that never expires."""
    harness = VendorHarness(sim, "campaign_monitor", tmp_path)
    harness.row = replace(harness.row, auth=lambda described: HTTPBasicAuth(described["credentials"]["api_key"], "x"))
    return harness


def test_a_delivered_row_that_full_has_rejected_is_unchanged(listed: VendorHarness):
    """Three refusals by `full` of what was delivered before: the next run has nothing to send, and nothing waits."""
    listed.day(1, people(3))
    listed.sim.seed(listed.name, [{"email": P2, "status": "bounced"}], listed.audience)
    for number in (2, 3, 4):
        listed.sim.clock.advance(60)
        assert listed.day(number, people(3), mode="full")["reasons"] == {"rejected": {"bounced": 1}}
    report = listed.day(5, people(3), mode="upsert")
    assert (report["counts"]["unchanged"], report["held_after_rejection"], report["reasons"]) == (3, 0, {})


def test_a_failed_run_does_not_reset_the_count_of_tries(listed: VendorHarness):
    """Two refusals, a call without an answer, a third refusal: then the row waits."""
    listed.sim.seed(listed.name, [{"email": P2, "status": "bounced"}], listed.audience)
    for number in (1, 2):
        listed.day(number, people(3), mode="upsert")
        listed.sim.clock.advance(60)
    assert listed.ledger()[P2]["attempts"] == 2
    fails(listed, 3, people(3), {**upsert(listed), "drop": True, "when": "before"}, mode="upsert")
    assert listed.ledger()[P2]["attempts"] == 2
    listed.sim.clock.advance(60)
    listed.day(4, people(3), mode="upsert")
    assert listed.ledger()[P2]["attempts"] == 3
    assert listed.day(5, people(3), mode="upsert")["reasons"] == {"withheld": {"rejected_recently": 1}}


def test_who_was_never_put_in_is_not_in_after_a_refusal(account: VendorHarness):
    """A call without an answer leaves it open; the vendor's refusal of the person settles it."""
    if account.row.rejected_status is None:
        pytest.skip("refuses nobody for what it holds of them")
    status, reason = account.row.rejected_status
    account.sim.seed(account.name, [{"email": P2, "status": status}], account.audience)
    account.day(1, people(2))
    fails(account, 2, people(3), {**upsert(account), "drop": True, "when": "before"}, mode="upsert")
    assert account.day(3, people(3), mode="upsert")["reasons"] == {"rejected": {reason: 1}}
    assert account.ledger()[P2]["state"] == "not_added"


def test_a_mirror_speaks_of_its_own_people_only(sim, tmp_path):
    """Constant Contact: another sharer's person has left the list; this sharer's report does not name them."""
    account = VendorHarness(sim, "constant_contact", tmp_path)
    first, two = (
        {"export_name": "crm.one", "allow_shared_audience": True},
        {"export_name": "crm.two", "allow_shared_audience": True},
    )
    account.day(1, people(2), name="one-1", **first)
    account.day(2, [P2], name="two-1", **two)
    account.sim.seed(account.name, [{"email": P2, "status": "left_list"}], account.audience)
    report = account.day(3, people(2), name="one-2", **first)
    assert not any(report["removals"].values())
    assert account.day(4, ["x@example.com"], name="two-2", **two)["removals"]["already_gone"] == 1
