"""People who were in the audience before an export put them in: not its own to take out, unless it says so."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from vendors.harness import VendorHarness, people

P1 = "p1@example.com"


def seed(account: VendorHarness, *emails: str) -> None:
    """A colleague puts people into the audience by hand."""
    account.sim.seed(account.name, [{"email": email} for email in emails], account.audience)


@pytest.fixture
def constant_contact(sim, tmp_path):
    return VendorHarness(sim, "constant_contact", tmp_path)


@pytest.mark.parametrize("mode", ["mirror", "upsert"])
def test_a_person_who_was_there_stays_when_they_leave_the_segment(account: VendorHarness, mode):
    """The first export notes it, in any mode; later runs keep the person, and count them once."""
    seed(account, P1, "by-hand@example.com")
    account.day(1, people(3), mode=mode)
    assert {email for email, row in account.ledger().items() if row["existed"]} == {P1}
    report = account.day(2, people(1))
    counts = {name: count for name, count in report["removals"].items() if count}
    assert counts == {"planned": 2, "removed": 1, "kept": 1}
    assert account.active() == {"p0@example.com", P1, "by-hand@example.com"}
    assert account.day(3, people(1))["removals"].get("kept", 0) == 0
    assert P1 in account.active()


def test_an_export_that_adopts_them_takes_them_out(account: VendorHarness):
    """Also people that an earlier run has recorded."""
    seed(account, P1)
    account.day(1, people(3))
    account.day(2, people(1), adopt_existing=True)
    assert account.active() == {"p0@example.com"}


def test_an_export_that_adopts_from_the_start_notes_and_reads_nothing(dotdigital: VendorHarness):
    """The audience is not read for it."""
    seed(dotdigital, P1)
    dotdigital.day(1, people(3), adopt_existing=True)
    dotdigital.day(2, people(1))
    assert dotdigital.active() == {"p0@example.com"}
    assert not any("limit=5000" in str(call) for call in dotdigital.sim.requests(vendor="dotdigital"))


@pytest.mark.parametrize("way", ["consent", "suppression", "suppression_elsewhere"])
def test_a_person_who_was_there_and_withdraws_is_taken_out(dotdigital: VendorHarness, way):
    """Consent comes before the question who put the person in; also if only the list still names the person."""
    seed(dotdigital, P1)
    dotdigital.day(1, people(3))
    stop = dotdigital.home / "stop.parquet"
    pq.write_table(pa.table({"email": [P1]}), stop)
    if way == "consent":
        options = {"consent": dotdigital.consent("agreed"), "columns": {"agreed": [True, False, True]}}
        dotdigital.day(2, people(3), **options)
    else:
        segment = people(3) if way == "suppression" else [people(3)[0], people(3)[2]]
        dotdigital.day(2, segment, consent=dotdigital.consent(None, stop))
    assert dotdigital.active() == {"p0@example.com", "p2@example.com"}


def test_an_undo_of_the_first_export_leaves_them(dotdigital: VendorHarness):
    """Only the people that the run added are removed."""
    seed(dotdigital, P1)
    dotdigital.day(1, people(3))
    dotdigital.undo()
    assert dotdigital.active() == {P1}
    assert dotdigital.ledger()[P1]["sharers_mask"] == 0


def test_only_people_of_the_segment_are_written_down(account: VendorHarness):
    """No other person's data is brought into the ledger or the run folder."""
    seed(account, "by-hand@example.com")
    account.day(1, people(2))
    assert "by-hand@example.com" not in account.ledger()
    written = [file for file in account.home.rglob("*") if file.is_file()]
    assert written
    assert not any(b"by-hand@example.com" in file.read_bytes() for file in written)


def test_constant_contact_sees_people_who_were_added_later_too(constant_contact: VendorHarness):
    """Each run reads the list anyway."""
    constant_contact.day(1, people(1))
    seed(constant_contact, P1)
    constant_contact.day(2, people(3))
    constant_contact.day(3, people(1))
    assert constant_contact.active() == {"p0@example.com", P1}


def test_a_person_that_the_export_removed_and_added_again_is_its_own(dotdigital: VendorHarness):
    """A person that was a member before the adoption is no earlier member after being removed and added again."""
    seed(dotdigital, P1)
    dotdigital.day(1, people(3))
    dotdigital.day(2, people(1), adopt_existing=True)
    dotdigital.day(3, people(3))
    dotdigital.day(4, people(1))
    assert dotdigital.active() == {"p0@example.com"}
