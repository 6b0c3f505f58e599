"""Accuracy in whole numbers, beside float: every bias mode, input scale and way of choosing shifts.

    .venv/bin/python -m benchmarks.fixed_point_accuracy [--csv FILE] [--no-tflite]

Both trained models, three trainings of each, as ONNX exported from torch and as TFLite written by
TensorFlow; means over the trainings, and over the tasks. Calibrated and data-free networks are
equalized, as by default; constant ones are not. Then the same networks with channels made unequal
by factors of 2^-3 to 2^3, which changes nothing in float. Four minutes on one core of an x86-64
server, two with --no-tflite, after the toolchains torch and tensorflow are made.
"""

from __future__ import annotations

import argparse
import csv
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass, fields, replace
from pathlib import Path
from statistics import mean

from pipelines.run.toolchain.toolchain import Environments
from quant.fixed_point.calibration.ranges import data_free_samples
from quant.fixed_point.network.options import BIAS_MODES, WEIGHTS, Options
from tests.conftest import ROOT
from tests.imbalance import unbalance
from tests.trained_models import (
    MODELS,
    NAMES,
    SEEDS,
    Case,
    Trained,
    export,
    observed,
    twin,
    weights_file,
)

SCALES = (1, 2, 4, 8, 16, 32)
WAYS = (
    ("calibrated", "compensated"),
    ("calibrated", "truncate"),
    ("data_free", "compensated"),
    ("constant", "compensated"),
    ("constant", "truncate"),
)


@dataclass(frozen=True)
class Row:
    """One network at one setting. accuracy, same: percent, mean over the outputs."""

    model: str
    seed: int
    channels: str  # even, uneven, evened
    shifts: str
    rounding: str
    weights: str
    bias_mode: str
    input_scale: int
    float_accuracy: float
    accuracy: float
    same: float

    @property
    def setting(self) -> tuple[str, ...]:
        return (self.channels, self.shifts, self.rounding, self.weights, self.bias_mode)


def measured(network: Trained, model: str, seed: int, channels: str, options: Options) -> Row:
    score = network.score(options)
    assert isinstance(options.input_scales, int)
    return Row(
        model,
        seed,
        channels,
        options.shifts,
        options.rounding,
        options.weights,
        options.bias_mode,
        options.input_scales,
        mean(network.float_score().right.values()),
        mean(score.right.values()),
        mean(score.agreement.values()),
    )


def sweep(network: Trained, model: str, seed: int) -> Iterator[Row]:
    """Every way, bias mode and scale."""
    equalized = network.equalized()
    given = observed(equalized.model, data_free_samples(equalized.model))
    random = replace(equalized, given=given)
    networks = {"calibrated": equalized, "data_free": random, "constant": network}
    for shifts, rounding in WAYS:
        for mode in BIAS_MODES:
            for scale in SCALES:
                options = Options(scale, mode, rounding, shifts)
                yield measured(networks[shifts], model, seed, "even", options)


def imbalance(network: Trained, model: str, seed: int) -> Iterator[Row]:
    """Unequal channels at scale 16, as they are and equalized, weights a tensor and a channel."""
    uneven = Trained.of(unbalance(network.model, seed), network.data)
    for channels, one in (("uneven", uneven), ("evened", uneven.equalized())):
        for weights in WEIGHTS:
            for mode in BIAS_MODES:
                options = Options(16, mode, weights=weights)
                yield measured(one, model, seed, channels, options)


def tflite_files(folder: Path) -> dict[Case, Path]:
    """Every training as a TFLite file, written anew by the model's make_tflite.py."""
    python = Environments(ROOT).python("tensorflow")
    files = {}
    for name in NAMES:
        script = MODELS / twin(name) / "make_tflite.py"
        for seed in SEEDS:
            files[twin(name), seed] = file = folder / f"{name}-{seed}.tflite"
            command = [python, script, MODELS / name / weights_file(seed), file]
            subprocess.run(command, check=True, capture_output=True)
    return files


def tell(rows: Sequence[Row]) -> None:
    """Tables of the means over the trainings."""
    for model in dict.fromkeys(row.model for row in rows):
        mine = [row for row in rows if row.model == model]
        floats = {row.seed: row.float_accuracy for row in mine}
        seeds = ", ".join(f"{found:.2f}" for found in floats.values())
        print(f"\n{model}: float {mean(floats.values()):.2f} % ({seeds})")
        even = [row for row in mine if row.channels == "even"]
        tell_sweep("accuracy, %", even, "accuracy")
        best = [row for row in even if (row.shifts, row.rounding) == WAYS[0]]
        tell_sweep("same class as float, %", best, "same")
        tell_imbalance([row for row in mine if row.channels != "even"])


def tell_sweep(title: str, rows: Sequence[Row], field: str) -> None:
    print(f"{title:<33}" + "".join(f"{scale:>7}" for scale in SCALES))
    for setting in dict.fromkeys(row.setting for row in rows):
        _, shifts, rounding, _, mode = setting
        cells = [
            mean(getattr(r, field) for r in rows if (r.setting, r.input_scale) == (setting, scale))
            for scale in SCALES
        ]
        told = "".join(f"{cell:7.1f}" for cell in cells)
        print(f"  {shifts:<12}{rounding:<13}{mode:<6}{told}")


def tell_imbalance(rows: Sequence[Row]) -> None:
    print("channels x 2^-3..2^3 at 16, %    accuracy   same class")
    for setting in dict.fromkeys(row.setting for row in rows):
        channels, _, _, weights, mode = setting
        name = {"uneven": "as they are", "evened": "equalized"}[channels]
        mine = [row for row in rows if row.setting == setting]
        accuracy, same = mean(r.accuracy for r in mine), mean(r.same for r in mine)
        print(f"  {name:<12}per {weights:<9}{mode:<6}{accuracy:11.1f}{same:13.1f}")


def write(rows: Sequence[Row], path: Path) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(field.name for field in fields(Row))
        writer.writerows(astuple(row) for row in rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--csv", type=Path, help="write every network's numbers here too")
    parser.add_argument("--no-tflite", action="store_true", help="leave out the TFLite sources")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        project, files = Path(place, "project"), Path(place, "tflite")
        project.mkdir()
        files.mkdir()
        cases: dict[Case, Path | None] = {}
        for name in NAMES:
            cases |= dict.fromkeys((name, seed) for seed in SEEDS)
        if not arguments.no_tflite:
            cases |= tflite_files(files)
        networks = export(project, cases)
    rows = []
    for (model, seed), network in networks.items():
        rows += [*sweep(network, model, seed), *imbalance(network, model, seed)]
    tell(rows)
    if arguments.csv:
        write(rows, arguments.csv)


if __name__ == "__main__":
    main()
