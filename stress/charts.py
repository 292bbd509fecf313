"""Charts for the documentation, as SVG text.

Written out by hand: bars and lines need no library, the files stay a few kB that a diff can show, and whoever regenerates
the documentation needs nothing beyond what the benchmarks need anyway.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import Any

from stress.bench.figures import median

_OURS, _THEIRS, _LINES = "#1f6feb", "#8b949e", ("#1f6feb", "#d1242f", "#1a7f37", "#8250df", "#bf8700", "#57606a")
_FONT = 'font-family="system-ui, sans-serif" font-size="13"'


def _svg(width: int, height: int, parts: Sequence[str]) -> str:
    # The colours are readable on white and on black; the background stays the page's.
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" role="img" {_FONT}>'
    return "\n".join([head, *parts, "</svg>", ""])


def _text(x: float, y: float, text: str, anchor: str = "start", colour: str = "#6e7781") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}">{escape(text)}</text>'


def bars(title: str, rows: Sequence[tuple[str, float, float, float]], unit: str) -> str:
    """Horizontal bars on a logarithmic scale, with a whisker from the lowest to the highest.

    Args:
        rows: label, median, lowest, highest; those whose label begins with ``s3queue`` stand out.
    """
    left, right, top, step = 270, 130, 46, 26
    width, height = 860, top + step * len(rows) + 34
    low = 10 ** math.floor(math.log10(min(row[2] for row in rows)))
    high = 10 ** math.ceil(math.log10(max(row[3] for row in rows)))

    def x(value: float) -> float:
        return left + (width - left - right) * math.log10(max(value, low) / low) / math.log10(high / low)

    parts = [_text(10, 22, title, colour="#57606a")]
    tick = low
    while tick <= high:
        parts.append(
            f'<line x1="{x(tick):.1f}" x2="{x(tick):.1f}" y1="{top - 8}" y2="{height - 26}" stroke="#d0d7de"/>'
        )
        parts.append(_text(x(tick), height - 10, f"{tick:,.0f}", "middle"))
        tick *= 10
    for number, (label, middle, lowest, highest) in enumerate(rows):
        y = top + number * step
        colour = _OURS if label.startswith("s3queue") else _THEIRS
        parts.append(_text(left - 8, y + 14, label, "end", colour))
        parts.append(f'<rect x="{left}" y="{y + 2}" width="{x(middle) - left:.1f}" height="16" fill="{colour}"/>')
        parts.append(f'<line x1="{x(lowest):.1f}" x2="{x(highest):.1f}" y1="{y + 10}" y2="{y + 10}" stroke="#24292f"/>')
        parts.append(_text(x(highest) + 6, y + 14, f"{middle:,.0f} {unit}"))
    return _svg(width, height, parts)


def lines(
    title: str, x_label: str, series: Sequence[tuple[str, Sequence[tuple[float, float]]]], *, top_y: float | None = None
) -> str:
    """Lines over a logarithmic x axis.

    Args:
        series: name, and its points.
    """
    width, height, left, right, top, bottom = 860, 380, 60, 230, 46, 46
    xs = [x for _, points in series for x, _ in points]
    low, high = math.log10(min(xs)), math.log10(max(xs))
    most = top_y or max(y for _, points in series for _, y in points) * 1.05

    def at(x: float, y: float) -> tuple[float, float]:
        across = 0.5 if high == low else (math.log10(x) - low) / (high - low)
        return left + (width - left - right) * across, height - bottom - (height - top - bottom) * min(1.0, y / most)

    parts = [_text(10, 22, title, colour="#57606a"), _text((left + width - right) / 2, height - 8, x_label, "middle")]
    for part in range(5):
        value = most * part / 4
        y = at(min(xs), value)[1]
        parts.append(f'<line x1="{left}" x2="{width - right}" y1="{y:.1f}" y2="{y:.1f}" stroke="#d0d7de"/>')
        parts.append(_text(left - 6, y + 4, f"{value:,.3g}", "end"))
    for x in sorted(set(xs)):
        parts.append(_text(at(x, 0)[0], height - bottom + 18, f"{x:,.0f}", "middle"))
    for number, (name, points) in enumerate(series):
        colour = _LINES[number % len(_LINES)]
        path = " ".join(f"{at(x, y)[0]:.1f},{at(x, y)[1]:.1f}" for x, y in points)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{at(x, y)[0]:.1f}" cy="{at(x, y)[1]:.1f}" r="3" fill="{colour}"/>' for x, y in points]
        parts.append(_text(width - right + 14, top + 18 * number + 4, name, colour=colour))
    return _svg(width, height, parts)


def drain_rates(peers: dict[str, Any]) -> str:
    """Of the result of ``stress peers``."""
    rows = [
        (name, median(row["drain_per_s"]), float(row["drain_per_s"]["min"]), float(row["drain_per_s"]["max"]))
        for name, row in peers["queues"].items()
        if "drain_per_s" in row and row["drain_per_s"]["min"] > 0
    ]
    return bars("Messages per second, no-op task, 2 workers (logarithmic)", rows, "/s")
