"""Words, numbers and charts, without Airflow."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import pytest

from airflow_provider_segexport.model import Reason
from airflow_provider_segexport.plugins import charts, labels
from airflow_provider_segexport.plugins.charts import BarPart
from airflow_provider_segexport.vendors.registry import VENDORS


def test_every_reason_has_words():
    """A code alone does not show a user what to do."""
    assert set(Reason) == set(labels.REASONS)


def test_a_reason_of_a_later_version_speaks_for_itself():
    """The report of a newer worker."""
    assert "moved to mars" == labels.reason("moved_to_mars")


@pytest.mark.parametrize(
    ("moment", "text"),
    [(0, "never"), (1000, "just now"), (940, "a minute ago"), (1600, "in 10 minutes"), (1000 - 7200, "2 hours ago")],
)
def test_a_time_is_shown_relative_to_now(moment, text):
    """And which way."""
    assert text == labels.ago(moment, 1000)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0.0 s"), (9.94, "9.9 s"), (59.6, "1 min 0 s"), (61, "1 min 1 s"), (7300, "2 h 1 min")]
)
def test_a_duration_is_short(seconds, text):
    """No false precision."""
    assert text == labels.lasted(seconds)


@pytest.mark.parametrize(("count", "text"), [(493, "493 B"), (1500, "1.5 kB"), (2_000_000, "2.0 MB"), (3e9, "3.0 GB")])
def test_a_size_has_a_fitting_unit(count, text):
    """As file managers do."""
    assert text == labels.size(count)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-24T00:00:00+00:00", "2026-11-24"),
        ("2026-11-24T02:30:00+00:00", "2026-11-24 02:30 UTC"),
        ("<b>", "<b>"),
        ("0001-01-01T00:00:00+05:00",) * 2,
    ],
)
def test_a_snapshots_time_is_shortened(text, expected):
    """A text that is no time stays as it is, and the page escapes it."""
    assert expected == labels.day(text)


def drawn(svg: str) -> ET.Element:
    return ET.fromstring(str(svg).replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" '))


def test_the_smallest_part_of_a_bar_can_be_seen_and_the_bar_is_full():
    """One rejected row in a million is the one that matters."""
    svg = drawn(charts.bar([BarPart("delivered", "Delivered", 999_999), BarPart("rejected", "Rejected", 1)], "x"))
    widths = [float(bar.attrib["width"]) for bar in svg]
    assert 2 == len(widths)
    assert min(widths) >= 6
    assert pytest.approx(charts.BAR_WIDTH, abs=0.2) == sum(widths)


@pytest.mark.parametrize("values", [[], [5], [5, 5, 5], [0, 10, 3], list(range(400))])
def test_every_chart_stands_within_its_frame(values):
    """None, one, all alike, many."""
    for svg in (
        charts.spark(values, [False] * len(values), "x"),
        charts.line(values, 140, "x"),
        charts.bars(values, "x", "delivered", max(values, default=0)),
    ):
        root = drawn(svg)
        _, _, width, height = map(float, root.attrib["viewBox"].split())
        for element in root:
            for x, y in re.findall(r"([-\d.]+),([-\d.]+)", element.attrib.get("points", "")):
                assert 0 <= float(x) <= width
                assert 0 <= float(y) <= height


def test_a_chart_says_in_words_what_it_shows_and_escapes_them():
    """For a reader that does not see it."""
    svg = charts.line([1, 2], 50, '"><script>alert(1)</script>')
    assert 'role="img"' in svg
    assert "<script" not in svg
    assert "script" in drawn(svg).attrib["aria-label"]


@pytest.mark.parametrize(
    ("count", "total", "text"),
    [
        (0, 10, "0%"),
        (10, 10, "100%"),
        (1, 3, "33.3%"),
        (1, 100_000, "<0.1%"),
        (99_999, 100_000, ">99.9%"),
        (0, 0, "0%"),
    ],
)
def test_a_share_is_never_rounded_to_all_or_nothing(count, total, text):
    """One of many is not none."""
    assert text == charts.share(count, total)


@pytest.mark.parametrize(
    ("facts", "lines"),
    [
        ({}, []),
        ({"tags_on_upsert": {"value": "merge", "learnt_at": 9.0}}, [("merge", 9.0)]),
        ({"tags_on_upsert": {"value": "replace"}}, [("replace", 0.0)]),
        ({"tags_on_upsert": {"value": "merge", "learnt_at": 1e300}}, [("merge", 0.0)]),
        ({"tags_on_upsert": {"value": "<script>", "learnt_at": 9}}, []),
        ({"tags_on_upsert": 3}, []),
        ({"other": {"value": "merge", "learnt_at": 9}}, []),
    ],
)
def test_what_was_found_out_about_an_account(facts, lines):
    """A fact or value that this version does not know is left out."""
    labels_by_value = labels.ACCOUNT_FACTS["tags_on_upsert"][1]
    assert [(labels_by_value[value], moment) for value, moment in lines] == [
        line[1:] for line in labels.account_facts(facts)
    ]


PROBES = {name: vendor.probe for name, vendor in VENDORS.items() if vendor.probe}


@pytest.mark.parametrize("vendor", PROBES)
def test_every_fact_that_a_probe_records_has_a_label(vendor):
    """Also each of its values; a fact of several vendors has a label that fits them all."""
    facts = PROBES[vendor].facts()
    for name, values in facts.items():
        for value in values:
            [(title, text, moment)] = labels.account_facts({name: {"value": value, "learnt_at": 9}})
            assert title
            assert text
            assert moment == 9
    others = {name for other, probe in PROBES.items() if other != vendor for name in probe.facts()}
    assert others & set(facts) <= set(labels.ACCOUNT_FACTS)


def heights(svg: str) -> list[float]:
    """The vertical position of each point of a line."""
    line = next(item for item in drawn(svg) if item.tag.endswith("polyline"))
    return [float(pair.split(",")[1]) for pair in line.attrib["points"].split()]


def test_a_line_begins_at_zero():
    """298 and 299 members are nearly the same; a scale from the smallest to the largest would fill the height."""
    low, high = heights(charts.line([298, 299], 140, "x"))
    assert 0 < low - high < 2
    assert heights(charts.line([0, 300], 140, "x"))[0] > 130
    assert heights(charts.spark([298, 299], [False, False], "x"))[0] < 8


@pytest.mark.parametrize(("largest", "top"), [(0, 1), (7, 7), (99, 99), (298, 300), (1234, 1300), (999_999, 1_000_000)])
def test_the_top_of_an_axis_is_a_round_value(largest, top):
    """At least the largest value."""
    assert top == charts.axis_top(largest)


def test_bars_that_are_compared_have_one_scale():
    """The same value has the same height."""
    tall = [
        float(next(iter(drawn(charts.bars(values, "x", "delivered", 100)))).attrib["height"])
        for values in ([50], [50, 100])
    ]
    assert [28.0, 28.0] == tall
