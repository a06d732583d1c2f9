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
    result = run_operation(operations[sample.operation](), replay, lambda _: None)
    assert replay.left == [], "a call of the sample was not made"
    return result


def members(vendor, target):
    """Members of the audience, as one mapping."""
    active_by_email = {}
    yield from vendor.list_members(
        target, lambda page: active_by_email.update({member.email: member.active for member in page})
    )
    return active_by_email


def contacts(vendor, target, emails):
    """Those of these people that are in the audience, with the vendor's ids."""
    ids = {}
    ask = vendor.removal.resolve_ids or vendor.removal.find_members
    yield from ask(target, emails, lambda page: ids.update({member.email: member.contact_id for member in page}))
    return ids


def optouts(vendor, target, since):
    """Opted-out people, with reason and date."""
    listed = []
    yield from vendor.list_optouts(target, since, listed.extend)
    return {optout.email: [str(optout.reason), optout.since] for optout in listed}


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


def check(result, outcome):
    """Compare the result of a response with the sample."""
    match result:
        case BatchResult():
            refused = {str(rejection.index): [str(rejection.reason), rejection.code] for rejection in result.rejected}
            assert refused == outcome["refused"]
            assert list(result.retry) == outcome.get("again", [])
            assert result.unattributed == outcome.get("unnamed", 0)
            assert {str(at): contact_id for at, contact_id in result.contact_ids.items()} == outcome.get(
                "contact_ids", {}
            )
        case JobId():
            assert result.id == outcome["ticket"]
        case OAuthToken():
            assert [result.access_token, result.refresh_token, result.expires_at - NOW] == outcome["token"]
        case dict() if "tickets" in outcome:
            assert [ticket.id for ticket in result.values()] == outcome["tickets"]
        case dict() if "states" in outcome:
            assert [str(state) for state in result.values()] == outcome["states"]
        case dict():
            assert [result] == list(outcome.values())
        case Audience():
            assert {key: getattr(result, key) for key in outcome["target"]} == outcome["target"]
            assert {name: field.type for name, field in result.fields.items()} == outcome["fields"]
        case None:
            assert outcome == {}


UPSERTS = [sample for sample in SAMPLES if sample.operation == "upsert" and theirs(sample) != ("{}",)]


@pytest.mark.parametrize("sample", UPSERTS, ids=str)
def test_items_have_the_shape_of_the_sample_s(sample):
    """An export's encoded item has the keys of the vendor's own example, and their types."""
    vendor, custom = VENDORS[sample.vendor], row(sample.vendor).custom[0]
    fields = {
        custom.lower(): VendorField(custom, row(sample.vendor).custom_type),
        "firstname": VendorField("FIRSTNAME"),
    }
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
