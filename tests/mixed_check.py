"""Networks with some layers in float16 beside the SDK's simulator; runs in an rknn toolchain.

    PYTHON -m tests.mixed_check --first 1 --count 40

For each of tests.simulation_graphs: no, one and several random layers in float16, two samples.
Prints a line of JSON for each: how many layers, and how many elements of the outputs differ.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from quant.simulation import step1
from quant.simulation.mixed import Mixed
from tests.simulation_check import PLATFORMS, SAMPLES, differing, samples
from tests.simulation_graphs import network

NAMES = ("net.model", "net.data", "net.quantization.cfg")


def check(seed: int, platform: str) -> Iterator[dict[str, Any]]:
    """Runs in the current folder."""
    from pipelines.backends.rknn.sdk import hybrid
    from pipelines.backends.rknn.sdk.api import Sdk

    arrays = samples(seed)
    for number, array in enumerate(arrays):
        np.save(f"{number}.npy", array)
    Path("dataset.txt").write_text("".join(f"{number}.npy\n" for number in range(SAMPLES)))
    onnx.save(network(seed), "net.onnx")
    options = {"target_platform": platform}
    sdk = Sdk(verbose=False)
    sdk.config(**options)
    sdk.load_onnx("net.onnx")
    sdk.hybrid_step1("dataset.txt")
    config = Path(NAMES[2])
    untouched = config.read_text()
    mixed = Mixed(step1.read(Path(NAMES[0]), config, options))
    able = [place for place, layer in enumerate(mixed.layers) if layer.can_be_half]
    random = np.random.default_rng(seed)
    for count in (0, 1, len(able) // 3 + 1):
        chosen = random.choice(able, min(count, len(able)), replace=False).tolist()
        named = {name: "float16" for place in chosen for name in mixed.layers[place].tensors}
        config.write_text(hybrid.set_layers(untouched, named))
        sdk = Sdk(verbose=False)
        sdk.hybrid_step2(*NAMES)
        sdk.start_simulator()
        pairs = [
            (list(mixed(number, {"x": array}, chosen).values()), sdk.infer([array], ["nchw"]))
            for number, array in enumerate(arrays[:2])
        ]
        yield {
            "seed": seed,
            "platform": platform,
            "half": len(chosen),
            "of": len(able),
            "elements": sum(array.size for ours, _ in pairs for array in ours),
            "differ": sum(differing(ours, theirs) for ours, theirs in pairs),
        }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--count", type=int, default=40)
    asked = parser.parse_args()
    printed = os.fdopen(os.dup(1), "w")
    os.dup2(os.open("sdk.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND), 1)
    os.dup2(1, 2)
    for seed in range(asked.first, asked.first + asked.count):
        with tempfile.TemporaryDirectory(dir="/tmp") as folder:
            os.chdir(folder)
            for found in check(seed, PLATFORMS[seed % len(PLATFORMS)]):
                print(json.dumps(found), file=printed, flush=True)
            os.chdir("/")


if __name__ == "__main__":
    main()
