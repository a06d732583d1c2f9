"""Planted faults of consent: people subscribed without proof, after an opt-out, or against another export's bar."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from chaos.run_records import Row, Run
from chaos.story import Story

from airflow_provider_segexport.stages import consent, proof
from airflow_provider_segexport.vendors.campaign_monitor import imports as campaign_monitor
from airflow_provider_segexport.vendors.consent_proof import PROOF_AT
from airflow_provider_segexport.vendors.item_template import Column, Const, JsonTemplate, When
from airflow_provider_segexport.vendors.omnisend import imports as omnisend


class Proofs(Story):
    """Days at Omnisend of an export that subscribes people with proof of consent."""

    def __init__(self, sim, home) -> None:
        super().__init__(sim, "omnisend", home)
        self.stage.sim.configure({"omnisend": {"date_of_no_status": "none"}})
        self.email = next(row.address for row in self.days[0].rows if row.consented_at and row.consented_at < "2030")

    def opt_out(self) -> None:
        self.stage.sleep(60)
        self.stage.sim.act("omnisend", "unsubscribe", {"email": self.email})
        at = len(self.stage.sim.requests(vendor="omnisend"))
        self.stage.opted_out[self.email] = at
        self.stage.opt_outs.append((self.email, self.stage.now(), at))
        self.stage.sleep(60)

    def subscribe(self, day: int, mode: str = "full") -> Run:
        run = self.begin(day, mode)
        run.proof = True
        self.stage.attempt(run)
        return run


@pytest.fixture
def proven(sim, tmp_path):
    return Proofs(sim, tmp_path)


def test_people_with_proof_are_subscribed_and_no_others(proven):
    """2: what is as it should be, with an opt-out and a consent that is newer than it."""
    proven.subscribe(0)
    proven.opt_out()
    proven.subscribe(1)
    assert proven.violations(settled=False) == []
    people = proven.stage.people("all-contacts")
    assert people[proven.email]["status"] == "unsubscribed"
    assert "subscribed" in {person["status"] for person in people.values()}
    again = datetime.fromtimestamp(proven.stage.now(), UTC).isoformat()
    proven.days[2] = replace(
        proven.days[2],
        rows=[replace(row, consented_at=again) if row.address == proven.email else row for row in proven.days[2].rows],
    )
    if proven.email not in {row.address for row in proven.days[2].rows}:
        proven.days[2] = replace(
            proven.days[2], rows=[*proven.days[2].rows, Row(proven.email, "Nxagainq", consented_at=again)]
        )
    proven.stage.sleep(5)
    proven.subscribe(2)
    assert proven.violations(settled=False) == []
    assert proven.stage.people("all-contacts")[proven.email]["status"] == "subscribed"


def test_an_opt_out_that_a_proof_does_not_heed(proven, monkeypatch):
    """2: opt-outs are read, and the plan ignores them."""
    proven.subscribe(0)
    proven.opt_out()
    monkeypatch.setattr(proof, "find_opted_out_later", lambda *_: None)
    proven.subscribe(0)
    assert any(
        f"{proven.email} had opted out since their consent" in violation
        for violation in proven.violations(settled=False)
    )


def test_a_proof_that_is_of_today(proven, monkeypatch):
    """2: without a date the vendor takes the moment of the call, which is later than every opt-out."""
    channels = When(PROOF_AT, JsonTemplate({"email": JsonTemplate({"status": Const("subscribed")})}))
    proven.subscribe(0)
    proven.opt_out()
    monkeypatch.setattr(proof, "find_opted_out_later", lambda *_: None)
    monkeypatch.setattr(
        omnisend, "with_proof", lambda identifier, _: JsonTemplate({**identifier.members, "channels": channels})
    )
    proven.subscribe(0)
    all_violations = proven.violations(settled=False)
    assert any("is subscribed since another moment" in violation for violation in all_violations)
    assert any("consent_upgraded is 1" in violation for violation in all_violations)
    assert any(f"{proven.email} opted out after call" in violation for violation in all_violations)
    assert any(f"{proven.email} is subscribed, and no proof of theirs" in violation for violation in all_violations)


def test_a_status_without_proof(proven, monkeypatch):
    """2: rows without a moment that counts are subscribed, too; so are all people of a run that subscribes none."""
    monkeypatch.setattr(proof, "EARLIEST", "1800-01-01")
    proven.subscribe(0)
    assert any("has agreed at" in violation for violation in proven.violations(settled=False))


def test_a_run_that_subscribes_unasked(proven):
    """2: the run was to subscribe no person."""
    proven.subscribe(0).proof = False
    assert any("the run subscribes nobody" in violation for violation in proven.violations(settled=False))


def test_a_proof_that_is_not_sent(proven, monkeypatch):
    """2: a run that subscribes no person does not satisfy the invariant."""
    monkeypatch.setattr(omnisend, "with_proof", lambda identifier, _: identifier)
    proven.subscribe(0)
    assert any("has a proof, and gets no status" in violation for violation in proven.violations())


def test_people_who_have_not_agreed(story, monkeypatch):
    """2: the consent column is read, and the plan ignores it."""
    row = story.days[0].rows[0]
    rows = [replace(row, consent=False, wrong=("withheld", "no_consent")), *story.days[0].rows[1:]]
    monkeypatch.setattr(consent, "withhold_without_consent", lambda *_: {})
    story.stage.attempt(story.stage.begin(story.days[0].as_of, rows, "upsert"))
    all_violations = story.violations()
    assert any(
        violation.startswith("consent") and "1 people whose consent is missing" in violation
        for violation in all_violations
    )
    assert any("must end as ('withheld', 'no_consent')" in violation for violation in all_violations)


def test_a_batch_that_resubscribes(story, monkeypatch):
    """2: people who opted out are brought back by a flag of the whole batch."""
    email = story.days[0].rows[0].email
    story.stage.sim.seed("campaign_monitor", [{"email": email, "status": "unsubscribed"}], story.stage.audience)
    story.stage.opted_out[email] = 0
    monkeypatch.setattr(campaign_monitor, "BODY_SUFFIX", campaign_monitor.BODY_SUFFIX.replace("false", "true", 1))
    story.export(0)
    about_consent = [violation for violation in story.violations() if violation.startswith("consent")]
    assert any("brought back" in violation for violation in about_consent)
    assert any("opted out after call 0" in violation for violation in about_consent)


def test_a_welcome_mail(sim, monkeypatch, tmp_path):
    """2: a switch that is left out is on at the vendor."""
    story = Story(sim, "omnisend", tmp_path)

    monkeypatch.setattr(
        omnisend, "identifier", lambda kind, column: JsonTemplate({"type": Const(kind), "id": Column(column)})
    )
    story.export(0)
    all_violations = story.violations()
    assert any("sendWelcomeMessage is not false" in violation for violation in all_violations)
    assert any("mails is" in violation for violation in all_violations)


def test_a_bar_that_another_export_does_not_heed(story, monkeypatch):
    """2: an export sends a person that another export of the audience has barred."""
    rows = story.days[0].rows
    unwilling = [replace(rows[0], consent=False, wrong=("withheld", "no_consent")), *rows[1:]]
    first, other = ({"export_name": name, "allow_shared_audience": True} for name in ("chaos.one", "chaos.other"))
    story.stage.attempt(story.stage.begin(story.days[0].as_of, unwilling, "upsert", options=first))
    story.export(0, "full", options=other)
    assert story.violations(settled=False) == []
    monkeypatch.setattr(consent, "withhold_barred", lambda *_: 0)
    story.export(1, "full", options=other)
    assert any("whom another export has barred" in violation for violation in story.violations(settled=False))
