"""Real models that this project did not make; skipped where their folder is absent."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.small_models import samples
from tests.vacuous import some
from tests.workspace import Workspace

pytestmark = pytest.mark.toolchain

ULTRAFACE = {
    "source": {"onnx": "rfb320.onnx"},
    "inputs": {
        "input": {
            "shape": [1, 3, 240, 320],
            "mean": [127] * 3,
            "std": [128] * 3,
            "color": "rgb",
            "resize": "stretch",
        }
    },
    "quantize": {"calibration": {"images": "faces", "samples": 20}},
    "analyze": {"samples": 2},
    "targets": {
        "rk3588": {},
        "rk3566": {},
        "rk3588-old": {"platform": "rk3588", "toolchain": "rknn-2.3.2"},
    },
}


def test_ultraface(realworld: Path, tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    folder = realworld / "ultraface"
    workspace.add(
        "ultraface", ULTRAFACE, rfb320__onnx=folder / "rfb320.onnx", faces=folder / "faces"
    )
    ran = workspace.doit()
    assert ran.code == 0, ran.err
    artifact = workspace.built("ultraface", "rk3588/model.rknn")
    assert artifact.stat().st_size == 40_189_618
    for target in ULTRAFACE["targets"]:  # type: ignore[attr-defined]
        build = json.loads(workspace.built("ultraface", f"{target}/build.json").read_text())
        report = workspace.built("ultraface", f"{target}/report/layers.json")
        layers = json.loads(report.read_text())["layers"]
        assert len(build["layers"]) > 50
        assert {row["id"] for row in build["layers"]} <= {row["id"] for row in layers}
    assert workspace.doit().steps == {}
    recipe = workspace.root / "models/ultraface/recipe.yaml"
    recipe.write_text(recipe.read_text() + "gates: {max_size_ratio: 2, max_cpu_layers: 3}\n")
    gated = workspace.doit("ultraface@rk3588")
    assert (gated.code, gated.steps) == (1, {})
    assert "31.63, above max_size_ratio 2\n  `Concat_142`, `Concat_143`: 39.2 MB of" in gated.err
    assert "layers on the CPU: 11, above max_cpu_layers 3\n" in gated.err
    picture = sorted((folder / "faces").iterdir())[0]
    shown = workspace.doit("infer", "ultraface@rk3588", str(picture))
    assert "scores" in shown.out, shown.err
    assert "boxes" in shown.out


@pytest.mark.parametrize(
    ("file", "name", "side"),
    [("vww_96_float.tflite", "input_1", 96), ("pretrainedResnet.tflite", "input_1", 32)],
)
def test_tflite(realworld: Path, tmp_path: Path, file: str, name: str, side: int) -> None:
    workspace = Workspace(tmp_path)
    given = {
        "source": {"tflite": "net.tflite"},
        "quantize": {"calibration": {"npy": "samples.npy"}},
        "analyze": {"samples": 2},
        "targets": {"rk3588": {}},
    }
    net = realworld / "mlperf_tiny" / file
    pixels = samples(4, (3, side, side))
    workspace.add("converted", given, net__tflite=net, samples__npy=pixels)
    shape = [1, side, side, 3]
    direct = {
        **given,
        "inputs": {name: {"shape": shape, "mean": [0] * 3, "std": [255] * 3}},
        "rknn": {"load": "direct"},
        "targets": {"rk3588": {"toolchain": "rknn-2.5.0-tensorflow"}},
    }
    workspace.add("direct", direct, net__tflite=net, samples__npy=samples(4, shape[1:]))
    ran = workspace.doit()
    assert ran.code == 0, ran.err
    for model in ("converted", "direct"):
        assert workspace.built(model, "rk3588/model.rknn").stat().st_size > 50_000
        metrics = workspace.built(model, "rk3588/report/metrics.json")
        outputs = json.loads(metrics.read_text())["outputs"]
        assert all(output["finite"] for output in some(outputs.values()))
    assert not workspace.built("direct", "simplify").exists()
