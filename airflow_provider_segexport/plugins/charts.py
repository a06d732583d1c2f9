"""Draws charts as SVG: `numbers -> markup`. The style sheet sets the colours, so that they follow the theme.

Each chart has a text label for screen readers; a table beside it lists the numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

SPARK_WIDTH, SPARK_HEIGHT = 132, 32
BAR_WIDTH, BAR_HEIGHT = 1000, 18
WIDTH = 960
BARS_HEIGHT = 56
"""Sizes in the units of each drawing, which the style sheet scales."""

PAD = 3.0
"""Distance of a line from the edges of its chart, so that the line is not cut."""

MIN_PART_WIDTH = 6.0
"""Width of the narrowest part of a bar, so that every part can be seen."""


@dataclass(frozen=True, slots=True)
class BarPart:
    """One part of a bar.

    Attributes:
        name: style class.
        label: the part's label.
        count: number of people or profiles.
    """

    name: str
    label: str
    count: int


def spark(values: Sequence[int], failed: Sequence[bool], label: str) -> Markup:
    """Draw the members over the newest runs as a small line, with a mark at the bottom for each run that failed.

    The scale goes from zero to the line's largest value, so equal shares look alike in every row.

    Args:
        values: members after each run, oldest first.
        failed: for each run, whether it failed.
        label: text for screen readers.
    """
    xs = _spread(len(values), SPARK_WIDTH, PAD)
    ys = _heights(values, SPARK_HEIGHT - 8, PAD, max(values, default=0))
    marks = Markup("").join(
        Markup('<circle class="bad" cx="{:.1f}" cy="{}" r="2"/>').format(x, SPARK_HEIGHT - 3)
        for x, bad in zip(xs, failed, strict=True)
        if bad
    )
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in zip(xs, ys, strict=True))
    body = Markup('<polyline points="{}"/>').format(line) if len(values) > 1 else Markup("")
    dot = Markup('<circle class="now" cx="{:.1f}" cy="{:.1f}" r="2.5"/>').format(xs[-1], ys[-1]) if values else ""
    return _svg("spark", (SPARK_WIDTH, SPARK_HEIGHT), label, body + marks + dot)


def bar(parts: Sequence[BarPart], label: str) -> Markup:
    """Draw one bar that is divided into parts; `label` is for screen readers."""
    total = sum(part.count for part in parts)
    shown = [part for part in parts if part.count > 0]
    if not total:
        nothing = Markup('<rect class="none" width="{}" height="{}"/>').format(BAR_WIDTH, BAR_HEIGHT)
        return _svg("bar", (BAR_WIDTH, BAR_HEIGHT), label, nothing)
    divisible = BAR_WIDTH - MIN_PART_WIDTH * len(shown)
    x, body = 0.0, Markup("")
    for part in shown:
        width = MIN_PART_WIDTH + divisible * part.count / total
        body += Markup(
            '<rect class="{}" x="{:.1f}" width="{:.1f}" height="{}"><title>{}: {:,} ({})</title></rect>'
        ).format(part.name, x, width, BAR_HEIGHT, part.label, part.count, share(part.count, total))
        x += width
    return _svg("bar", (BAR_WIDTH, BAR_HEIGHT), label, body, stretch=True)


def share(count: int, total: int) -> str:
    """Return a share in per cent; 0% and 100% only if they are exact."""
    if not total or count in {0, total}:
        return "0%" if not count else "100%"
    part = 100 * count / total
    if part < 0.1:  # noqa: PLR2004 - a tenth of a per cent
        return "<0.1%"
    return ">99.9%" if part > 99.9 else f"{part:.1f}%"  # noqa: PLR2004 - same


def line(values: Sequence[int], height: int, label: str) -> Markup:
    """Draw a line with a filled area below it, over runs at equal distances, on a scale from zero to `axis_top`.

    Args:
        values: value of each run, oldest first.
        height: height of the chart in its own units; the width is `WIDTH`.
        label: text for screen readers.
    """
    xs, ys = _columns(len(values)), _heights(values, height, PAD, axis_top(max(values, default=0)))
    pairs = [f"{x:.1f},{y:.1f}" for x, y in zip(xs, ys, strict=True)]
    body = Markup("")
    if len(values) > 1:
        ground = f"{xs[0]:.1f},{height} {' '.join(pairs)} {xs[-1]:.1f},{height}"
        body = Markup('<polygon points="{}"/><polyline points="{}"/>').format(ground, " ".join(pairs))
    elif values:
        body = Markup('<circle class="now" cx="{:.1f}" cy="{:.1f}" r="4"/>').format(xs[0], ys[0])
    return _svg("line", (WIDTH, height), label, body, stretch=True)


def bars(values: Sequence[int], label: str, style: str, top: int) -> Markup:
    """Draw one bar for each run, on a scale from zero.

    Args:
        values: value of each run, oldest first.
        label: text for screen readers.
        style: style class.
        top: value at the top of the scale; the same for charts that are compared.
    """
    height = BARS_HEIGHT
    width = max(1.0, min(WIDTH / max(len(values), 1) * 0.8, 28.0))
    body = Markup("")
    for x, value in zip(_columns(len(values)), values, strict=True):
        if value:
            bar_height = max(1.5, height * value / top)
            body += Markup('<rect x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"/>').format(
                x - width / 2, height - bar_height, width, bar_height
            )
    return _svg(f"bars {style}", (WIDTH, height), label, body, stretch=True)


def _columns(count: int) -> list[float]:
    """Return the x coordinate of the middle of each run's column."""
    return [(i + 0.5) * WIDTH / count for i in range(count)]


def _spread(count: int, width: float, pad: float) -> list[float]:
    """Return x coordinates at equal distances over the width; a single one is at the right."""
    if count == 1:
        return [width - pad]
    return [pad + i * (width - 2 * pad) / (count - 1) for i in range(count)]


def axis_top(largest: int) -> int:
    """Return the value at the top of an axis: the largest value, rounded up to two digits."""
    step = int(10 ** max(0, len(str(max(largest, 0))) - 2))
    return max(1, -(-largest // step) * step)


def _heights(values: Sequence[int], height: float, pad: float, top: int) -> list[float]:
    """Return the y coordinate of each value, on a scale from zero at the bottom to `top`.

    Args:
        values: the values.
        height: height of the chart.
        pad: distance of the scale from the chart's edges.
        top: value at the top of the scale.
    """
    return [pad + (height - 2 * pad) * (1 - max(0, value) / max(top, 1)) for value in values]


def _svg(style: str, size: tuple[int, int], label: str, body: Markup | str, *, stretch: bool = False) -> Markup:
    ratio = Markup(' preserveAspectRatio="none"') if stretch else ""
    return Markup('<svg class="{}" viewBox="0 0 {} {}" role="img" aria-label="{}"{}>{}</svg>').format(
        style, *size, label, ratio, body
    )
