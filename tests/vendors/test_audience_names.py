"""An audience by its name, and one that is created: looked up once per run, created once, and never in a dry run."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import replace
from threading import Thread

import pytest
from vendors.audience_rows import audience_row
from vendors.harness import VendorHarness, people

from airflow_provider_segexport.errors import (
    AudienceLocked,
    AudienceNotFound,
    ConnectionNotAllowed,
    DamagedState,
    GuardTripped,
    InvalidArgument,
    InvalidFieldMapping,
    InvalidSegment,
    RetryableError,
)
from airflow_provider_segexport.export import repair
from airflow_provider_segexport.export.config import Guard, Undo
from airflow_provider_segexport.storage.folder_names import safe_name
from airflow_provider_segexport.storage.run_folder import RunFolder
from airflow_provider_segexport.storage.sealing import read_json, write_json
from airflow_provider_segexport.storage.takeover import longest_call_s
from airflow_provider_segexport.vendors import audience_names
from airflow_provider_segexport.vendors.directory import AudienceEntry, matches, near
from airflow_provider_segexport.vendors.registry import VENDORS

WITH_DIRECTORY = [name for name, vendor in VENDORS.items() if vendor.directory is not None]
NAME = "Spring & Söhne <2026>"


@pytest.fixture(params=WITH_DIRECTORY)
def account(sim, request, tmp_path):
    return VendorHarness(sim, request.param, tmp_path)


def by_name(account: VendorHarness, name: str = NAME, **options):
    """Export to an audience by its name; the report."""
    emails = options.pop("emails", people(4))
    run = options.pop("run", "run")
    columns = {"email": emails, **options.pop("columns", {})}
    options.setdefault("by", f"dag/task/{run}/0")
    segment = account.segment(columns, f"{run}.parquet")
    config = replace(account.config(segment, **options), audience=f"name:{name}")
    account.config = lambda *_, **__: config  # type: ignore[method-assign]
    try:
        return account.export(segment, run)
    finally:
        del account.config


def entries(account: VendorHarness, *, with_counts: bool = False) -> list[AudienceEntry]:
    vendor = account.vendor
    resolved = account.call(vendor.resolve_audience(account.endpoint, None))
    return account.call(vendor.directory.list_audiences(resolved, with_counts))


def named(account: VendorHarness, name: str = NAME) -> list[str]:
    return [entry.id for entry in matches(entries(account), name)]


def add(account: VendorHarness, name: str) -> str:
    """Create an audience as a colleague would; its id."""
    resolved = account.call(account.vendor.resolve_audience(account.endpoint, None))
    return account.call(account.vendor.directory.create(resolved, name))


def rename(account: VendorHarness, audience: str, name: str) -> None:
    """Rename an audience in the simulator, past the vendor's own check that names are unique."""
    audience_row(account.name).renames(account.sim._vendors[account.name], audience, name)


def fill(account: VendorHarness) -> int:
    """Add audiences `List 0`, `List 1` and so on; return how many."""
    count, opens = audience_row(account.name).count, audience_row(account.name).opens
    for number in range(count):
        opens(account.sim._vendors[account.name], f"List {number}")
    return count


def creations(account: VendorHarness) -> int:
    method, path = audience_row(account.name).create
    calls = account.sim.requests(vendor=account.name)
    return sum(call["method"] == method and bool(re.search(path, str(call["path"]))) for call in calls)


def writes(account: VendorHarness) -> list[str]:
    calls = account.sim.requests(vendor=account.name)
    return [
        f"{call['method']} {call['path']}"
        for call in calls
        if call["method"] != "GET" and "export" not in str(call["path"])
    ]


def fail_creation(account: VendorHarness, **fault) -> None:
    method, path = audience_row(account.name).create
    account.sim.faults([{"vendor": account.name, "method": method, "path": path, **fault}])


def test_a_name_is_the_audience_of_that_name(account):
    """Ledger and report go by the id, so a later run by id continues the ledger."""
    audience = add(account, NAME)
    report = by_name(account)
    assert (report["audience"], report["counts"]["delivered"]) == (audience, 4)
    assert "audience_created" not in report
    account.audience = audience
    assert set(account.ledger()) == set(people(4))
    again = account.export(account.segment({"email": people(5)}), "later", mode="upsert", export_name="tests.export")
    assert again["counts"]["unchanged"] == 4


def test_omnisend_takes_the_name_as_the_tag(sim, tmp_path):
    """A tag is its own name; a tag that begins with `name:` is written with two prefixes."""
    account = VendorHarness(sim, "omnisend", tmp_path)
    assert by_name(account, "Newsletter", create_audience=True)["audience"] == "Newsletter"
    assert by_name(account, "name:Newsletter", run="two")["audience"] == "name:Newsletter"


@pytest.mark.parametrize("wrong", ["spring & söhne <2026>", f" {NAME}", f"{NAME} ", "Spring  & Söhne <2026>"])
def test_case_and_spaces_are_exact(account, wrong):
    """The error names the audience that is meant."""
    audience = add(account, NAME)
    with pytest.raises(AudienceNotFound, match=audience) as error:
        by_name(account, wrong)
    assert "Spring & Söhne" in str(error.value)
    assert account.upserts() == []


def test_two_of_one_name_are_refused_with_both_ids(account):
    first, second = add(account, NAME), add(account, "Other")
    rename(account, second, NAME)
    for create in (False, True):
        with pytest.raises(InvalidArgument) as error:
            by_name(account, create_audience=create)
        assert first in str(error.value)
        assert second in str(error.value)
    assert account.upserts() == []


@pytest.mark.parametrize(
    "name", ["", "   ", "a\nb", "x" * 2000 + "\x1b[31m", "a\x1cb", "a\x85b", "a\u2028b", "a\u2029b", "a\x0bb"]
)
def test_a_name_that_no_audience_can_have_is_refused(account, name):
    with pytest.raises(InvalidArgument, match=r"`audience`"):
        by_name(account, name, create_audience=True)
    assert writes(account) == []


def test_a_very_long_name_is_used_but_not_created(account):
    """A vendor may publish no limit. A new audience gets at most 255 characters; one that exists is found."""
    limit = account.vendor.directory.max_name_chars
    name = "x" * (256 if limit is None else limit + 1)
    with pytest.raises(InvalidArgument, match=rf"has {len(name)} characters"):
        by_name(account, name, create_audience=True)
    assert writes(account) == []
    if limit is None:
        add(account, name)
        assert by_name(account, name, create_audience=True)["counts"]["delivered"]


def test_a_list_renamed_between_tries_keeps_the_run(account):
    """The first try is killed before its plan; then the list is renamed, and another one gets its name."""
    first = add(account, NAME)

    def dies(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("airflow_provider_segexport.export.pipeline.prepare", dies)
        with pytest.raises(KeyboardInterrupt):
            by_name(account)
    rename(account, first, "Old")
    add(account, NAME)
    assert by_name(account)["audience"] == first
    assert by_name(account, run="next day")["audience"] != first


def test_a_discarded_plan_keeps_the_audience(account):
    """The next plan of a run is in the next folder."""
    first = add(account, NAME)
    report = by_name(account)
    folder = account.home / "runs" / "run" / "01"
    report |= {"finished": False, "superseded": True}
    (folder / "summary.json").unlink()
    RunFolder(folder).write_summary(report)
    rename(account, first, "Old")
    add(account, NAME)
    assert by_name(account)["audience"] == first
    assert (account.home / "runs" / "run" / "02" / "audience.json").exists()
    # a run that ended well is over: the task that is cleared looks the name up again
    assert by_name(account)["audience"] != first


def test_an_audience_that_was_deleted_between_tries_is_not_replaced(account):
    first = add(account, NAME)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("airflow_provider_segexport.export.pipeline.prepare", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            by_name(account)
    audience_row(account.name).deletes(account.sim._vendors[account.name], first)
    with pytest.raises(AudienceNotFound, match="first try"):
        by_name(account, create_audience=False)


def test_a_damaged_file_is_refused(account):
    add(account, NAME)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("airflow_provider_segexport.export.pipeline.prepare", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            by_name(account)
    path = account.home / "runs" / "run" / "01" / "audience.json"
    path.write_text(path.read_text().replace("id", "ID"))
    with pytest.raises(DamagedState, match=r"audience\.json"):
        by_name(account)


@pytest.mark.parametrize("changes", [{"id": 7}, {"id": []}, {"created": "yes"}, {"audience": None}], ids=repr)
def test_a_file_of_another_form_is_refused_and_found_by_repair(account, changes):
    """Also with a checksum that fits: another version may have written it."""
    add(account, NAME)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("airflow_provider_segexport.export.pipeline.prepare", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            by_name(account)
    folder = account.environment("run").run_folder
    write_json(folder.path / "audience.json", {**read_json(folder.path / "audience.json"), **changes})
    with pytest.raises(DamagedState, match=r"audience\.json"):
        by_name(account)
    assert [folder.path] == [damaged.path for damaged, _ in repair.unreadable_runs([folder])]


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


def test_all_pages_are_read(account):
    """More audiences than a page holds."""
    count = fill(account)
    listed = entries(account)
    assert {f"List {number}" for number in range(count)} <= {entry.name for entry in listed}
    assert len({entry.id for entry in listed}) == len(listed)
    assert by_name(account, f"List {count - 1}")["counts"]["delivered"] == 4


def test_members_are_counted(account):
    account.export(account.segment({"email": people(3)}))
    account.sim.clock.advance(60)
    counts = {entry.id: entry.member_count for entry in entries(account, with_counts=True)}
    assert (
        counts[account.audience]
        == account.call(account.vendor.resolve_audience(account.endpoint, account.audience)).member_count
    )
    assert all(isinstance(count, int) for count in counts.values())


def test_an_undo_takes_the_name(account):
    add(account, NAME)
    by_name(account)
    report = by_name(account, run="undo", mode="upsert", undo=Undo())
    assert report["reverted_version"] == 1


def test_near_names_are_few_and_printable():
    listed = [AudienceEntry(str(number), f"Customers {number}\x1b[31m\n") for number in range(500)]
    similar = near(listed, "customers 7")
    assert 1 <= len(similar) <= 3
    assert all(entry.shown.isprintable() for entry in similar)


def test_the_two_unicode_forms_of_a_letter_are_one_name():
    listed = [AudienceEntry("1", "Cafe\u0301")]
    assert matches(listed, "Caf\u00e9") == listed
    assert matches(listed, "Cafe") == []


def test_a_message_holds_no_control_character():
    vendor = VENDORS["dotdigital"]
    account = audience_names.Audience(base_url="https://x", account="1", account_name="Shop")
    listed = [AudienceEntry("5", "Newsletter\r\nINFO all is well")]
    assert str(audience_names.not_found(vendor, account, listed, "Newsletter")).isprintable()
