"""The checker finds what it is there to find: a bug is planted against each promise, and named."""

from __future__ import annotations

import itertools
import json
import logging
import shutil
from dataclasses import replace
from datetime import UTC, datetime
from random import Random

import pytest
import requests
from chaos.fault_injection import Between, KillSwitch
from chaos.invariants import broken
from chaos.population import Population
from chaos.run_records import AGENT, Row, Run, RunRecords
from chaos.stage import Stage, Trouble, small

from airflow_provider_segexport.model import BatchResult, Request
from airflow_provider_segexport.stages import consent, proof, read, record, removals
from airflow_provider_segexport.storage.journal import CREATED
from airflow_provider_segexport.storage.lease import Lease
from airflow_provider_segexport.vendors.campaign_monitor import imports as campaign_monitor
from airflow_provider_segexport.vendors.consent_proof import PROOF_AT
from airflow_provider_segexport.vendors.item_template import Column, Const, JsonTemplate, When
from airflow_provider_segexport.vendors.omnisend import imports as omnisend
from airflow_provider_segexport.vendors.responses import send_json


class Story:
    """A few calm days of one audience, of which a test tells one differently."""

    def __init__(self, sim, name, home) -> None:
        self.stage = Stage(sim, name, home, small(name))
        self.people = Population(Random(7), 16, dirty=False)
        self.days = [self.people.next_day() for _ in range(4)]
        self.stage.sim.seed(name, [{"email": "stranger@example.org"}], self.stage.audience)

    def begin(self, day: int, mode: str = "upsert", **options) -> Run:
        return self.stage.begin(self.days[day].as_of, self.days[day].rows, mode, **options)

    def export(self, day: int, mode: str = "upsert", **options) -> Run:
        run = self.begin(day, mode, **options)
        self.stage.attempt(run)
        return run

    def rogue(self, run: Run, method: str, path: str, **options) -> None:
        """A call that no code of ours makes, in a run's name."""
        headers = {"User-Agent": f"{AGENT}{run.name} 1", **options.pop("headers", {})}
        url = f"{self.stage.described['base_url']}{path}"
        requests.request(
            method, url, headers=headers, auth=self.stage.row.auth(self.stage.described), timeout=5, **options
        )

    def laws(self, *, settled: bool = True) -> set[str]:
        """Which promises the checker sees broken."""
        return {words.partition(":")[0] for words in self.told(settled=settled)}

    def told(self, *, settled: bool = True) -> list[str]:
        return broken(self.evidence(settled=settled))

    def evidence(self, *, settled: bool = True) -> RunRecords:
        return self.stage.evidence(settled=settled)


@pytest.fixture
def story(sim, tmp_path):
    return Story(sim, "campaign_monitor", tmp_path)


@pytest.mark.parametrize("mode", ["full", "upsert", "mirror"])
def test_calm_days_break_nothing(sim, vendor, mode, tmp_path):
    """What is as it should be is told to be so, at every vendor."""
    calm = Story(sim, vendor, tmp_path)
    for day in range(3):
        calm.export(day, mode)
    assert [] == calm.told()


def test_a_batch_that_is_never_sent(story, monkeypatch):
    """1: rows that a finished run has not attempted, and people who are lost."""
    remaining = record.remaining
    monkeypatch.setattr(record, "remaining", lambda folder, names: itertools.islice(remaining(folder, names), 2))
    story.export(0)
    assert {"conservation", "agreement"} == story.laws()


def test_a_report_that_says_more_than_happened(story):
    """1: counts that do not add up, or are not what arrived."""
    run = story.export(0, "full")
    path = run.folder / "01" / "summary.json"
    report = json.loads(path.read_text())
    report["counts"] |= {"delivered": report["counts"]["delivered"] - 1, "unchanged": 1}
    path.write_text(json.dumps(report))
    assert any("delivered, and" in words for words in story.told())
    report["counts"]["delivered"] += 5
    path.write_text(json.dumps(report))
    assert any("do not add up" in words for words in story.told())


def test_a_verdict_that_is_lost(story, monkeypatch):
    """1: a refused person is counted as delivered."""
    monkeypatch.setattr(campaign_monitor, "batch_result", lambda result, batch: BatchResult())
    email = story.days[0].rows[0].email
    story.stage.sim.seed("campaign_monitor", [{"email": email, "status": "unsubscribed"}], story.stage.audience)
    story.export(0, "full")
    assert any(email in words for words in story.told() if words.startswith("agreement"))


def test_a_batch_that_resubscribes(story, monkeypatch):
    """2: people who opted out are brought back by a flag of the whole batch."""
    email = story.days[0].rows[0].email
    story.stage.sim.seed("campaign_monitor", [{"email": email, "status": "unsubscribed"}], story.stage.audience)
    story.stage.opted_out[email] = 0
    monkeypatch.setattr(campaign_monitor, "BODY_SUFFIX", campaign_monitor.BODY_SUFFIX.replace("false", "true", 1))
    story.export(0)
    told = [words for words in story.told() if words.startswith("consent")]
    assert any("brought back" in words for words in told)
    assert any("opted out after call 0" in words for words in told)


def test_a_welcome_mail(sim, monkeypatch, tmp_path):
    """2: a switch that is left out is on at the vendor."""
    story = Story(sim, "omnisend", tmp_path)

    monkeypatch.setattr(
        omnisend, "identifier", lambda kind, column: JsonTemplate({"type": Const(kind), "id": Column(column)})
    )
    story.export(0)
    told = story.told()
    assert any("sendWelcomeMessage is not false" in words for words in told)
    assert any("mails is" in words for words in told)


class Proofs(Story):
    """Days at Omnisend of an export that subscribes people with proof of consent."""

    def __init__(self, sim, home) -> None:
        super().__init__(sim, "omnisend", home)
        self.stage.sim.configure({"omnisend": {"date_of_no_status": "none"}})
        self.email = next(row.address for row in self.days[0].rows if row.consented_at and "2030" > row.consented_at)

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


def test_people_with_proof_are_subscribed_and_nobody_else(proven):
    """2: what is as it should be, with an opt-out and a consent that is newer than it."""
    proven.subscribe(0)
    proven.opt_out()
    proven.subscribe(1)
    assert [] == proven.told(settled=False)
    people = proven.stage.people("all-contacts")
    assert "unsubscribed" == people[proven.email]["status"]
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
    assert [] == proven.told(settled=False)
    assert "subscribed" == proven.stage.people("all-contacts")[proven.email]["status"]


def test_an_opt_out_that_a_proof_does_not_heed(proven, monkeypatch):
    """2: who has opted out is read, and nobody heeds it."""
    proven.subscribe(0)
    proven.opt_out()
    monkeypatch.setattr(proof, "find_opted_out_later", lambda *_: None)
    proven.subscribe(0)
    assert any(f"{proven.email} had opted out since their consent" in words for words in proven.told(settled=False))


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
    told = proven.told(settled=False)
    assert any("is subscribed since another moment" in words for words in told)
    assert any("consent_upgraded is 1" in words for words in told)
    assert any(f"{proven.email} opted out after call" in words for words in told)
    assert any(f"{proven.email} is subscribed, and no proof of theirs" in words for words in told)


def test_a_status_without_proof(proven, monkeypatch):
    """2: rows without a moment that counts are subscribed, too; so is everybody of a run that subscribes nobody."""
    monkeypatch.setattr(proof, "EARLIEST", "1800-01-01")
    proven.subscribe(0)
    assert any("has agreed at" in words for words in proven.told(settled=False))


def test_a_run_that_subscribes_unasked(proven):
    """2: the run was to subscribe nobody."""
    proven.subscribe(0).proof = False
    assert any("the run subscribes nobody" in words for words in proven.told(settled=False))


def test_a_proof_that_is_not_sent(proven, monkeypatch):
    """2: the law is not held by subscribing nobody."""
    monkeypatch.setattr(omnisend, "with_proof", lambda identifier, _: identifier)
    proven.subscribe(0)
    assert any("has a proof, and gets no status" in words for words in proven.told())


def test_people_who_have_not_agreed(story, monkeypatch):
    """2: the consent column is read, and nobody heeds it."""
    row = story.days[0].rows[0]
    rows = [replace(row, consent=False, wrong=("withheld", "no_consent")), *story.days[0].rows[1:]]
    monkeypatch.setattr(consent, "withhold_without_consent", lambda *_: {})
    story.stage.attempt(story.stage.begin(story.days[0].as_of, rows, "upsert"))
    told = story.told()
    assert any(words.startswith("consent") and "1 people whose consent is missing" in words for words in told)
    assert any("must end as ('withheld', 'no_consent')" in words for words in told)


def removing(story: Story, call) -> None:
    """Let leavers be taken out by another call, one a person."""
    removal = story.stage.vendor.removal

    def remove(target, batch):
        for email in batch.emails:
            yield call(target, email)
        return BatchResult()

    story.stage.vendor = replace(story.stage.vendor, removal=replace(removal, remove=remove))


def test_a_leaver_who_is_unsubscribed(story):
    """3: out of the audience is not opted out."""
    url = "{0.base_url}/subscribers/{0.audience}/unsubscribe.json"
    removing(story, lambda target, email: send_json("POST", url.format(target), {"EmailAddress": email}))
    story.export(0, "mirror")
    story.export(1, "mirror")
    assert any("unsubscribed is 1" in words for words in story.told() if words.startswith("leavers"))


def test_a_leaver_whose_opt_out_is_forgotten(story):
    """3: whoever has opted out is left as they are; deleted, they could be imported again."""
    url = "{0.base_url}/subscribers/{0.audience}.json"
    removing(story, lambda target, email: Request("DELETE", url.format(target), query={"email": email}))
    story.export(0, "mirror")
    (email, *_) = {row.address for row in story.days[0].rows} - {row.address for row in story.days[1].rows}
    story.stage.sim.seed("campaign_monitor", [{"email": email, "status": "unsubscribed"}], story.stage.audience)
    story.export(1, "mirror")
    assert any("who was not active" in words for words in story.told())


def test_somebody_whom_we_never_put_there(story, monkeypatch):
    """3: a stranger in the audience is none of ours."""
    story.stage.sim.seed("campaign_monitor", [{"email": "stranger@example.org"}], story.stage.audience)
    find = removals.find

    def eager(sql):
        find(sql)
        sql.run("insert into leavers values ('stranger@example.org', null)")
        return removals.count(sql)

    monkeypatch.setattr(removals, "find", eager)
    story.export(0, "mirror")
    story.export(1, "mirror")
    assert any("whom the ledger does not hold: {'stranger@example.org'}" in words for words in story.told())


def test_leavers_who_are_nobodys_to_take_out(story):
    """3: a run that does not mirror takes nobody out, nor whom another export holds."""
    for export in ("chaos.one", "chaos.other"):
        story.export(0, asked={"export_name": export, "allow_shared_audience": True})
    run = story.begin(1, "mirror", asked={"export_name": "chaos.one", "allow_shared_audience": True})
    story.stage.attempt(run)
    (email, *_) = {row.address for row in story.days[0].rows} - {row.address for row in story.days[1].rows}
    assert [] == story.told(settled=False)
    story.rogue(run, "DELETE", f"/api/v3.3/subscribers/{story.stage.audience}.json", params={"email": email})
    assert any("whom another export holds" in words for words in story.told(settled=False))
    run.mode = "upsert"
    assert any("and the mode is upsert" in words for words in story.told(settled=False))


def test_people_who_were_there_before_are_taken_out(sim, tmp_path):
    """3: a mirror takes out a person who was in the audience before any export."""
    story = Story(sim, "campaign_monitor", tmp_path)
    (email, *_) = {row.address for row in story.days[0].rows} - {row.address for row in story.days[1].rows}
    story.stage.sim.seed("campaign_monitor", [{"email": email}], story.stage.audience)
    story.stage.there_before = frozenset({email})
    story.export(0, "mirror")
    run = story.export(1, "mirror")
    assert [] == story.told()
    story.rogue(run, "DELETE", f"/api/v3.3/subscribers/{story.stage.audience}.json", params={"email": email})
    assert any("people who were there before" in words for words in story.told(settled=False))


def test_a_bar_that_another_export_does_not_heed(story, monkeypatch):
    """2: an export carries a person whom another export of the audience has barred."""
    rows = story.days[0].rows
    unwilling = [replace(rows[0], consent=False, wrong=("withheld", "no_consent")), *rows[1:]]
    one, other = ({"export_name": name, "allow_shared_audience": True} for name in ("chaos.one", "chaos.other"))
    story.stage.attempt(story.stage.begin(story.days[0].as_of, unwilling, "upsert", asked=one))
    story.export(0, "full", asked=other)
    assert [] == story.told(settled=False)
    monkeypatch.setattr(consent, "withhold_barred", lambda *_: 0)
    story.export(1, "full", asked=other)
    assert any("whom another export has barred" in words for words in story.told(settled=False))


def test_a_mirror_that_takes_nobody_out(story, monkeypatch):
    """And what it is all for: who has left the segment is in the audience yet."""
    monkeypatch.setattr(removals, "find", lambda sql: 0)
    story.export(0, "mirror")
    story.export(1, "mirror")
    assert any("have left the segment and are still" in words for words in story.told())


def test_somebody_deleted_from_the_account(sim, tmp_path):
    """3: a leaver stays a contact."""
    story = Story(sim, "dotdigital", tmp_path)
    run = story.export(0)
    person = story.stage.people(story.stage.audience)[story.days[0].rows[0].address]
    story.rogue(run, "DELETE", f"/v2/contacts/{person['id']}")
    assert any("account_deleted is 1" in words for words in story.told(settled=False))


def test_a_ledger_that_forgets(story):
    """4: an older snapshot goes out after a newer one."""
    story.export(2)
    shutil.rmtree(story.stage.root / "ledgers")
    story.export(1)
    assert any(words.startswith("order") and "(as of" in words for words in story.told(settled=False))


def test_a_journal_that_forgets(story):
    """5: what was settled before the kill goes out again."""
    run = story.begin(0)
    assert "killed" == story.stage.attempt(run, Trouble(KillSwitch(str(story.stage.root), near="rejects.parquet")))
    (run.folder / "01" / "journal.jsonl").write_bytes(CREATED + b"\n")
    story.stage.attempt(run)
    assert "retry" in story.laws()


def race(story: Story) -> tuple[Run, Run]:
    """A run, and another one that begins while it sends."""
    first, second = story.begin(1, "full"), story.begin(2, "full")
    between = Between(str(story.stage.root), 7, lambda: story.stage.attempt(second))
    story.stage.attempt(first, Trouble(between))
    return first, second


def test_two_writers(story, monkeypatch):
    """6: two runs write one audience at a time."""
    for name in ("acquire", "check", "release"):
        monkeypatch.setattr(Lease, name, lambda self: None)
    race(story)
    assert any(words.startswith("one writer") and "writes in between" in words for words in story.told(settled=False))


def test_an_address_in_a_log(story, monkeypatch):
    """7: a well-meant line of a log names a person."""
    answered = record.BatchRecorder.record_reply

    def talkative(self, batch, answer):
        logging.getLogger("airflow_provider_segexport").info("Settled, the first is %s.", batch.emails[0])
        return answered(self, batch, answer)

    monkeypatch.setattr(record.BatchRecorder, "record_reply", talkative)
    story.export(0)
    assert {"privacy"} == story.laws()


def test_a_secret_in_an_error(story, monkeypatch):
    """7: what a connection holds stands in what an exception says."""
    key = story.stage.described["credentials"]["api_key"]

    def careless(*_, **__):
        raise ValueError(f"cannot sign in with {key}")

    monkeypatch.setattr(read, "read_schemas", careless)
    story.export(0)
    assert "privacy" in story.laws()


def test_calls_that_nobody_counts(sim, tmp_path):
    """8: without a pace the vendor says "too many"."""
    story = Story(sim, "constant_contact", tmp_path)
    story.stage.paced = False
    story.export(0)
    told = [words for words in story.told() if words.startswith("quota")]
    assert any("one too many (429)" in words for words in told)
    assert any("calls to the vendor in 1 s" in words for words in told)


def test_a_call_before_the_checks(story, monkeypatch):
    """9: something is sent, and then the run finds that it cannot be done."""
    run = story.begin(0)
    inspect = read.read_schemas

    def hasty(*told, **options):
        path = f"/api/v3.3/subscribers/{story.stage.audience}/import.json"
        story.rogue(run, "POST", path, json={"Subscribers": [{"EmailAddress": "a@example.com"}], "Resubscribe": False})
        return inspect(*told, **options)

    monkeypatch.setattr(read, "read_schemas", hasty)
    story.stage.attempt(run, field_mapping={"email": "no_such_column"})
    told = [words for words in story.told(settled=False) if words.startswith("checks first")]
    assert any("before it has looked" in words for words in told)
    assert any("ended with InvalidSegment" in words for words in told)


def test_a_dry_run_that_sends(story):
    """9: nothing is sent where only a plan was asked for."""
    run = story.export(0)
    run.dry = True
    assert any("is a dry run" in words for words in story.told(settled=False))


def test_an_audience_that_is_not_the_segment(story):
    """And what they are all for: somebody has been taken out behind our back."""
    story.export(0)
    email = story.days[0].rows[0].email
    story.stage.sim.seed("campaign_monitor", [{"email": email, "status": "deleted"}], story.stage.audience)
    assert {"agreement"} == story.laws()
