"""A probe finds out each answer that each vendor's account can give, leaves nothing, and is safe to break off."""

from __future__ import annotations

import functools
import json
from urllib.parse import quote

import pytest
from vendors.harness import VendorHarness
from vendors.probing import ANSWERS, CASES, WITH_PROBE, Calls, Killed, Prober, audience_for, question_of, relaxed

from airflow_provider_segexport.errors import VendorUnavailable
from airflow_provider_segexport.probe.planning import count_addresses, plan
from airflow_provider_segexport.probe.report import FIXED_CALLS
from airflow_provider_segexport.storage.takeover import longest_call_s
from airflow_provider_segexport.vendors.probe import MAX_ADDRESSES
from airflow_provider_segexport.vendors.registry import VENDORS


def test_every_answer_of_every_question_is_tried():
    """A question or an answer that is added without a case fails here."""
    declared = {
        name: {question.name: set(question.answers) for question in vendor.probe.questions}
        for name, vendor in VENDORS.items()
        if vendor.probe
    }
    assert declared == {
        name: {question: set(each) for question, each in rows.items()} for name, rows in ANSWERS.items()
    }


@pytest.mark.parametrize(("vendor", "name", "answer"), CASES, ids=str)
def test_an_answer(sim, tmp_path, vendor, name, answer):
    """The probe distinguishes it from the others, within the announced number of calls, and undoes everything."""
    account = VendorHarness(sim, vendor, tmp_path)
    relaxed(account, ANSWERS[vendor][name][answer])
    prober = Prober(account, audience_for(vendor, name))
    question = question_of(vendor, name)
    report = prober.ask(name)
    [result] = report.results
    assert (result.answer, result.reason, list(report.not_undone)) == (answer, "", [])
    assert result.outcome == ("as assumed" if answer == question.assumed else "differs")
    assert report.exit_code == (0 if answer == question.assumed else 3)
    assert result.calls <= question.calls, "announce more calls"
    prober.assert_clean()


@pytest.fixture(params=WITH_PROBE)
def vendor(request):
    return request.param


@pytest.fixture
def prober(account):
    return Prober(account)


def shown(report):
    """All that a probe prints or writes."""
    lines = [*report.describe_answers(), *report.describe_end()]
    return "\n".join([*lines, json.dumps(report.as_json(0.0, simulated=True))])


def assert_no_personal_data(prober, *texts):
    for text in texts:
        for email in prober.emails:
            assert email.partition("@")[0] not in text.lower()
            assert quote(email, safe="") not in text
        assert "my-domain" not in text


def test_all_questions_of_an_account_that_is_as_assumed(prober, caplog):
    """The whole probe keeps to the calls and the time that it announces; no output holds an address."""
    caplog.set_level("DEBUG")
    calls = Calls(prober.account.sender())
    report = prober.ask(calls=calls)
    answered = [result for result in report.results if result.outcome != "not asked"]
    assert {result.outcome for result in answered} == {"as assumed"}
    assert [result.question.name for result in report.results] == prober.questions()
    assert report.exit_code == 0
    assert calls.count <= FIXED_CALLS + sum(result.question.calls for result in answered)
    assert sum(prober.account.slept) <= 2 * sum(result.question.seconds for result in answered)
    prober.assert_clean()
    logged = [record.getMessage() for record in caplog.records if not record.name.startswith("uvicorn")]
    assert any("Asking a question" in text for text in logged)
    assert_no_personal_data(prober, shown(report), *logged)


def test_a_probe_needs_at_most_twenty_addresses(vendor):
    assert count_addresses(VENDORS[vendor].probe) <= MAX_ADDRESSES


def test_a_question_has_its_addresses_also_alone(prober):
    """A second probe with `--only` does not meet the contacts of another question."""
    context = prober.context()
    all_planned = plan(prober.probe, [], prober.emails, context.audience)
    for planned in all_planned:
        assert plan(prober.probe, [planned.question.name], prober.emails, context.audience) == [planned]
    used = [email for planned in all_planned for email in planned.emails]
    assert sorted(used) == sorted(prober.emails)


def test_it_stops_at_the_first_surprise(prober):
    """Its changes are undone, and the rest is not asked, unless the user wants it."""
    vendor = prober.account.name
    name = {"campaign_monitor": "rejections", "omnisend": "tags_on_upsert"}.get(vendor, "email_case")
    question = question_of(vendor, name)
    answer = next(each for each in question.answers if each != question.assumed)
    relaxed(prober.account, ANSWERS[vendor][name][answer])
    report = prober.ask()
    after = report.results[prober.questions().index(name) + 1 :]
    assert {result.outcome for result in after} == {"not asked"}
    assert report.exit_code == 3
    prober.assert_clean()
    prober.emails = tuple(email.replace("me+", "me+again") for email in prober.emails)
    going_on = prober.ask(keep_going=True)
    assert len([result for result in going_on.results if result.outcome == "as assumed"]) >= 4
    assert going_on.exit_code == 3


@pytest.mark.parametrize("share", [0.15, 0.4, 0.65, 0.9])
def test_a_killed_probe_is_undone_by_the_next_one(prober, share):
    """Whatever the last call was, the next probe first undoes what is left, then asks."""
    total = {"campaign_monitor": 50, "constant_contact": 110, "dotdigital": 100, "omnisend": 85}[prober.account.name]
    with pytest.raises(Killed):
        prober.ask(calls=Calls(prober.account.sender(), dies_at=int(total * share)))
    left = prober.context().leftovers.read()
    report = prober.ask()
    assert {result.outcome for result in report.results} <= {"as assumed", "not asked"}
    assert not report.not_undone
    prober.assert_clean()
    if left is not None:
        assert longest_call_s(prober.vendor) in prober.account.slept


@pytest.mark.parametrize("error", [KeyboardInterrupt, functools.partial(VendorUnavailable, "It answered 503.")])
def test_a_probe_that_is_broken_off_undoes(prober, error):
    """After Ctrl-C, and after an error of the vendor."""
    before = Calls(prober.account.sender())
    prober.ask("rate_headers", calls=before)
    report = prober.ask("values", calls=Calls(prober.account.sender(), dies_at=before.count + 2, error=error))
    [result] = report.results
    assert result.outcome == "failed"
    assert report.exit_code == 1
    assert not report.not_undone
    prober.assert_clean()


def test_a_vendor_that_is_down_in_the_middle(prober):
    """Changes that it cannot undo are named, without personal data; the next probe undoes them before it begins."""
    dead = {"vendor": prober.account.name, "path": ".*", "nth": 12, "count": 400, "status": 500, "body": {}}
    prober.account.sim.faults([dead])
    report = prober.ask("values")
    assert report.exit_code == 1
    assert report.not_undone
    assert_no_personal_data(prober, shown(report))
    assert list((prober.account.home / "probes").rglob("*.json"))
    prober.account.sim.clear_faults()
    again = prober.ask("rate_headers")
    assert again.exit_code == 0
    prober.assert_clean()
