"""Every opt-out that a run sees is written to optouts.parquet, for any of our people."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest
from vendors.harness import VendorHarness, people

P2 = "p2@example.com"


@pytest.fixture
def account(sim, vendor, tmp_path):
    """An account whose login lasts as long as the test."""
    sim.reset({"constant_contact": {"access_seconds": 90 * 86_400}}, seed=1, latency=0.0)
    return VendorHarness(sim, vendor, tmp_path)


def written(report) -> dict[str, str]:
    """Reason by address, as the warehouse reads them."""
    rows = pq.read_table(Path(report["optouts"]["path"])).to_pylist()
    assert report["optouts"]["count"] == len(rows)
    return {row["email"]: row["reason"] for row in rows}


@pytest.mark.parametrize("optouts", [False, True], ids=["answers", "lists"])
def test_a_person_who_left_the_segment_and_is_unsubscribed_is_written(account: VendorHarness, optouts):
    """The run looks at them before it takes them out, where a removal reads them; the reason is everywhere the same."""
    if optouts and account.vendor.list_optouts is None:
        pytest.skip("this vendor lists no opt-outs")
    account.day(1, people(3))
    account.sim.seed(account.name, [{"email": P2, "status": account.row.opted_out}], account.audience)
    written_optouts = written(account.day(2, people(2), fetch_optouts=optouts))
    seen = optouts or account.row.checks_leavers
    assert written_optouts == ({P2: "unsubscribed"} if seen else {})


def test_a_person_who_opted_out_before_they_came_into_the_segment_is_written(account: VendorHarness):
    """The vendor's lists were read up to yesterday; a person who is new today opted out long before."""
    if account.vendor.list_optouts is None:
        pytest.skip("this vendor lists no opt-outs")
    account.sim.seed(account.name, [{"email": P2, "status": account.row.opted_out}], account.audience)
    account.sim.clock.advance(60)
    account.day(1, people(2), fetch_optouts=True)
    account.sim.clock.advance(10 * 86_400)
    written_optouts = written(account.day(12, people(3), fetch_optouts=True))
    assert written_optouts == {P2: "unsubscribed"}


def test_an_unsubscribed_person_that_an_undo_was_to_remove_is_written(account: VendorHarness):
    """An undo looks at the people before it removes them, as a mirror run does: they stay as they are."""
    account.day(1, people(2))
    account.day(2, people(3))
    account.sim.seed(account.name, [{"email": P2, "status": account.row.opted_out}], account.audience)
    before = account.members().get(P2)
    assert written(account.undo()) == ({P2: "unsubscribed"} if account.row.checks_leavers else {})
    if account.row.checks_leavers:
        assert account.members().get(P2) == before
        assert account.ledger().get(P2, {}).get("state") in {None, "left"}
