"""The diagrams are drawn from their sources, and fit their boxes."""

from __future__ import annotations

import sys
from xml.etree import ElementTree as ET

import pytest
from docs.pages import DOCS, REPO

sys.path.insert(0, str(REPO / "scripts"))
import diagrams

SOURCES = sorted((DOCS / "diagrams").glob("*.txt"))
CHARACTER_PX = 7.2
"""Width of a character at 13 px and weight 600, on average."""


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_a_diagram_is_that_of_its_source(source):
    """To renew: python scripts/diagrams.py. A page shows it, and its title describes it."""
    drawn = diagrams.draw(source.read_text())
    assert source.with_suffix(".svg").read_text() == drawn
    title, boxes, _ = diagrams.parse(source.read_text())
    assert ET.fromstring(drawn).find("{*}title").text == title
    assert [] == [line for box in boxes.values() for line in box.lines if len(line) * CHARACTER_PX > diagrams.WIDTH]
    assert any(f"diagrams/{source.stem}.svg" in page.read_text() for page in DOCS.glob("*.md"))


def test_an_arrow_to_no_box_is_refused():
    """A misspelt name would be an arrow less."""
    with pytest.raises(ValueError, match="nowhere"):
        diagrams.draw("title: x\na: A\na -> nowhere\n")


def test_markup_in_a_label_is_text():
    drawn = diagrams.draw("title: a & b\na: <b> / c | d: D\na -> d: 1 < 2\n")
    assert "&lt;b&gt;" in drawn
    assert "1 &lt; 2" in drawn
    ET.fromstring(drawn)
