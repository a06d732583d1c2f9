"""Exports take the way that a probe has found out to be safe for the account."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Barrier

import pytest
from vendors.harness import VendorHarness, people
from vendors.probing import ANSWERS, CONFIRMED, WITH_PROBE, Prober, relaxed

from airflow_provider_segexport.errors import FatalError
from airflow_provider_segexport.export.config import Consent
from airflow_provider_segexport.probe import planning
from airflow_provider_segexport.probe.report import describe_plan
from airflow_provider_segexport.storage.account_record import AccountRecord, LearntFact, account_of
from airflow_provider_segexport.storage.proof_columns import ProofColumns
from airflow_provider_segexport.vendors.registry import VENDORS


class Learnt(VendorHarness):
    """An account about which nothing is known but what a probe finds out."""

    learnt = ""


def probed(sim, home, vendor, question, answer):
    """Let a probe find an answer out, in another audience than that of the exports."""
    account = Learnt(sim, vendor, home)
    relaxed(account, ANSWERS[vendor][question][answer])
    prober = Prober(account, "Lapsed")
    [result] = prober.ask(question).results
    assert (result.answer, result.recorded) == (answer, True)
    account.audience = str(account.described["audiences"][0]["id"])
    return account


def record_of(account, api_version):
    target = account.call(account.vendor.resolve_audience(account.endpoint, account.audience))
    return AccountRecord.of(account.home, account.name, account_of(target), api_version)


@pytest.mark.parametrize("vendor", WITH_PROBE)
def test_every_answer_that_exports_obey_is_one_of_the_question(vendor):
    probe = VENDORS[vendor].probe
    assert set(probe.facts()) == {question.fact for question in probe.questions if question.fact}


@pytest.mark.parametrize("vendor", [name for name in WITH_PROBE if VENDORS[name].probe.facts()])
def test_facts_that_are_written_at_the_same_time_are_all_kept(tmp_path, vendor):
    """A probe and experiments of exports write to one account's record; an old value is never put back."""
    facts = VENDORS[vendor].probe.facts()
    barrier = Barrier(len(facts))

    def write(name):
        record = AccountRecord.of(tmp_path, vendor, "shop", "v1")
        for at in range(40):
            barrier.wait(60)
            record.record(name, LearntFact(f"{name} {at}", float(at)))

    with ThreadPoolExecutor(len(facts)) as pool:
        list(pool.map(write, facts))
    record = AccountRecord.of(tmp_path, vendor, "shop", "v1")
    assert {name: record.fact(name) for name in facts} == {name: LearntFact(f"{name} 39", 39.0) for name in facts}


def test_removals_of_as_many_people_as_the_account_takes(sim, tmp_path):
    """Instead of calls that are rejected and halved."""
    account = probed(sim, tmp_path, "dotdigital", "ids_per_removal", "100")
    assert account.day(1, people(120))["account_facts"]["ids_per_removal"]["value"] == "100"
    before = len(sim.requests(vendor="dotdigital"))
    report = account.day(2, people(1))
    assert report["removals"]["removed"] == 119
    removals = [row for row in sim.requests(vendor="dotdigital")[before:] if row["path"].endswith("/contacts/delete")]
    assert sorted(row["facts"]["rows"] for row in removals) == [19, 100]


def test_one_removal_at_a_time(sim, tmp_path):
    account = probed(sim, tmp_path, "dotdigital", "two_removals", "in_use")
    record_of(account, "v3").record("ids_per_removal", LearntFact("100", 1.0))
    account.day(1, people(250))
    before = len(sim.requests(vendor="dotdigital"))
    assert account.day(2, people(1))["removals"]["removed"] == 249
    removals = [row for row in sim.requests(vendor="dotdigital")[before:] if row["path"].endswith("/contacts/delete")]
    assert [row["status"] for row in removals] == [202] * 3


@pytest.mark.parametrize("how", ["unsubscribedFromList", "deleted"])
def test_a_book_whose_import_brings_people_back(sim, tmp_path, how):
    """A person who was added and has left the book is withheld, and stays out."""
    account = probed(sim, tmp_path, "dotdigital", "left_book", "readds")
    account.day(1, people(3))
    sim.seed("dotdigital", [{"email": "p1@example.com", "status": how}], account.audience)
    report = account.day(2, people(3), first=dict.fromkeys(people(3), "Other"))
    assert report["reasons"] == {"withheld": {"left_audience": 1}}
    member = account.members().get("p1@example.com", {"in_list": "suppressed"})
    assert member["in_list"] == "suppressed"
    assert {"p0@example.com", "p2@example.com"} <= set(account.members())


def test_lines_of_errors_that_count_from_one(sim, tmp_path, published):
    """The row that the vendor means is rejected, and not the one after it."""
    account = probed(sim, tmp_path, "constant_contact", "error_lines", "line_1")
    emails = ["p0@example.com", f"{'x' * 60}@{'y' * 40}.example.com", "p2@example.com"]
    account.day(1, emails)
    assert [row["email"] for row in account.rejects("day-1")] == [emails[1]]
    published.clear()  # an address of more than 80 characters is against the specification, on purpose


def test_an_account_without_an_id(sim, tmp_path, published):
    """The probe says before it asks, and with the answer, that exports will not follow it; and they do not."""
    account = VendorHarness(sim, "constant_contact", tmp_path)
    login = sim.act("constant_contact", "authorize", {"scopes": ["contact_data", "offline_access"]})
    account.described = {**account.described, "credentials": login}
    sim.configure({"constant_contact": {"first_line": 1}})
    prober = Prober(account)
    audience = prober.context().audience
    planned = planning.plan(prober.probe, (), prober.emails, audience)
    before = " ".join(describe_plan(prober.vendor, prober.probe, planned, audience))
    assert "Exports will not follow the answer to email_case, error_lines, no_list" in before
    assert "scope account_read, which the login probably lacks" in before
    report = prober.ask("error_lines")
    assert [result.recorded for result in report.results] == [False]
    after = " ".join(report.describe_answers())
    assert "account's id. Exports go on as before: Exports count lines from 2" in after
    assert not list(tmp_path.rglob("accounts/**/*.json"))
    identified = replace(audience, extra={"account_id": "p07"})
    assert "will not follow" not in " ".join(describe_plan(prober.vendor, prober.probe, planned, identified))
    published.clear()  # an address of more than 80 characters is against the specification, on purpose


@pytest.mark.parametrize(
    ("questions", "expected"),
    [
        ({"new_status": "subscribed"}, "makes every new contact of this brand a subscriber"),
        ({"tags_left_out": "cleared", "tags_on_upsert": "replace"}, "removes a contact's tags"),
    ],
)
def test_an_account_to_which_nothing_may_be_sent(sim, tmp_path, questions, expected):
    """No call that changes something is made, in a dry run and in a run."""
    account = Learnt(sim, "omnisend", tmp_path)
    for question, answer in questions.items():
        record_of(account, "2026-03-15").record(question, LearntFact(answer, 1.0))
    for dry_run in (True, False):
        with pytest.raises(FatalError, match=expected):
            account.day(1, people(3), name=f"dry-{dry_run}", dry_run=dry_run)
    assert {row["method"] for row in sim.requests(vendor="omnisend")} == {"GET"}


def test_a_client_whose_imports_confirm_opt_ins_that_no_person_has_confirmed(sim, tmp_path):
    """No call changes a list with confirmed opt-in, in a dry run and in a run; other lists of the client go on."""
    account = Learnt(sim, "campaign_monitor", tmp_path)
    relaxed(account, ANSWERS["campaign_monitor"]["unconfirmed"]["activated"])
    ordinary, prober = account.audience, Prober(account, CONFIRMED)
    [result] = prober.ask("unconfirmed").results
    assert (result.answer, result.recorded) == ("activated", True)
    sim.seed("campaign_monitor", [{"email": "p1@example.com", "status": "unconfirmed"}], account.audience)
    before = len(account.upserts())
    for dry_run in (True, False):
        with pytest.raises(FatalError, match="people active who have not confirmed theirs"):
            account.day(1, people(3), name=f"dry-{dry_run}", dry_run=dry_run)
    assert len(account.upserts()) == before
    account.audience = ordinary
    assert account.day(1, people(3))["counts"]["delivered"] == 3


def test_tags_that_are_cleared_and_not_known_to_be_merged(sim, tmp_path):
    """The experiment answers before the first batch: with merged tags, each upsert carries the tag."""
    account = probed(sim, tmp_path, "omnisend", "tags_left_out", "cleared")
    account.day(1, people(3))
    assert account.active() == set(people(3))
    assert all(item["tags"] for item in account.upserts()[-1]["body"]["items"])


def test_a_brand_where_an_older_consent_undoes_an_opt_out(sim, tmp_path):
    """No proof is sent, in a run or in a dry run; an export that subscribes no one goes on."""
    account = probed(sim, tmp_path, "omnisend", "status_dates", "last")
    columns = {"agreed": ["yes"] * 3, "agreed_at": ["2025-12-01"] * 3}
    consent = Consent(column="agreed", proof=ProofColumns("agreed_at", {}))
    for dry_run in (True, False):
        with pytest.raises(FatalError, match="replaces a newer opt-out with an older consent"):
            account.day(1, people(3), name=f"proof-{dry_run}", dry_run=dry_run, columns=columns, consent=consent)
    assert account.day(1, people(3))["counts"]["delivered"] == 3


def test_an_answer_of_an_account_without_an_id_is_not_recorded_and_the_probe_says_so(sim, tmp_path):
    """`encoded_account_id` is optional in Constant Contact's specification (3.0.178, read 2026-11)."""
    account = Learnt(sim, "constant_contact", tmp_path)
    relaxed(account, ANSWERS["constant_contact"]["error_lines"]["line_1"])
    sim.faults([{"path": "/account/summary", "count": 0, "body": {"organization_name": "Shop"}}])
    report = Prober(account, "Lapsed").ask("error_lines")
    [result] = report.results
    assert ("line_1", False) == (result.answer, result.recorded)
    assert "This is not recorded, because" in "\n".join(report.describe_answers())
    assert not (tmp_path / "accounts").exists()
