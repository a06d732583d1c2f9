"""Items are the JSON that a dictionary would have made, without one."""

from __future__ import annotations

import json
import re

import pyarrow as pa
from core.factories import PLAIN, TARGET, cleaned, shared, written
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_segexport.email_address import WHITESPACE
from airflow_provider_segexport.stages.encode import expression
from airflow_provider_segexport.vendors.base import CustomField, MappedFields
from airflow_provider_segexport.vendors.item_template import Array, Column, Const, Joined, JsonTemplate


def encoded(shape, rows):
    """The items of rows, as text; the rows come as cleaning leaves them, without empty texts."""
    table = pa.table({name: pa.array([row.get(name) for row in rows], pa.string()) for name in ("a", "b", "n", "ok")})
    sql = shared()
    sql.table("items", table)
    return [item for (item,) in sql.rows(f"select {expression(shape)} from items")]


SHAPE = JsonTemplate(
    {
        "kind": Const('a "kind"'),
        "who": JsonTemplate({"email": Column("a")}),
        "name": Joined(("a", "b")),
        "n": Column("n", "number"),
        "ok": Column("ok", "boolean"),
        "more": JsonTemplate({"B\\ü": Column("b"), "N": Column("n", "number")}),
        "pairs": Array(
            (
                JsonTemplate({"Key": Const("B"), "Value": Column("b")}),
                JsonTemplate({"Key": Const("N"), "Value": Column("n")}),
            )
        ),
        "lists": Array((Const(5),)),
    }
)


def by_hand(row):
    """The same item, as a dictionary."""
    a, b, n, ok = (row.get(name) for name in ("a", "b", "n", "ok"))
    number = None if n is None else json.loads(n)
    flag = None if ok is None else json.loads(ok)
    name = " ".join(part for part in (a, b) if part is not None)
    pairs = [{"Key": key, "Value": value} for key, value in (("B", b), ("N", n)) if value is not None]
    more = {key: value for key, value in (("B\\ü", b), ("N", number)) if value is not None}
    item = {
        "kind": 'a "kind"',
        "who": None if a is None else {"email": a},
        "name": name or None,
        "n": number,
        "ok": flag,
        "more": more or None,
        "pairs": pairs or None,
        "lists": [5],
    }
    return {key: value for key, value in item.items() if value is not None}


TEXT = st.one_of(
    st.none(),
    st.text(min_size=1, max_size=20),
    st.sampled_from(['"', "\\", "\\u0041", "\u2028", "😀", "\x00\x1f\x7f", "</"]),
)
ROW = st.fixed_dictionaries(
    {
        "a": TEXT,
        "b": TEXT,
        "n": st.one_of(st.none(), st.integers().map(str), st.sampled_from(["0.5", "-1e+20", "0"])),
        "ok": st.sampled_from([None, "true", "false"]),
    }
)


@settings(max_examples=12, deadline=None)
@given(st.lists(ROW, min_size=1, max_size=20))
def test_items_equal_what_a_dictionary_makes(rows):
    """Quotes, backslashes, control characters and every script; what is null is left out with its key."""
    items = encoded(SHAPE, rows)
    assert [json.loads(item) for item in items] == [by_hand(row) for row in rows]
    assert not any("\n" in item for item in items)


def test_items_are_compact_and_keep_their_order():
    """The bytes are the ones that Python's encoder would write."""
    (item,) = encoded(SHAPE, [{"a": 'Zoë "Z"', "b": "x\\y", "n": "5", "ok": "true"}])
    expected = by_hand({"a": 'Zoë "Z"', "b": "x\\y", "n": "5", "ok": "true"})
    assert item.replace("\\u00fc", "ü") == json.dumps(expected, separators=(",", ":"), ensure_ascii=False)


def test_nothing_to_say():
    """An item is never null, and an object without a member, or an array without an element, is left out."""
    empty = JsonTemplate(
        {
            "who": JsonTemplate({"email": Column("a")}),
            "none": JsonTemplate({}),
            "no": Array(()),
            "list": Array((Column("b"),)),
        }
    )
    assert encoded(empty, [{}, {"b": "x"}]) == ["{}", '{"list":["x"]}']


def test_a_vendor_s_item_comes_from_its_shape():
    """The custom fields of an export travel in the type that the vendor's field has."""
    matched = MappedFields(("email",), (CustomField("points", "n", "decimal"), CustomField("note", "b", "text")))
    columns = pa.table({"email": ["a@example.com"], "n": ["5"], "b": ["x"]})
    sql = shared()
    sql.table("items", columns)
    ((item,),) = sql.rows(f"select {expression(PLAIN.item_template(matched, TARGET))} from items")
    assert item == '{"email":"a@example.com","points":5,"note":"x"}'


NAMES = st.text(
    st.sampled_from(['"', "\\", "|", " ", "\t", "\x00", "\x7f", "\u00a0", "\u200b", "a", "é", "😀", "'"]), max_size=6
)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.one_of(st.none(), NAMES), st.one_of(st.none(), NAMES)), min_size=1, max_size=30))
def test_any_text_of_a_file_arrives_as_it_was_meant(tmp_path, rows):
    """Trimmed, spaces for control characters, nothing else changed; what is empty is left out."""
    people = [f"p{n}@example.com" for n in range(len(rows))]
    columns = {"email": people} | {
        name: pa.array(part, pa.string()) for name, part in zip("fl", zip(*rows, strict=True), strict=True)
    }
    path = written(tmp_path / "x.parquet", columns)
    with cleaned(path, fields={"first_name": "f", "last_name": "l"}) as (sql, _):
        shape = PLAIN.item_template(MappedFields(("email", "first_name", "last_name")), TARGET)
        items = [json.loads(item) for (item,) in sql.rows(f"select {expression(shape)} from clean_rows")]
    names = [" ".join(part for part in map(meant, row) if part) for row in rows]
    assert items == [
        {"email": email} | ({"name": name} if name else {}) for email, name in zip(people, names, strict=True)
    ]


def meant(text):
    return re.sub(r"[\x00-\x1f\x7f]+", " ", text or "").strip(WHITESPACE)


def test_several_values_of_one_column():
    """Each value is in an element of its own, whatever characters it holds."""
    pair = JsonTemplate({"Key": Const("k"), "Value": Column("a", split=("||", '"},{"Key":"k","Value":"'))})
    shape = JsonTemplate({"kind": Const("x"), "pairs": Array((pair,))})
    (item,) = encoded(shape, [{"a": 'Say "hi"||B\\||Ä, |x'}])
    pairs = json.loads(item)["pairs"]
    assert [each["Value"] for each in pairs] == ['Say "hi"', "B\\", "Ä, |x"]
    assert {each["Key"] for each in pairs} == {"k"}
