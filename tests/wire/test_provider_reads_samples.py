"""The provider writes the samples' requests and reads their replies."""

from __future__ import annotations

import json
import re
from urllib.parse import parse_qsl, urlsplit

import pytest
from core.factories import shared
from vendors.rows import row
from wire.samples import SAMPLES, Sample, batch_of, body_of, fits, shape

from airflow_provider_segexport import errors
from airflow_provider_segexport.errors import RetryableError, SegexportError
from airflow_provider_segexport.model import Audience, BatchResult, JobId, Response
from airflow_provider_segexport.stages.encode import expression
from airflow_provider_segexport.vendor_field import VendorField
from airflow_provider_segexport.vendors.auth import ApiEndpoint, OAuthCredentials, OAuthToken
from airflow_provider_segexport.vendors.base import CustomField, MappedFields
from airflow_provider_segexport.vendors.operations import run_operation
from airflow_provider_segexport.vendors.registry import VENDORS

BASE = "https://vendor.test"
NOW = 1_767_225_600
CLIENT = "4a397ccaaa55eb4e6aa1221e1e2d7122"


def audience_of(sample: Sample) -> str:
    vendor = row(sample.vendor)
    return vendor.sample_audience if sample.audience == "known" else vendor.unknown_audiences[0]


class Replay:
    """Answers with the sample's replies, as long as the requests are the sample's."""

    def __init__(self, sample: Sample) -> None:
        self.sample = sample
        self.left = list(sample.exchanges)

    def __call__(self, request):
        assert self.left, f"a call that the sample does not have: {request.method} {request.url}"
        exchange = self.left.pop(0)
        wanted, reply = exchange["request"], exchange["response"]
        path = wanted["path"].format(audience=audience_of(self.sample), ticket=self.sample.ticket, client=CLIENT)
        assert (request.method, urlsplit(request.url).path) == (wanted["method"], path)
        if "query" in wanted:
            assert {**dict(parse_qsl(urlsplit(request.url).query)), **request.query} == wanted["query"]
        if "body" in wanted:
            ours = json.loads(request.body)
            assert fits(shape(ours), shape(wanted["body"])), f"{shape(ours)} is not in {shape(wanted['body'])}"
        body = body_of(reply).replace(b"{base}", BASE.encode())
        headers = {"content-type": "application/json", **reply.get("headers", {})}
        response = Response(reply["status"], headers, body, request.url)
        later = VENDORS[self.sample.vendor].retry_hint(response, self.sample.now)
        if later is not None:
            raise later
        return response


def theirs(sample: Sample) -> tuple[str, ...]:
    """The first item of the sample's own request."""
    for value in sample.exchanges[0]["request"].get("body", {}).values():
        if isinstance(value, list) and value and isinstance(value[0], dict):
            return (json.dumps(value[0]),)
    return ("{}",)


def run(sample: Sample):
    vendor = VENDORS[sample.vendor]
    audience = audience_of(sample)
    note, facts = {"note": VendorField("note")}, {"client_id": CLIENT, "tags_on_upsert": "merge"}
    target = Audience(BASE + row(sample.vendor).api_path, "1", "Shop", audience, fields=note, extra=facts)
    batch = batch_of(sample.emails, sample.items or theirs(sample) * len(sample.emails))
    operations = {
        "check": lambda: vendor.resolve_audience(ApiEndpoint(BASE, is_default_url=False), audience),
        "create_field": lambda: vendor.create_field(target, *sample.new_field),
        "upsert": lambda: vendor.upsert(target, batch),
        "poll": lambda: vendor.poll(target, [sample.ticket]),
        "collect": lambda: vendor.collect(target, batch, sample.ticket),
        "refresh": lambda: vendor.oauth.refresh(
            ApiEndpoint(BASE, is_default_url=False), OAuthCredentials("old", "id", "secret"), NOW
        ),
        "members": lambda: members(vendor, target),
        "remove": lambda: vendor.removal.remove(target, batch),
        "removal_poll": lambda: vendor.removal.poll(target, [sample.ticket]),
        "removal_collect": lambda: vendor.removal.collect(target, batch, sample.ticket),
        "identify": lambda: contacts(vendor, target, sample.emails),
        "revive": lambda: vendor.resubscribe_removed(target, batch),
        "optouts": lambda: optouts(vendor, target, sample.now),
        "lookup": lambda: vendor.find_lost_jobs(target, [batch], sample.now, frozenset()),
    }
    replay = Replay(sample)
    found = run_operation(operations[sample.operation](), replay, lambda _: None)
    assert replay.left == [], "a call of the sample was not made"
    return found


def members(vendor, target):
    """Who is in the audience, as one mapping."""
    found = {}
    yield from vendor.list_members(target, lambda page: found.update({one.email: one.active for one in page}))
    return found


def contacts(vendor, target, emails):
    """Who of these is in the audience, with the vendor's ids."""
    found = {}
    ask = vendor.removal.resolve_ids or vendor.removal.find_members
    yield from ask(target, emails, lambda page: found.update({one.email: one.contact_id for one in page}))
    return found


def optouts(vendor, target, since):
    """Who has opted out, with reason and date."""
    found = []
    yield from vendor.list_optouts(target, since, found.extend)
    return {one.email: [str(one.reason), one.since] for one in found}


@pytest.mark.parametrize("sample", SAMPLES, ids=str)
def test_a_sample_says_where_it_comes_from(sample):
    """Source and date, and what it shows."""
    assert len(sample.source) > 10
    assert re.fullmatch(r"20\d\d-\d\d", sample.read)
    assert sample.what.endswith(".")


@pytest.mark.parametrize("sample", SAMPLES, ids=str)
def test_a_reply_is_read_as_the_sample_says(sample):
    """The calls are the sample's, and so is what they come to."""
    outcome = dict(sample.outcome)
    if "error" in outcome:
        with pytest.raises(getattr(errors, outcome["error"])):
            run(sample)
        return
    if "later" in outcome:
        kind, after = outcome["later"]
        with pytest.raises(RetryableError) as caught:
            run(sample)
        assert (type(caught.value).__name__, caught.value.retry_after_s) == (kind, after)
        return
    check(run(sample), outcome)


def check(found, outcome):
    """What a reply comes to, against what the sample says."""
    match found:
        case BatchResult():
            refused = {str(one.index): [str(one.reason), one.code] for one in found.rejected}
            assert refused == outcome["refused"]
            assert list(found.retry) == outcome.get("again", [])
            assert found.unattributed == outcome.get("unnamed", 0)
            assert {str(at): told for at, told in found.contact_ids.items()} == outcome.get("contact_ids", {})
        case JobId():
            assert found.id == outcome["ticket"]
        case OAuthToken():
            assert [found.access_token, found.refresh_token, found.expires_at - NOW] == outcome["token"]
        case dict() if "tickets" in outcome:
            assert [ticket.id for ticket in found.values()] == outcome["tickets"]
        case dict() if "states" in outcome:
            assert [str(state) for state in found.values()] == outcome["states"]
        case dict():
            assert [found] == list(outcome.values())
        case Audience():
            assert {key: getattr(found, key) for key in outcome["target"]} == outcome["target"]
            assert {name: one.type for name, one in found.fields.items()} == outcome["fields"]
        case None:
            assert outcome == {}


UPSERTS = [sample for sample in SAMPLES if sample.operation == "upsert" and theirs(sample) != ("{}",)]


@pytest.mark.parametrize("sample", UPSERTS, ids=str)
def test_items_have_the_shape_of_the_sample_s(sample):
    """What an export encodes is what the vendor's own example holds: its keys, and their kinds."""
    vendor, custom = VENDORS[sample.vendor], row(sample.vendor).custom[0]
    kind = "number" if sample.vendor == "dotdigital" else "text"
    fields = {custom.lower(): VendorField(custom, kind), "firstname": VendorField("FIRSTNAME")}
    target = Audience(BASE, "1", "Shop", row(sample.vendor).sample_audience, fields=fields)
    matched = MappedFields(("email", "first_name"), (CustomField(custom, "custom_0", "integer"),))
    ((item,),) = shared().rows(
        f"select {expression(vendor.item_template(matched, target))} "
        "from (select 'jane@example.com' as email, 'Jane' as first_name, '3' as custom_0)"
    )
    assert fits(shape(json.loads(item)), shape(json.loads(theirs(sample)[0])))


def test_no_error_of_a_sample_is_unknown():
    """An outcome names an error of ours."""
    named = [sample.outcome["error"] for sample in SAMPLES if "error" in sample.outcome]
    assert all(issubclass(getattr(errors, name), SegexportError) for name in named)
