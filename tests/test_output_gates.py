"""Gates on the end-to-end outputs, and a failure without any gate where they are not finite."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipelines.backends.recipes import load
from pipelines.backends.rknn.runtime.check import VERDICTS
from pipelines.recipe.define.model import Gates, Target
from pipelines.report import gates
from pipelines.report.summary import Outputs, Summary

RECIPE = """\
model: tiny
source: {onnx: m.onnx}
quantize: {calibration: {npy: x.npy}}
targets: {rk3588: {}}
gates: {min_output_cosine: 0.99, max_output_error: 0.05}
"""


@pytest.fixture
def target(tmp_path: Path) -> Target:
    folder = tmp_path / "models" / "tiny"
    folder.mkdir(parents=True)
    (folder / "m.onnx").write_bytes(b"")
    (folder / "x.npy").write_bytes(b"")
    (folder / "recipe.yaml").write_text(RECIPE)
    return load(folder / "recipe.yaml", tmp_path).targets["rk3588"]


def said(target: Target, outputs: Outputs) -> list[tuple[str, str]]:
    found = Summary(10, 10, 0.9999, "conv", 0, 0, None, None, 1.0, outputs, {})
    return list(gates._judge(target, found))


GOOD = Outputs(0.995, "y", 0.04, "z", (), None)
CASES = {
    "held": (GOOD, []),
    "cosine": (
        Outputs(0.51, "y", 0.04, "z", (), None),
        [("min_output_cosine", "output y has 0.51, below min_output_cosine 0.99")],
    ),
    "error": (
        Outputs(0.9999, "y", 0.6667, "z", (), None),
        [
            (
                "max_output_error",
                "output z is off by 0.6667 of its range, above max_output_error 0.05",
            )
        ],
    ),
    "single numbers have no cosine": (Outputs(None, None, 0.04, "z", (), None), []),
    "no output was compared": (
        Outputs(None, None, None, None, (), None),
        [(name, gates._UNCOMPARED) for name in ("min_output_cosine", "max_output_error")],
    ),
    "nothing to say of an error": (
        Outputs(0.999, "y", None, "z", (), None),
        [
            (
                "max_output_error",
                "output z is off by nothing measured of its range, above max_output_error 0.05",
            )
        ],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_outputs_are_judged(name: str, target: Target) -> None:
    outputs, expected = CASES[name]
    assert said(target, outputs) == expected


def test_nan_fails_without_a_gate_and_names_the_first_large_tensor(target: Target) -> None:
    outputs = Outputs(None, "y", None, "y", ("y",), ("conv3", 91234.5))
    (gate, message), *_ = said(target, outputs)
    assert gate == "finite"
    assert message == (
        "NaN or infinities in the output `y`\n  float16 holds 65,504: the first tensor beyond it "
        "is `conv3`, 91,234; keep that layer and the ones after it in int8, or scale it down"
    )


LIMITS: dict[str, tuple[float, dict[str, Any], dict[str, Any]]] = {
    "min_cosine": (0.9, {"worst_cosine": 0.9}, {"worst_cosine": 0.8999}),
    "min_accuracy": (0.75, {"accuracy": 0.75}, {"accuracy": 0.7499}),
    "max_size_ratio": (1.5, {"size_ratio": 1.5}, {"size_ratio": 1.5001}),
    "max_cpu_layers": (2, {"cpu_layers": 2}, {"cpu_layers": 3}),
    "max_float_layers": (0, {"float_layers": 0}, {"float_layers": 1}),
}


@pytest.mark.parametrize("name", LIMITS)
def test_what_is_at_a_limit_holds_and_the_next_does_not(name: str, target: Target) -> None:
    limit, held, beyond = LIMITS[name]
    chosen: dict[str, Any] = {name: limit}
    judged = replace(target, gates=Gates(**chosen))
    good = Summary(10, 10, 0.9999, "conv", 0, 0, 1.0, 1.0, 1.0, GOOD, {})
    assert list(gates._judge(judged, replace(good, **held))) == []
    (found,) = gates._judge(judged, replace(good, **beyond))
    assert found[0] == name


def test_outputs_at_a_limit_hold(target: Target) -> None:
    assert said(target, Outputs(0.99, "y", 0.05, "z", (), None)) == []
    ((gate, _),) = said(target, Outputs(0.9899, "y", 0.05, "z", (), None))
    assert gate == "min_output_cosine"
    ((gate, _),) = said(target, Outputs(0.99, "y", 0.0501, "z", (), None))
    assert gate == "max_output_error"


@pytest.mark.parametrize("least", VERDICTS)
@pytest.mark.parametrize("verdict", VERDICTS)
def test_the_runtimes_verdict_is_judged(
    verdict: str, least: str, target: Target, tmp_path: Path
) -> None:
    report = tmp_path / "runtime.json"
    told = {"verdict": verdict, "because": "", "runtime": {"name": "librknnrt", "version": "2.3.2"}}
    report.write_text(json.dumps(told))
    found = list(gates._judge_runtime(replace(target, gates=Gates(runtime=least)), report))
    is_held = VERDICTS.index(verdict) >= VERDICTS.index(least)
    message = f"librknnrt 2.3.2: {verdict}, below the gate `{least}`"
    assert found == ([] if is_held else [("runtime", message)])


METRICS = """\
model: tiny
source: {onnx: m.onnx}
quantize: {calibration: {npy: x.npy}}
evaluate: {inputs: x.npy, labels: x.npy, metric: "m.py:f"}
targets: {rk3588: {}}
gates: {min_metrics: {map50: 0.4}, max_metrics: {mae: 2.5}}
"""


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ({"map50": 0.4, "mae": 2.5}, []),
        (
            {"map50": 0.399, "mae": 2.6},
            [
                ("min_metrics", "map50 in the simulator is 0.399, below min_metrics 0.4"),
                ("max_metrics", "mae in the simulator is 2.6, above max_metrics 2.5"),
            ],
        ),
        (
            {"mae": 1},
            [("min_metrics", "`map50` is not measured; the recipe's function gives `mae`")],
        ),
    ],
)
def test_the_recipes_own_metric_is_judged(
    found: dict[str, float], expected: list[tuple[str, str]], tmp_path: Path
) -> None:
    folder = tmp_path / "models" / "tiny"
    folder.mkdir(parents=True)
    for name in ("m.onnx", "x.npy"):
        (folder / name).write_bytes(b"")
    (folder / "m.py").write_text("def f(outputs, labels): return 0\n")
    (folder / "recipe.yaml").write_text(METRICS)
    judged = load(folder / "recipe.yaml", tmp_path).targets["rk3588"]
    measured = {name: {"float": 1.0, "simulator": value} for name, value in found.items()}
    told = Summary(10, 10, 0.9999, "conv", 0, 0, None, None, 1.0, GOOD, measured)
    assert list(gates._judge(judged, told)) == expected


def test_metrics_without_a_function_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "models" / "tiny"
    folder.mkdir(parents=True)
    for name in ("m.onnx", "x.npy"):
        (folder / name).write_bytes(b"")
    (folder / "recipe.yaml").write_text(METRICS.replace(', metric: "m.py:f"', ""))
    with pytest.raises(Exception) as refused:
        load(folder / "recipe.yaml", tmp_path)
    told = str(refused.value)
    assert "recipe.yaml:6:9: `min_metrics` needs numbers of a function of one's own" in told
    assert "recipe.yaml:6:36: `max_metrics` needs numbers" in told
