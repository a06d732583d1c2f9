"""Several exports of one audience, and what approval and release hold them to, at every vendor."""

from __future__ import annotations

import pytest
from vendors.harness import VendorHarness, people
from vendors.sharing import FIRST_EXPORT, NEW, SECOND_EXPORT, holders, removals

from airflow_provider_segexport.errors import (
    AudienceOwnedByOther,
    FatalError,
    GuardTripped,
    InvalidArgument,
    StaleSnapshot,
)
from airflow_provider_segexport.export import release as releasing
from airflow_provider_segexport.export.release import Release
from airflow_provider_segexport.storage.audience_state import AudienceState
from airflow_provider_segexport.storage.ledger import Ledger


def ledger_path(account: VendorHarness):
    target = account.call(account.vendor.resolve_audience(account.endpoint, account.audience))
    return Ledger.of(account.home, account.name, target).path


def release(account: VendorHarness, export: str, **options):
    """Release an export as the command does."""
    clock = account.sim.clock
    return releasing.release(ledger_path(account), Release(export, **options), clock=clock.now, sleep=account.sleep)


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


def killed(*_: object, **__: object) -> None:
    raise KeyboardInterrupt
