"""Arguments as a template or a form brings them: texts, numbers, lists and mappings mean the same, or are refused."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from airflow.sdk import ObjectStoragePath

from airflow_provider_segexport.errors import InvalidArgument, InvalidSegment, SegexportError
from airflow_provider_segexport.export.config import Guard
from airflow_provider_segexport.hooks import arguments, guard_arguments, options

pytestmark = pytest.mark.airflow


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("/data/a.parquet", "/data/a.parquet"),
        (" /data/a.parquet\n", "/data/a.parquet"),
        ("/data/[ab]*.parquet", "/data/[ab]*.parquet"),
        ("[ab]*.parquet", "[ab]*.parquet"),
        (Path("/data/a.parquet"), "/data/a.parquet"),
        (ObjectStoragePath("file:///data/a.parquet"), "file:///data/a.parquet"),
        ('["/a", "/b"]', ["/a", "/b"]),
        ("['/a', \"/b's\"]", ["/a", "/b's"]),
        (["/a", Path("/b")], ["/a", "/b"]),
        (("/a",), ["/a"]),
    ],
)
def test_a_segment_is_a_path_or_several(given, expected):
    """Paths of any kind, lists of them, and either as text; a glob that begins with a bracket stays a glob."""
    assert expected == arguments.segment(given)


def test_a_segment_of_another_type_is_refused():
    """The type that came is named."""
    with pytest.raises(InvalidSegment, match="of type int"):
        arguments.segment(7)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (10, 10),
        ("10", 10),
        (" 10\n", 10),
        (10.0, 10),
        ("10.0", 10),
        ("10.5", None),
        (".0", None),
        (True, None),
        ("1e6", None),
        (-1, None),
    ],
)
def test_a_cap_is_a_whole_number(given, expected):
    """Texts are read; what is no whole number is refused."""
    if expected is None:
        with pytest.raises(InvalidArgument, match="whole number"):
            arguments.number(given, "max_profiles")
    else:
        assert expected == arguments.number(given, "max_profiles")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, {}),
        ({}, {}),
        ("", {}),
        ("None", {}),
        ({"max_shrink": 0.3}, {"max_shrink": Guard(0.3)}),
        ({"max_shrink": "0.3"}, {"max_shrink": Guard(0.3)}),
        ({"max_growth": 3}, {"max_growth": Guard(3.0, "warn")}),
        ({"max_growth": None}, {"max_growth": None}),
        ({"max_growth": {"action": "fail"}}, {"max_growth": Guard(2.0, "fail")}),
        ({"max_removals": 100}, {"max_removals": Guard(100.0)}),
        (
            {"max_removals_share": {"limit": 0.1, "action": "skip_removals"}},
            {"max_removals_share": Guard(0.1, "skip_removals")},
        ),
        (
            '{"min_rows": null, "max_shrink": {"limit": 0.2, "action": "warn"}}',
            {"min_rows": None, "max_shrink": Guard(0.2, "warn")},
        ),
        ("{'max_shrink': 0.3}", {"max_shrink": Guard(0.3)}),
        ({"max_shrink": {"limit": {"limit": 0.3, "action": "warn"}}}, {"max_shrink": Guard(0.3, "warn")}),
        ({"max_growth": {"limit": '{"action": "fail"}'}}, {"max_growth": Guard(2.0, "fail")}),
    ],
)
def test_guards_are_limits_by_name(given, expected):
    """A number, a limit with its consequence, or None; what is left out is as it is by default."""
    assert expected == guard_arguments.guards(given)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"schrinks": 0.3},
            "no guard 'schrinks'. To fix: use one of: max_duplicates_share, max_growth, max_invalid_emails_share",
        ),
        ({"max_shrink": "much"}, "the limit is 'much'. To fix: pass a number"),
        ({"max_shrink": True}, "the limit is True"),
        ({"max_shrink": np.bool_(1)}, "the limit is"),
        ({"max_shrink": -1}, "the limit is -1"),
        ({"max_shrink": "nan"}, "the limit is 'nan'"),
        ({"max_removals": 10**400}, "the limit is 1000"),  # no float holds it
        ({"max_removals": {"action": "skip_removals"}}, "the limit is None"),
        ({"max_shrink": {"limit": {"limit": None}}}, "the limit is None"),
        ({"max_shrink": {"action": None}}, "action of guard max_shrink"),
        ({"max_shrink": {"max": 1}}, "has the unknown key 'max'"),
        ({"max_shrink": {"limit": 1, "action": "explode"}}, "action of guard max_shrink"),
        (
            {"max_shrink": {"limit": 1, "action": "skip_removals"}},
            "has the action `skip_removals`, which is possible only",
        ),
        ("max_shrink: 0.3", "map names to limits"),
        ([0.3], "map names to limits"),
    ],
)
def test_guards_that_are_none(given, message):
    """The error names what there is; it comes before anything else is done."""
    with pytest.raises(InvalidArgument, match=re.escape(message)):
        guard_arguments.guards(given)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (True, True),
        ("True", True),
        ("yes", True),
        (1, True),
        (False, False),
        ("false", False),
        ("0", False),
        ("n", False),
        (0.0, False),
        ("Y\r", True),
        ("on", True),
    ],
)
def test_a_switch_may_be_a_word(given, expected):
    """A form brings true and false, a template their words."""
    assert expected is arguments.flag(given, "dry_run")


def test_a_word_that_is_no_switch():
    """The intended value is not guessed."""
    with pytest.raises(InvalidArgument, match="`dry_run` is 'perhaps'"):
        arguments.flag("perhaps", "dry_run")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, ()),
        ("", ()),
        ("None", ()),
        ("/a.parquet", ("/a.parquet",)),
        ("['/a', '/b']", ("/a", "/b")),
        ([Path("/a")], ("/a",)),
        ([], ()),
    ],
)
def test_suppression_is_no_file_one_or_several(given, expected):
    """As the segment is, and it may be left out."""
    assert expected == arguments.paths(given)


ROWS = [["ann@example.com", None], ["bob@example.com", 7]]


@pytest.mark.parametrize(
    "given",
    [
        "ann@example.com",
        "email\nann@example.com\n",
        str([("ann@example.com", datetime(2026, 1, 1, tzinfo=UTC))]),
        '{"email": "ann@example.com"}\n{"email": "bob@example.com"}',
        '{"email": {"0": "ann@example.com"}}',
        ["ann@example.com", "bob@example.com"],
        str(pd.DataFrame(ROWS)),
    ],
    ids=["address", "csv", "rows", "json-lines", "json", "addresses", "frame"],
)
@pytest.mark.parametrize("name", ["segment", "suppression_list", "emails_path"])
def test_people_in_place_of_a_path_are_refused_and_not_quoted(name, given):
    """The text of the error is in the task's log."""
    table = options.ERASE if name == "emails_path" else options.EXPORT
    others = {"segment": "/a", "field_mapping": {"email": "email"}, "requested_by": "Ann"}
    with pytest.raises(SegexportError, match="To fix: ") as error:
        options.values(table, {**others, name: given})
    assert "example.com" not in str(error.value)


@pytest.mark.parametrize("given", [ROWS, str(ROWS), [("ann@example.com", "")], np.array(ROWS).tolist()])
def test_a_list_with_an_empty_item_is_not_quoted(given):
    """It may be the result of a query, of which one cell is null."""
    with pytest.raises(InvalidArgument, match="`segment` was given but is empty: a list with an empty item") as error:
        options.values(options.EXPORT, {"segment": given, "field_mapping": {"email": "email"}})
    assert "example.com" not in str(error.value)


@pytest.mark.parametrize(
    "path", ["s3://crm@bucket/a.parquet", "/data/ann@example.com.parquet", "seg@*.parquet", "[(a)]"]
)
def test_a_path_may_contain_such_characters(path):
    assert path == arguments.segment(path)
