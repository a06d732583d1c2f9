"""Nothing is changed at the vendor, and nothing is written into the ledger, before everything was checked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest
from vendors.custom_fields import delete_field, make_field
from vendors.harness import VendorHarness, people

from airflow_provider_segexport.errors import AudienceOwnedByOther, GuardTripped, InvalidArgument, StaleSnapshot
from airflow_provider_segexport.export.config import Guard
from airflow_provider_segexport.vendors.registry import VENDORS

WITH_FIELDS = [name for name, vendor in VENDORS.items() if not vendor.implicit_custom_fields]
BEFORE = [name for name, vendor in VENDORS.items() if vendor.import_readds_leavers]


@pytest.fixture(params=WITH_FIELDS)
def account(sim, request, tmp_path):
    """An audience with ten people, where custom fields have to be made."""
    harness = VendorHarness(sim, request.param, tmp_path)
    harness.day(2, people(10))
    return harness


def changed(account: VendorHarness, after: int) -> list[str]:
    """Calls since that are no reads of the audience."""
    calls = account.sim.requests(vendor=account.name)[after:]
    return [
        f"{call['method']} {call['path']}" for call in calls if call["method"] != "GET" and "export" not in call["path"]
    ]


def with_field(account: VendorHarness, number: int, emails: list[str], **options):
    """Export with a custom field that the account lacks."""
    lacking = {account.row.custom[1]: "shop"}
    columns = {"shop": options.pop("shop", ["Oslo"] * len(emails))}
    return account.day(number, emails, columns=columns, custom_fields=lacking, create_custom_fields=True, **options)


@pytest.mark.parametrize(
    ("error", "day", "options"),
    [
        (GuardTripped, 3, {"emails": people(2), "guards": {"max_removals_share": Guard(0.1), "max_shrink": None}}),
        (StaleSnapshot, 1, {"emails": people(10)}),
        (AudienceOwnedByOther, 3, {"emails": people(10), "export_name": "another.export"}),
        (InvalidArgument, 3, {"emails": people(10), "expected_plan": "0123456789abcdef01234567"}),
    ],
    ids=["guard", "stale", "owner", "expected_plan"],
)
def test_a_run_that_is_stopped_makes_no_field(account: VendorHarness, error, day, options):
    """The field would be the only trace of a run that did nothing."""
    before, state = len(account.sim.requests(vendor=account.name)), account.ledger()
    with pytest.raises(error):
        with_field(account, day, **options)
    assert changed(account, before) == []
    assert account.ledger() == state


def test_a_comparison_makes_no_field(account: VendorHarness):
    """`on_stale="verify"` and a dry run only look; they plan with the field as it would be made."""
    before = len(account.sim.requests(vendor=account.name))
    assert with_field(account, 1, people(10), on_stale="verify")["counts"]["not_attempted"] == 10
    assert with_field(account, 3, people(10), dry_run=True, name="dry")["counts"]["not_attempted"] == 10
    assert changed(account, before) == []
    assert with_field(account, 3, people(10))["counts"]["delivered"] == 10


@pytest.mark.parametrize("name", BEFORE)
def test_a_run_that_a_guard_stops_writes_no_version(sim, tmp_path, name):
    """A person who is gone already is no news before the plan counts: the last run can still be undone."""
    account = VendorHarness(sim, name, tmp_path)
    account.day(1, people(10))
    account.day(2, people(9))
    account.sim.seed(account.name, [{"email": "p8@example.com", "status": "left_list"}], account.audience)
    state = account.ledger()
    with pytest.raises(GuardTripped):
        account.day(3, people(4), guards={})
    assert account.ledger() == state
    account.undo()
    assert account.ledger()["p9@example.com"]["state"] == "member"


def test_values_of_a_field_that_was_made_again_go_out_again(account: VendorHarness):
    """A field was deleted at the vendor: people with a value for it get it, the others are unchanged."""
    with_field(account, 3, people(4), shop=["Oslo", "Oslo", None, None])
    delete_field(account)
    report = with_field(account, 4, people(4), shop=["Oslo", "Oslo", None, None])
    assert (report["counts"]["delivered"], report["counts"]["unchanged"]) == (2, 2)
    again = with_field(account, 5, people(4), shop=["Oslo", "Oslo", None, None])
    assert again["counts"]["unchanged"] == 4


@pytest.mark.parametrize("other_name", [str.swapcase, lambda name: name.replace(" ", "")], ids=["other case", "key"])
def test_a_sharer_that_writes_the_field_in_another_way_sends_its_values_again(
    account: VendorHarness, other_name: Callable[[str], str]
):
    """A field has a name in any case, and a key: the field that one export has recreated is the other's field."""
    name = account.row.custom[1]
    others_name = other_name(name)

    def export(number: int, by: str, field: str, emails: list[str]) -> dict[str, Any]:
        shop = {"columns": {"shop": ["Oslo"] * len(emails)}, "custom_fields": {field: "shop"}}
        options = {"create_custom_fields": True, "allow_shared_audience": True, "mode": "upsert"}
        return account.day(number, emails, name=f"{by}-{number}", export_name=by, **shop, **options)

    if account.name == "constant_contact" and others_name == name.replace(" ", ""):
        others_name = name.replace(" ", "_")
    export(3, "tests.export", name, people(2))
    export(3, "vip", others_name, ["vip@example.com"])
    delete_field(account)
    export(4, "tests.export", name, people(2))
    assert export(4, "vip", others_name, ["vip@example.com"])["counts"]["delivered"] == 1
    assert export(5, "vip", others_name, ["vip@example.com"])["counts"]["unchanged"] == 1
    assert export(5, "tests.export", name, people(2))["counts"]["unchanged"] == 2


def test_values_wait_for_the_run_that_comes_to_its_end(account: VendorHarness, monkeypatch):
    """The field was made, and then the run was killed: the next run sends the values all the same."""
    with_field(account, 3, people(4))
    delete_field(account)

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("airflow_provider_segexport.export.pipeline.send_all", killed)
        with pytest.raises(KeyboardInterrupt):
            with_field(account, 4, people(4))
    assert with_field(account, 5, people(4))["counts"]["delivered"] == 4
    assert with_field(account, 6, people(4))["counts"]["unchanged"] == 4


@pytest.fixture
def lists(sim, tmp_path) -> VendorHarness:
    """An audience at Constant Contact with ten people, two of them with a value for a custom field."""
    harness = VendorHarness(sim, "constant_contact", tmp_path)
    harness.day(2, people(10))
    with_field(harness, 3, people(4), shop=["1", "2", None, None])
    return harness


@pytest.mark.parametrize("kind", ["text", "number"])
def test_values_of_a_field_that_a_colleague_made_again_go_out_again(lists: VendorHarness, kind):
    """The new field has another id, and perhaps another type; who has no value for it is unchanged."""
    delete_field(lists)
    make_field(lists, kind)
    report = with_field(lists, 4, people(4), shop=["1", "2", None, None])
    assert (report["counts"]["delivered"], report["counts"]["unchanged"]) == (2, 2)
    name = lists.row.custom[1].replace(" ", "_")
    assert [lists.members()[email]["fields"].get(f"cf:{name}") for email in people(3)] == ["1", "2", None]
    assert with_field(lists, 5, people(4), shop=["1", "2", None, None])["counts"]["unchanged"] == 4


def test_no_value_is_a_column_of_nulls(account: VendorHarness):
    """A field that is created for a column without any value changes no row."""
    report = with_field(account, 3, people(10), shop=pa.nulls(10, pa.string()))
    assert report["counts"]["unchanged"] == 10
