"""Draws the diagrams of docs/diagrams as SVG from their text sources: `*.txt -> *.svg`.

Usage: python scripts/diagrams.py

A source has `title: ...`, then rows of boxes with `|` between the cells (`id: first line / second line`, or nothing),
then arrows (`id -> id` or `id <-> id`, with `: label` if there is one).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from html import escape
from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "diagrams"
WIDTH, HEIGHT, GAP_X, GAP_Y, MARGIN = 190, 60, 84, 62, 12
"""Sizes in pixels: width and height of a box, gaps between boxes, and the margin around the drawing."""

ARROW = re.compile(r"(\w+) (<?->) (\w+)(?:: (.+))?")
STYLE = (
    "text{font:13px -apple-system,'Segoe UI',Roboto,Arial,sans-serif;fill:#1f2937;text-anchor:middle}"
    ".head{font-weight:600}.label{font-size:12px;fill:#475569}rect{fill:#f1f5f9;stroke:#475569}"
    "path{fill:none;stroke:#475569}.tip{fill:#475569;stroke:none}.back{fill:#ffffff;stroke:none}"
    "@media (prefers-color-scheme:dark){text{fill:#e5e7eb}.label{fill:#cbd5e1}rect{fill:#1e293b;stroke:#94a3b8}"
    "path{stroke:#94a3b8}.tip{fill:#94a3b8}.back{fill:#0f172a}}"
)
"""Text has a contrast of at least 4.5 to 1 in both colour schemes."""


@dataclass(frozen=True, slots=True)
class Box:
    """A box in the grid, with its lines of text."""

    column: int
    row: int
    lines: tuple[str, ...]

    @property
    def centre(self) -> tuple[float, float]:
        """The middle of the box in pixels."""
        return (
            MARGIN + self.column * (WIDTH + GAP_X) + WIDTH / 2,
            MARGIN + self.row * (HEIGHT + GAP_Y) + HEIGHT / 2,
        )


@dataclass(frozen=True, slots=True)
class Arrow:
    """An arrow from one box to another, with a tip at its end, or at both ends."""

    start: str
    end: str
    both: bool
    label: str


def parse(source: str) -> tuple[str, dict[str, Box], list[Arrow]]:
    """Return title, boxes and arrows of a source.

    Raises:
        ValueError: an arrow names a box that does not exist.
    """
    title, boxes, arrows, row = "", {}, [], 0
    for line in filter(str.strip, source.splitlines()):
        if line.startswith("title: "):
            title = line.removeprefix("title: ")
        elif arrow := ARROW.fullmatch(line.strip()):
            arrows.append(Arrow(arrow[1], arrow[3], arrow[2] == "<->", arrow[4] or ""))
        else:
            for column, cell in enumerate(line.split("|")):
                name, _, text = cell.strip().partition(": ")
                if name:
                    boxes[name] = Box(column, row, tuple(text.split(" / ")))
            row += 1
    if unknown := {name for arrow in arrows for name in (arrow.start, arrow.end)} - set(boxes):
        raise ValueError(f"Arrows name boxes that do not exist: {sorted(unknown)}.")
    return title, boxes, arrows


def draw(source: str) -> str:
    """Return the SVG of a source."""
    title, boxes, arrows = parse(source)
    columns, rows = (1 + max(getattr(box, name) for box in boxes.values()) for name in ("column", "row"))
    width, height = (
        2 * MARGIN + number * size + (number - 1) * gap
        for number, size, gap in ((columns, WIDTH, GAP_X), (rows, HEIGHT, GAP_Y))
    )
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" aria-labelledby="title">',
        f'<title id="title">{escape(title)}</title><style>{STYLE}</style>',
        f'<rect class="back" width="{width}" height="{height}"/>',
        *(_arrow(boxes[arrow.start], boxes[arrow.end], arrow) for arrow in arrows),
        *(_box(box) for box in boxes.values()),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


HEAD = ' class="head"'
"""Attribute of the first line of text in a box."""


def _box(box: Box) -> str:
    x, y = box.centre
    first = y + 5 - 9 * (len(box.lines) - 1)
    lines = "".join(
        f'<text x="{x:g}" y="{first + 18 * number:g}"{"" if number else HEAD}>{escape(line)}</text>'
        for number, line in enumerate(box.lines)
    )
    return f'<rect x="{x - WIDTH / 2:g}" y="{y - HEIGHT / 2:g}" width="{WIDTH}" height="{HEIGHT}" rx="8"/>{lines}'


def _arrow(start: Box, end: Box, arrow: Arrow) -> str:
    """Return a straight arrow from edge to edge of two boxes, with a tip, and its label in the middle."""
    (x1, y1), (x2, y2) = _edge(start, end), _edge(end, start)
    tips = _tip(x1, y1, x2, y2) + (_tip(x2, y2, x1, y1) if arrow.both else "")
    label = ""
    if arrow.label:
        x, y, half = (x1 + x2) / 2, (y1 + y2) / 2, 3.3 * len(arrow.label) + 3
        label = (
            f'<rect class="back" x="{x - half:g}" y="{y - 9:g}" width="{2 * half:g}" height="18"/>'
            f'<text class="label" x="{x:g}" y="{y + 4:g}">{escape(arrow.label)}</text>'
        )
    return f'<path d="M{x1:g} {y1:g}L{x2:g} {y2:g}"/>{tips}{label}'


def _edge(box: Box, other: Box) -> tuple[float, float]:
    """Return the point where a line to another box leaves a box: in the middle of a side, or near a corner."""
    (x, y), across, down = box.centre, other.column - box.column, other.row - box.row
    if not down:
        return x + WIDTH / 2 * (1 if across > 0 else -1), y
    return x + WIDTH / 4 * (across > 0) - WIDTH / 4 * (across < 0), y + HEIGHT / 2 * (1 if down > 0 else -1)


def _tip(x1: float, y1: float, x2: float, y2: float) -> str:
    """Return the tip of a line at its second point."""
    length = ((x2 - x1) ** 2 + (y2 - y1) ** 2) ** 0.5
    dx, dy = (x2 - x1) / length, (y2 - y1) / length
    ends = ((x2, y2), (x2 - 9 * dx - 4 * dy, y2 - 9 * dy + 4 * dx), (x2 - 9 * dx + 4 * dy, y2 - 9 * dy - 4 * dx))
    return '<path class="tip" d="M' + "L".join(f"{x:.1f} {y:.1f}" for x, y in ends) + 'Z"/>'


def main() -> None:
    """Draw each source."""
    for source in sorted(FOLDER.glob("*.txt")):
        source.with_suffix(".svg").write_text(draw(source.read_text()))


if __name__ == "__main__":
    main()
