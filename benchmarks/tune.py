"""`./doit tune` beside the SDK's auto_hybrid and proposal, on networks that int8 costs something.

    .venv/bin/python -m benchmarks.tune [ultraface mobilenet_v1 hard mobilenet224]

ultraface: of realworld, with its faces. mobilenet_v1: this repository's, with its labelled digits.
hard: made, one layer's channels apart by 2^6, boxes and scores in one Concat. mobilenet224: of
benchmarks.mobilenet, seeded weights, 4 pictures.

Every row was built and run in the SDK's simulator. error: of the worst output, the largest
difference from the float network by the output's range. *: no row has fewer cycles and less error.
"""

from __future__ import annotations

import argparse
import csv
import re
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from benchmarks.mobilenet import as_onnx, pictures
from tests.conftest import ROOT, real_models
from tests.graph_builder import Builder
from tests.workspace import Workspace

TARGETS: dict[str, Any] = {"rk3588": {}}
APART = 2.0**6
SIDE, CHANNELS = 96, 32


def ultraface(workspace: Workspace) -> None:
    source = real_models() / "ultraface"
    shape = {"shape": [1, 3, 240, 320], "mean": 127, "std": 128, "color": "rgb"}
    recipe = {
        "source": {"onnx": "net.onnx"},
        "inputs": {"input": {**shape, "resize": "stretch"}},
        "simplify": {"rewrite": ["fold_batch_norm", "concat_on_spatial_axis"]},
        "quantize": {"calibration": {"images": "data", "samples": 10}},
        "analyze": {"samples": 4},
        "targets": TARGETS,
    }
    workspace.add("ultraface", recipe, net__onnx=source / "rfb320.onnx", data=source / "faces")


def mobilenet_v1(workspace: Workspace) -> None:
    folder = workspace.root / "models" / "mobilenet_v1"
    left_out = shutil.ignore_patterns("build", "dvc.*", "__pycache__")
    shutil.copytree(ROOT / "models" / "mobilenet_v1", folder, ignore=left_out)


def mobilenet224(workspace: Workspace) -> None:
    folder = workspace.add("mobilenet224", from_samples("input", [1, 3, 224, 224]))
    onnx.save(as_onnx(), folder / "net.onnx")
    np.save(folder / "samples.npy", np.concatenate(list(pictures(4, 0))))


def hard(workspace: Workspace) -> None:
    folder = workspace.add("hard", from_samples("x", [1, 3, SIDE, SIDE]))
    onnx.save(hard_network(), folder / "net.onnx")
    random = np.random.default_rng(0)
    np.save(folder / "samples.npy", random.normal(0, 1, (8, 3, SIDE, SIDE)).astype(np.float32))


def hard_network() -> onnx.ModelProto:
    """Five convolutions with Relu; the third's channels are apart by APART, the fourth mends that.

    Then boxes in pixels and scores in 0..1, joined in one output.
    """
    n = Builder(0)
    x, channels = "x", 3
    factors = np.exp2(n.random.integers(0, 2, CHANNELS) * np.log2(APART)).astype(np.float32)
    for number in range(5):
        spread = (2 / (9 * channels)) ** 0.5
        weights = n.random.normal(0, spread, (CHANNELS, channels, 3, 3)).astype(np.float32)
        if number == 2:
            weights *= factors[:, None, None, None]
        if number == 3:
            weights /= factors[None, :, None, None]
        x = n.op("Relu", n.op("Conv", x, n.constant(weights), pads=[1] * 4))
        channels = CHANNELS
    heads = [n.constant(n.random.normal(0, 0.2, (4, CHANNELS, 1, 1))) for _ in range(2)]
    boxes = n.op("Mul", n.op("Conv", x, heads[0]), n.constant([200.0]))
    scores = n.op("Sigmoid", n.op("Conv", x, heads[1]))
    y = n.op("Concat", boxes, scores, axis=1)
    return n.model({"x": [1, 3, SIDE, SIDE]}, [y], opset=15)


def from_samples(name: str, shape: list[int]) -> dict[str, Any]:
    return {
        "source": {"onnx": "net.onnx"},
        "inputs": {name: {"shape": shape}},
        "quantize": {"calibration": {"npy": "samples.npy"}},
        "analyze": {"samples": 4},
        "targets": TARGETS,
    }


NETWORKS: dict[str, Callable[[Workspace], None]] = {
    "ultraface": ultraface, "mobilenet_v1": mobilenet_v1, "hard": hard,
    "mobilenet224": mobilenet224,
}  # fmt: skip


def compare(workspace: Workspace, name: str) -> None:
    NETWORKS[name](workspace)
    ran = workspace.doit("tune", f"{name}@rk3588", timeout_s=3600)
    if ran.code != 0:
        sys.exit(f"{ran.out}\n{ran.err}")
    folder = workspace.built(name, "trials")
    for one in csv.DictReader((folder / "tune-rk3588.csv").open()):
        mark = "*" if one["is_front"] == "1" else ""
        accuracy = f"{float(one['accuracy']):.2%}" if one["accuracy"] else ""
        told = one["failure"] or (
            f"{int(one['bytes']):,} | {int(one['cycles']):,} | {float(one['output_error']):.3%} | "
            f"{float(one['output_cosine']):.6f} | {accuracy} | {one['float_layers']}"
        )
        print(f"| {name} | {one['name']} | {told} | {mark} |", flush=True)
    logs = workspace.root.glob(f".npumake/logs/{name}-trial-tune*/*.log")
    searched = [found for log in logs for found in re.findall(r"\d+ sets in .*", log.read_text())]
    print(f"{name}: {searched[-1]}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("networks", nargs="*", default=list(NETWORKS))
    asked = parser.parse_args().networks
    print(
        "| network | layers in float16 | bytes | cycles | error | cosine | accuracy | float | * |"
    )
    print("|---|---|--:|--:|--:|--:|--:|--:|---|")
    with tempfile.TemporaryDirectory() as folder:
        workspace = Workspace(Path(folder))
        for name in asked:
            compare(workspace, name)


if __name__ == "__main__":
    main()
