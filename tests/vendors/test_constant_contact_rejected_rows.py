"""Constant Contact: rows that the vendor has only counted are named, also after an interruption."""

from __future__ import annotations

import json
import logging

import pytest
from vendors.constant_contact import Lists, reasons
from vendors.harness import people

from airflow_provider_segexport.errors import RetryableError


@pytest.fixture
def small(sim, tmp_path):
    """Batches of four, so that results differ from batch to batch."""
    return Lists(sim, tmp_path, batch_rows=4)


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
