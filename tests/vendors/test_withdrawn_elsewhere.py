"""A person that one export bars is withheld by every export of the audience, until that export allows them again."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from vendors.harness import VendorHarness, people

from airflow_provider_segexport.export import release as releasing
from airflow_provider_segexport.export.config import Undo
from airflow_provider_segexport.export.release import Release
from airflow_provider_segexport.storage.ledger import Ledger

FIRST_EXPORT, SECOND_EXPORT = (
    {"export_name": "crm.one", "allow_shared_audience": True},
    {"export_name": "crm.two", "allow_shared_audience": True},
)
P1 = "p1@example.com"


def says(account: VendorHarness, answers: list[bool], **options):
    """Options of a run of the first export, whose segment has a column of consent."""
    return {**FIRST_EXPORT, "consent": account.consent("agreed"), "columns": {"agreed": answers}, **options}


def release(account: VendorHarness, export: str, **options):
    target = account.call(account.vendor.resolve_audience(account.endpoint, account.audience))
    ledger_path = Ledger.of(account.home, account.name, target).path
    return releasing.release(ledger_path, Release(export, **options), clock=account.sim.clock.now, sleep=account.sleep)


@pytest.mark.parametrize("mode", ["mirror", "upsert", "full"])
def test_the_other_export_does_not_put_a_withdrawn_person_back(account: VendorHarness, mode):
    """Its own segment says yes, in every mode; the row is withheld, with the reason."""
    account.day(1, people(3), name="one-1", **says(account, [True] * 3))
    account.day(1, people(3), name="two-1", **SECOND_EXPORT)
    account.day(2, people(3), name="one-2", **says(account, [True, False, True]))
    report = account.day(2, people(3), name="two-2", **SECOND_EXPORT, mode=mode)
    assert report["reasons"] == {"withheld": {"withdrawn_elsewhere": 1}}
    assert account.active() == {"p0@example.com", "p2@example.com"}


def test_a_person_who_was_never_in_is_barred_too(dotdigital: VendorHarness):
    """The export that bars runs first, before any person is in the audience."""
    dotdigital.day(1, people(3), name="one-1", **says(dotdigital, [True, False, True]))
    row = dotdigital.ledger()[P1]
    assert (row["state"], row["barred"], row["sharers_mask"]) == ("not_added", 1, 0)
    assert dotdigital.day(1, people(3), name="two-1", **SECOND_EXPORT)["reasons"] == {
        "withheld": {"withdrawn_elsewhere": 1}
    }
    assert P1 not in dotdigital.members()


def test_a_withdrawal_in_a_run_that_removes_no_one_is_carried_out_by_the_others_mirror(dotdigital: VendorHarness):
    """A run of mode `upsert` removes no person; its bar stays."""
    dotdigital.day(1, people(3), name="one-1", **says(dotdigital, [True] * 3))
    dotdigital.day(1, people(3), name="two-1", **SECOND_EXPORT)
    dotdigital.day(2, people(3), name="one-2", **says(dotdigital, [True, False, True], mode="upsert"))
    assert P1 in dotdigital.active()
    dotdigital.day(2, people(3), name="two-2", **SECOND_EXPORT)
    assert dotdigital.active() == {"p0@example.com", "p2@example.com"}


def test_the_bar_stays_when_the_person_leaves_the_segment_that_said_no(dotdigital: VendorHarness):
    """Only a yes lifts it, and a row without the person is none."""
    dotdigital.day(1, people(3), name="one-1", **says(dotdigital, [True, False, True]))
    dotdigital.day(2, people(1), name="one-2", **says(dotdigital, [True]))
    dotdigital.day(2, people(3), name="two-1", **SECOND_EXPORT)
    assert P1 not in dotdigital.members()


def test_a_yes_of_the_same_export_lifts_the_bar(account: VendorHarness):
    """Both exports put the person in again."""
    account.day(1, people(3), name="one-1", **says(account, [True, False, True]))
    account.day(1, people(3), name="two-1", **SECOND_EXPORT)
    account.day(2, people(3), name="one-2", **says(account, [True] * 3))
    assert account.day(2, people(3), name="two-2", **SECOND_EXPORT)["reasons"] == {}
    assert account.active() == set(people(3))
    assert (account.ledger()[P1]["barred"], account.ledger()[P1]["sharers_mask"]) == (0, 3)


def test_two_exports_that_bar_a_person_both_have_to_say_yes(dotdigital: VendorHarness):
    """Each lifts its own bar, whatever the other one still says."""
    stop, go = dotdigital.home / "stop.parquet", dotdigital.home / "go.parquet"
    pq.write_table(pa.table({"email": [P1]}), stop)
    pq.write_table(pa.table({"email": ["other@example.com"]}), go)
    dotdigital.day(1, people(3), name="one-1", **says(dotdigital, [True, False, True]))
    dotdigital.day(1, people(3), name="two-1", **SECOND_EXPORT, consent=dotdigital.consent(None, stop))
    assert dotdigital.ledger()[P1]["barred"] == 3
    dotdigital.day(2, people(3), name="one-2", **says(dotdigital, [True] * 3))
    assert P1 not in dotdigital.members()
    assert dotdigital.ledger()[P1]["barred"] == 2
    dotdigital.day(2, people(3), name="two-2", **SECOND_EXPORT, consent=dotdigital.consent(None, go))
    assert P1 in dotdigital.active()


@pytest.mark.parametrize("to", ["", "crm.two"])
def test_a_released_exports_bar_ends_or_goes_with_its_people(dotdigital: VendorHarness, to):
    """Given up, the bar is gone; handed over, the new export holds it until it says yes itself."""
    dotdigital.day(1, people(3), name="one-1", **says(dotdigital, [True, False, True]))
    dotdigital.day(1, people(3), name="two-1", **SECOND_EXPORT)
    release(dotdigital, "crm.one", to=to)
    assert dotdigital.ledger()[P1]["barred"] == (2 if to else 0)
    dotdigital.day(2, people(3), name="two-2", **SECOND_EXPORT)
    assert P1 in dotdigital.active()


def test_an_undo_of_the_withdrawal_lifts_its_bar_and_no_other(dotdigital: VendorHarness):
    """A wrong suppression list is undone; a person that another export has barred since stays out."""
    dotdigital.day(1, people(4), name="one-1", **FIRST_EXPORT)
    stop = dotdigital.home / "stop.parquet"
    pq.write_table(pa.table({"email": people(3)[1:]}), stop)
    dotdigital.day(2, people(4), name="one-2", **FIRST_EXPORT, consent=dotdigital.consent(None, stop))
    version = 2
    agreed = {"consent": dotdigital.consent("agreed"), "columns": {"agreed": [False]}}
    dotdigital.day(2, ["p2@example.com"], name="two-1", **SECOND_EXPORT, **agreed)
    dotdigital.undo(Undo(version))
    assert dotdigital.active() == {"p0@example.com", P1, "p3@example.com"}
    assert {email: row["barred"] or 0 for email, row in dotdigital.ledger().items()} == {
        **dict.fromkeys(people(4), 0),
        "p2@example.com": 3,
    }


def test_a_person_who_is_gone_already_is_barred_too(account: VendorHarness):
    """A colleague took the person out; the withdrawal counts for the other export all the same."""
    account.day(1, people(3), name="one-1", **says(account, [True] * 3))
    gone = {"email": P1, "status": account.row.gone}
    account.sim.seed(account.name, [gone], None if account.row.gone_account_wide else account.audience)
    account.day(2, people(3), name="one-2", **says(account, [True, False, True]))
    assert account.ledger()[P1]["barred"] == 1
    account.day(2, people(3), name="two-1", **SECOND_EXPORT)
    assert account.active() == {"p0@example.com", "p2@example.com"}


def test_a_single_export_keeps_no_bars(dotdigital: VendorHarness):
    """A ledger that no other export uses stays as small as it was."""
    dotdigital.day(1, people(3), consent=dotdigital.consent("agreed"), columns={"agreed": [True, False, True]})
    assert set(dotdigital.ledger()) == {"p0@example.com", "p2@example.com"}


class TestTries:
    """The tries of a rejected row belong to an export."""

    def test_two_exports_with_other_columns_each_count_their_own(self, sim, tmp_path):
        """A person that the vendor rejects is sent three times by each, and then by neither."""
        account = VendorHarness(sim, "campaign_monitor", tmp_path)
        sim.seed(account.name, [{"email": P1, "status": "bounced"}], account.audience)
        waiting = []
        for day in range(1, 6):
            for name, values in (("one", FIRST_EXPORT), ("two", SECOND_EXPORT)):
                first = {P1: f"of {name}"}
                report = account.day(day, people(3), first=first, name=f"{name}-{day}", **values, mode="upsert")
                waiting.append(report["held_after_rejection"])
            account.sim.clock.advance(86_400)
        assert waiting == [0] * 6 + [1] * 4
        assert sum(P1 in str(call["body"]) for call in account.upserts()) == 6
        row = account.ledger()[P1]
        assert (row["attempts"], row["rejected_by"]) == (3, 1)
        assert [(index, rejection["attempts"]) for index, rejection in row["rejections"]] == [(0, 3)]

    def test_a_delivery_by_one_export_keeps_the_others_count(self, sim, tmp_path):
        """One export's row is taken and the other's is not: it waits after three tries all the same."""
        account = VendorHarness(sim, "campaign_monitor", tmp_path)
        waiting = []
        for day in range(1, 6):
            account.day(day, people(2), first={P1: f"{day}"}, name=f"one-{day}", **FIRST_EXPORT, mode="upsert")
            fault = {"status": 200, "body": refused(P1)}
            account.fault(**fault)
            report = account.day(day, [P1], first={P1: "two"}, name=f"two-{day}", **SECOND_EXPORT, mode="upsert")
            account.sim.clear_faults()
            waiting.append(report["held_after_rejection"])
            account.sim.clock.advance(86_400)
        assert waiting == [0, 0, 0, 1, 1]


def refused(email: str) -> dict[str, object]:
    """Campaign Monitor's response for a person that it rejects."""
    detail = {"EmailAddress": email, "Code": 999, "Message": "Not taken"}
    return {"FailureDetails": [detail]}
