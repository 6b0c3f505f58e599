"""What was measured as a table, a CSV file and a drawing: cycles, bytes and error."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterator, Sequence
from html import escape

from pipelines.doctor.tune.experiment import Measured
from pipelines.files import console

HEAD = ("Mcycles", "artifact", "error", "cosine", "measured", "float", "front", "layers in float16")
RIGHT = range(len(HEAD) - 2)
_COLUMNS = (
    "name", "bytes", "cycles", "output_error", "simulated_error", "output_cosine", "accuracy",
    "float_layers", "is_front", "failure", "metrics",
)  # fmt: skip
_WIDTH, _HEIGHT, _EDGE = 760, 420, 60  # of the drawing, in pixels


def is_dominated(one: Measured, others: Sequence[Measured]) -> bool:
    """Whether another has at most its cycles and error, and less of one of them."""
    mine = _pair(one)
    return any(
        _pair(other) != mine and all(a <= b for a, b in zip(_pair(other), mine, strict=True))
        for other in others
        if not other.failure
    )


def _pair(one: Measured) -> tuple[float, float]:
    return tuple(math.inf if value is None else value for value in (one.cycles, one.error))  # type: ignore[return-value]


def by_cycles(found: Sequence[Measured]) -> list[Measured]:
    return sorted((one for one in found if not one.failure), key=_pair)


def lines(found: Sequence[Measured]) -> Iterator[str]:
    rows: list[Sequence[str]] = [HEAD]
    for one in by_cycles(found):
        rows.append(
            (
                "?" if one.cycles is None else f"{one.cycles / 1e6:.3f}",
                console.quantity(one.figures["bytes"]),
                _percent(one.error),
                "NaN" if one.cosine is None else f"{one.cosine:.5f}",
                _measured(one),
                str(one.figures["float_layers"]),
                "" if is_dominated(one, found) else "*",
                one.variant.name,
            )
        )
    yield from console.table(rows, right=RIGHT)
    for one in found:
        if one.failure:
            yield from console.wrap(f"failed: {one.variant.name}: {one.failure}", "  ")


def _measured(one: Measured) -> str:
    """Accuracy, or the numbers of the recipe's own function."""
    accuracy = one.figures["accuracy"]
    if accuracy:
        return _percent(accuracy["simulator"])
    return " ".join(f"{name} {value:.4g}" for name, value in one.metrics.items())


def _percent(value: float | None) -> str:
    return "NaN" if value is None else f"{value:.2%}"


def to_csv(found: Sequence[Measured]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for one in [*by_cycles(found), *(each for each in found if each.failure)]:
        accuracy = one.figures.get("accuracy")
        writer.writerow(
            (
                one.variant.name,
                one.figures.get("bytes"),
                one.figures.get("cycles"),
                one.figures.get("worst_output_error"),
                one.simulated,
                one.figures.get("worst_output_cosine"),
                accuracy["simulator"] if accuracy else None,
                one.figures.get("float_layers"),
                int(not one.failure and not is_dominated(one, found)),
                one.failure,
                json.dumps(one.metrics) if one.metrics else None,
            )
        )
    return text.getvalue()


def svg(found: Sequence[Measured], title: str) -> str:
    """x: Mcycles. y: the largest output error, logarithmic."""
    shown = [one for one in by_cycles(found) if one.cycles and one.error]
    body = "\n".join(_drawn(shown, found)) if shown else ""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{_HEIGHT}" '
        f'viewBox="0 0 {_WIDTH} {_HEIGHT}" font-family="sans-serif" font-size="11">\n'
        f'<rect width="100%" height="100%" fill="white"/>\n{_text(_EDGE, 24, title)}\n'
        f"{_text(_WIDTH / 2, _HEIGHT - 12, 'Mcycles')}\n{_text(8, 44, 'output error')}\n"
        f"{body}\n</svg>\n"
    )


def _drawn(shown: Sequence[Measured], found: Sequence[Measured]) -> Iterator[str]:
    costs = [(one.cycles or 0) / 1e6 for one in shown]
    errors = [math.log10(one.error or 1) for one in shown]
    places = [
        (_placed(cost, costs, _EDGE, _WIDTH - 150), _placed(error, errors, _HEIGHT - 60, 60))
        for cost, error in zip(costs, errors, strict=True)
    ]
    is_front = [not is_dominated(one, found) for one in shown]
    path = " ".join(
        f"{x:.1f},{y:.1f}" for (x, y), kept in zip(places, is_front, strict=True) if kept
    )
    yield f'<polyline points="{path}" fill="none" stroke="#1b6ca8" stroke-width="1.4"/>'
    for one, (x, y), kept in zip(shown, places, is_front, strict=True):
        colour = "#d1495b" if one.variant.vendor else "#1b6ca8"
        fill = colour if kept else "white"
        yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" stroke="{colour}" fill="{fill}"/>'
        told = f"{one.variant.name} {(one.cycles or 0) / 1e6:.2f}, {_percent(one.error)}"
        yield _text(x + 7, y + 4, told)


def _placed(value: float, values: Sequence[float], start: float, end: float) -> float:
    low, high = min(values), max(values)
    return start + (end - start) * ((value - low) / (high - low) if high > low else 0.5)


def _text(x: float, y: float, text: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}">{escape(text)}</text>'
