"""Omnisend: whether an upsert adds tags or replaces them is found out before the first batch, and kept."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from random import Random
from typing import Any

import pytest
from vendors.harness import people
from vendors.omnisend_brand import MODES, OTHERS, Brand

from airflow_provider_segexport.errors import VendorUnavailable
from airflow_provider_segexport.export import experiments
from airflow_provider_segexport.model import Audience, Batch, Response, Sleep
from airflow_provider_segexport.storage.account_record import LearntFact
from airflow_provider_segexport.vendors.omnisend import tag_experiment


@pytest.fixture(params=MODES)
def brand(request, sim, tmp_path):
    return Brand(sim, tmp_path, request.param)


def without_tags(response: Response) -> Response:
    """Answers about one contact, without tags."""
    if "/contacts" not in response.url or response.status != 200:
        return response
    body = json.loads(response.body)
    for contact in body.get("contacts", ()):
        contact.pop("tags", None)
    return replace(response, body=json.dumps(body).encode())


def test_what_is_learnt_before_the_first_batch(brand):
    """The report says value and time; a new contact is preferred, because it has no tag to lose."""
    mode = brand.sim.describe()["vendors"]["omnisend"]["settings"]["update_tags"]
    report = brand.day(1, [*people(3), "new@example.com"])
    assert report["counts"]["delivered"] == 4
    assert brand.value() == mode
    fact = report["account_facts"]["tags_on_upsert"]
    assert fact["value"] == brand.value()
    assert report["started_at"] <= fact["learnt_at"] <= report["ended_at"]
    canaries = [call["body"]["items"] for call in brand.upserts()[:2]]
    assert [["new@example.com"], ["new@example.com"]] == [[i["identifiers"][0]["id"] for i in c] for c in canaries]
    brand.assert_unharmed(*people(3), "new@example.com")


def test_it_is_learnt_once(brand):
    """Later runs, and runs of other audiences of the account, know it from the record."""
    brand.day(1, people(2))
    before = len(brand.calls("DELETE", "/contacts/tags"))
    brand.day(2, people(3))
    brand.audience = "Newsletter"
    brand.day(1, people(2), name="other")
    assert len(brand.calls("DELETE", "/contacts/tags")) == before


def test_the_items_carry_the_tag_only_if_tags_are_merged(brand):
    """The same plan is sent in both ways."""
    brand.day(1, people(5))
    exported = brand.upserts()[-1]["body"]["items"]
    assert [item.get("tags") for item in exported] == [[brand.audience] if brand.value() == "merge" else None] * 5
    assert bool(brand.calls("POST", "/contacts/tags")) == (brand.value() == "replace")


def test_everybody_has_tags_of_others(brand):
    """The tags of the person who is chosen then are given back, and read again."""
    brand.day(1, ["p0@example.com", "p1@example.com"])
    brand.assert_unharmed("p0@example.com", "p1@example.com")


def test_tags_that_cannot_be_read(brand):
    """Nothing is tried on people whose tags are unknown; the run goes the safe way, and the next one asks again."""
    brand.day(1, people(3), environment=brand.watched("day-1", after=without_tags))
    assert brand.value() == ""
    assert len(brand.upserts()) == 1
    brand.assert_unharmed(*people(3))
    brand.day(2, people(4))
    assert brand.value() in MODES


def test_tags_that_are_not_shown_in_time(brand):
    """The answer is unknown, which is asked again a day later and treated as `replace` until then."""
    posts = []

    def after(response: Response) -> Response:
        posts.append(response.url.endswith("/batches"))
        return without_tags(response) if sum(posts) > 1 else response  # after the read before the plan

    with pytest.raises(VendorUnavailable, match="does not return the tags"):
        brand.day(1, ["p0@example.com", "p1@example.com"], environment=brand.watched("day-1", after=after))
    brand.sim.clock.advance(600)
    brand.day(1, ["p0@example.com", "p1@example.com"])
    brand.assert_unharmed("p0@example.com", "p1@example.com")


def test_an_unknown_answer_is_asked_again_a_day_later(brand):
    """Until then it counts as `replace`."""
    brand.learn("unknown")
    assert brand.day(1, people(2))["account_facts"]["tags_on_upsert"]["value"] == "unknown"
    assert len(brand.upserts()) == 1
    brand.sim.clock.advance(experiments.UNKNOWN_S)
    brand.day(2, people(3))
    assert brand.value() in MODES
    brand.assert_unharmed(*people(3))


def test_a_person_that_the_vendor_rejects(brand):
    """The experiment takes another one."""
    brand.sim.act("omnisend", "fail_items", {"status": 400, "email": "new@example.com", "times": 99})
    report = brand.day(1, ["new@example.com", *people(2)])
    assert report["counts"]["delivered"] == 2
    assert brand.value() in MODES
    brand.assert_unharmed(*people(2))


def test_a_dry_run_learns_nothing(brand):
    """It makes no call that changes something."""
    brand.day(1, people(3), dry_run=True)
    assert brand.value() == ""
    assert {call["method"] for call in brand.sim.requests(vendor="omnisend")} == {"GET"}


def test_a_run_that_sends_no_row_learns_nothing(brand):
    """There is no person to try it on."""
    brand.learn("merge")
    brand.day(1, people(2))
    brand.account_record().path("tags_on_upsert").unlink()
    assert brand.day(2, people(2))["account_facts"] == {}
    assert brand.value() == ""


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b'{"format":1,"fact":"tags_on_upsert","value":"merge","learnt_at":1,"checksum":"00000000"}',
        b'{"fact":"tags_on_upsert","value":"merge","learnt_at":1}',
        b'{"format":1,"vendor":"omnisend","account":7,"value":[],"checksum":"00000000"}',
    ],
)
def test_a_damaged_record(brand, content):
    """It is learnt again: a forged or broken file never lets an export replace tags."""
    path = brand.account_record().path("tags_on_upsert")
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    brand.day(1, people(3))
    assert brand.value() in MODES
    brand.assert_unharmed(*people(3))


@pytest.mark.parametrize(
    "other", [{"account": "another-brand"}, {"vendor": "dotdigital"}, {"api_version": "2027-01-01"}]
)
def test_a_record_that_was_copied_from_another_account(brand, other, caplog):
    """It says nothing about this one, and is replaced; also a file of another API version."""
    own = brand.account_record()
    foreign = replace(own, folder=own.folder.parent / "foreign", **other)
    foreign.record("tags_on_upsert", LearntFact("merge", 1.0))
    assert foreign.fact("tags_on_upsert") == LearntFact("merge", 1.0)
    own.path("tags_on_upsert").parent.mkdir(parents=True)
    shutil.copy(foreign.path("tags_on_upsert"), own.path("tags_on_upsert"))
    assert own.fact("tags_on_upsert") is None
    brand.day(1, people(3))
    assert "of another account" in caplog.text
    assert brand.value() in MODES
    assert own.fact("tags_on_upsert").learnt_at > 1.0
    brand.assert_unharmed(*people(3))


@pytest.mark.parametrize("value", ["", "MERGE", "both"])
def test_a_value_that_no_experiment_has(brand, value):
    """It counts as not learnt."""
    brand.learn(value)
    brand.day(1, people(3))
    assert brand.value() in MODES
    brand.assert_unharmed(*people(3))


def test_facts_of_another_api_version(brand):
    """They are kept, and say nothing about this one."""
    other = replace(brand.account_record(), api_version="2027-01-01")
    other.record("tags_on_upsert", LearntFact("merge", 1.0))
    brand.day(1, people(3))
    assert brand.value() in MODES
    assert other.fact("tags_on_upsert") == LearntFact("merge", 1.0)


# Two experiments at a time


@pytest.mark.parametrize("seed", range(30))
def test_two_runs_try_the_same_person(brand, seed):
    """Whatever the order of their calls: none believes that tags are merged if they are not, and no tag is lost."""
    rng, mode = Random(seed), brand.sim.describe()["vendors"]["omnisend"]["settings"]["update_tags"]
    target = brand.call(brand.vendor.resolve_audience(brand.endpoint, brand.audience))
    results: dict[str, str | None] = {}
    operations = {name: experiment(replace(target, audience=name), results) for name in ("Customers", "Newsletter")}
    waiting: dict[str, Any] = dict.fromkeys(operations)
    sender = brand.sender()
    name = ""
    while operations:
        if name not in operations or rng.random() < 0.2:  # several calls of one run, then several of the other
            name = rng.choice(sorted(operations))
        try:
            request = operations[name].send(waiting[name])
        except StopIteration:
            del operations[name]
            continue
        if isinstance(request, Sleep):
            brand.sim.clock.advance(request.seconds)
        waiting[name] = None if isinstance(request, Sleep) else sender(request)
    sender.close()
    assert set(results.values()) <= {mode, "unknown", None}
    brand.tags()
    held = brand.tags()["p1@example.com"]
    assert OTHERS["p1@example.com"] <= held
    assert [name for name in held if name.startswith("segexport")] == []


def experiment(target: Audience, results: dict[str, str | None]):
    item = '{"identifiers":[{"type":"email","id":"p1@example.com","sendWelcomeMessage":false}],"tags":["%s"]}'
    batch = Batch("b", [0], ["p1@example.com"], [item % target.audience])
    notes = yield from tag_experiment.choose(target, batch, frozenset())
    if notes is not None:
        results[target.audience] = yield from tag_experiment.run(target, batch, notes)
        yield from tag_experiment.undo(target, notes)
