"""Omnisend: every person whose row was accepted gets the tag, by address, in a call of its own."""

from __future__ import annotations

import json
from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from core.factories import batch_of
from vendors.harness import people
from vendors.omnisend_brand import MODES, OTHERS, Brand, Killed

from airflow_provider_segexport.errors import FatalError
from airflow_provider_segexport.model import Audience, BatchResult, Reason, Request, Response, RowRejection
from airflow_provider_segexport.vendors.omnisend import tags
from airflow_provider_segexport.vendors.operations import run_operation

TARGET = Audience(base_url="https://om.test/api", account="b1", account_name="Shop", audience="Customers")


@pytest.fixture(params=MODES)
def brand(request, sim, tmp_path):
    return Brand(sim, tmp_path, request.param)


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
