"""An audience by its name: looked up once per run, exactly as it is written."""

from __future__ import annotations

import pytest
from vendors.audience_rows import audience_row
from vendors.audiences_by_name import NAME, WITH_DIRECTORY, add, by_name, entries, fill, rename, writes
from vendors.harness import VendorHarness, people

from airflow_provider_segexport.errors import AudienceNotFound, DamagedState, InvalidArgument
from airflow_provider_segexport.export import repair
from airflow_provider_segexport.export.config import Undo
from airflow_provider_segexport.storage.run_folder import RunFolder
from airflow_provider_segexport.storage.sealing import read_json, write_json
from airflow_provider_segexport.vendors import audience_names
from airflow_provider_segexport.vendors.directory import AudienceEntry, matches, near
from airflow_provider_segexport.vendors.registry import VENDORS


@pytest.fixture(params=WITH_DIRECTORY)
def account(sim, request, tmp_path):
    return VendorHarness(sim, request.param, tmp_path)


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
