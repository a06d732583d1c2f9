"""An audience that does not exist is created once, after everything else is checked, and never in a dry run."""

from __future__ import annotations

import unicodedata
from dataclasses import replace
from threading import Thread

import pytest
from vendors.audience_rows import audience_row
from vendors.audiences_by_name import NAME, WITH_DIRECTORY, add, by_name, creations, fail_creation, named, writes
from vendors.harness import VendorHarness, people

from airflow_provider_segexport.errors import (
    AudienceLocked,
    AudienceNotFound,
    ConnectionNotAllowed,
    GuardTripped,
    InvalidArgument,
    InvalidFieldMapping,
    InvalidSegment,
    RetryableError,
)
from airflow_provider_segexport.export.config import Guard
from airflow_provider_segexport.storage.folder_names import safe_name
from airflow_provider_segexport.storage.takeover import longest_call_s


@pytest.fixture(params=WITH_DIRECTORY)
def account(sim, request, tmp_path):
    return VendorHarness(sim, request.param, tmp_path)


def test_a_missing_audience_is_created_and_filled(account):
    report = by_name(account, create_audience=True)
    assert report["audience_created"] is True
    assert report["counts"]["delivered"] == 4
    assert [report["audience"]] == named(account)
    assert creations(account) == 1
    assert by_name(account, run="next", create_audience=True, mode="upsert")["counts"]["unchanged"] == 4
    assert creations(account) == 1
    listed = sorted(path.name for path in (account.home / "ledgers" / account.name).iterdir())
    assert len(listed) == 1  # no trace of the audience that did not exist


def test_custom_fields_of_a_missing_audience_are_checked_and_created(account):
    """Those of the account are there already where the vendor has one set for all audiences."""
    existing_field, lacking = account.row.custom
    options = {"columns": {"x": [1, 2, 3, 4]}, "create_audience": True}
    with pytest.raises(InvalidFieldMapping):
        by_name(account, custom_fields={lacking: "x"}, **options)
    assert writes(account) == []
    if account.name != "campaign_monitor":  # a list of its own has no fields
        assert (
            by_name(account, "One", custom_fields={existing_field: "x"}, run="one", **options)["counts"]["delivered"]
            == 4
        )
    report = by_name(account, "Two", custom_fields={lacking: "x"}, run="two", create_custom_fields=True, **options)
    assert report["counts"]["delivered"] == 4


@pytest.mark.parametrize(
    ("error", "options"),
    [
        (
            GuardTripped,
            {"emails": [*people(40), *"abcdefghij" * 4], "guards": {"max_invalid_emails_share": Guard(0.1)}},
        ),
        (InvalidArgument, {"expected_plan": "0123456789abcdef01234567"}),
        (InvalidFieldMapping, {"custom_fields": {"No such field": "email"}}),
        (InvalidSegment, {"max_profiles": 3}),
    ],
    ids=["guard", "expected_plan", "field", "size"],
)
def test_everything_else_is_checked_before_an_audience_is_created(account, error, options):
    with pytest.raises(error):
        by_name(account, create_audience=True, **options)
    assert writes(account) == []
    assert named(account) == []
    assert not (account.home / "ledgers").exists()


def test_a_dry_run_creates_nothing_and_its_plan_can_be_approved(account):
    plan = by_name(account, create_audience=True, dry_run=True, run="dry")
    assert writes(account) == []
    assert (plan["audience"], plan["audience_name"], plan["audience_missing"]) == ("", NAME, True)
    assert plan["counts"]["not_attempted"] == 4
    report = by_name(account, create_audience=True, expected_plan=plan["plan_hash"])
    assert report["counts"]["delivered"] == 4
    with pytest.raises(InvalidArgument, match="approved"):
        by_name(account, "Other", create_audience=True, expected_plan=plan["plan_hash"], run="other")


def test_an_approved_plan_survives_a_kill_after_the_creation(account):
    plan = by_name(account, create_audience=True, dry_run=True, run="dry")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("airflow_provider_segexport.export.pipeline.Export._plan_and_run", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            by_name(account, create_audience=True, expected_plan=plan["plan_hash"])
    report = by_name(account, create_audience=True, expected_plan=plan["plan_hash"])
    assert (report["counts"]["delivered"], report["audience_created"]) == (4, True)
    assert creations(account) == 1


def test_without_the_option_nothing_is_created(account):
    with pytest.raises(AudienceNotFound, match="create_audience=True"):
        by_name(account)
    assert writes(account) == []


def test_an_id_is_never_created(account):
    with pytest.raises(InvalidArgument, match="needs a name"):
        account.export(account.segment({"email": people(2)}), create_audience=True)
    assert writes(account) == []


@pytest.mark.parametrize(
    "fault",
    [
        {"drop": True, "when": "after"},
        {"status": 503, "when": "after"},
        {"garble": "truncated", "when": "after"},
        {"garble": "html", "when": "after"},
        {"body": {"unexpected": None}, "when": "after"},
        {"body": "", "when": "after"},
    ],
    ids=["dropped", "503", "truncated", "html", "other", "empty"],
)
def test_after_a_lost_response_the_list_is_read_before_another_creation(account, fault):
    """The vendor created it: it is used, and not created again."""
    fail_creation(account, **fault)
    report = by_name(account, create_audience=True)
    assert [report["audience"]] == named(account)
    assert (creations(account), report["audience_created"]) == (1, True)


@pytest.mark.parametrize("fault", [{"drop": True}, {"status": 503}, {"garble": "html"}], ids=["dropped", "503", "html"])
def test_a_creation_that_did_not_happen_is_left_to_the_next_try(account, fault):
    """Whether it did is unknown: the call is sent once, and the next try looks first."""
    fail_creation(account, **fault)
    with pytest.raises(RetryableError):
        by_name(account, create_audience=True)
    assert (creations(account), named(account)) == (1, [])
    assert by_name(account, create_audience=True)["counts"]["delivered"] == 4
    assert (creations(account), len(named(account))) == (2, 1)


def test_a_creation_that_shows_late_is_found_by_the_next_try(account):
    fail_creation(account, drop=True)
    with pytest.raises(RetryableError):
        by_name(account, create_audience=True)
    audience = add(account, NAME)  # the vendor has processed it at last
    calls = creations(account)
    assert by_name(account, create_audience=True)["audience"] == audience
    assert creations(account) == calls


def test_too_many_calls_is_no_unclear_response(account):
    """The vendor has not processed the call, so it is repeated."""
    fail_creation(account, status=429, headers={"Retry-After": "3"}, body={})
    assert by_name(account, create_audience=True)["counts"]["delivered"] == 4
    assert len(named(account)) == 1


def test_a_name_that_differs_in_case_is_not_used(account):
    """Some vendors take the two for one name: nothing is sent to the other audience, whatever the vendor says."""
    other = add(account, NAME.upper())
    if not audience_row(account.name).refuses_other_case:
        assert by_name(account, create_audience=True)["audience"] != other
        return
    with pytest.raises(InvalidArgument, match="exact name"):
        by_name(account, create_audience=True)
    assert account.upserts() == []


def test_two_tasks_create_one_audience(account):
    """The second waits for the first, and uses what it has created."""
    outcomes: list[object] = []
    vendor = account.vendor
    create = vendor.directory.create
    started = []

    def second():
        other = VendorHarness.__new__(VendorHarness)
        other.__dict__.update({name: value for name, value in account.__dict__.items() if name != "config"})
        try:
            outcomes.append(
                by_name(other, create_audience=True, run="two", allow_shared_audience=True, export_name="b")
            )
        except AudienceLocked as error:
            outcomes.append(error)

    def slow(resolved, name):
        if not started:
            started.append(True)
            thread = Thread(target=second)
            thread.start()
            thread.join(60)
        return (yield from create(resolved, name))

    account.vendor = replace(vendor, directory=replace(vendor.directory, create=slow))
    report = by_name(account, create_audience=True, allow_shared_audience=True, export_name="a")
    assert isinstance(outcomes[0], AudienceLocked)
    assert (creations(account), len(named(account))) == (1, 1)
    second()
    assert outcomes[1]["audience"] == report["audience"]
    assert creations(account) == 1


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_the_two_unicode_forms_of_a_name_are_created_under_one_lock(account, form):
    """Else two tasks make two lists, and from the next day on the name says no more which is meant."""
    by_name(account, unicodedata.normalize(form, "Café"), create_audience=True)
    (lock,) = (account.home / "creating").glob("*/*/*")
    assert lock.name == safe_name(unicodedata.normalize("NFC", "Café"))


def test_a_process_that_died_while_it_created_an_audience_is_waited_for(account):
    """Its call may still be under way, so the vendor's list is read after the longest call."""
    outcome = []
    vendor, create = account.vendor, account.vendor.directory.create

    def killed(*_: object) -> None:
        raise SystemExit

    account.vendor = replace(vendor, directory=replace(vendor.directory, create=killed))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("airflow_provider_segexport.storage.lease.Lease.release", lambda _: outcome.append("died"))
        with pytest.raises(SystemExit):
            by_name(account, create_audience=True)
    account.vendor = replace(vendor, directory=replace(vendor.directory, create=create))
    account.slept.clear()
    assert by_name(account, create_audience=True)["counts"]["delivered"] == 4
    assert outcome == ["died"]
    assert longest_call_s(vendor) in account.slept


def test_a_connection_without_consent_creates_nothing(account):
    """As for every call that changes something."""
    sender = account.sender()

    def refuse() -> None:
        raise ConnectionNotAllowed("no consent")

    sender._check_writable = refuse
    segment = account.segment({"email": people(2)})
    config = replace(account.config(segment, create_audience=True), audience=f"name:{NAME}")
    account.config = lambda *_, **__: config  # type: ignore[method-assign]
    with pytest.raises(ConnectionNotAllowed):
        account.export(segment, environment=account.environment(send=sender))
    assert writes(account) == []
