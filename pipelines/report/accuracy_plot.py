"""The accuracy table as a drawing: a panel a model and output, a line a setting. Plain SVG."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from html import escape

from pipelines.report.accuracy_table import Line, Panel

_WIDTH, _HEIGHT = 760, 260  # of a panel, in pixels
_LEFT, _TOP, _PLOT_WIDTH, _PLOT_HEIGHT = 56, 34, 430, 180
_COLOURS = ("#1b6ca8", "#d1495b", "#2e933c", "#8e5ea2", "#c77c11", "#00798c", "#6b6b6b", "#a23e48")


def svg(panels: Sequence[Panel]) -> str:
    """A whole file. x: input_scale, one step each. y: accuracy in percent."""
    height = _HEIGHT * len(panels)
    body = "\n".join(
        f'<g transform="translate(0 {i * _HEIGHT})">\n' + "\n".join(_panel(panel)) + "\n</g>"
        for i, panel in enumerate(panels)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" '
        f'viewBox="0 0 {_WIDTH} {height}" font-family="sans-serif" font-size="11">\n'
        f'<rect width="100%" height="100%" fill="white"/>\n{body}\n</svg>\n'
    )


def _panel(panel: Panel) -> Iterator[str]:
    values = [point.accuracy for line in panel.lines for point in line.points.values()]
    low = math.floor(10 * min(*values, panel.first.float_accuracy, 0.9)) / 10
    yield _text(_LEFT, 20, panel.title, size=14)
    for step in range(5):
        share = low + (1 - low) * step / 4
        yield _rule(_y(share, low), "#dddddd")
        yield _text(_LEFT - 6, _y(share, low) + 4, f"{100 * share:.1f} %", anchor="end")
    scales = panel.scales
    for scale in scales:
        yield _text(_x(scale, scales), _TOP + _PLOT_HEIGHT + 16, scale, anchor="middle")
    yield _text(_LEFT + _PLOT_WIDTH / 2, _TOP + _PLOT_HEIGHT + 32, "input_scale", anchor="middle")
    yield _rule(_y(panel.first.float_accuracy, low), "#000000", dashes="5 4")
    yield _legend(0, "#000000", f"float {panel.first.float_accuracy:.2%}", dashes="5 4")
    for number, line in enumerate(panel.lines):
        colour = _COLOURS[number % len(_COLOURS)]
        yield from _drawn(line, scales, low, colour)
        yield _legend(number + 1, colour, _label(panel, line))


def _drawn(line: Line, scales: Sequence[str], low: float, colour: str) -> Iterator[str]:
    places = [
        (_x(scale, scales), _y(line.points[scale].accuracy, low))
        for scale in scales
        if scale in line.points
    ]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    yield f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.6"/>'
    yield from (f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.6" fill="{colour}"/>' for x, y in places)


def _label(panel: Panel, line: Line) -> str:
    """The parts of the setting that not all lines share; all where nothing differs."""
    settings = [other.setting for other in panel.lines]
    parts = [part for i, part in enumerate(line.setting) if len({s[i] for s in settings}) > 1]
    words = {"yes": "equalized", "no": "not equalized"}
    return ", ".join(words.get(part, part) for part in parts or line.setting)


def _x(scale: str, scales: Sequence[str]) -> float:
    return _LEFT + _PLOT_WIDTH * (scales.index(scale) + 0.5) / len(scales)


def _y(share: float, low: float) -> float:
    return _TOP + _PLOT_HEIGHT * (1 - share) / (1 - low)


def _rule(y: float, colour: str, dashes: str = "") -> str:
    return _straight(_LEFT, _LEFT + _PLOT_WIDTH, y, colour, dashes)


def _legend(row: int, colour: str, text: str, dashes: str = "") -> str:
    x, y = _LEFT + _PLOT_WIDTH + 14, _TOP + 8 + 16 * row
    return _straight(x, x + 18, y, colour, dashes) + _text(x + 24, y + 4, text)


def _straight(left: float, right: float, y: float, colour: str, dashes: str) -> str:
    dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
    return f'<line x1="{left}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}" stroke="{colour}"{dashed}/>'


def _text(x: float, y: float, text: str, anchor: str = "start", size: int = 11) -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}"'
    return f"<text {place}>{escape(text)}</text>"
