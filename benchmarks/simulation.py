"""Our simulation of the SDK's int8 arithmetic beside the SDK's accuracy_analysis.

    .venv/bin/python -m benchmarks.simulation layers [resnet50 mobilenet]
    .venv/bin/python -m benchmarks.simulation stages [--runs 1]

layers: CPU seconds in one process. The SDK's accuracy_analysis of one sample, as it is called by a
user's script; then ours: preparing once, and *entire* and *single* of all layers with their cosines
for each of four samples, and how many values of the outputs are not those of the SDK's inference.

stages: ResNet50-224 with 50 pictures and 4 samples analysed, from nothing. npumake's five stages
against a plain script: config, load_onnx, build, export_rknn, and accuracy_analysis once a sample.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.mobilenet import pictures

ROOT = Path(__file__).resolve().parent.parent
INSIDE = "NPUMAKE_BENCHMARK"  # set in the toolchain's process
SAMPLES, CALIBRATED = 4, 50
NETWORKS = ("resnet50", "mobilenet")
PLAIN = """
from rknn.api import RKNN
rknn = RKNN(verbose=False)
rknn.config(target_platform="rk3588")
assert rknn.load_onnx("net.onnx") == 0
assert rknn.build(do_quantization=True, dataset="dataset.txt") == 0
assert rknn.export_rknn("net.rknn") == 0
for number in range(4):
    assert rknn.accuracy_analysis(inputs=[f"{number}.npy"], output_dir="snapshot") == 0
"""
RECIPE = """
model: net
source: {onnx: net.onnx}
inputs: {input: {shape: [1, 3, 224, 224]}}
quantize: {calibration: {npy: samples.npy}}
analyze: {samples: 4}
targets: {rk3588: {}}
"""


def model(name: str) -> Any:
    if name == "mobilenet":
        from benchmarks.mobilenet import as_onnx
    else:
        from benchmarks.resnet import as_onnx
    return as_onnx()


def cpu() -> float:
    """Seconds of this process and its children, user and system."""
    kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    used = [resource.getrusage(kind) for kind in kinds]
    return sum(one.ru_utime + one.ru_stime for one in used)


def layers(name: str) -> dict[str, Any]:
    """Runs in the toolchain, in the current folder."""
    import onnx
    from rknn.api import RKNN

    from quant.simulation import step1
    from quant.simulation.distance import distances
    from quant.simulation.network import Layers

    onnx.save(model(name), "net.onnx")
    samples = list(pictures(SAMPLES, 0))
    for number, array in enumerate(samples):
        np.save(f"{number}.npy", array)
    Path("dataset.txt").write_text("".join(f"{number}.npy\n" for number in range(SAMPLES)))
    options = {"target_platform": "rk3588"}
    rknn = RKNN(verbose=False)
    rknn.config(**options)
    rknn.load_onnx("net.onnx")
    rknn.hybrid_quantization_step1(dataset="dataset.txt")
    names = ("net.model", "net.data", "net.quantization.cfg")
    rknn = RKNN(verbose=False)
    rknn.hybrid_quantization_step2(*names)
    began = cpu()
    rknn.accuracy_analysis(inputs=["0.npy"], output_dir="snapshot")
    vendor = cpu() - began
    rknn.init_runtime()
    theirs = [rknn.inference(inputs=[array], data_format=["nchw"])[0] for array in samples]

    began = cpu()
    run = Layers(step1.read(Path(names[0]), Path(names[2]), options))
    prepared = cpu() - began
    (output,) = run.graph.outputs
    each, peaks, elements, differing = [], [], 0, 0
    for array, expected in zip(samples, theirs, strict=True):
        began = cpu()
        for layer in run({"input": array}):
            elements += layer.float.size
            if layer.entire is not None and layer.single is not None:
                distances(layer.float, layer.entire, layer.single)
            if layer.tensor == output and layer.entire is not None:
                differing += int(np.count_nonzero(layer.entire.ravel() != expected.ravel()))
        each.append(cpu() - began)
        peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
    return {
        "differing": differing,
        "network": name,
        "elements": elements // SAMPLES,
        "sdk": vendor,
        "prepared": prepared,
        "each": each,
        "peaks": peaks,
    }


def compare_layers(names: list[str]) -> None:
    python = toolchain("rknn-2.5.0")
    paths = [str(ROOT), str(ROOT / "pipelines/backends/rknn/torch_stand_in")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), INSIDE: "1"}
    print(
        "network | SDK, a sample | prepared once | first | each further | ratio | of 4 | MB "
        "| differ"
    )
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            command = [str(python), "-m", "benchmarks.simulation", "layers", name]
            with Path(folder, "log").open("w") as log:
                done = subprocess.run(
                    command, cwd=folder, env=environment, stdout=log, stderr=log, check=False
                )
            if done.returncode != 0:
                sys.exit(Path(folder, "log").read_text()[-2000:])
            found = json.loads(Path(folder, "found.json").read_text())
        first, *rest = found["each"]
        further = statistics.median(rest)
        whole = found["sdk"] * SAMPLES / (found["prepared"] + sum(found["each"]))
        print(
            f"{name} | {found['sdk']:.2f} | {found['prepared']:.2f} | {first:.2f} | "
            f"{further:.3f} | {found['sdk'] / further:.1f} | {whole:.1f} | {found['peaks']} | "
            f"{found['differing']}",
            flush=True,
        )


def toolchain(name: str) -> Path:
    from pipelines.run.toolchain.toolchain import Environments

    environments = Environments(ROOT)
    environments.make(["core", name])
    return environments.python(name)


def compare_stages(runs: int) -> None:
    import onnx

    python = toolchain("rknn-2.5.0-torch")
    toolchain("rknn-2.5.0")
    with tempfile.TemporaryDirectory() as folder:
        project, plain = Path(folder, "project"), Path(folder, "plain")
        shutil.copytree(ROOT, project, ignore=shutil.ignore_patterns(".*", "models", "tests"))
        (project / ".npumake").mkdir()
        (project / ".npumake" / "toolchains").symlink_to(ROOT / ".npumake" / "toolchains")
        net = project / "models" / "net"
        net.mkdir(parents=True)
        onnx.save(model("resnet50"), net / "net.onnx")
        np.save(net / "samples.npy", np.concatenate(list(pictures(CALIBRATED, 0))))
        (net / "recipe.yaml").write_text(RECIPE)
        ours, theirs = [], []
        for _ in range(runs):
            for path in (net / "build", project / ".dvc" / "cache"):
                shutil.rmtree(path, ignore_errors=True)
            (net / "dvc.lock").unlink(missing_ok=True)
            ours.append(timed([sys.executable, "-s", "dodo.py"], project))
            theirs.append(timed_plain(net, plain, python))
            print(f"npumake {ours[-1]}, plain {theirs[-1]} (wall, CPU)", flush=True)
        by = json.loads((net / "build/rk3588/report/metrics.json").read_text())["simulation"]
    wall, used = (
        statistics.median(one[k] for one in ours) / statistics.median(one[k] for one in theirs)
        for k in (0, 1)
    )
    print(f"npumake takes {wall:.2f} of the plain script's wall time, {used:.2f} of its CPU; {by}")


def timed(command: list[str], folder: Path) -> tuple[float, float]:
    """Wall and CPU seconds."""
    began, used = time.perf_counter(), cpu()
    with (folder / "log").open("w") as log:
        done = subprocess.run(command, cwd=folder, stdout=log, stderr=log)
    if done.returncode != 0:
        sys.exit((folder / "log").read_text()[-2000:])
    return round(time.perf_counter() - began, 1), round(cpu() - used, 1)


def timed_plain(net: Path, plain: Path, python: Path) -> tuple[float, float]:
    shutil.rmtree(plain, ignore_errors=True)
    plain.mkdir()
    shutil.copy(net / "net.onnx", plain)
    for number, sample in enumerate(np.load(net / "samples.npy")):
        np.save(plain / f"{number}.npy", sample[None])
    (plain / "dataset.txt").write_text("".join(f"{n}.npy\n" for n in range(CALIBRATED)))
    (plain / "build.py").write_text(PLAIN)
    return timed([str(python), "build.py"], plain)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("layers", "stages"))
    parser.add_argument("networks", nargs="*", default=list(NETWORKS))
    parser.add_argument("--runs", type=int, default=1)
    asked = parser.parse_args()
    if INSIDE in os.environ:
        Path("found.json").write_text(json.dumps(layers(asked.networks[0])))
    elif asked.what == "layers":
        compare_layers(asked.networks)
    else:
        compare_stages(asked.runs)


if __name__ == "__main__":
    main()
