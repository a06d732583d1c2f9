"""Leavers, returners, sharers and undo, at every vendor: only people that we added are ever removed."""

from __future__ import annotations

import pytest
from vendors.harness import VendorHarness, people

from airflow_provider_segexport.errors import AudienceOwnedByOther, FatalError, GuardTripped, StaleSnapshot
from airflow_provider_segexport.export import pipeline, removing
from airflow_provider_segexport.export.config import Guard
from airflow_provider_segexport.model import Member
from airflow_provider_segexport.stages import update_ledger

DAMAGE = ("unsubscribed", "suppressed", "account_deleted", "resubscribed", "consent_upgraded", "mails")


def removals(report):
    return {name: count for name, count in report["removals"].items() if count}


@pytest.fixture
def calm(account):
    """An account whose simulator shows what a test looks for at once."""
    return account


def test_leavers_are_taken_out_and_nothing_else_happens_to_them(calm: VendorHarness):
    """They are no longer in the audience, still in the account, and no person is unsubscribed or written to."""
    foreign = "foreign@example.com"
    calm.sim.seed(calm.name, [{"email": foreign, "status": "active"}], calm.audience)
    calm.day(1, people(6))
    report = calm.day(2, people(4))
    assert removals(report) == {"planned": 2, "removed": 2}
    assert report["counts"]["unchanged"] == 4
    assert calm.active() == {*people(4), foreign}
    assert {name: calm.facts(name) for name in DAMAGE} == dict.fromkeys(DAMAGE, 0)
    assert {email: row["state"] for email, row in calm.ledger().items()} == {
        **dict.fromkeys(people(4), "member"),
        **dict.fromkeys(people(6)[4:], "removed"),
    }


def test_upsert_removes_no_person(calm: VendorHarness):
    """Only `mirror` removes; people that left the segment stay members until a run mirrors."""
    calm.day(1, people(4), mode="upsert")
    assert removals(calm.day(2, people(2), mode="upsert")) == {}
    assert calm.active() == set(people(4))
    assert removals(calm.day(3, people(2))) == {"planned": 2, "removed": 2}
    assert calm.active() == set(people(2))


def test_a_returner_is_brought_back(calm: VendorHarness):
    """People that we removed, and that are in the segment again, are added again; no mail is triggered."""
    calm.day(1, people(4))
    calm.day(2, people(3))
    assert calm.active() == set(people(3))
    report = calm.day(3, people(4))
    assert (report["counts"]["delivered"], report["counts"]["unchanged"]) == (1, 3)
    assert calm.active() == set(people(4))
    assert calm.facts("mails") == 0
    assert {row["state"] for row in calm.ledger().values()} == {"member"}


def test_a_person_that_another_user_removed_is_not_added_again(sim, tmp_path):
    """A person that a user deleted from the list is withheld: the vendor's 205 does not say who did it."""
    account = VendorHarness(sim, "campaign_monitor", tmp_path)
    account.sim.seed(account.name, [{"email": "p1@example.com", "status": "deleted"}], account.audience)
    report = account.day(1, people(3))
    assert (report["reasons"], report["counts"]["delivered"]) == ({"withheld": {"deleted": 1}}, 2)
    assert account.facts("resubscribed") == 0


def test_a_leaver_who_has_opted_out_is_left_alone(sim, tmp_path):
    """Deleting an unsubscribed person would lose the opt-out: the state at the vendor stays as it is."""
    account = VendorHarness(sim, "campaign_monitor", tmp_path)
    account.day(1, people(3))
    account.sim.seed(account.name, [{"email": "p2@example.com", "status": "unsubscribed"}], account.audience)
    assert removals(account.day(2, people(2))) == {"planned": 1, "already_gone": 1}
    assert account.members()["p2@example.com"]["status"] == "Unsubscribed"
    report = account.day(3, people(3))
    assert report["reasons"] == {"rejected": {"unsubscribed": 1}}
    assert account.facts("resubscribed") == 0


def test_a_row_that_cannot_be_sent_has_not_left(calm: VendorHarness):
    """A person with a bad value this time, or twice in the segment, is still in it."""
    calm.day(1, people(3))
    report = calm.day(2, [*people(3), "p2@example.com"], first={"p1@example.com": "x" * 9000})
    assert removals(report) == {}
    assert calm.active() == set(people(3))


def test_who_has_no_consent_any_more_is_a_leaver(calm: VendorHarness):
    """Consent that was withdrawn in the warehouse takes a person out of the audience."""
    calm.day(1, people(3))
    options = {"consent": calm.consent("agreed"), "columns": {"agreed": [True, None, False]}}
    report = calm.day(2, people(3), **options)
    assert report["reasons"] == {"withheld": {"no_consent": 2}}
    assert removals(report) == {"planned": 2, "removed": 2}
    assert calm.active() == {"p0@example.com"}


def test_too_many_removals_stop_the_run_before_the_first_call(calm: VendorHarness):
    """15 % by default; the message says what to do, and the report has every row as not attempted."""
    calm.day(1, people(10))
    sent = len(calm.upserts())
    with pytest.raises(GuardTripped, match=r"2 of 10 people would be taken out.*max_removals_share"):
        calm.day(2, [*people(8), "new@example.com"], guards={})
    assert len(calm.upserts()) == sent
    assert len(calm.active()) == 10
    card = calm.latest_summary()
    assert (card["finished"], card["counts"]["not_attempted"]) == (False, 1)


def test_a_guard_may_keep_the_leavers_and_let_the_rest_go(calm: VendorHarness):
    """`skip_removals` leaves removals undone, says so, and the next run within the limit takes them out."""
    calm.day(1, people(10))
    guards = {"max_removals_share": Guard(0.15, "skip_removals")}
    report = calm.day(2, [*people(8), "new@example.com"], guards=guards)
    assert removals(report) == {"planned": 2, "kept": 2}
    assert report["counts"]["delivered"] == 1
    assert len(calm.active()) == 11
    assert removals(calm.day(3, [*people(8), "new@example.com"])) == {"planned": 2, "removed": 2}


def test_an_older_snapshot_removes_no_person(calm: VendorHarness):
    """Older never overwrites newer: nothing is sent, whatever the mode."""
    calm.day(2, people(4))
    calls = len(calm.sim.requests(vendor=calm.name))
    with pytest.raises(StaleSnapshot, match="has already sent a snapshot as of"):
        calm.day(1, people(2))
    after = calm.sim.requests(vendor=calm.name)[calls:]
    assert {call["method"] for call in after} <= {"GET"}
    assert calm.active() == set(people(4))


def test_an_older_snapshot_may_be_compared(calm: VendorHarness):
    """`verify` reports what would differ, and sends nothing."""
    calm.day(2, people(4))
    sent = len(calm.upserts())
    report = calm.day(1, people(3), first={"p0@example.com": "Other"}, on_stale="verify")
    assert (report["comparison_only"], report["dry_run"], len(calm.upserts())) == (True, True, sent)
    assert (report["counts"]["unchanged"], report["counts"]["not_attempted"]) == (2, 1)
    assert removals(report) == {"planned": 1, "not_attempted": 1}
    assert calm.ledger()["p0@example.com"]["as_of"].day == 2


def test_a_dry_run_sends_nothing_and_leaves_no_trace(calm: VendorHarness):
    """The plan with its counts, calls, minutes and row numbers; the ledger, the audience and its state stay."""
    calm.day(1, people(3))
    before = (calm.ledger(), calm.latest_summary(), len(calm.upserts()))
    report = calm.day(2, ["new@example.com", *people(2)], dry_run=True)
    assert (report["dry_run"], report["counts"]["not_attempted"], report["counts"]["unchanged"]) == (True, 1, 2)
    assert report["estimate"]["upserts"] == 1
    assert report["estimate"]["removals"] == 1
    assert report["estimate"]["calls"] == 2
    assert report["estimate"]["samples"]["clean"] == [0, 1, 2]
    assert (calm.ledger(), calm.latest_summary(), len(calm.upserts())) == before
    assert calm.day(2, people(3), name="for-real")["counts"]["unchanged"] == 3


def test_an_audience_has_one_owner(calm: VendorHarness):
    """A second export is refused with the owner's name, before anything is sent."""
    calm.day(1, people(2), export_name="crm.newsletter")
    sent = len(calm.upserts())
    with pytest.raises(AudienceOwnedByOther, match=r"owned by the export 'crm\.newsletter'; this one is 'shop\.vip'"):
        calm.day(2, people(3), export_name="shop.vip", allow_shared_audience=True)
    assert len(calm.upserts()) == sent


def test_sharers_let_a_person_go_together(calm: VendorHarness):
    """Two exports that both share: a person leaves when no sharer holds them any more, and not before."""
    first_export, two = (
        {"export_name": "crm.one", "allow_shared_audience": True},
        {"export_name": "crm.two", "allow_shared_audience": True},
    )
    calm.day(1, people(3), **first_export)
    calm.day(2, people(4)[2:], name="two-1", **two)
    assert calm.active() == set(people(4))
    assert removals(calm.day(3, people(1), name="one-2", **first_export)) == {"planned": 2, "kept": 1, "removed": 1}
    assert calm.active() == {"p0@example.com", "p2@example.com", "p3@example.com"}
    assert removals(calm.day(4, people(4)[3:], name="two-2", **two)) == {"planned": 1, "removed": 1}
    assert calm.active() == {"p0@example.com", "p3@example.com"}


def test_a_sharer_that_never_removes_never_lets_go(calm: VendorHarness):
    """A sharer in mode `upsert` keeps the people that it has once added."""
    calm.day(1, people(2), export_name="crm.one", allow_shared_audience=True, mode="upsert")
    calm.day(2, people(1), name="one-2", export_name="crm.one", allow_shared_audience=True, mode="upsert")
    report = calm.day(3, ["x@example.com"], name="two", export_name="crm.two", allow_shared_audience=True)
    assert removals(report) == {}
    assert calm.active() == {*people(2), "x@example.com"}


def test_a_sharer_holds_the_people_of_its_segment_although_they_were_rejected(sim, tmp_path):
    """The other sharer does not remove them, nor the people that the owner added before the audience was shared."""
    account = VendorHarness(sim, "campaign_monitor", tmp_path)
    first_export, two = (
        {"export_name": "crm.one", "allow_shared_audience": True},
        {"export_name": "crm.two", "allow_shared_audience": True},
    )
    account.day(1, people(2), export_name="crm.one", mode="upsert")
    account.day(2, people(2), name="one-2", mode="upsert", **first_export)
    account.sim.seed(account.name, [{"email": "p1@example.com", "status": "unsubscribed"}], account.audience)
    account.day(3, people(2), first=dict.fromkeys(people(2), "New"), name="two-1", mode="upsert", **two)
    assert removals(account.day(4, ["x@example.com"], name="one-3", **first_export)) == {"planned": 2, "kept": 2}
    assert removals(account.day(5, ["y@example.com"], name="two-2", **two)) == {
        "planned": 2,
        "removed": 1,
        "already_gone": 1,
    }


@pytest.mark.parametrize("name", ["constant_contact", "dotdigital", "omnisend"])
def test_a_person_whose_removal_was_not_seen_in_time_is_sent_again(
    sim, tmp_path, monkeypatch: pytest.MonkeyPatch, name: str
):
    """The vendor removes them after the last read-back. The next day they are in the segment with the same values."""
    account = VendorHarness(sim, name, tmp_path)
    account.day(1, people(2))

    def list_too_early(_vendor, _audience, _emails, on_page):
        on_page([Member("p1@example.com", "1")])
        yield from ()

    with monkeypatch.context() as patch:
        patch.setattr(removing, "members_among", list_too_early)
        assert removals(account.day(2, people(1))) == {"planned": 1, "rejected": 1}
    assert account.active() == set(people(1))
    assert account.ledger()["p1@example.com"]["state"] == "removing"
    assert account.day(3, people(2))["counts"]["delivered"] == 1
    assert account.active() == set(people(2))


def test_undo_takes_back_the_last_run(calm: VendorHarness):
    """People that the run added are out again, and those that it removed are in again; a second undo is an error."""
    calm.day(1, people(4))
    calm.day(2, [*people(3), "new@example.com"])
    assert calm.active() == {*people(3), "new@example.com"}
    report = calm.undo()
    assert removals(report) == {"planned": 1, "removed": 1}
    assert (report["mode"], report["counts"]["delivered"], report["reverted_version"]) == ("undo", 1, 2)
    assert calm.active() == set(people(4))
    with pytest.raises(FatalError, match="is the undo of version 2"):
        calm.undo(run="again")
    report = calm.day(3, people(4))
    assert (report["counts"]["delivered"], report["counts"]["unchanged"]) == (1, 3)


def test_a_leaver_who_has_left_the_address_book_is_left_alone(sim, tmp_path):
    """To take them off the book would forget that they left it, and a later import would put them on again."""
    account = VendorHarness(sim, "dotdigital", tmp_path)
    account.day(1, people(3))
    gone = {"email": "p2@example.com", "status": "unsubscribedFromList"}
    account.sim.seed(account.name, [gone], account.audience)
    assert removals(account.day(2, people(2))) == {"planned": 1, "already_gone": 1}
    assert account.facts("removed") == 0


def test_what_a_run_did_that_died_for_good_is_known_to_the_next(calm: VendorHarness, monkeypatch):
    """A day's run is killed before it wrote the ledger, and is not tried again: the next day's run knows its rows."""
    calm.day(1, people(3), first=dict.fromkeys(people(3), "Old"))
    with monkeypatch.context() as patch:
        patch.setattr(update_ledger, "update_ledger", killed)
        with pytest.raises(KeyboardInterrupt):
            calm.day(2, [*people(3), "new@example.com"], first=dict.fromkeys(people(3), "New"))
    assert "new@example.com" not in calm.ledger()
    report = calm.day(3, people(3), first=dict.fromkeys(people(3), "Old"))
    assert report["counts"]["delivered"] == 3, "values that flipped back are sent again"
    assert removals(report) == {"planned": 1, "removed": 1}
    assert calm.active() == set(people(3))


def test_a_newer_run_that_died_half_way_holds_back_an_older_one(calm: VendorHarness, monkeypatch):
    """It has begun to bring the audience to its state: an older snapshot would overwrite what it sent."""
    calm.day(1, people(2))
    with monkeypatch.context() as patch:
        patch.setattr(update_ledger, "update_ledger", killed)
        with pytest.raises(KeyboardInterrupt):
            calm.day(3, people(3))
    with pytest.raises(StaleSnapshot):
        calm.day(2, people(2))


def test_a_plan_that_another_run_has_overtaken_is_given_up(calm: VendorHarness, monkeypatch):
    """Its next try finds a newer state, sends nothing, and says so."""
    with monkeypatch.context() as patch:
        patch.setattr(pipeline, "send_all", killed)
        with pytest.raises(KeyboardInterrupt):
            calm.day(1, people(2), first={"p0@example.com": "Old"})
    calm.day(2, people(2), first={"p0@example.com": "New"})
    sent = len(calm.upserts())
    with pytest.raises(StaleSnapshot):
        calm.day(1, people(2), first={"p0@example.com": "Old"})
    assert len(calm.upserts()) == sent


def killed(*_: object, **__: object) -> None:
    raise KeyboardInterrupt
