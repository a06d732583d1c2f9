"""Omnisend: whatever an upsert does with tags, tags of others survive every export, and every person gets the tag."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import Any

import pyarrow as pa
import pytest
from core.factories import batch_of
from vendors.harness import VendorHarness, people

from airflow_provider_segexport.errors import DamagedState, FatalError, VendorUnavailable
from airflow_provider_segexport.export import experiments, repair
from airflow_provider_segexport.http.client import RetryLimits
from airflow_provider_segexport.model import (
    Audience,
    Batch,
    BatchResult,
    Reason,
    Request,
    Response,
    RowRejection,
    Sleep,
)
from airflow_provider_segexport.person.vendor_removal import REMOVED, VendorRemover
from airflow_provider_segexport.storage.account_record import LearntFact
from airflow_provider_segexport.storage.history import ledger_paths
from airflow_provider_segexport.storage.paths import local_path
from airflow_provider_segexport.storage.sealing import read_json, write_json
from airflow_provider_segexport.vendors.omnisend import tag_experiment, tags
from airflow_provider_segexport.vendors.operations import run_operation

OTHERS = {
    "p0@example.com": {"VIP"},
    "p1@example.com": {"VIP", "Lapsed"},
    "p2@example.com": {"Customers of the shop"},
    "p4@example.com": {"VIP"},
    "elsewhere@example.com": {"VIP"},
}
"""People that the brand has before the first export, with their tags."""

MODES = ["merge", "replace"]
GUARDS = {"max_removals_share": None, "max_shrink": None, "max_growth": None}
TARGET = Audience(base_url="https://om.test/api", account="b1", account_name="Shop", audience="Customers")


class Killed(KeyboardInterrupt):
    """The worker dies."""


class Watched:
    """A sender whose calls a test sees before they leave and after they are answered."""

    def __init__(self, sender: Any, before: Callable[[Request], None], after: Callable[[Response], Response]) -> None:
        self._sender, self._before, self._after = sender, before, after

    def __call__(self, request: Request) -> Response:
        self._before(request)
        return self._after(self._sender(request))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sender, name)


class Brand(VendorHarness):
    """A brand with contacts and tags of others, of which nothing was learnt yet."""

    learnt = ""

    def __init__(self, sim, home, mode: str, **limits: object) -> None:
        super().__init__(sim, "omnisend", home, **limits)
        sim.configure({"omnisend": {"update_tags": mode}})
        for email, names in OTHERS.items():
            for name in names:
                sim.seed("omnisend", [{"email": email}], name)

    def tags(self) -> dict[str, set[str]]:
        """The tags of all contacts, once the vendor has done its work."""
        self.sim.clock.advance(120)
        return {
            str(member["email"]): set(member["tags"])
            for member in self.sim.members("omnisend", "all-contacts")["members"]
        }

    def assert_unharmed(self, *members: str) -> None:
        """Tags of others are as they were, these people alone have the audience's tag, and no temporary tag is left."""
        held = self.tags()
        assert set(members) == {email for email, names in held.items() if self.audience in names}
        assert {email: names for email, names in OTHERS.items() if names - held.get(email, set())} == {}
        assert [name for names in held.values() for name in names if name.startswith("segexport")] == []

    def watched(self, run: str, before=lambda _: None, after=lambda response: response):
        return self.environment(run, send=Watched(self.sender(), before, after))

    def value(self) -> str:
        fact = self.account_record().fact("tags_on_upsert")
        return fact.value if fact else ""

    def calls(self, method: str, path: str) -> list[dict[str, Any]]:
        calls = self.sim.requests(vendor="omnisend")
        return [call for call in calls if call["method"] == method and str(call["path"]).endswith(path)]


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


# The experiment


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

    with pytest.raises(VendorUnavailable, match="does not show the tags"):
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


# The life of an audience


@pytest.mark.parametrize(
    ("mode", "learnt"), [("merge", "merge"), ("merge", "replace"), ("replace", "replace"), ("replace", "unknown")]
)
class TestLife:
    @pytest.fixture
    def brand(self, sim, tmp_path, mode, learnt):
        brand = Brand(sim, tmp_path, mode, batch_rows=2)
        brand.learn(learnt)
        return brand

    def test_mirror_and_undo(self, brand):
        """People come, change, leave and come back; others' tags are never touched."""
        brand.day(1, people(5))
        brand.assert_unharmed(*people(5))
        brand.day(2, [*people(3), "new@example.com"], first={"p0@example.com": "New"})
        brand.assert_unharmed(*people(3), "new@example.com")
        brand.undo()
        brand.assert_unharmed(*people(5))

    def test_a_retry_after_lost_answers(self, brand):
        """A batch whose answer was lost, and one whose tags could not be added, are both completed by the next try."""
        brand.fault(drop=True, when="after")
        with pytest.raises(VendorUnavailable):
            brand.day(1, people(5), environment=brand.environment("day-1", patience=RetryLimits(attempts=1)))
        brand.sim.clear_faults()
        brand.day(1, people(5))
        brand.assert_unharmed(*people(5))

    def test_items_that_fail(self, brand):
        """A rejected person gets no tag; one who is sent again does."""
        brand.sim.act("omnisend", "fail_items", {"status": 400, "email": "p0@example.com", "times": 99})
        brand.sim.act("omnisend", "fail_items", {"status": 503, "email": "p3@example.com", "times": 1})
        report = brand.day(1, people(5))
        assert report["counts"]["delivered"] == 4
        brand.assert_unharmed(*people(5)[1:])

    def test_the_estimate(self, brand, learnt):
        """It counts the calls that add the tag, and their own limit."""
        brand.vendor = replace(brand.vendor, limits=replace(brand.vendor.limits, batch_rows=1))
        estimate = brand.day(1, people(200), dry_run=True)["estimate"]
        assert (estimate["calls"], estimate["estimated_minutes"]) == ((200, 0.0) if learnt == "merge" else (600, 3.0))


# Kills


def killed_at(number: int, *, answered: bool):
    """Hooks of a sender that dies at a call that changes something; what they return counts the calls."""
    seen: list[Request] = []

    def before(request: Request) -> None:
        seen.append(request)
        if request.method != "GET" and not answered and changing() == number:
            raise Killed

    def after(response: Response) -> Response:
        if seen[-1].method != "GET" and answered and changing() == number:
            raise Killed
        return response

    def changing() -> int:
        return sum(request.method != "GET" for request in seen)

    return before, after


@pytest.mark.parametrize("answered", [True, False])
@pytest.mark.parametrize("number", range(1, 9))
@pytest.mark.parametrize("next_run", ["the same", "another"])
def test_a_worker_that_dies_at_any_call(brand, number, answered, next_run):
    """The next try, or the next day's run, gives back what vanished, and takes away what was temporary."""
    segment = ["p0@example.com", "p1@example.com", "p2@example.com"]
    before, after = killed_at(number, answered=answered)
    try:
        brand.day(1, segment, environment=brand.watched("day-1", before, after))
    except Killed:
        brand.sim.clock.advance(300)
        brand.day(1, segment) if next_run == "the same" else brand.day(2, segment[1:])
    else:
        if next_run == "another":
            brand.day(2, segment[1:])
    brand.assert_unharmed(*(segment if next_run == "the same" else segment[1:]))


def to_garbage(path):
    path.write_bytes(b"{half")


def to_folder(path):
    path.unlink()
    path.mkdir()


def with_content(**changes):
    def change(path):
        write_json(path, {**read_json(path), **changes})

    change.__name__ = f"with_{'_'.join(changes)}"
    return change


def about_another(**notes):
    """Change the record as a program does that writes a whole file with its checksum."""

    def change(path):
        content = read_json(path)
        write_json(path, {**content, "notes": {**content["notes"], **notes}})

    return change


@pytest.mark.parametrize(
    "notes", [{"email": "stranger@example.com"}, {"temporary": ["VIP"]}], ids=["another_person", "tags_of_others"]
)
def test_notes_about_another_person_are_not_obeyed(brand, notes):
    """A file of another run or of a stranger, with a checksum that is right: no call is made by it."""
    brand.sim.seed(brand.name, [{"email": "stranger@example.com"}], "VIP")
    brand.sim.seed(brand.name, [{"email": people(1)[0]}], "VIP")
    before, after = killed_at(2, answered=True)
    with pytest.raises(Killed):
        brand.day(1, people(3), environment=brand.watched("day-1", before, after))
    brand.sim.clock.advance(300)
    about_another(**notes)(brand.home / "runs" / "day-1" / "01" / experiments.NOTES)
    calls = len(brand.sim.requests(vendor=brand.name))
    for number in (1, 2):
        with pytest.raises(DamagedState, match=r"experiment\.json") as raised:
            brand.day(number, people(3))
        assert "stranger" not in str(raised.value)
    assert {call["method"] for call in brand.sim.requests(vendor=brand.name)[calls:]} <= {"GET"}
    (ledger,) = ledger_paths(brand.home)
    assert "experiment.json" in repair.repair(ledger, local_path, clock=brand.sim.clock.now, sleep=brand.sleep).why


@pytest.mark.parametrize(
    "damage",
    [to_garbage, to_folder, with_content(began_at="x"), with_content(notes={}), with_content(notes=[1])],
    ids=["garbage", "folder", "began_at", "notes", "list"],
)
def test_damaged_notes_stop_the_audience_until_they_are_repaired(brand, damage):
    """Every try says so; `repair` finds the file, and the next run is free."""
    before, after = killed_at(2, answered=True)
    with pytest.raises(Killed):
        brand.day(1, people(3), environment=brand.watched("day-1", before, after))
    brand.sim.clock.advance(300)
    path = brand.home / "runs" / "day-1" / "01" / experiments.NOTES
    damage(path)
    for number in (1, 2):
        with pytest.raises(DamagedState, match=r"experiment\.json"):
            brand.day(number, people(3))
    (ledger,) = ledger_paths(brand.home)
    diagnosis = repair.repair(ledger, local_path, clock=brand.sim.clock.now, sleep=brand.sleep)
    assert "experiment.json" in diagnosis.why
    assert brand.day(3, people(3))["counts"]["not_attempted"] == 0


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


# Single calls


@pytest.mark.parametrize(
    "value", ['"tags":["Customers"]', ',"tags":["Customers"]', '\\",\\"tags\\":[\\"Customers\\"]', "}]"]
)
def test_values_that_look_like_tags(sim, tmp_path, value):
    """The part cut from an item is the item's own member, whatever its values are."""
    brand = Brand(sim, tmp_path, "replace")
    brand.learn("replace")
    columns = {"email": people(2), "first": pa.array([value, "B"]), "shop": pa.array([value, None])}
    options = {"field_mapping": {"first_name": "first"}, "custom_fields": {"shop": "shop"}}
    report = brand.export(brand.segment(columns), **options)
    assert report["counts"]["delivered"] == 2
    items = brand.upserts()[0]["body"]["items"]
    assert [(item.get("firstName"), item.get("customProperties"), "tags" in item) for item in items] == [
        (value, {"shop": value}, False),
        ("B", None, False),
    ]


def tagging(answer: Callable[[list[str]], Response]) -> tuple[list[list[str]], Callable[[Request], Response]]:
    """The addresses of each call that adds a tag, and a sender whose responses depend on them."""
    seen: list[list[str]] = []

    def send(request: Request) -> Response:
        body = json.loads(request.body or b"")
        assert (request.method, request.rate_scope, body["tags"]) == ("POST", "tags", ["Customers"])
        assert body.keys() == {"emails", "tags"}
        seen.append(body["emails"])
        return answer(body["emails"])

    return seen, send


def problem(status: int, field: str) -> Response:
    return Response(status, {}, json.dumps({"type": "x/validation-failed", "errors": [{"field": field}]}).encode())


def test_accepted_rows_are_tagged_by_address():
    """A contact id in a result may be another address's by now. Rejected rows, and rows to send again, get no tag."""
    batch = batch_of(4)
    result = BatchResult((RowRejection(0, Reason.INVALID_EMAIL, "", ""),), retry=(1,), contact_ids={2: "c2"})
    seen, send = tagging(lambda _: Response(202, {}, b""))
    assert run_operation(tags.tag_accepted(TARGET, batch, result), send) == result
    assert seen == [batch.emails[2:]]


@pytest.mark.parametrize("seed", range(20))
def test_a_person_whose_tag_is_rejected(seed):
    """The call is halved: all other people get the tag, and the person is a rejected row."""
    rng = Random(seed)
    batch = batch_of(rng.choice([1, 2, 7, 100]))
    invalid = set(rng.sample(batch.emails, rng.randint(1, min(3, len(batch)))))
    status = rng.choice([400, 413])
    ids = {index: f"c{index}" for index in range(len(batch))}
    seen, send = tagging(lambda emails: problem(status, "emails") if invalid & set(emails) else Response(202, {}, b""))
    result = run_operation(tags.tag_accepted(TARGET, batch, BatchResult(contact_ids=ids)), send)
    assert {batch.emails[row.index] for row in result.rejected} == invalid
    assert {batch.emails[index] for index in result.contact_ids} == set(batch.emails) - invalid
    tagged = [email for emails in seen if not invalid & set(emails) for email in emails]
    assert sorted(tagged) == sorted(set(batch.emails) - invalid)


def test_a_tag_that_is_rejected_is_no_rejected_person():
    """The call is not halved, because no part of its people would be accepted."""
    seen, send = tagging(lambda _: problem(400, "tags[0]"))
    with pytest.raises(FatalError):
        run_operation(tags.tag_accepted(TARGET, batch_of(50), BatchResult()), send)
    assert len(seen) == 1


@pytest.mark.parametrize(("people_count", "calls"), [(0, 0), (1, 1), (250, 1), (251, 2)])
def test_people_of_one_call(people_count, calls):
    emails = [f"e{number}" for number in range(people_count)]
    seen, send = tagging(lambda _: Response(202, {}, b""))
    run_operation(tags.change_tags("POST", TARGET, ["Customers"], emails), send)
    assert len(seen) == calls
    assert [email for each in seen for email in each] == emails


# Between the upsert and its tag


class TestBetweenUpsertAndTag:
    @pytest.fixture
    def brand(self, sim, tmp_path):
        brand = Brand(sim, tmp_path, "replace", batch_rows=2)
        brand.learn("replace")
        return brand

    @staticmethod
    def dies_before_the_tag(brand: Brand, segment: list[str]) -> None:
        def before(request: Request) -> None:
            if request.method == "POST" and request.url.endswith("/contacts/tags"):
                raise Killed

        with pytest.raises(Killed):
            brand.day(1, segment, environment=brand.watched("day-1", before))

    @pytest.mark.parametrize("pause_s", [300.0, 7200.0, 5 * 86400.0, 8 * 86400.0])
    @pytest.mark.parametrize("moved", ["p1@example.com", "p3@example.com"])
    def test_an_address_that_another_contact_has_by_now(self, brand, moved, pause_s):
        """The tag goes to the contact that has the address of the segment, and not to the one that had it."""
        self.dies_before_the_tag(brand, people(5))
        brand.sim.act("omnisend", "change_address", {"email": moved, "to": "elsewhere-now@example.com"})
        brand.sim.seed("omnisend", [{"email": moved}], "all-contacts")
        brand.sim.clock.advance(pause_s)
        report = brand.day(1, people(5))
        assert report["counts"]["delivered"] == 5
        held = brand.tags()
        assert {email for email, names in held.items() if brand.audience in names} == set(people(5))

    @pytest.mark.parametrize("pause_s", [7200.0, 5 * 86400.0, 8 * 86400.0])
    def test_an_address_that_no_contact_has_by_now(self, brand, pause_s):
        """After a pause, the rows are sent again first, so no person is reported as delivered and has no tag."""
        self.dies_before_the_tag(brand, people(5))
        brand.sim.act("omnisend", "change_address", {"email": "p1@example.com", "to": "elsewhere-now@example.com"})
        brand.sim.clock.advance(pause_s)
        assert brand.day(1, people(5))["counts"]["delivered"] == 5
        held = brand.tags()
        assert {email for email, names in held.items() if brand.audience in names} == set(people(5))
        assert OTHERS["p1@example.com"] <= held["elsewhere-now@example.com"]

    def test_a_short_pause_sends_no_row_again(self, brand):
        """Only the tags are missing."""
        self.dies_before_the_tag(brand, people(5))
        sent = len(brand.upserts())
        brand.sim.clock.advance(300)
        brand.day(1, people(5))
        again = [item["identifiers"][0]["id"] for call in brand.upserts()[sent:] for item in call["body"]["items"]]
        before = [item["identifiers"][0]["id"] for call in brand.upserts()[:sent] for item in call["body"]["items"]]
        assert sorted(before + again) == people(5)
        brand.assert_unharmed(*people(5))

    def test_results_that_are_always_read_late(self, brand):
        """A row is sent again once for that, so a slow worker does not send it for ever."""
        brand.pause = lambda _: brand.sim.clock.advance(7200) or True
        brand.day(1, people(5))
        assert sum(len(call["body"]["items"]) for call in brand.upserts()) == 10
        brand.assert_unharmed(*people(5))

    def test_a_person_whose_tag_is_rejected_is_sent_again_by_the_next_export(self, brand):
        """The run ends, and counts this person alone as rejected."""
        rejected = {"p3@example.com"}
        sender = brand.sender()

        class Rejecting:
            def __call__(self, request: Request) -> Response:
                adds = request.method == "POST" and request.url.endswith("/contacts/tags")
                if adds and rejected & set(json.loads(request.body or b"")["emails"]):
                    return problem(400, "emails[0]")
                return sender(request)

            def __getattr__(self, name: str) -> Any:
                return getattr(sender, name)

        report = brand.day(1, people(5), environment=brand.environment("day-1", send=Rejecting()))
        assert (report["counts"]["delivered"], report["counts"]["rejected"]) == (4, 1)
        assert [row["email"] for row in brand.rejects("day-1")] == ["p3@example.com"]
        brand.assert_unharmed(*sorted({*people(5)} - rejected))
        rejected.clear()
        assert brand.day(2, people(5))["counts"]["delivered"] == 1
        brand.assert_unharmed(*people(5))


# Removals


def test_removals_take_one_tag_and_spare_the_others(brand):
    """A leaver, and a person who is erased, keep the tags of others; all other people keep all tags."""
    brand.day(1, [*people(5), "new@example.com"])
    brand.day(2, [*people(4)], mode="mirror", guards=GUARDS)
    brand.assert_unharmed(*people(4))
    target = brand.call(brand.vendor.resolve_audience(brand.endpoint, brand.audience))
    assert VendorRemover(brand.vendor, target, brand.call, brand.sleep).remove("p0@example.com") == REMOVED
    brand.assert_unharmed("p1@example.com", "p2@example.com", "p3@example.com")
    bodies = [
        call["body"] for call in brand.calls("DELETE", "/contacts/tags") if brand.audience in call["body"]["tags"]
    ]
    assert [body for body in bodies if "contactIDs" in body or body["tags"] != [brand.audience]] == []
