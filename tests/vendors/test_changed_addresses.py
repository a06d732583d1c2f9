"""A contact whose address changed at the vendor is another person: no run removes it for the former one."""

from __future__ import annotations

from typing import Any

import pytest
from vendors.harness import VendorHarness, people

from airflow_provider_segexport.export import removing
from airflow_provider_segexport.export.config import Undo
from airflow_provider_segexport.person.vendor_removal import VendorRemover

ANN, BOB, EVE = "ann@example.com", "bob@example.com", "eve@example.com"


def change_address(account: VendorHarness, email: str, to: str) -> None:
    account.sim.act(account.name, "change_address", {"email": email, "to": to})


def settled(account: VendorHarness, report: dict[str, Any]) -> tuple[int, int, int]:
    """Planned, removed and already gone; Omnisend accepts an address that no contact has."""
    counts = report["removals"]
    assert account.name == "omnisend" or counts["already_gone"]
    return counts["planned"], counts["removed"] + counts["already_gone"], counts["kept"]


def contact_ids(account: VendorHarness) -> dict[str, object]:
    return {email: member.get("id", email) for email, member in account.members().items()}


@pytest.mark.parametrize("bob_is_known", [False, True])
def test_a_leaver_s_contact_that_is_another_person_s_now_stays(account: VendorHarness, *, bob_is_known: bool):
    """Ann's contact was changed to Bob's address, or Bob's was merged into it: Ann's removal leaves Bob alone."""
    account.day(1, [*people(3), ANN, EVE, *([BOB] if bob_is_known else [])])
    change_address(account, ANN, BOB)
    report = account.day(2, [*people(3), *([BOB] if bob_is_known else [])])
    assert settled(account, report) == (2, 2, 0)
    assert account.active() == {*people(3), BOB}
    assert account.ledger().get(ANN, {}).get("state") != "member"


def test_a_leaver_s_address_on_another_contact_is_removed(account: VendorHarness):
    """Two contacts have swapped addresses: the one that has the leaver's address now is removed, the other stays."""
    account.day(1, [*people(3), ANN, BOB])
    before = contact_ids(account)
    for email, to in ((ANN, "x@example.com"), (BOB, ANN), ("x@example.com", BOB)):
        change_address(account, email, to)
    assert account.name == "campaign_monitor" or contact_ids(account)[ANN] == before[BOB]
    report = account.day(2, [*people(3), BOB])
    assert report["removals"]["removed"] == 1
    assert account.active() == {*people(3), BOB}


def test_an_address_that_changes_between_the_plan_and_the_removal(account: VendorHarness, monkeypatch):
    """The plan waits for an approval or a retry, and in between a colleague changes the contact."""
    account.day(1, [*people(3), ANN, EVE])

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(removing, "send_removals", killed)
        with pytest.raises(KeyboardInterrupt):
            account.day(2, people(3))
    change_address(account, ANN, BOB)
    report = account.day(2, people(3))
    assert settled(account, report) == (2, 2, 0)
    assert account.active() == {*people(3), BOB}


def test_an_undo_leaves_another_person_s_contact_alone(account: VendorHarness):
    """The undo takes out the people that the run added: by their present contacts."""
    account.day(1, people(3))
    account.day(2, [*people(3), ANN, EVE])
    change_address(account, ANN, BOB)
    assert settled(account, account.undo(Undo())) == (2, 2, 0)
    assert account.active() == {*people(3), BOB}


def test_an_erasure_leaves_another_person_s_contact_alone(account: VendorHarness):
    """Ann is erased; the contact that the ledger knows as hers is Bob's."""
    account.day(1, [*people(3), ANN])
    change_address(account, ANN, BOB)
    target = account.call(account.vendor.resolve_audience(account.endpoint, account.audience))
    remover = VendorRemover(account.vendor, target, account.call, account.sleep)
    assert remover.remove(ANN) in {"not_in_audience", "removed"}
    assert account.active() == {*people(3), BOB}
