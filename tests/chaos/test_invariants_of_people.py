"""Planted faults of removals: people unsubscribed, deleted, or removed although they are not ours."""

from __future__ import annotations

from dataclasses import replace

from chaos.story import Story

from airflow_provider_segexport.model import BatchResult, Request
from airflow_provider_segexport.stages import removals
from airflow_provider_segexport.vendors.responses import send_json


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
    assert any("unsubscribed is 1" in violation for violation in story.violations() if violation.startswith("leavers"))


def test_a_leaver_whose_opt_out_is_forgotten(story):
    """3: a person that has opted out is left unchanged; after a deletion, they could be imported again."""
    url = "{0.base_url}/subscribers/{0.audience}.json"
    removing(story, lambda target, email: Request("DELETE", url.format(target), query={"email": email}))
    story.export(0, "mirror")
    (email, *_) = {row.address for row in story.days[0].rows} - {row.address for row in story.days[1].rows}
    story.stage.sim.seed("campaign_monitor", [{"email": email, "status": "unsubscribed"}], story.stage.audience)
    story.export(1, "mirror")
    assert any("who was not active" in violation for violation in story.violations())


def test_a_person_that_we_never_added(story, monkeypatch):
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
    assert any(
        "whom the ledger does not hold: {'stranger@example.org'}" in violation for violation in story.violations()
    )


def test_leavers_that_the_run_may_not_remove(story):
    """3: a run that does not mirror removes no person, nor one that another export holds."""
    for export in ("chaos.one", "chaos.other"):
        story.export(0, options={"export_name": export, "allow_shared_audience": True})
    run = story.begin(1, "mirror", options={"export_name": "chaos.one", "allow_shared_audience": True})
    story.stage.attempt(run)
    (email, *_) = {row.address for row in story.days[0].rows} - {row.address for row in story.days[1].rows}
    assert story.violations(settled=False) == []
    story.rogue(run, "DELETE", f"/api/v3.3/subscribers/{story.stage.audience}.json", params={"email": email})
    assert any("whom another export holds" in violation for violation in story.violations(settled=False))
    run.mode = "upsert"
    assert any("and the mode is upsert" in violation for violation in story.violations(settled=False))


def test_people_who_were_there_before_are_taken_out(sim, tmp_path):
    """3: a mirror takes out a person who was in the audience before any export."""
    story = Story(sim, "campaign_monitor", tmp_path)
    (email, *_) = {row.address for row in story.days[0].rows} - {row.address for row in story.days[1].rows}
    story.stage.sim.seed("campaign_monitor", [{"email": email}], story.stage.audience)
    story.stage.there_before = frozenset({email})
    story.export(0, "mirror")
    run = story.export(1, "mirror")
    assert story.violations() == []
    story.rogue(run, "DELETE", f"/api/v3.3/subscribers/{story.stage.audience}.json", params={"email": email})
    assert any("people who were there before" in violation for violation in story.violations(settled=False))


def test_a_mirror_that_removes_no_person(story, monkeypatch):
    """And what it is all for: who has left the segment is in the audience yet."""
    monkeypatch.setattr(removals, "find", lambda sql: 0)
    story.export(0, "mirror")
    story.export(1, "mirror")
    assert any("have left the segment and are still" in violation for violation in story.violations())


def test_somebody_deleted_from_the_account(sim, tmp_path):
    """3: a leaver stays a contact."""
    story = Story(sim, "dotdigital", tmp_path)
    run = story.export(0)
    person = story.stage.people(story.stage.audience)[story.days[0].rows[0].address]
    story.rogue(run, "DELETE", f"/v2/contacts/{person['id']}")
    assert any("account_deleted is 1" in violation for violation in story.violations(settled=False))
