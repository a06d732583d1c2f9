"""Several exports of one audience, and what undo and approval hold them to, at every vendor."""

from __future__ import annotations

import pytest
from vendors.harness import VendorHarness, people

from airflow_provider_segexport.errors import (
    AudienceOwnedByOther,
    FatalError,
    GuardTripped,
    InvalidArgument,
    RetryableError,
    StaleSnapshot,
)
from airflow_provider_segexport.export import release as releasing
from airflow_provider_segexport.export.config import Undo
from airflow_provider_segexport.export.release import Release
from airflow_provider_segexport.http.client import RetryLimits
from airflow_provider_segexport.storage.audience_state import AudienceState
from airflow_provider_segexport.storage.ledger import Ledger

FIRST_EXPORT, SECOND_EXPORT = (
    {"export_name": "crm.one", "allow_shared_audience": True},
    {"export_name": "crm.two", "allow_shared_audience": True},
)
NEW = ["new@example.com"]


def removals(report):
    return {name: count for name, count in report["removals"].items() if count}


def ledger_path(account: VendorHarness):
    target = account.call(account.vendor.resolve_audience(account.endpoint, account.audience))
    return Ledger.of(account.home, account.name, target).path


def release(account: VendorHarness, export: str, **options):
    """Release an export as the command does."""
    clock = account.sim.clock
    return releasing.release(ledger_path(account), Release(export, **options), clock=clock.now, sleep=account.sleep)


def holders(account: VendorHarness) -> dict[str, int]:
    return {email: row["sharers_mask"] for email, row in account.ledger().items()}


class TestMark:
    """The mark of an approved plan names where the plan goes."""

    def test_it_does_not_approve_another_audience(self, account: VendorHarness):
        """The same rows to a second audience are another plan."""
        mark = account.day(1, people(3), dry_run=True)["plan_hash"]
        other = str(account.described["audiences"][1]["id"])
        first, account.audience = account.audience, other
        with pytest.raises(InvalidArgument, match="differs from the approved plan"):
            account.day(1, people(3), name="other", expected_plan=mark)
        account.audience = first
        assert account.upserts() == []
        assert account.day(1, people(3), name="same", expected_plan=mark)["counts"]["delivered"] == 3

    def test_it_does_not_approve_another_export(self, account: VendorHarness):
        """The name of the export belongs to the plan."""
        mark = account.day(1, people(3), dry_run=True, export_name="crm.one")["plan_hash"]
        with pytest.raises(InvalidArgument, match="differs from the approved plan"):
            account.day(1, people(3), name="two", export_name="crm.two", expected_plan=mark)
        assert (
            account.day(1, people(3), name="one", export_name="crm.one", expected_plan=mark)["counts"]["delivered"] == 3
        )


class TestSnapshots:
    """`as_of` and sizes belong to an export."""

    def test_a_sharer_whose_snapshot_is_older_still_runs(self, dotdigital: VendorHarness):
        """Within an export older never overwrites newer; between exports there is no order."""
        dotdigital.day(5, people(3), name="one-5", **FIRST_EXPORT)
        assert dotdigital.day(3, NEW, name="two-3", **SECOND_EXPORT)["counts"]["delivered"] == 1
        with pytest.raises(StaleSnapshot, match="this export has already sent"):
            dotdigital.day(4, people(2), name="one-4", **FIRST_EXPORT)
        with pytest.raises(StaleSnapshot):
            dotdigital.day(2, people(2), name="two-2", **SECOND_EXPORT)
        dotdigital.day(4, NEW, name="two-4", **SECOND_EXPORT)
        assert dotdigital.active() == {*people(3), *NEW}

    def test_sizes_are_compared_with_the_same_exports_last_run(self, dotdigital: VendorHarness):
        """A small sharer beside a large one trips nothing; the large one that shrinks does."""
        options = {"mode": "upsert", "guards": {}}
        dotdigital.day(1, people(10), name="one-1", **FIRST_EXPORT, **options)
        dotdigital.day(1, people(2), name="two-1", **SECOND_EXPORT, **options)
        dotdigital.day(2, people(10), name="one-2", **FIRST_EXPORT, **options)
        dotdigital.day(2, people(2), name="two-2", **SECOND_EXPORT, **options)
        with pytest.raises(GuardTripped, match="had 10"):
            dotdigital.day(3, people(4), name="one-3", **FIRST_EXPORT, **options)

    def test_sizes_are_compared_with_the_same_mapped_segments_last_run(self, dotdigital: VendorHarness):
        """Mapped tasks are one export with several segments."""
        options = {"mode": "upsert", "guards": {}}
        for day in (1, 2):
            dotdigital.day(day, people(10), name=f"big-{day}", segment_part="big", **options)
            dotdigital.day(day, people(2), name=f"small-{day}", segment_part="small", **options)
        with pytest.raises(GuardTripped, match="had 10"):
            dotdigital.day(3, people(4), name="big-3", segment_part="big", **options)


class TestContent:
    """Each sharer's delivered rows are known."""

    def test_sharers_with_other_columns_send_no_row_again(self, account: VendorHarness):
        """Ten unchanged people: no call. A value that changes in one sharer goes out, and from that one alone."""

        def day(number, sharer, value):
            column = "first_name" if sharer is FIRST_EXPORT else "last_name"
            first = dict.fromkeys(people(10), "Anna" if sharer is FIRST_EXPORT else "Smith") | (
                {"p0@example.com": value} if value else {}
            )
            name = f"{sharer['export_name']}-{number}"
            return account.day(number, people(10), name=name, first=first, field_mapping={column: "first"}, **sharer)

        assert [day(1, sharer, "")["counts"]["delivered"] for sharer in (FIRST_EXPORT, SECOND_EXPORT)] == [10, 10]
        sent = len(account.upserts())
        assert [day(2, sharer, "")["counts"]["unchanged"] for sharer in (FIRST_EXPORT, SECOND_EXPORT)] == [10, 10]
        assert len(account.upserts()) == sent
        assert day(3, FIRST_EXPORT, "Changed")["counts"]["delivered"] == 1
        assert [
            day(4, sharer, value)["counts"]["delivered"]
            for sharer, value in ((SECOND_EXPORT, ""), (FIRST_EXPORT, "Changed"))
        ] == [
            0,
            0,
        ]
        assert day(5, SECOND_EXPORT, "Altered")["counts"]["delivered"] == 1
        assert [
            day(6, s, v)["counts"]["delivered"] for s, v in ((FIRST_EXPORT, "Changed"), (SECOND_EXPORT, "Altered"))
        ] == [0, 0]

    def test_a_sharer_with_the_same_content_sends_nothing_and_overwrites_nothing_later(self, dotdigital: VendorHarness):
        """Another's newer value is not a change of one's own."""
        dotdigital.day(1, people(3), name="one-1", **FIRST_EXPORT)
        assert dotdigital.day(1, people(3), name="two-1", **SECOND_EXPORT)["counts"]["unchanged"] == 3
        changed = {"p0@example.com": "New"}
        assert dotdigital.day(2, people(3), name="one-2", first=changed, **FIRST_EXPORT)["counts"]["delivered"] == 1
        assert dotdigital.day(2, people(3), name="two-2", **SECOND_EXPORT)["counts"]["unchanged"] == 3


class TestClaims:
    """Every writer of the ledger records which exports hold a person."""

    def test_a_person_that_an_undo_adds_again_is_released_by_the_sharer(self, account: VendorHarness):
        """The second sharer takes someone out, takes that back, and takes them out again."""
        account.day(1, people(2), name="one-1", **FIRST_EXPORT)
        account.day(1, NEW, name="two-1", **SECOND_EXPORT)
        assert removals(account.day(2, ["x@example.com"], name="two-2", **SECOND_EXPORT)) == {
            "planned": 1,
            "removed": 1,
        }
        account.undo(export_name="crm.two")
        assert holders(account)[NEW[0]] == 2
        assert NEW[0] in account.active()
        assert removals(account.day(3, ["y@example.com"], name="two-3", **SECOND_EXPORT)) == {
            "planned": 1,
            "removed": 1,
        }
        assert account.active() == {*people(2), "y@example.com"}

    def test_a_person_whose_removal_failed_is_removed_by_the_next_run(self, sim, tmp_path):
        """The second sharer's removal answers 503."""
        account = VendorHarness(sim, "campaign_monitor", tmp_path)
        account.day(1, people(2), name="one-1", **FIRST_EXPORT)
        account.day(1, NEW, name="two-1", **SECOND_EXPORT)
        account.sim.faults([{"path": "/subscribers", "method": "DELETE", "count": 9, "status": 503}])
        with pytest.raises(Exception, match=r"503|reached"):
            account.day(2, ["x@example.com"], name="two-2", **SECOND_EXPORT)
        account.sim.faults([])
        account.day(3, ["x@example.com"], name="two-3", **SECOND_EXPORT)
        assert account.active() == {*people(2), "x@example.com"}
        assert None not in holders(account).values()


class TestRelease:
    """An export that ends its use of an audience."""

    def test_a_member_that_says_it_does_not_share_learns_how_to(self, dotdigital: VendorHarness):
        """The error names the other sharers and the command; afterwards the audience is its own again."""
        dotdigital.day(1, people(2), name="one-1", **FIRST_EXPORT)
        dotdigital.day(1, NEW, name="two-1", **SECOND_EXPORT)
        alone = {**FIRST_EXPORT, "allow_shared_audience": False}
        with pytest.raises(AudienceOwnedByOther, match=r"release AUDIENCE --export crm\.two"):
            dotdigital.day(2, people(2), name="one-2", **alone)
        outlook = release(dotdigital, "crm.two")
        assert (outlook.alone, outlook.together, outlook.others) == (1, 0, ("crm.one",))
        assert NEW[0] in dotdigital.active()
        assert removals(dotdigital.day(2, people(2), name="one-3", **alone)) == {"planned": 1, "removed": 1}
        assert dotdigital.active() == set(people(2))

    def test_the_owner_may_be_released(self, dotdigital: VendorHarness):
        """The other sharer owns the audience, and holds the people of its segment."""
        dotdigital.day(1, people(3), name="one-1", **FIRST_EXPORT)
        dotdigital.day(1, people(1), name="two-1", **SECOND_EXPORT)
        release(dotdigital, "crm.one")
        assert AudienceState.of(ledger_path(dotdigital)).owner == "crm.two"
        report = dotdigital.day(2, people(1), name="two-2", export_name="crm.two")
        assert removals(report) == {"planned": 2, "removed": 2}
        assert dotdigital.active() == set(people(1))

    def test_people_may_stay_for_good(self, dotdigital: VendorHarness):
        """With `keep` no export removes them; those that another export holds stay in the ledger."""
        dotdigital.day(1, people(3), name="one-1", **FIRST_EXPORT)
        dotdigital.day(1, people(1), name="two-1", **SECOND_EXPORT)
        release(dotdigital, "crm.one", keep=True)
        assert holders(dotdigital) == {"p0@example.com": 2}
        assert removals(dotdigital.day(2, NEW, name="two-2", **SECOND_EXPORT)) == {"planned": 1, "removed": 1}
        assert dotdigital.active() == {*people(3)[1:], *NEW}

    def test_a_new_name_takes_over(self, dotdigital: VendorHarness):
        """Sizes, snapshots, claims and content go with it: no row is sent again, and an older snapshot is an error."""
        dotdigital.day(5, people(4), export_name="old.task")
        assert release(dotdigital, "old.task", to="new.task").renames
        with pytest.raises(StaleSnapshot):
            dotdigital.day(4, people(4), export_name="new.task")
        with pytest.raises(AudienceOwnedByOther, match=r"owned by the export 'new\.task'"):
            dotdigital.day(6, people(4), name="late", export_name="old.task")
        report = dotdigital.day(6, people(3), export_name="new.task")
        assert (report["counts"]["unchanged"], removals(report)) == (3, {"planned": 1, "removed": 1})

    def test_another_sharer_takes_over(self, dotdigital: VendorHarness):
        """Its `mirror` takes them out, since it holds them from here on."""
        dotdigital.day(1, people(3), name="one-1", **FIRST_EXPORT)
        dotdigital.day(1, NEW, name="two-1", **SECOND_EXPORT)
        assert not release(dotdigital, "crm.one", to="crm.two").renames
        assert set(holders(dotdigital).values()) == {2}
        assert removals(dotdigital.day(2, NEW, name="two-2", export_name="crm.two")) == {"planned": 3, "removed": 3}

    @pytest.mark.parametrize(
        ("options", "error"),
        [
            ({"export": "crm.three"}, "does not use this audience. Exports that do: crm.one"),
            ({"export": "crm.one", "to": "crm.one"}, "cannot be transferred to itself"),
            ({"export": "crm.one", "to": "crm.two", "keep": True}, "exclude each other"),
        ],
    )
    def test_what_cannot_be_done_changes_nothing(self, dotdigital: VendorHarness, options, error):
        """The error says what is possible."""
        dotdigital.day(1, people(2), **FIRST_EXPORT)
        before = AudienceState.of(ledger_path(dotdigital))
        with pytest.raises(FatalError, match=error):
            release(dotdigital, **options)
        assert AudienceState.of(ledger_path(dotdigital)) == before

    def test_a_run_that_has_not_ended_holds_a_release_back(self, dotdigital: VendorHarness, monkeypatch):
        """The ledger does not know yet what it did."""
        with monkeypatch.context() as patch:
            patch.setattr("airflow_provider_segexport.export.pipeline.send_all", killed)
            with pytest.raises(KeyboardInterrupt):
                dotdigital.day(1, people(2), **FIRST_EXPORT)
        with pytest.raises(FatalError, match="has not ended"):
            release(dotdigital, "crm.one")


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

    def test_a_run_that_was_done_again_after_its_end_is_another_one(self, sim, tmp_path):
        """A task that was cleared: what it did at first stays."""
        account = VendorHarness(sim, "campaign_monitor", tmp_path)
        account.day(1, people(2))
        account.day(2, people(4), name="day-2")
        account.day(2, people(6), name="day-2-again", by="dag/task/day-2/0")
        account.undo()
        assert account.active() == set(people(4))


def killed(*_: object, **__: object) -> None:
    raise KeyboardInterrupt
