"""People who were in the audience before an export put them in: not its own to take out, unless it says so."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from vendors.harness import VendorHarness, people

from airflow_provider_segexport.person.explain import state_text

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


@pytest.mark.parametrize("way", ["consent", "suppression", "value"])
def test_a_person_whose_row_the_first_export_does_not_send_was_there_too(account: VendorHarness, way):
    """The export that adds them later did not put them in, so it does not take them out."""
    seed(account, P1)
    options = {}
    if way == "consent":
        options = {"consent": account.consent("agreed"), "columns": {"agreed": [True, False, True]}}
    elif way == "suppression":
        stop = account.home / "stop.parquet"
        pq.write_table(pa.table({"email": [P1]}), stop)
        options = {"consent": account.consent(None, stop)}
    else:
        options = {"first": {P1: "x" * 20_000_000}}
    report = account.day(1, people(3), **options)
    assert report["counts"]["delivered"] == 2
    assert account.day(2, people(3))["counts"]["delivered"] == 1
    assert account.ledger()[P1]["existed"]
    account.day(3, people(1))
    assert account.active() == {"p0@example.com", P1}
    account.day(4, people(2))
    account.day(5, people(1))
    assert account.active() == {"p0@example.com", P1}


def test_a_row_about_a_person_who_is_not_sent_is_no_membership(account: VendorHarness):
    """The ledger holds the person as never added, without a claim; a mirror does not take them out."""
    seed(account, P1)
    options = {"consent": account.consent("agreed"), "columns": {"agreed": [True, False, True]}}
    account.day(1, people(3), **options)
    if not account.vendor.import_readds_leavers:
        row = account.ledger()[P1]
        assert (row["state"], row["sharers_mask"], row["existed"]) == ("not_added", 0, True)
        assert state_text(row) == "never delivered; was in the audience before an export"
    report = account.day(2, people(3), **options)
    assert report["removals"].get("planned", 0) == 0
    assert P1 in account.active()


@pytest.mark.parametrize("other", ["export", "mapped segment"])
def test_the_first_run_of_another_export_or_mapped_segment_reads_the_audience_too(account: VendorHarness, other):
    """A person added by hand in the meantime was there before that export; an undo of it leaves them."""
    options = {"export_name": "tests.other", "allow_shared_audience": True}
    if other == "mapped segment":
        options = {"segment_part": "second", "mode": "upsert"}
    shared = {"allow_shared_audience": True} if other == "export" else {"segment_part": "first", "mode": "upsert"}
    account.day(1, people(1), **shared)
    seed(account, P1)
    account.day(2, people(3), **options)
    assert {email for email, row in account.ledger().items() if row["existed"]} == {P1}
    account.undo(export_name="tests.other" if other == "export" else "")
    assert account.active() == {"p0@example.com", P1}
