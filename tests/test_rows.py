"""The table of a run: 80 columns, a row a sweep, baselines named."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipelines.building.builder import Outcome
from pipelines.building.done import Done
from pipelines.building.project import Project
from pipelines.files import terminal
from pipelines.report import rows
from pipelines.report.rows import Run
from quant.report import target_metrics
from quant.report.target_metrics import Metrics

BIASES = {"B8": 0.97, "B16": 0.99}
RECIPE: dict[str, Any] = {
    "source": {"onnx": "net.onnx"},
    "quantize": {"calibration": {"npy": "x.npy"}},
    "targets": {
        "int8": {"backend": "fixed_point", "input_scale": 8, "bias_mode": list(BIASES)},
        "plain": {"backend": "fixed_point", "input_scale": 8, "baseline": True},
    },
}


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Two models whose reports are there, one with a long name."""
    for model in ("m", "a_model_whose_name_is_long"):
        folder = tmp_path / "models" / model
        folder.mkdir(parents=True)
        (folder / "net.onnx").write_bytes(b"")
        (folder / "x.npy").write_bytes(b"")
        (folder / "recipe.yaml").write_text(yaml.safe_dump({"model": model, **RECIPE}))
        for bias, cosine in BIASES.items():
            report(folder / f"build/int8-{bias.lower()}", model, cosine)
        report(folder / "build/plain", model, 0.5)
    return Project(tmp_path)


def report(folder: Path, model: str, cosine: float) -> None:
    (folder / "report").mkdir(parents=True)
    (folder / f"{model}_quant.onnx").write_bytes(b"")
    size = int(cosine * 1000)
    metrics = Metrics(
        samples=3,
        worst_cosine=cosine,
        worst_layer="fc",
        worst_single_cosine=cosine,
        worst_single_layer="fc",
        mean_cosine=cosine,
        outputs={},
        worst_output_cosine=0.999,
        worst_cosine_output="y",
        worst_output_error=1 - cosine,
        worst_error_output="y",
        layers=3,
        float_layers=0,
        compared_values=100,
        sizes={"onnx": 2000, "artifact": size, "tflite": size},
        size_ratio=size / 2000,
    )
    (folder / "report/metrics.json").write_text(target_metrics.to_json(metrics))


def lines(project: Project, pattern: str) -> list[str]:
    """The table where the steps that match were up to date."""
    steps = [name for name in project.plan.steps if re.match(pattern, name)]
    run = Run(steps, dict.fromkeys(steps, Done(Outcome.UP_TO_DATE, (), 0.0)))
    return rows.lines(rows.tell(project, run))


def test_a_sweep_is_one_row_and_a_baseline_is_called_so(project: Project) -> None:
    assert lines(project, "m:") == [
        "model@target  steps    onnx  artifact  ratio  output   layer  cpu  float   time",
        "m@int8 (2)    0/0/7  2.0 KB     990 B   0.49    3.0%  0.9700           0  0.0 s",
        "m@plain       0/0/5  2.0 KB     500 B   0.25   50.0%  0.5000           0  0.0 s",
        "(N): a sweep of N targets, its largest artifact and worst figures; ./doit table",
        "bad on purpose, for comparison: m@plain",
        "steps: run/restored/up to date; output: error; layer: cosine; cpu, float: layers",
    ]


def test_one_target_of_a_sweep_has_a_row_of_its_own(project: Project) -> None:
    told = lines(project, "m:.*@int8-b16")
    assert told[1].split()[:4] == ["m@int8-b16", "0/0/2", "2.0", "KB"]


def test_a_sweep_that_is_built_in_part_says_so(project: Project) -> None:
    (project.root / "models/m/build/int8-b8/report/metrics.json").unlink()
    told = lines(project, "m:.*@int8-")
    assert told[1].startswith("m@int8 (1 built) ")


def test_the_table_fits_80_columns(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terminal, "data_width", lambda: 80)
    assert max(map(len, lines(project, ""))) <= 80


def test_in_a_file_a_row_is_one_line_and_notes_are_wrapped(project: Project) -> None:
    told = lines(project, "")
    assert len([line for line in told if line.split()[-1] == "s"]) == 4
    assert all(len(line) <= 80 for line in told if not line.endswith((" s", "time")))
