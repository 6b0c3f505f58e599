"""Accuracy by input_scale of every fixed_point target, from the recorded metrics."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from pipelines.backends.fixed_point.recipe.options import FixedPoint
from pipelines.files import console
from pipelines.recipe.define.model import Recipe, Target
from pipelines.stages.stage import built
from quant.report import target_metrics

WIDTH = 80  # columns of text, also where the terminal is wider: the table is for pasting
MEAN = "mean"  # of the outputs, where there are several


@dataclass(frozen=True)
class Point:
    """One output of one target. accuracy, float_accuracy and agreement are fractions of `samples`.

    output: empty where the recipe names none. input_scale: 16, or 16/4 for a factor an input.
    """

    model: str
    output: str
    target: str
    shifts: str
    rounding: str
    weights: str
    weight_rounding: str
    equalize: bool
    activations: str
    bias_mode: str
    input_scale: str
    accuracy: float
    float_accuracy: float
    agreement: float
    samples: int

    @property
    def setting(self) -> tuple[str, ...]:
        """All but the input's scale: what a line of the table is."""
        equalize = "yes" if self.equalize else "no"
        by = "" if self.weight_rounding == "auto" else f" {self.weight_rounding}"
        codes = "" if self.activations == "signed" else f" {self.activations}"
        weights = f"{self.weights}{by}{codes}"
        return self.shifts, self.rounding, weights, equalize, self.bias_mode


@dataclass(frozen=True)
class Line:
    """Points of one setting, by input_scale."""

    setting: tuple[str, ...]
    points: dict[str, Point]


@dataclass(frozen=True)
class Panel:
    """One output of a model: its lines, in the recipe's order."""

    model: str
    output: str
    lines: list[Line]

    @property
    def title(self) -> str:
        return f"{self.model}, {self.output}" if self.output else self.model

    @property
    def first(self) -> Point:
        return next(iter(self.lines[0].points.values()))

    @property
    def scales(self) -> list[str]:
        """The columns, smallest first."""
        found = {scale for line in self.lines for scale in line.points}
        return sorted(found, key=lambda scale: [float(part) for part in scale.split("/")])


def points(root: Path, recipe: Recipe, target: Target) -> list[Point] | None:
    """A target's; none where the recipe has no labelled data, None where it is not analyzed."""
    report = root / built(recipe, f"{target.name}/report/metrics.json")
    if not report.is_file() or not isinstance(target.options, FixedPoint):
        return None
    accuracy = target_metrics.read(report).accuracy
    if accuracy is None:
        return []
    by_output = dict(accuracy.get("outputs", {}))
    if len(by_output) > 1:
        by_output[MEAN] = accuracy
    return [
        _point(recipe, target, target.options, output, {"samples": accuracy["samples"], **found})
        for output, found in (by_output or {"": accuracy}).items()
    ]


def _point(
    recipe: Recipe, target: Target, chosen: FixedPoint, output: str, found: Mapping[str, Any]
) -> Point:
    return Point(
        model=recipe.model,
        output=output,
        target=target.name,
        shifts=chosen.shifts,
        rounding=chosen.rounding,
        weights=chosen.weights,
        weight_rounding=chosen.weight_rounding,
        equalize=chosen.equalize,
        activations=chosen.activations,
        bias_mode=chosen.bias_mode,
        input_scale=_scale(chosen.input_scale),
        accuracy=found["integer"],
        float_accuracy=found["float"],
        agreement=found["agreement"],
        samples=found["samples"],
    )


def _scale(given: float | Mapping[str, float]) -> str:
    return "/".join(map(str, given.values())) if isinstance(given, Mapping) else str(given)


def panels(found: Iterable[Point]) -> list[Panel]:
    """A panel a model and output. Targets that differ in input_scale alone make one line."""
    by_title: dict[tuple[str, str], Panel] = {}
    for point in found:
        key = (point.model, point.output)
        panel = by_title.setdefault(key, Panel(point.model, point.output, []))
        _line(panel, point).points[point.input_scale] = point
    return list(by_title.values())


def _line(panel: Panel, point: Point) -> Line:
    for line in panel.lines:
        if line.setting == point.setting and point.input_scale not in line.points:
            return line
    panel.lines.append(Line(point.setting, {}))
    return panel.lines[-1]


_NAMES = ("shifts", "rounding", "weights", "equal", "bias")


def text(panel: Panel) -> list[str]:
    """The panel in at most WIDTH columns: a line a setting, a column an input_scale, in percent.

    What all lines share stands above them.
    """
    told = [i for i in range(len(_NAMES)) if i == len(_NAMES) - 1 or len(_values(panel, i)) > 1]
    first = panel.first
    shared = [f"{_NAMES[i]} {first.setting[i]}" for i in range(len(_NAMES)) if i not in told]
    lines = [f"{panel.title}: float {first.float_accuracy:.2%} of {first.samples} samples"]
    lines += [", ".join(shared)] if shared else []
    head = [_NAMES[i] for i in told]
    left = [[line.setting[i] for i in told] for line in panel.lines]
    used = sum(max(map(len, column)) + 2 for column in zip(head, *left, strict=True))
    for scales in _chunks(panel.scales, used):
        rows = [
            [*head, *scales],
            *([*row, *_cells(line, scales)] for row, line in zip(left, panel.lines, strict=True)),
        ]
        lines += console.table(rows, right=range(len(head), len(rows[0])))
    return lines


def _values(panel: Panel, place: int) -> set[str]:
    return {line.setting[place] for line in panel.lines}


def _cells(line: Line, scales: Sequence[str]) -> Iterator[str]:
    for scale in scales:
        point = line.points.get(scale)
        yield "" if point is None else f"{100 * point.accuracy:.1f}"


def _chunks(scales: Sequence[str], used: int) -> Iterator[list[str]]:
    """The columns that fit beside the settings, at least one."""
    chunk: list[str] = []
    width = used - 2
    for scale in scales:
        cell = max(len(scale), len("99.9")) + 2
        if chunk and width + cell > WIDTH:
            yield chunk
            chunk, width = [], used - 2
        chunk.append(scale)
        width += cell
    yield chunk


def to_csv(found: Iterable[Point]) -> str:
    """A row a point, a head of the fields' names."""
    file = io.StringIO()
    writer = csv.DictWriter(file, [field.name for field in fields(Point)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(point) for point in found)
    return file.getvalue()
