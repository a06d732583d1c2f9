"""Every opt-out that a run sees is written to optouts.parquet, for any of our people."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from vendors.harness import VendorHarness, people

from airflow_provider_segexport.errors import VendorUnavailable
from airflow_provider_segexport.export.config import Phase

DAY_S = 86_400
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


def test_a_retry_after_the_lists_were_read_writes_the_same_opt_outs(account: VendorHarness):
    """The first try is interrupted between the reading and the report."""
    if account.vendor.list_optouts is None:
        pytest.skip("this vendor lists no opt-outs")
    account.day(1, people(2), fetch_optouts=True)
    account.sim.clock.advance(DAY_S)
    account.sim.seed(account.name, [{"email": "p1@example.com", "status": account.row.opted_out}], account.audience)
    account.sim.clock.advance(9 * DAY_S)

    def interrupts(phase: Phase) -> None:
        if phase is Phase.REPORT:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        account.day(11, people(2), fetch_optouts=True, environment=account.environment("day-11", on_phase=interrupts))
    account.sim.clock.advance(300)
    assert written(account.day(11, people(2), fetch_optouts=True)) == {"p1@example.com": "unsubscribed"}
    account.sim.clock.advance(DAY_S)
    assert written(account.day(12, people(2), fetch_optouts=True)) == {}


def without_the_lists(account: VendorHarness) -> None:
    account.day(11, people(3), name="other", export_name="other", allow_shared_audience=True)


def broken_off(account: VendorHarness) -> None:
    """Send `P2`, and fail when the lists are read."""

    def is_down(*_):
        raise VendorUnavailable("The vendor is down.")

    vendor, account.vendor = account.vendor, replace(account.vendor, list_optouts=is_down)
    with pytest.raises(VendorUnavailable):
        account.day(12, people(3), fetch_optouts=True, allow_shared_audience=True)
    account.vendor = vendor


@pytest.mark.parametrize("adds", [without_the_lists, broken_off])
def test_an_opt_out_of_a_person_that_another_try_or_run_has_added_is_written(
    dotdigital: VendorHarness, adds: Callable[[VendorHarness], None]
):
    """Only the lists name the person, who opted out long before the lists were read last."""
    dotdigital.sim.seed("dotdigital", [{"email": P2, "status": "hardBounced"}], dotdigital.audience)
    dotdigital.sim.clock.advance(30 * DAY_S)
    dotdigital.day(1, people(2), fetch_optouts=True, allow_shared_audience=True)
    dotdigital.sim.clock.advance(10 * DAY_S)
    adds(dotdigital)
    assert written(dotdigital.day(12, people(3), fetch_optouts=True, allow_shared_audience=True)) == {P2: "bounced"}


def test_a_clock_that_was_ahead_hides_no_opt_out(dotdigital: VendorHarness):
    """The run that read the lists believed that it was ten days later."""
    right = dotdigital.sim.clock.now()
    dotdigital.sim.clock.advance(10 * DAY_S)
    dotdigital.day(1, people(2), fetch_optouts=True)
    dotdigital.sim.clock.advance(right - dotdigital.sim.clock.now() + DAY_S)
    dotdigital.sim.seed("dotdigital", [{"email": "p1@example.com", "status": "unsubscribed"}], dotdigital.audience)
    assert written(dotdigital.day(2, people(2), fetch_optouts=True)) == {"p1@example.com": "unsubscribed"}


@pytest.mark.parametrize(("reader", "adder"), [(0, -5), (5, 0)], ids=["the other's is behind", "the reader's is ahead"])
def test_clocks_that_differ_hide_no_opt_out_of_a_person_that_another_run_has_added(
    dotdigital: VendorHarness, reader: int, adder: int
):
    """By the hours of the two clocks, the other export added the person before the lists were read."""
    clock = dotdigital.sim.clock
    dotdigital.sim.seed("dotdigital", [{"email": P2, "status": "hardBounced"}], dotdigital.audience)
    clock.advance(30 * DAY_S + reader * 3600)
    dotdigital.day(1, people(2), fetch_optouts=True, allow_shared_audience=True)
    clock.advance((adder - reader) * 3600)
    dotdigital.day(2, people(3), name="other", export_name="other", allow_shared_audience=True)
    clock.advance(DAY_S - adder * 3600)
    report = dotdigital.day(3, people(2), fetch_optouts=True, allow_shared_audience=True)
    assert written(report) == {P2: "bounced"}
