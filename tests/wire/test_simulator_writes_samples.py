"""The simulator answers as the samples do: it was not written from the provider, and both are held to the same."""

from __future__ import annotations

import contextlib
import json
from dataclasses import replace

import pytest
from core.factories import shared
from vendors.harness import VendorHarness
from vendors.removals import RemovalRunner
from vendors.rows import ROWS
from wire.samples import SAMPLES, Sample, batch_of, fits, shape

from airflow_provider_segexport import errors
from airflow_provider_segexport.errors import SegexportError
from airflow_provider_segexport.model import Audience, BatchResult, JobId
from airflow_provider_segexport.stages.encode import expression
from airflow_provider_segexport.vendors.auth import OAuthCredentials
from airflow_provider_segexport.vendors.base import MappedFields
from airflow_provider_segexport.vendors.operations import run_operation

TAKING_OUT = {"remove", "removal_poll", "removal_collect", "identify"}


class Listener:
    """Calls the simulator without trying again, and keeps the replies."""

    def __init__(self, account: VendorHarness, sample: Sample) -> None:
        auth = account.row.wrong if sample.auth == "wrong" else None
        self.sender = account.sender(auth)
        self.replies = []

    def __call__(self, request):
        response = self.sender._limited_call(request)
        self.replies.append(response)
        return response


@pytest.fixture
def account(sim, tmp_path, sample):
    return VendorHarness(sim, sample.vendor, tmp_path)


def target_of(account: VendorHarness) -> Audience:
    return account.call(account.vendor.resolve_audience(account.endpoint, account.audience))


def run(account: VendorHarness, sample: Sample, listener: Listener):
    vendor = account.vendor
    audience = account.audience if sample.audience == "known" else account.row.unknown_audiences[0]
    if sample.operation == "check":
        account.sim.configure({sample.vendor: sample.settings})
        return run_operation(vendor.resolve_audience(account.endpoint, audience), listener)
    if sample.operation == "refresh":
        return run_operation(
            vendor.oauth.refresh(account.endpoint, sign_in(account, sample), account.sim.clock.now()), listener
        )
    target = target_of(account)
    return work(account, sample, listener, replace(target, extra={**target.extra, "tags_on_upsert": "merge"}))


def sign_in(account: VendorHarness, sample: Sample) -> OAuthCredentials:
    described_key = account.described["keys"]["main"]
    token = described_key["refresh_token"] if sample.auth == "good" else "s3cret"
    return OAuthCredentials(token, described_key["client_id"], described_key["client_secret"])


def work(account: VendorHarness, sample: Sample, listener: Listener, target: Audience):
    """Calls of a sample that come after a check."""
    vendor = account.vendor
    if sample.operation == "create_field":
        return run_operation(vendor.create_field(target, *sample.new_field), listener)
    account.sim.seed(sample.vendor, list(sample.seed), account.audience)
    if sample.operation in TAKING_OUT:
        return take_out(account, sample, listener)
    items = sample.items or tuple(account.row.item.format(email, account.audience) for email in sample.emails)
    batch = batch_of(sample.emails, items)
    at_once = {
        "members": lambda: vendor.list_members(target, lambda _: None),
        "optouts": lambda: vendor.list_optouts(target, sample.now, lambda _: None),
        "revive": lambda: vendor.resubscribe_removed(target, batch),
        "upsert": lambda: vendor.upsert(target, batch),
    }
    if sample.operation in at_once:
        account.sim.configure({sample.vendor: sample.settings})
        for _ in range(sample.times - 1):
            run_operation(at_once[sample.operation](), listener, account.sleep)
        return run_operation(at_once[sample.operation](), listener, account.sleep)
    ticket = sample.ticket
    if not sample.unknown_ticket:
        answer = account.call(vendor.upsert(target, batch))
        assert isinstance(answer, JobId)
        ticket = answer.id
    account.sim.clock.advance(sample.wait)
    of_a_job = {
        "poll": lambda: vendor.poll(target, [ticket]),
        "collect": lambda: vendor.collect(target, batch, ticket),
        "lookup": lambda: vendor.find_lost_jobs(target, [batch], account.sim.clock.now(), frozenset()),
    }
    return run_operation(of_a_job[sample.operation](), listener, account.sleep)


def take_out(account: VendorHarness, sample: Sample, listener: Listener):
    """Calls of a sample for people that leave."""
    leaving = RemovalRunner(account)
    removal, target = leaving.removal, leaving.target
    if sample.operation == "identify":
        return run_operation(
            (removal.resolve_ids or removal.find_members)(target, sample.emails, lambda _: None), listener
        )
    account.sim.clock.advance(60)
    batch = leaving.batch(sample.emails)
    if sample.operation == "remove":
        return run_operation(removal.remove(target, batch), listener)
    ticket = account.call(removal.remove(target, batch)).id
    account.sim.clock.advance(sample.wait)
    if sample.operation == "removal_poll":
        return run_operation(removal.poll(target, [ticket]), listener)
    return run_operation(removal.collect(target, batch, ticket), listener)


@pytest.mark.parametrize("sample", SAMPLES, ids=str)
def test_the_simulator_answers_as_the_sample(account, sample, published):
    """The same status, and in the body whatever the vendor's own has, of the same kind."""
    listener = Listener(account, sample)
    if "error" in sample.outcome:
        with pytest.raises(getattr(errors, sample.outcome["error"])):
            run(account, sample, listener)
    else:
        with contextlib.suppress(SegexportError):  # a reply that says "later" is read by the sender, which is not here
            result = run(account, sample, listener)
            if isinstance(result, BatchResult):
                ours = {str(rejection.index): [str(rejection.reason), rejection.code] for rejection in result.rejected}
                assert ours == sample.outcome["refused"]
    if sample.unpublished:
        published.clear()
    wanted, reply = sample.exchanges[-1]["response"], listener.replies[-1]
    assert reply.status == wanted["status"]
    if "text" in wanted:
        assert columns(reply.body.decode()) == columns(wanted["text"])
    else:
        theirs = shape(json.loads(reply.body))
        assert fits(shape(wanted["body"]), theirs), f"{theirs} lacks something of {shape(wanted['body'])}"
    assert set(wanted.get("headers", {})) <= set(reply.headers)
    if sample.outcome.get("error") == "BatchRejected":
        published.clear()  # rows that the provider does not write, there to be refused


def columns(text: str) -> list[int]:
    """How many there are in each line of a file."""
    return [line.count(",") + 1 for line in text.splitlines()]


def test_the_items_used_here_are_the_provider_s(sim, tmp_path):
    """The items above are an export's encoding of an address alone."""
    for vendor, row in ROWS.items():
        account = VendorHarness(sim, vendor, tmp_path)
        target = replace(target_of(account), fields={})
        shaped = expression(account.vendor.item_template(MappedFields(("email",)), target))
        ((item,),) = shared().rows(f"select {shaped} from (select 'jane@example.com' as email)")
        assert json.loads(item).items() >= json.loads(row.item.format("jane@example.com", account.audience)).items()
