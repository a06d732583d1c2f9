"""One vocabulary for yes and no, in Python and in SQL."""

from __future__ import annotations

from decimal import Decimal
from random import Random

import pyarrow as pa
import pytest
from core.factories import shared

from airflow_provider_segexport.trimming import TRIMMED
from airflow_provider_segexport.yes_no import NO, YES, blank, yes_no, yes_no_sql

AROUND = ["", "\r", "\n", "\r\n", "\t", "\ufeff", "\u00a0", "\u200b", " \u200b\u00a0 ", "\x00", "\u3000", "\u200e"]
NEITHER = [
    "",
    " ",
    "\ufeff",
    "maybe",
    "2",
    "-1",
    "yes please",
    "ye s",
    "null",
    "None",
    "\uff59\uff45\uff53",
    "ye\u017f",
    "1.",
    "01",
    "ok",
]


def in_sql(values, kind):
    text = pa.types.is_string(kind)
    shared().table("words", pa.table({"i": list(range(len(values))), "word": pa.array(values, kind)}))
    return [value for (value,) in shared().rows(f"select {yes_no_sql('word', text=text)} from words order by i")]


@pytest.mark.parametrize("around", AROUND, ids=ascii)
def test_a_word_is_read_whatever_surrounds_it(around):
    """Line ends, byte order marks and invisible spaces come with files; case says nothing."""
    for spellings, expected in ((YES, True), (NO, False)):
        texts = [around + form(word) + around for word in spellings for form in (str, str.upper, str.title)]
        assert [expected] * len(texts) == [yes_no(text) for text in texts] == in_sql(texts, pa.string())


def test_what_is_neither_is_neither():
    """Nothing is guessed: not from a longer word, a number above one, or letters that only look alike."""
    assert [None] * len(NEITHER) == [yes_no(text) for text in NEITHER] == in_sql(NEITHER, pa.string())
    assert [None, None, None] == [yes_no(value) for value in (None, ["yes"], {"yes": True})]


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([True, False, None], pa.bool_()),
        ([1, 0, None, 2, -1], pa.int8()),
        ([1, 0, None, 2**64 - 1], pa.uint64()),
        ([1.0, 0.0, -0.0, None, 0.5, 1.0000001, float("nan"), float("inf")], pa.float64()),
        ([Decimal("1.00"), Decimal("0.00"), None, Decimal("1.01")], pa.decimal128(38, 2)),
    ],
    ids=str,
)
def test_one_is_yes_and_nought_is_no_in_any_type_of_number(values, kind):
    """A tool that meets a null in a column of switches makes floats of them."""
    expected = [None if value is None else {1: True, 0: False}.get(value) for value in values]
    assert expected == [yes_no(value) for value in values] == in_sql(values, kind)


def test_python_and_sql_read_any_text_alike():
    """A consent column and an argument never disagree about a word."""
    random = Random(5)
    pieces = [*YES, *NO, *map(str.upper, YES), *TRIMMED, "\u212a", "\u0130", "\u202e", "é", "x"]
    texts = ["".join(random.choices(pieces, k=random.randint(1, 3))) for _ in range(5_000)]
    python = [yes_no(text) for text in texts]
    assert {True, False, None} == set(python)
    assert python == in_sql(texts, pa.string())


def test_nothing_but_spaces_is_no_value():
    """An empty field of a form, and a cell that only looks empty, have no value; a zero has one."""
    assert all(map(blank, (None, "", " \t", "\ufeff\u200b")))
    assert not any(map(blank, ("0", 0, False, [], "no")))
