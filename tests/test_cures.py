"""A rewrite for what the plain build fails on, with the real SDK."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.diseases import Network
from tests.small_models import samples
from tests.workspace import Workspace

pytestmark = pytest.mark.toolchain


def pooled() -> bytes:
    """A convolution, and means over 15x15 pixels."""
    net = Network()
    x = net.op("Relu", net.conv("input", 3, 64, 3))
    x = net.op("AveragePool", x, kernel_shape=[15, 15], strides=[15, 15])
    net.classify(net.op("Relu", net.conv(x, 64, 64, 1)), 64, 10)
    return net.end(32, {"scores": (1, 10)})


def built(workspace: Workspace, model: str, path: str) -> Any:
    return json.loads(workspace.built(model, path).read_text())


def length(workspace: Workspace, model: str, target: str) -> int:
    return workspace.built(model, f"{target}/model.rknn").stat().st_size


def recipe(targets: Any, **changes: Any) -> dict[str, Any]:
    return {
        "source": {"onnx": "net.onnx"},
        "inputs": {"input": {"shape": [1, 3, 32, 32], "mean": [127] * 3, "std": [128] * 3}},
        "quantize": {"calibration": {"npy": "samples.npy", "samples": 4}},
        "analyze": {"samples": 1},
        "targets": {target: {} for target in targets},
        **changes,
    }


def test_a_pooling_that_the_npu_cannot_do_is_one_that_it_can(tmp_path: Path) -> None:
    """Plainly built, it is larger than a megabyte, and the SDK says REGTASK: no board runs it."""
    workspace = Workspace(tmp_path)
    files = {"net__onnx": pooled(), "samples__npy": samples(4, (3, 32, 32))}
    workspace.add("plain", recipe(["rk3588"]), **files)
    simplify = {"rewrite": ["split_average_pool"]}
    workspace.add("cured", recipe(["rk3588"], simplify=simplify), **files)
    ran = workspace.doit("--continue")
    assert ran.steps["plain:build@rk3588"] == "FAILED"
    assert "REGTASK: The bit width of field value exceeds the limit" in ran.err
    assert length(workspace, "cured", "rk3588") <= 60_000
    outputs = built(workspace, "cured", "rk3588/report/metrics.json")["outputs"]
    assert outputs["scores"]["cosine"]["worst"] > 0.98
