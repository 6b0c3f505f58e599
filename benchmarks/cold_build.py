"""Ten small models for two targets, built cold, against plain scripts of SDK calls.

    .venv/bin/python -m benchmarks.cold_build [--runs 3] [--models 10] [--cores 2]

Environments are ready and nothing is cached. npumake exports, simplifies, quantizes, builds and
analyses each model for both targets. The peer does what a user's script does: one process a model,
one after the other, in an environment as the vendor installs it (with the real torch): config,
load_onnx, build, export_rknn and accuracy_analysis for both targets. Prints the medians and their
ratio; the lengths of both sides' files may differ by 1 %, since npumake simplifies.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from pipelines.run.toolchain.toolchain import Environments

ROOT = Path(__file__).resolve().parent.parent
TARGETS = ("rk3588", "rk3566")
SHAPE = (1, 3, 32, 32)
PLAIN = """
import sys
from rknn.api import RKNN
for target in {targets}:
    rknn = RKNN(verbose=False)
    rknn.config(mean_values=[[127] * 3], std_values=[[128] * 3], target_platform=target)
    assert rknn.load_onnx("net.onnx") == 0
    assert rknn.build(do_quantization=True, dataset="dataset.txt") == 0
    assert rknn.export_rknn(target + ".rknn") == 0
    assert rknn.accuracy_analysis(inputs=["0.npy"], output_dir="snapshot-" + target) == 0
"""
RECIPE = """
model: {name}
source: {{onnx: net.onnx}}
inputs: {{input: {{shape: [1, 3, 32, 32], mean: [127, 127, 127], std: [128, 128, 128]}}}}
quantize: {{calibration: {{npy: [samples.npy], samples: 4}}}}
analyze: {{samples: 1}}
targets: {{rk3588: {{}}, rk3566: {{}}}}
"""


def write_model(path: Path, seed: int) -> None:
    """A plain convolution net: three Conv-Relu, global pooling, a classifier."""
    random = np.random.default_rng(seed)
    channels = (3, 16 + 8 * (seed % 3), 32, 64)
    nodes, weights, last = [], [], "input"
    for i, (c_in, c_out) in enumerate(pairwise(channels)):
        w = random.normal(0, (2 / (9 * c_in)) ** 0.5, (c_out, c_in, 3, 3)).astype(np.float32)
        weights.append(numpy_helper.from_array(w, f"w{i}"))
        nodes.append(helper.make_node("Conv", [last, f"w{i}"], [f"c{i}"], f"conv{i}", pads=[1] * 4))
        nodes.append(helper.make_node("Relu", [f"c{i}"], [f"r{i}"], f"relu{i}"))
        last = f"r{i}"
    nodes.append(helper.make_node("GlobalAveragePool", [last], ["pooled"], "pool"))
    nodes.append(helper.make_node("Flatten", ["pooled"], ["flat"], "flatten"))
    w = random.normal(0, 0.1, (channels[-1], 10)).astype(np.float32)
    weights.append(numpy_helper.from_array(w, "w_fc"))
    nodes.append(helper.make_node("Gemm", ["flat", "w_fc"], ["output"], "fc"))
    graph = helper.make_graph(
        nodes,
        f"net{seed}",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, SHAPE)],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, (1, 10))],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=8)
    onnx.save(model, path)


def write_models(project: Path, count: int) -> None:
    shutil.rmtree(project / "models", ignore_errors=True)
    for seed in range(count):
        folder = project / "models" / f"net{seed}"
        folder.mkdir(parents=True)
        write_model(folder / "net.onnx", seed)
        random = np.random.default_rng(seed)
        samples = random.integers(0, 256, (4, *SHAPE[1:])).astype(np.float32)
        np.save(folder / "samples.npy", samples)
        (folder / "recipe.yaml").write_text(RECIPE.format(name=folder.name))


def run_npumake(project: Path) -> float:
    for path in (*project.glob("models/*/build"), project / ".dvc" / "cache"):
        shutil.rmtree(path, ignore_errors=True)
    for path in project.glob("models/*/dvc.lock"):
        path.unlink()
    began = time.perf_counter()
    run([sys.executable, "-s", "dodo.py"], project, project / "npumake.log")
    return time.perf_counter() - began


def run_plain(project: Path, plain: Path, python: Path) -> float:
    shutil.rmtree(plain, ignore_errors=True)
    for model in sorted((project / "models").iterdir()):
        folder = plain / model.name
        folder.mkdir(parents=True)
        shutil.copy(model / "net.onnx", folder)
        for i, sample in enumerate(np.load(model / "samples.npy")):
            np.save(folder / f"{i}.npy", sample[None])
        (folder / "dataset.txt").write_text("".join(f"{i}.npy\n" for i in range(4)))
        (folder / "build.py").write_text(PLAIN.format(targets=TARGETS))
    began = time.perf_counter()
    for folder in sorted(plain.iterdir()):
        run([str(python), "build.py"], folder, folder / "log")
    return time.perf_counter() - began


def run(command: list[str], folder: Path, log: Path) -> None:
    with log.open("w") as file:
        done = subprocess.run(command, cwd=folder, stdout=file, stderr=file)
    if done.returncode != 0:
        sys.exit(f"{command} failed in {folder}:\n{log.read_text()[-2000:]}")


def require_same_lengths(project: Path, plain: Path) -> None:
    for ours in project.glob("models/*/build/*/model.rknn"):
        model, target = ours.parts[-4], ours.parts[-2]
        theirs = plain / model / f"{target}.rknn"
        lengths = ours.stat().st_size, theirs.stat().st_size
        if abs(lengths[0] / lengths[1] - 1) > 0.01:
            sys.exit(f"{ours} and {theirs} differ in length: {lengths}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--models", type=int, default=10)
    parser.add_argument("--cores", type=int, default=2)
    arguments = parser.parse_args()
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: arguments.cores])
    environments = Environments(ROOT)
    environments.make(["core", "rknn-2.5.0", "rknn-2.5.0-torch"])
    python = environments.python("rknn-2.5.0-torch")
    with tempfile.TemporaryDirectory() as folder:
        project, plain = Path(folder, "project"), Path(folder, "plain")
        shutil.copytree(ROOT, project, ignore=shutil.ignore_patterns(".*", "models", "tests"))
        (project / ".npumake").mkdir()
        (project / ".npumake" / "toolchains").symlink_to(ROOT / ".npumake" / "toolchains")
        write_models(project, arguments.models)
        ours, theirs = [], []
        for number in range(arguments.runs):
            ours.append(run_npumake(project))
            theirs.append(run_plain(project, plain, python))
            print(
                f"run {number + 1}: npumake {ours[-1]:.1f} s, plain {theirs[-1]:.1f} s", flush=True
            )
        require_same_lengths(project, plain)
    ratio = statistics.median(theirs) / statistics.median(ours)
    print(
        f"{arguments.models} models x {len(TARGETS)} targets on {arguments.cores} cores, "
        f"median of {arguments.runs}: npumake {statistics.median(ours):.1f} s, "
        f"plain scripts {statistics.median(theirs):.1f} s, {ratio:.2f}x"
    )


if __name__ == "__main__":
    main()
