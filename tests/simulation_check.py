"""Our simulation beside the SDK's own, on random networks; runs in an rknn toolchain.

    PYTHON -m tests.simulation_check --first 1 --count 300 [--platform rk3588 ...] [--off-grid]

For each network: step 1 and 2, the SDK's outputs for two samples, and every tensor of the first, as
its accuracy analysis holds it, float and quantized. Prints a line of JSON for each. --off-grid: and
a last one, what stands on no int8 grid, by operator: elements, how many differ, and by how much at
most.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from quant.simulation import step1
from quant.simulation.network import Layers, Network
from quant.simulation.unknown import Unknown
from tests.simulation_graphs import SIDE, network

SAMPLES = 3
PLATFORMS = ("rk3588", "rk3566", "rk3576")
Array = np.ndarray[Any, Any]


def samples(seed: int) -> list[Array]:
    random = np.random.default_rng([seed, 1])
    return [random.normal(0, 1, (1, 3, SIDE, SIDE)).astype(np.float32) for _ in range(SAMPLES)]


def check(seed: int, platform: str, algorithm: str) -> dict[str, Any]:
    """Runs in the current folder. Counts of elements, and of those that differ."""
    from pipelines.backends.rknn.sdk.api import Sdk

    arrays = samples(seed)
    for number, array in enumerate(arrays):
        np.save(f"{number}.npy", array)
    Path("dataset.txt").write_text("".join(f"{number}.npy\n" for number in range(SAMPLES)))
    onnx.save(network(seed), "net.onnx")
    options = {"target_platform": platform, "quantized_algorithm": algorithm}
    sdk = Sdk(verbose=False)
    sdk.config(**options)
    sdk.load_onnx("net.onnx")
    sdk.hybrid_step1("dataset.txt")
    found = {"seed": seed, "platform": platform, "algorithm": algorithm}
    names = ("net.model", "net.data", "net.quantization.cfg")
    sdk = Sdk(verbose=False)
    sdk.hybrid_step2(*names)
    sdk.start_simulator()
    try:
        written = step1.read(Path(names[0]), Path(names[2]), options)
        run, layers = Network(written), Layers(written)
    except Unknown as reason:
        return {**found, "unknown": str(reason)}
    outputs = [(run({"x": array}), sdk.infer([array], ["nchw"])) for array in arrays[:2]]
    sdk.accuracy_analysis(["0.npy"], Path("snapshot"))
    return {
        **found,
        "outputs": sum(differing(list(ours.values()), theirs) for ours, theirs in outputs),
        **tensors(layers, arrays[0]),
    }


def differing(ours: list[Array], theirs: list[Array]) -> int:
    return sum(
        int(np.count_nonzero(one.ravel() != other.ravel()))
        for one, other in zip(ours, theirs, strict=True)
    )


def tensors(layers: Layers, array: Array) -> dict[str, Any]:
    """Every tensor of the graph against the SDK's two snapshots of it."""
    counts: dict[str, Any] = {"elements": 0, "float": 0, "quantized": 0, "where": []}
    off_grid: OffGrid = {}
    for layer in layers({"x": array}):
        kinds: Mapping[str, tuple[str, Array | None]] = {
            "float": ("golden", layer.float),
            "quantized": ("simulator", layer.entire),
        }
        for kind, (folder, ours) in kinds.items():
            file = Path("snapshot") / folder / "npy" / f"{layer.tensor}.npy"
            if ours is None or not file.is_file():
                continue
            counts["elements"] += ours.size  # of both kinds, those that the SDK wrote
            theirs = np.load(file)
            apart = int(np.count_nonzero(ours != theirs))
            if kind == "quantized" and not layers.is_int8(layer.tensor):
                largest = float(np.abs(ours.astype(np.float64) - theirs).max(initial=0))
                add(off_grid, {layer.op_type: (ours.size, apart, largest)})
            counts[kind] += apart
            if apart:
                counts["where"].append(f"{layer.op_type} {layer.tensor} {kind} {apart}")
    return {**counts, "off_grid": off_grid}


OffGrid = dict[str, tuple[int, int, float]]  # operator -> elements, those that differ, largest


def add(found: OffGrid, more: Mapping[str, Sequence[Any]]) -> None:
    for name, (elements, differ, largest) in more.items():
        old = found.get(name, (0, 0, 0.0))
        found[name] = (old[0] + elements, old[1] + differ, max(old[2], largest))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--platform", nargs="*", default=PLATFORMS)
    parser.add_argument("--off-grid", action="store_true")
    asked = parser.parse_args()
    printed = os.fdopen(os.dup(1), "w")
    os.dup2(os.open("sdk.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND), 1)
    os.dup2(1, 2)
    off_grid: OffGrid = {}
    for seed in range(asked.first, asked.first + asked.count):
        platform = asked.platform[seed % len(asked.platform)]
        algorithm = "kl_divergence" if seed // len(asked.platform) % 3 == 2 else "normal"
        with tempfile.TemporaryDirectory(dir="/tmp") as folder:
            os.chdir(folder)
            try:
                found = check(seed, platform, algorithm)
            except Exception as error:
                found = {"seed": seed, "platform": platform, "failed": str(error)[:300]}
            os.chdir("/")
        print(json.dumps(found), file=printed, flush=True)
        add(off_grid, found.get("off_grid", {}))
    if asked.off_grid:
        print(json.dumps({"off_grid": dict(sorted(off_grid.items()))}), file=printed)


if __name__ == "__main__":
    main()
