"""Constant Contact: people that left stay out, rows that were only counted are named, permissions never change."""

from __future__ import annotations

import importlib
import json
import logging

import pytest
from vendors.constant_contact import Lists
from vendors.harness import people

from airflow_provider_segexport.errors import FatalError, RateLimited, RetryableError, UnexpectedResponse
from airflow_provider_segexport.model import Audience, Response
from airflow_provider_segexport.vendors import constant_contact
from airflow_provider_segexport.vendors.operations import run_operation

TARGET = Audience("http://host/v3", "all", "Shop", "04fe9a97-a579-43c5-bb1a-58ed29bf0a6a", "Customers")


ACTIVITY = "04fe9a97-a579-43c5-bb1a-58ed29bf0a6a"


@pytest.fixture
def lists(sim, tmp_path):
    return Lists(sim, tmp_path)


@pytest.fixture
def small(sim, tmp_path):
    """Batches of four, so that results differ from batch to batch."""
    return Lists(sim, tmp_path, batch_rows=4)


def reasons(lists, run="run", generation="01"):
    return {row["email"]: row["reason"] for row in lists.rejects(run, generation)}


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


class TestNaming:
    """Rows that the vendor has only counted are those that the list does not hold afterwards."""

    def test_unsubscribed_people_are_named(self, small):
        """In every batch, by file and row, and no other person."""
        gone = ["p1@example.com", "p2@example.com", "p9@example.com"]
        small.seed(*({"email": email, "status": "unsubscribed"} for email in gone))
        report = small.export(small.segment({"email": people(12)}))
        assert (9, {"rejected": {"unsubscribed": 3}}) == (report["counts"]["delivered"], report["reasons"])
        assert [(1, gone[0]), (2, gone[1]), (9, gone[2])] == [
            (row["file_row"], row["email"]) for row in small.rejects()
        ]
        assert "Counted by the vendor as not added" in small.rejects()[0]["vendor_message"]
        assert 1 == len(small.calls("POST", "/contact_exports"))
        assert {} == small.harm()

    def test_they_are_tried_again_and_named_again(self, lists):
        """They are not in the ledger: no result says that they were delivered."""
        lists.seed({"email": "p1@example.com", "status": "unsubscribed"})
        segment = lists.segment({"email": people(3)})
        for run in ("one", "two", "three"):
            report = lists.export(segment, run, mode="upsert")
            assert {"rejected": {"unsubscribed": 1}} == report["reasons"]
        assert 2 == report["counts"]["unchanged"]

    def test_together_with_rows_named_by_line(self, sim, tmp_path, published):
        """A row that has its result already is not named twice."""
        lists = Lists(sim, tmp_path)
        lists.seed({"email": "p1@example.com", "status": "unsubscribed"})
        longest = f"{'a' * 60}@{'b' * 20}.example.com"
        report = lists.export(lists.segment({"email": [longest, *people(3)]}))
        assert {"rejected": {"invalid_email": 1, "unsubscribed": 1}} == report["reasons"]
        assert 2 == report["counts"]["delivered"]
        published.clear()  # the specification has no such address

    def test_errors_that_the_vendor_does_not_list(self, lists):
        """Lines may be capped: those that are only counted are found like the others."""
        lists.set(max_activity_errors=1)
        columns = {"email": people(5), "orders": [1, -1, 2, -2, 3]}
        report = lists.export(lists.segment(columns), custom_fields={"Orders": "orders"})
        assert 3 == report["counts"]["delivered"]
        assert {"p1@example.com", "p3@example.com"} == reasons(lists).keys()
        assert {"invalid_value", "no_result"} == set(reasons(lists).values())

    def test_halves_of_a_refused_batch(self, small):
        """Each half has its own count, and its own rows are looked for."""
        small.seed(*({"email": email, "status": "unsubscribed"} for email in ("p0@example.com", "p3@example.com")))
        small.fault(contains="p2@example.com", refuse=True, count=0)
        report = small.export(small.segment({"email": people(6)}))
        assert {
            "p0@example.com": "unsubscribed",
            "p2@example.com": "rejected_by_vendor",
            "p3@example.com": "unsubscribed",
        } == (reasons(small))
        assert 3 == report["counts"]["delivered"]

    def test_a_batch_that_went_out_again(self, small):
        """The activity that was completed is the one that counts."""
        small.seed({"email": "p1@example.com", "status": "unsubscribed"})
        small.script("processing", "failed")
        report = small.export(small.segment({"email": people(4)}))
        assert (3, {"rejected": {"unsubscribed": 1}}) == (report["counts"]["delivered"], report["reasons"])
        assert 2 == len(small.upserts())

    def test_fewer_are_missing_than_were_counted(self, lists, caplog):
        """The report names those that are missing, and the log says that the numbers differ."""
        lists.seed({"email": "p1@example.com", "status": "unsubscribed"})
        counted = {"person_count": 4, "error_count": 0, "cannot_add_to_list_count": 3}
        tell(lists, counted)
        with caplog.at_level(logging.WARNING):
            report = lists.export(lists.segment({"email": people(4)}))
        assert (3, {"p1@example.com": "unsubscribed"}) == (report["counts"]["delivered"], reasons(lists))
        assert "(counted_by_vendor=3 absent=1)" in caplog.text

    def test_more_are_missing_than_were_counted(self, lists, caplog):
        """It is unknown which of them are the counted ones: none is called unsubscribed, and none delivered."""
        gone = ("p0@example.com", "p1@example.com")
        lists.seed(*({"email": email, "status": "unsubscribed"} for email in gone))
        tell(lists, {"person_count": 4, "error_count": 0, "cannot_add_to_list_count": 1})
        with caplog.at_level(logging.WARNING):
            report = lists.export(lists.segment({"email": people(4)}))
        assert (2, dict.fromkeys(gone, "no_result")) == (report["counts"]["delivered"], reasons(lists))
        assert "(counted_by_vendor=1 absent=2)" in caplog.text

    def test_the_log_names_no_person(self, small, caplog):
        """Numbers only."""
        small.seed({"email": "p1@example.com", "status": "unsubscribed"})
        with caplog.at_level(logging.DEBUG, "airflow_provider_segexport"):
            small.export(small.segment({"email": people(12)}))
        assert "example.com" not in caplog.text


def tell(lists, counted):
    """The activity is done, and its counters say this."""
    body = {"activity_id": "04fe9a97-a579-43c5-bb1a-58ed29bf0a6a", "state": "completed", "status": counted}
    line = {"vendor": lists.name, "method": "GET", "path": "/activities/", "status": 200, "body": body}
    lists.sim.faults([line])  # the look that ends the waiting is the one that collects


class TestNamingIsInterrupted:
    """A list that cannot be read back now is read back by the next try."""

    def test_no_row_is_reported_as_delivered_before_the_names_are_known(self, small):
        """The report of the failed try counts them as not attempted; the next try names them, and sends nothing."""
        small.seed({"email": "p1@example.com", "status": "unsubscribed"})
        segment = small.segment({"email": people(8)})
        small.sim.faults([{"vendor": small.name, "path": "contact_exports", "status": 503, "count": 6}])
        with pytest.raises(RetryableError):
            small.export(segment)
        summary = json.loads((small.home / "runs/run/01/summary.json").read_text())
        assert (False, 7, 1) == (
            summary["finished"],
            summary["counts"]["delivered"],
            summary["counts"]["not_attempted"],
        )
        report = small.export(segment)
        assert (7, {"rejected": {"unsubscribed": 1}}) == (report["counts"]["delivered"], report["reasons"])
        assert 2 == len(small.upserts())

    def test_who_was_named_late_is_not_in_the_ledger(self, small):
        """The failed try took the batch for delivered; the next run must not call its unsubscribed people leavers."""
        small.seed({"email": "p1@example.com", "status": "unsubscribed"})
        segment = small.segment({"email": people(4)})
        small.sim.faults([{"vendor": small.name, "path": "contact_exports", "status": 503, "count": 6}])
        with pytest.raises(RetryableError):
            small.export(segment)
        small.export(segment)
        report = small.export(segment, "later", mode="upsert")
        assert (3, {"rejected": {"unsubscribed": 1}}) == (report["counts"]["unchanged"], report["reasons"])

    def test_names_that_are_written_are_not_looked_for_again(self, small, monkeypatch):
        """Killed after the naming, the next try reads nothing back and comes to the same report."""
        small.seed({"email": "p1@example.com", "status": "unsubscribed"})
        segment = small.segment({"email": people(8)})
        with monkeypatch.context() as patch:
            patch.setattr("airflow_provider_segexport.stages.report.write_rejects", killed)
            with pytest.raises(KeyboardInterrupt):
                small.export(segment)
        read = len(small.calls("POST", "/contact_exports"))
        report = small.export(segment)
        assert (7, {"rejected": {"unsubscribed": 1}}) == (report["counts"]["delivered"], report["reasons"])
        assert 1 == read == len(small.calls("POST", "/contact_exports"))

    def test_killed_between_the_names_and_the_journal(self, small, monkeypatch):
        """The results are written again, over those that no counter had confirmed."""
        small.seed(
            {"email": "p1@example.com", "status": "unsubscribed"}, {"email": "p5@example.com", "status": "unsubscribed"}
        )
        segment = small.segment({"email": people(8)})
        write = small.environment().run_folder.journal.write.__func__

        def dying(self, entries):
            if any(entry.attributed for entry in entries):
                raise KeyboardInterrupt
            write(self, entries)

        with monkeypatch.context() as patch:
            patch.setattr("airflow_provider_segexport.storage.journal.Journal.write", dying)
            with pytest.raises(KeyboardInterrupt):
                small.export(segment)
        small.seed({"email": "p1@example.com", "status": "implicit"}, audience=small.audience)
        report = small.export(segment)
        assert (7, {"p5@example.com": "unsubscribed"}) == (report["counts"]["delivered"], reasons(small))


def killed(*_: object) -> None:
    raise KeyboardInterrupt


class TestReadingBack:
    """The list, as an export activity returns it."""

    @pytest.mark.parametrize("headers", ["fields", "titles"])
    def test_everybody_in_the_list(self, lists, headers):
        """Whatever the column headers are called; opted-out people are returned as not active."""
        lists.set(export_headers=headers)
        lists.seed("a@example.com", {"email": "B@Example.com", "status": "temp_hold"}, audience=lists.audience)
        lists.seed({"email": "c@example.com", "status": "unsubscribed"}, audience=lists.audience)
        lists.seed("d@example.com")
        assert {"a@example.com": True, "b@example.com": True, "c@example.com": False} == members(lists)

    def test_an_empty_list(self, lists):
        """A file of heads alone."""
        assert {} == members(lists)

    def test_more_than_a_page(self, lists, monkeypatch):
        """People are returned page by page."""
        module = importlib.import_module("airflow_provider_segexport.vendors.constant_contact.members")
        monkeypatch.setattr(module, "PAGE_ROWS", 100)
        lists.seed(*people(250), audience=lists.audience)
        assert set(people(250)) == set(members(lists))

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            (
                b"Email,Out\r\na@example.com,\r\nb@example.com,2026-01-01\r\n",
                {"a@example.com": True, "b@example.com": False},
            ),
            (
                b"Out,Email\r\n,a@example.com\r\n2026-01-01,b@example.com\r\n",
                {"a@example.com": True, "b@example.com": False},
            ),
            (b'\xef\xbb\xbf"Email","Out"\n"A@Example.com ",""\n', {"a@example.com": True}),
            (b"Email,Out\r\n,\r\na@example.com,\r\n", {"a@example.com": True}),
            (b"", {}),
        ],
    )
    def test_ways_to_write_the_file(self, text, expected):
        """The order of the columns is not documented, and a contact may have a number and no address."""
        assert expected == exported(text)

    def test_a_file_that_is_cut_off(self):
        """Fewer people than the activity has exported: all the others would be taken for leavers."""
        with pytest.raises(RetryableError, match="holds 2 of 5 contacts"):
            exported(b"Email,Out\na@example.com,\nb@example.com,\nc@exam", count=5)

    def test_a_file_somewhere_else(self):
        """The access token is not taken to another host."""
        with pytest.raises(UnexpectedResponse, match=r"link \(results\) to another server"):
            exported(b"", link="https://files.example.org/x.csv")

    @pytest.mark.parametrize("state", ["failed", "cancelled", "timed_out"])
    def test_an_export_that_fails(self, lists, state):
        """Another try may do better; nothing has been sent."""
        segment = lists.segment({"email": people(3)})
        lists.export(segment, "one")
        lists.script("processing", state)
        with pytest.raises(RetryableError, match=f"ended as '{state}'"):
            lists.export(segment, "two")
        assert 1 == len(lists.upserts())

    def test_an_export_that_does_not_end(self, lists):
        """After an hour it is given up, to be tried again."""
        lists.script(*["processing"] * 300)
        began = lists.sim.clock.now()
        with pytest.raises(RetryableError, match="has not finished the export of the list within an hour"):
            members(lists)
        assert 3_000 < lists.sim.clock.now() - began < 3_700

    def test_a_list_that_is_gone(self, lists):
        """Deleted since the plan: the error says what to look at."""
        target = Audience(lists.described["api_url"], "all", "", "04fe9a97-a579-43c5-bb1a-58ed29bf0a6a", "Gone")
        with pytest.raises(FatalError, match="or the list was deleted"):
            lists.call(lists.vendor.list_members(target, lambda _: None))


def members(lists):
    active_by_email = {}
    target = lists.call(lists.vendor.resolve_audience(lists.endpoint, lists.audience))
    lists.call(
        lists.vendor.list_members(
            target, lambda page: active_by_email.update({member.email: member.active for member in page})
        )
    )
    return active_by_email


def exported(text, count=0, link="/v3/contact_exports/1"):
    """The people in a file, at the end of an export activity that counted so many."""
    active_by_email = {}

    def answer(request):
        if "/contact_exports/" in request.url:
            return Response(200, {}, text)
        body = {"activity_id": ACTIVITY, "state": "completed", "status": {"items_completed_count": count}}
        return Response(200, {}, json.dumps({**body, "_links": {"results": {"href": link}}}).encode())

    run_operation(
        constant_contact.VENDOR.list_members(
            TARGET, lambda page: active_by_email.update({member.email: member.active for member in page})
        ),
        answer,
    )
    return active_by_email


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
