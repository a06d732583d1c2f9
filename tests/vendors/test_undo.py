"""The changes that an undo takes back, and those of later runs and other exports that stay."""

from __future__ import annotations

import pytest
from vendors.harness import VendorHarness, people
from vendors.sharing import FIRST_EXPORT, NEW, SECOND_EXPORT, holders, removals

from airflow_provider_segexport.errors import FatalError, GuardTripped, RetryableError, VendorUnavailable
from airflow_provider_segexport.export.config import Undo
from airflow_provider_segexport.http.client import RetryLimits


class TestUndo:
    """The changes that an undo takes back."""

    def test_an_unchanged_run_does_not_make_the_bad_one_irrevocable(self, account: VendorHarness):
        """The newest version that put people in or took people out is taken back."""
        account.day(1, people(3))
        account.day(2, [*people(2), *NEW])
        account.day(3, [*people(2), *NEW])
        report = account.undo()
        assert (report["reverted_version"], removals(report), report["counts"]["delivered"]) == (
            2,
            {"planned": 1, "removed": 1},
            1,
        )
        assert account.active() == set(people(3))

    def test_after_it_yesterdays_snapshot_may_go_out_and_guards_compare_with_the_state_before(
        self, dotdigital: VendorHarness
    ):
        """The export is where it was before the version."""
        dotdigital.day(1, people(4), guards={})
        dotdigital.day(3, people(1), name="bad")
        dotdigital.undo()
        with pytest.raises(GuardTripped, match="had 4"):
            dotdigital.day(2, people(1), name="small", guards={})
        assert dotdigital.day(2, people(4), name="again", guards={})["counts"]["profiles"] == 4
        assert dotdigital.active() == set(people(4))

    def test_a_version_is_taken_back_while_no_later_one_changed_its_people(self, dotdigital: VendorHarness):
        """A later run may have put in others; one that changed the same people has to be taken back first."""
        dotdigital.day(1, people(2))
        dotdigital.day(2, people(3))
        dotdigital.day(3, people(4))
        dotdigital.day(4, people(4), first={"p3@example.com": "New"})
        with pytest.raises(FatalError, match=r"changed 1 of the people.*To fix: undo the later version first"):
            dotdigital.undo(Undo(3))
        assert removals(dotdigital.undo(Undo(2), run="second")) == {"planned": 1, "removed": 1}
        assert dotdigital.active() == {*people(2), "p3@example.com"}
        with pytest.raises(FatalError, match="was undone by run"):
            dotdigital.undo(Undo(2), run="third")

    def test_it_takes_back_what_one_export_did_and_refuses_anothers(self, dotdigital: VendorHarness):
        """The other sharer ran last: its people stay."""
        dotdigital.day(1, people(2), name="one-1", **FIRST_EXPORT)
        dotdigital.day(2, NEW, name="two-1", **SECOND_EXPORT)
        with pytest.raises(FatalError, match=r"was written by the export 'crm\.two', but `export_name` is 'crm\.one'"):
            dotdigital.undo(Undo(2), export_name="crm.one")
        with pytest.raises(
            FatalError, match=r"wrote none of the stored versions.*Exports that wrote them: crm\.one, crm\.two"
        ):
            dotdigital.undo(export_name="crm.three", run="three")
        report = dotdigital.undo(export_name="crm.one", run="one")
        assert (report["reverted_version"], report["export_name"], removals(report)) == (
            1,
            "crm.one",
            {"planned": 2, "removed": 2},
        )
        assert dotdigital.active() == set(NEW)

    def test_a_person_that_another_export_holds_stays(self, dotdigital: VendorHarness):
        """Only the claim is taken back."""
        dotdigital.day(1, people(2), name="one-1", **FIRST_EXPORT)
        dotdigital.day(2, people(3), name="two-1", **SECOND_EXPORT)
        report = dotdigital.undo(export_name="crm.two")
        assert removals(report) == {"planned": 3, "kept": 2, "removed": 1}
        assert dotdigital.active() == set(people(2))
        in_audience = {email: held for email, held in holders(dotdigital).items() if held}
        assert in_audience == dict.fromkeys(people(2), 1)

    def test_one_that_broke_off_is_begun_again(self, sim, tmp_path):
        """People who are out already are no later change."""
        account = VendorHarness(sim, "campaign_monitor", tmp_path)
        account.day(1, people(1))
        account.day(2, [*people(1), "a@example.com", "b@example.com"])
        account.sim.faults([{"path": "/subscribers", "method": "DELETE", "nth": 2, "count": 9, "status": 503}])
        with pytest.raises(Exception, match=r"503|reached"):
            account.undo()
        account.sim.faults([])
        assert account.undo(run="again")["reverted_version"] == 2
        assert account.active() == set(people(1))

    @pytest.mark.parametrize("completed", [False, True], ids=["at_once", "after_a_later_run"])
    def test_a_removal_without_a_response_counts_as_done(self, sim, tmp_path, completed):
        """The run that began it is the one that is undone, also if a later run completed it.

        One person, because with two the first failure may stop the second call before it begins.
        """
        account = VendorHarness(sim, "campaign_monitor", tmp_path)
        account.day(1, people(2))
        account.day(2, people(3))
        account.sim.faults([{"path": "/subscribers", "method": "DELETE", "count": 0, "drop": True, "when": "after"}])
        impatient = account.environment("day-3", patience=RetryLimits(attempts=1))
        with pytest.raises(RetryableError, match="broke off"):
            account.day(3, people(2), environment=impatient)
        account.sim.clear_faults()
        if completed:
            account.day(4, people(2))
        assert account.undo()["reverted_version"] == 3
        assert account.active() == set(people(3))

    def test_all_attempts_of_a_run_are_undone_together(self, sim, tmp_path):
        """The first attempt sent one half and failed, and the second one the rest."""
        account = VendorHarness(sim, "campaign_monitor", tmp_path, batch_rows=2, max_concurrency=1)
        account.day(1, people(2))
        account.sim.faults([{"path": "import", "method": "POST", "nth": 2, "count": 0, "status": 503}])
        impatient = account.environment("day-2", patience=RetryLimits(attempts=1))
        with pytest.raises(RetryableError):
            account.day(2, people(6), environment=impatient)
        account.sim.clear_faults()
        assert set(people(2)) < account.active() < set(people(6))
        account.day(2, people(6))
        assert account.undo()["reverted_version"] == 3
        assert account.active() == set(people(2))

    def test_all_attempts_of_a_run_that_was_cleared_after_its_end_are_undone_together(self, sim, tmp_path):
        """The run had finished before, under the same name, so its first attempt now is not its end."""
        account = VendorHarness(sim, "campaign_monitor", tmp_path, batch_rows=1)
        account.day(1, people(2))
        account.day(2, people(2))
        account.fault(status=503, nth=2, count=5)
        with pytest.raises(VendorUnavailable):
            account.day(2, people(5), environment=account.environment("day-2", patience=RetryLimits(attempts=1)))
        account.sim.clear_faults()
        account.day(2, people(5))
        account.undo()
        assert account.active() == set(people(2))

    def test_a_run_that_was_done_again_after_its_end_is_another_one(self, sim, tmp_path):
        """A task that was cleared: what it did at first stays."""
        account = VendorHarness(sim, "campaign_monitor", tmp_path)
        account.day(1, people(2))
        account.day(2, people(4), name="day-2")
        account.day(2, people(6), name="day-2-again", by="dag/task/day-2/0")
        account.undo()
        assert account.active() == set(people(4))
