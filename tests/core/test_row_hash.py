"""The hash of a row says whether something else would be sent than the last time."""

from __future__ import annotations

import pyarrow as pa
import pytest
from core.factories import shared
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_segexport.model import Audience
from airflow_provider_segexport.stages import encode, row_hash
from airflow_provider_segexport.vendor_field import VendorField
from airflow_provider_segexport.vendors.base import FIELDS, CustomField, MappedFields
from airflow_provider_segexport.vendors.item_template import Array, Column, Const, Joined, JsonTemplate, When
from airflow_provider_segexport.vendors.registry import VENDORS

COLUMNS = ("email", "a", "b", "c")


def hashes_and_items(shape, *rows, columns=COLUMNS):
    """Hash and item of rows."""
    table = pa.table({name: pa.array([row.get(name) for row in rows], pa.string()) for name in columns})
    sql = shared()
    sql.table("items", table)
    return sql.rows(f"select {row_hash.expression(shape)}, {encode.expression(shape)} from items")


def hashes(shape, *rows, columns=COLUMNS):
    return [hash_ for hash_, _ in hashes_and_items(shape, *rows, columns=columns)]


def pair(key, column):
    return JsonTemplate({"Key": Const(key), "Value": Column(column)})


SHAPE = JsonTemplate(
    {
        "email": Column("email"),
        "name": Column("a"),
        "more": JsonTemplate({"B": Column("b"), "origin": Const("crm")}),
        "pairs": Array((pair("C", "c"),)),
        "lists": Array((Const(5),)),
    }
)
JANE = {"email": "jane@example.com", "a": "Jane", "b": "7", "c": "gold"}


def test_a_hash_never_changes():
    """A stored hash is compared months later, on another machine and by another version."""
    assert hashes(SHAPE, JANE, {"email": "jane@example.com"}) == [7337933294871285116, 11137659006261727142]


TEXTS = st.one_of(st.none(), st.text(st.sampled_from('"\\|,:{}é 01'), min_size=1, max_size=3))
ROWS = st.fixed_dictionaries(
    {"email": st.sampled_from(["a@example.com", "b@example.com"]), **dict.fromkeys("abc", TEXTS)}
)


@settings(max_examples=40, deadline=None)
@given(st.lists(ROWS, min_size=2, max_size=40))
def test_one_hash_is_one_item(rows):
    """Two rows of an address have the same hash if the same is sent of them, and only then."""
    results = hashes_and_items(SHAPE, *({**row, "email": JANE["email"]} for row in rows))
    assert len({hash_ for hash_, _ in results}) == len({item for _, item in results}) == len(set(results))


def test_the_address_does_not_count_but_its_place_does():
    """Only hashes of the same address are compared. An address that goes elsewhere is another content."""
    assert len(set(hashes(SHAPE, JANE, {**JANE, "email": "joe@example.com"}))) == 1
    elsewhere = JsonTemplate({**SHAPE.members, "email": JsonTemplate({"address": Column("email")})})
    without = JsonTemplate({name: node for name, node in SHAPE.members.items() if name != "email"})
    assert len({hashes(shape, JANE)[0] for shape in (SHAPE, elsewhere, without)}) == 3


def test_a_value_counts_with_its_place():
    """The same words in another field, or moved from one to the next, are another content."""
    rows = [{"a": "x"}, {"b": "x"}, {"c": "x"}, {"a": "x", "b": "y"}, {"a": "xy"}, {"a": "y", "b": "x"}, {}]
    assert len(set(hashes(SHAPE, *rows))) == len(rows)


def test_a_new_field_concerns_those_who_have_a_value_for_it():
    """If a field is mapped again, a person without a value in it is not sent again."""
    more = JsonTemplate({**SHAPE.members, "pairs": Array((pair("New", "d"), pair("C", "c")))})
    columns = (*COLUMNS, "d")
    (before,) = hashes(SHAPE, JANE)
    assert hashes(more, JANE, {**JANE, "d": "x"}, columns=columns)[0] == before
    assert hashes(more, {**JANE, "d": "x"}, columns=columns)[0] != before


@pytest.mark.parametrize(
    "changed",
    [
        {"lists": Array((Const(6),))},
        {"more": JsonTemplate({"B": Column("b"), "origin": Const("shop")})},
        {"pairs": Array((pair("D", "c"),))},
        {"pairs": Array((JsonTemplate({"Key": Const("C"), "Value": Column("c"), "Clear": Const(value=False)}),))},
        {"name": Column("a", "number")},
        {"name": Joined(("a",))},
        {"new": Const(1)},
        {"name": Const("Jane")},
    ],
    ids=str,
)
def test_another_shape_is_another_content(changed):
    """Another audience, another key, a constant more: all of it goes out again."""
    assert hashes(JsonTemplate({**SHAPE.members, **changed}), JANE) != hashes(SHAPE, JANE)


def test_the_order_of_fields_does_not_count():
    """The mapping of an export may be sorted differently, and its columns renamed."""
    turned = JsonTemplate(dict(reversed(SHAPE.members.items())))
    assert hashes(turned, JANE) == hashes(SHAPE, JANE)
    twins = {"k": Array((pair("A", "a"), pair("B", "b")))}, {"k": Array((pair("B", "a"), pair("A", "b")))}
    first, other = (JsonTemplate({"email": Column("email"), **twin}) for twin in twins)
    assert hashes(first, {**JANE, "a": "1", "b": "2"}) == hashes(other, {**JANE, "a": "2", "b": "1"})


@pytest.mark.parametrize("vendor", VENDORS.values(), ids=lambda vendor: vendor.name)
def test_every_column_of_a_vendor_s_item_counts(vendor):
    """Whatever field changes, or is emptied: where the vendor would be sent something else, the hash is another."""
    kinds = {"note": "text", "points": "integer", "vip": "boolean"}
    custom = tuple(CustomField(name, f"custom_{n}", kind) for n, (name, kind) in enumerate(kinds.items()))
    fields = {rule.key.lower(): VendorField(rule.key) for rule in vendor.fields}
    fields |= {name: VendorField(name) for name in kinds}
    target = Audience("https://x.test", "1", "Shop", "1", fields=fields, extra={"customFields": "{}"})
    accepted = {rule.field for rule in vendor.fields}
    neutral = tuple(name for name in FIELDS if name != "full_name" and name in accepted)
    shape = vendor.item_template(MappedFields(neutral, custom), target)
    names = sorted(
        {rule.name for name in neutral for rule in vendor.rules_for(name)}
        | {custom_field.column for custom_field in custom}
    )
    row = {**{name: str(number) for number, name in enumerate(names)}, "email": "jane@example.com"}
    rows = [row, *({**row, name: value} for name in names if name != "email" for value in ("99", None))]
    results = hashes_and_items(shape, *rows, columns=("email", *(name for name in names if name != "email")))
    assert len({hash_ for hash_, _ in results}) == len({item for _, item in results}) > len(names)


def identifier(**more):
    return JsonTemplate({"type": Const("email"), "id": Column("email"), **more})


def holding(**more):
    return JsonTemplate({"ids": Array((identifier(**more),)), "name": Column("b")})


def test_an_object_that_depends_on_a_column():
    """It is there with the column, after the other pairs; a row without it is what it is in a template without it."""
    inner = JsonTemplate({"of": Column("a"), "by": Column("c"), "kind": Const("mail")})
    rows = [JANE, JANE | {"c": None}, JANE | {"a": None}, {"email": "x@example.com", "c": "gold"}]
    results = hashes_and_items(holding(more=When("a", inner), other=When("c", JsonTemplate({"z": Column("c")}))), *rows)
    bare = hashes_and_items(holding(), *rows)
    start = '{"type":"email","id":"jane@example.com"'
    assert [item for _, item in results[:3]] == [
        f'{{"ids":[{start},"more":{{"of":"Jane","by":"gold","kind":"mail"}},"other":{{"z":"gold"}}}}],"name":"7"}}',
        f'{{"ids":[{start},"more":{{"of":"Jane","kind":"mail"}}}}],"name":"7"}}',
        f'{{"ids":[{start},"other":{{"z":"gold"}}}}],"name":"7"}}',
    ]
    assert hashes_and_items(holding(more=When("a", JsonTemplate({"k": Const(1)}))), rows[3]) == [bare[3]]
    assert len({hash_ for hash_, _ in [*results, bare[0]]}) == 5
    changed = hashes(holding(more=When("a", JsonTemplate({**inner.members, "kind": Const("sms")}))), JANE)
    assert changed != hashes(holding(more=When("a", inner)), JANE)


def test_an_object_that_depends_on_a_column_outside_a_list():
    """With a comma where another pair comes before it."""
    shape = JsonTemplate({"a": Column("a"), "w": When("b", JsonTemplate({"b": Column("b")})), "c": Column("c")})
    items = [item for _, item in hashes_and_items(shape, JANE, JANE | {"a": None}, JANE | {"b": None}, {"b": "1"})]
    assert items == [
        '{"a":"Jane","w":{"b":"7"},"c":"gold"}',
        '{"w":{"b":"7"},"c":"gold"}',
        '{"a":"Jane","c":"gold"}',
        '{"w":{"b":"1"}}',
    ]


def test_a_field_of_another_generation_changes_the_rows_with_a_value_for_it():
    """The vendor has lost the values of the field, not those of other fields."""
    table = pa.table({name: pa.array([JANE.get(name), None], pa.string()) for name in COLUMNS})
    sql = shared()
    sql.table("items", table)
    by_generation = [
        sql.rows(f"select {row_hash.expression(SHAPE, generations)} from items")
        for generations in ({}, {"b": 0}, {"b": 1}, {"b": 2}, {"c": 1})
    ]
    with_values = [rows[0] for rows in by_generation]
    assert with_values[0] == with_values[1]
    assert len(set(with_values)) == 4
    assert len({rows[1] for rows in by_generation}) == 1
