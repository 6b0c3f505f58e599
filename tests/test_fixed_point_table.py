"""The accuracy table: its lines, columns, CSV and drawing."""

from __future__ import annotations

import csv
import io
import xml.dom.minidom
from dataclasses import replace
from itertools import product
from typing import Any

from pipelines.report.accuracy_plot import svg
from pipelines.report.accuracy_table import WIDTH, Point, panels, text, to_csv

POINT = Point(
    model="m",
    output="",
    target="int8-s4",
    shifts="calibrated",
    rounding="compensated",
    weights="tensor",
    weight_rounding="auto",
    equalize=True,
    activations="signed",
    bias_mode="B16",
    input_scale="4",
    accuracy=0.9512,
    float_accuracy=0.97,
    agreement=0.99,
    samples=360,
)


def test_a_column_a_scale_and_what_is_shared_above() -> None:
    found = [
        replace(POINT, bias_mode=mode, input_scale=scale, accuracy=int(number) / 1000)
        for (mode, scale), number in zip(
            product(("B8", "B16"), ("16", "0.5", "4")),
            ("991", "800", "955", "990", "805", "950"),
            strict=True,
        )
    ]
    (panel,) = panels(found)
    assert text(panel) == [
        "m: float 97.00% of 360 samples",
        "shifts calibrated, rounding compensated, weights tensor, equal yes",
        "bias   0.5     4    16",
        "B8    80.0  95.5  99.1",
        "B16   80.5  95.0  99.0",
    ]


def test_a_panel_an_output_and_a_line_a_setting() -> None:
    other = replace(POINT, shifts="constant", target="plain", input_scale="8")
    found = [POINT, replace(POINT, output="a"), other, replace(other, input_scale="4")]
    first, second = panels(found)
    assert [first.title, second.title] == ["m", "m, a"]
    assert [line.setting[0] for line in first.lines] == ["calibrated", "constant"]
    assert text(first)[2:] == [
        "shifts      bias     4     8",
        "calibrated  B16   95.1",
        "constant    B16   95.1  95.1",
    ]


def test_targets_that_differ_in_weight_rounding_are_told_apart() -> None:
    (panel,) = panels([POINT, replace(POINT, weight_rounding="nearest")])
    assert text(panel)[2:] == [
        "weights         bias     4",
        "tensor          B16   95.1",
        "tensor nearest  B16   95.1",
    ]


def test_targets_that_differ_in_activations_are_told_apart() -> None:
    (panel,) = panels([POINT, replace(POINT, activations="unsigned")])
    assert text(panel)[2:] == [
        "weights          bias     4",
        "tensor           B16   95.1",
        "tensor unsigned  B16   95.1",
    ]


def test_two_targets_of_one_setting_and_scale_are_two_lines() -> None:
    (panel,) = panels([POINT, replace(POINT, target="again", accuracy=0.5)])
    assert [line.points["4"].target for line in panel.lines] == ["int8-s4", "again"]


def test_it_fits_into_eighty_columns() -> None:
    settings = product(
        ("calibrated", "data_free", "constant"), ("compensated", "truncate"),
        ("tensor", "channel"), (True, False), ("B8", "B16"), map(str, range(1, 33)),
    )  # fmt: skip
    keys = ("shifts", "rounding", "weights", "equalize", "bias_mode", "input_scale")
    given: list[dict[str, Any]] = [dict(zip(keys, values, strict=True)) for values in settings]
    found = [replace(POINT, **changes) for changes in given]
    (panel,) = panels(found)
    lines = text(panel)
    assert max(map(len, lines)) <= WIDTH
    assert sum(line.count("95.1") for line in lines) == len(found)
    usual = [point for point in found if point.weights == "tensor" and point.shifts != "data_free"]
    usual = [point for point in usual if point.input_scale in ("1", "2", "4", "8", "16", "32")]
    (panel,) = panels(usual)
    assert len(text(panel)) == 2 + 1 + 16  # six scales stand side by side


def test_csv_and_drawing_hold_every_point() -> None:
    found = [POINT, replace(POINT, input_scale="8", output="<a & b>")]
    rows = list(csv.DictReader(io.StringIO(to_csv(found))))
    assert [(row["output"], row["input_scale"], row["accuracy"]) for row in rows] == [
        *(("", "4", "0.9512"), ("<a & b>", "8", "0.9512"))
    ]
    drawing = xml.dom.minidom.parseString(svg(panels(found)))
    assert len(drawing.getElementsByTagName("circle")) == 2
    assert len(drawing.getElementsByTagName("g")) == 2
