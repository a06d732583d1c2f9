"""Constant Contact: people that left stay out, and permissions never change."""

from __future__ import annotations

import pytest
from vendors.constant_contact import Lists, reasons
from vendors.harness import people

from airflow_provider_segexport.errors import RateLimited, RetryableError


@pytest.fixture
def small(sim, tmp_path):
    """Batches of four, so that results differ from batch to batch."""
    return Lists(sim, tmp_path, batch_rows=4)


class TestLeavers:
    """An import brings back who left only this list: they are found first, and withheld."""

    def test_who_left_is_not_brought_back(self, lists):
        """Not in the second run and not in the third; the others are exported, and no import saw a leaver."""
        segment = lists.segment({"email": people(5)})
        lists.export(segment, "one")
        lists.leave("p2@example.com")
        for run, mode in (("two", "full"), ("three", "upsert"), ("four", "full")):
            report = lists.export(segment, run, mode=mode)
            assert {"withheld": {"left_audience": 1}} == report["reasons"]
            assert {"p2@example.com": "left_audience"} == reasons(lists, run)
        assert ["p2@example.com"] == sorted(set(people(5)) - set(lists.members()))
        assert "left list Customers" in lists.people()["p2@example.com"]["history"][-1][1]
        assert [5, 4, 4] == [len(rows) for rows in lists.rows_sent()]
        assert {} == lists.harm()
        assert 0 == lists.facts("rejoined")

    def test_who_comes_back_by_themselves_is_exported_again(self, lists):
        """In the list again, by their own doing: nothing holds them back."""
        segment = lists.segment({"email": people(3)})
        lists.export(segment, "one")
        lists.leave("p1@example.com")
        lists.export(segment, "two")
        lists.seed("p1@example.com", audience=lists.audience)
        assert 3 == lists.export(segment, "three")["counts"]["delivered"]

    def test_what_a_ledger_does_not_know_is_not_a_leaver(self, lists):
        """Only people that we added can have left: the list is not even read before the first export."""
        lists.export(lists.segment({"email": people(3)}), "one")
        assert 0 == len(lists.calls("POST", "/contact_exports"))
        assert 6 == lists.export(lists.segment({"email": people(6)}), "two")["counts"]["delivered"]

    @pytest.mark.parametrize("status", ["temp_hold", "pending_confirmation", "not_set", "explicit"])
    def test_who_gets_no_mail_for_now_has_not_left(self, lists, status):
        """A bounced contact is in the list still: it is updated, and stays what it is."""
        segment = lists.segment({"email": people(3)})
        lists.export(segment, "one")
        lists.seed({"email": "p1@example.com", "status": status})
        assert 3 == lists.export(segment, "two")["counts"]["delivered"]
        assert status == lists.people()["p1@example.com"]["status"]

    @pytest.mark.parametrize(
        ("keeps", "outcome"),
        [(True, {"rejected": {"unsubscribed": 1}}), (False, {"withheld": {"left_audience": 1}})],
    )
    def test_who_unsubscribed_from_everything_since(self, lists, keeps, outcome):
        """Whether the vendor keeps them on the list or not, they are not exported, and not asked again."""
        lists.set(unsubscribed_keep_lists=keeps)
        segment = lists.segment({"email": people(4)})
        lists.export(segment, "one")
        lists.act("unsubscribe", email="p3@example.com")
        report = lists.export(segment, "two")
        assert (3, outcome) == (report["counts"]["delivered"], report["reasons"])
        assert "unsubscribed" == lists.people()["p3@example.com"]["status"]
        assert {} == lists.harm()

    def test_a_list_that_is_taken_apart(self, lists):
        """The list is empty: all have left, and an import that would bring all back does not happen."""
        segment = lists.segment({"email": people(3)})
        lists.export(segment, "one")
        for email in people(3):
            lists.leave(email)
        assert {"withheld": {"left_audience": 3}} == lists.export(segment, "two")["reasons"]
        assert 1 == len(lists.upserts())

    def test_reading_a_list_back_costs_a_few_calls(self, lists):
        """An export activity, a look or two, and one file, whatever the number of people."""
        segment = lists.segment({"email": people(700)})
        lists.export(segment, "one")
        before = len(lists.calls())
        lists.export(segment, "two", mode="upsert")
        assert len(lists.calls()) - before <= 12  # four of them check, and some ask whether the export is done


def test_no_export_changes_what_may_be_sent_to_anybody(small):
    """People of every kind, in two runs: permissions stay, no mail goes out, no person is deleted or signed up."""
    kinds = ["explicit", "implicit", "not_set", "pending_confirmation", "temp_hold", "unsubscribed", "deleted"]
    for number, kind in enumerate(kinds):
        small.seed({"email": f"p{number}@example.com", "status": kind}, audience=small.audience)
    small.seed({"email": "p7@example.com", "status": "unsubscribed"})
    before = {email: person["status"] for email, person in small.people().items()}
    segment = small.segment({"email": people(12)})
    for run in ("one", "two"):
        small.export(segment, run)
    after = {email: person["status"] for email, person in small.people().items()}
    assert {**before, **dict.fromkeys(people(12)[8:], "implicit")} == {
        email: status for email, status in after.items() if email != "p6@example.com"
    }
    assert {} == {what: count for what, count in small.harm().items() if what != "revived"}
    assert {} == small.sim.members(small.name, small.audience)["mails"]


class TestPlansThatWaited:
    """Between plan and call a day may pass: people that left since then are not brought back either."""

    @pytest.fixture
    def waited(self, sim, tmp_path):
        """A second export of eight people was planned and half sent, when the day's calls were used up."""
        small = Lists(sim, tmp_path, batch_rows=2, max_concurrency=1)
        small.export(small.segment({"email": people(8)}), "one")
        small.act("spend", calls=10_000 - len(small.calls()) - 11)
        with pytest.raises(RateLimited):
            small.export(small.segment({"email": people(8)}), "two")
        assert 0 < len(small.upserts()) - 4 < 4
        sim.clock.advance(86_400)
        small.described = {**small.described, "credentials": small.act("authorize")}
        return small

    def test_who_left_after_the_plan_is_withheld(self, waited):
        """The rest of the batch goes out, and the counts add up."""
        for gone in ("p6@example.com", "p7@example.com", "p5@example.com"):
            waited.leave(gone)
        report = waited.export(waited.segment({"email": people(8)}), "two")
        assert {"withheld": {"left_audience": 3}} == report["reasons"]
        assert (5, 0) == (report["counts"]["delivered"], report["counts"]["not_attempted"])
        assert {"p5@example.com", "p6@example.com", "p7@example.com"} == set(people(8)) - set(waited.members())
        assert 0 == waited.facts("rejoined")
        assert {} == waited.harm()

    def test_they_are_leavers_for_the_next_run_too(self, waited):
        """The ledger still knows that we had put them there."""
        waited.leave("p7@example.com")
        waited.export(waited.segment({"email": people(8)}), "two")
        report = waited.export(waited.segment({"email": people(8)}), "three", mode="upsert")
        assert ({"withheld": {"left_audience": 1}}, 7) == (report["reasons"], report["counts"]["unchanged"])

    def test_no_person_has_left(self, waited):
        """The list is read back once, and every batch goes out as it was planned."""
        read, sent = len(waited.calls("POST", "/contact_exports")), len(waited.upserts())
        report = waited.export(waited.segment({"email": people(8)}), "two")
        assert (8, {}) == (report["counts"]["delivered"], report["reasons"])
        assert 1 == len(waited.calls("POST", "/contact_exports")) - read
        assert {2} == {len(rows) for rows in waited.rows_sent()[sent:]}

    def test_a_plan_that_is_young(self, small):
        """A retry within the hour does not read the list back again."""
        small.export(small.segment({"email": people(8)}), "one")
        small.fault(status=503, count=0)
        with pytest.raises(RetryableError):
            small.export(small.segment({"email": people(8)}), "two")
        small.sim.clear_faults()
        assert 8 == small.export(small.segment({"email": people(8)}), "two")["counts"]["delivered"]
        assert 1 == len(small.calls("POST", "/contact_exports"))

    def test_a_first_export_that_waited(self, sim, tmp_path):
        """No person was added before: there is nothing to look up."""
        small = Lists(sim, tmp_path, batch_rows=2, max_concurrency=1)
        small.act("spend", calls=10_000 - 6)
        with pytest.raises(RateLimited):
            small.export(small.segment({"email": people(8)}))
        sim.clock.advance(86_400)
        small.described = {**small.described, "credentials": small.act("authorize")}
        assert 8 == small.export(small.segment({"email": people(8)}))["counts"]["delivered"]
