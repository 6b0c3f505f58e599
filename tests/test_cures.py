"""Rewrites with the real SDK: of what it cannot build, and of channels that never say anything."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import helper

from tests.diseases import Network
from tests.small_models import model_bytes, samples
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


def dead_channels() -> bytes:
    """Of 256 channels between two convolutions 192 are 0."""
    random = np.random.default_rng(0)
    weights = {
        "w": random.normal(0, 0.3, (256, 32, 3, 3)).astype(np.float32),
        "v": random.normal(0, 0.3, (32, 256, 1, 1)).astype(np.float32),
    }
    weights["w"][64:] = 0
    nodes = [
        helper.make_node("Conv", ["input", "w"], ["c"], "first", pads=[1] * 4),
        helper.make_node("Relu", ["c"], ["r"], "relu"),
        helper.make_node("Conv", ["r", "v"], ["y"], "second"),
    ]
    return model_bytes(nodes, weights, {"input": (1, 32, 16, 16)}, {"y": (1, 32, 16, 16)})


def test_dead_channels_take_no_bytes_by_our_rule_and_by_the_sdk_s(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    files = {"net__onnx": dead_channels(), "samples__npy": samples(4, (32, 16, 16))}
    given = recipe(["rk3588"], inputs={"input": {"shape": [1, 32, 16, 16]}})
    workspace.add("m", given, **files)
    ran = workspace.doit("doctor", "m", "--without", "compress_weight")
    assert ran.code == 0, ran.err
    told = re.findall(r"(\S+)\s+KB(?:\s+\S+){4}\s+(?:yes|same)\s+(\S+)", ran.out)
    sizes = {remedy: float(size) for size, remedy in told}
    assert sizes.pop("as") > 100
    assert sizes["model_pruning"] < 50
    assert sizes["drop_dead_channels"] < 50
    assert re.search(r"^best: 33\.\d\sKB instead of 11\d\sKB", ran.out, re.M)
    assert "[fold_batch_norm, drop_dead_channels]" in ran.out
