"""Our simulation beside the SDK's own on a whole network; runs in an rknn toolchain.

    PYTHON -m tests.simulation_held_out MODEL.onnx SAMPLES.npy [--platform P] [--algorithm A]

SAMPLES.npy: float32 [N, *the input's shape], as the network takes them. The last ten are compared,
the others calibrate. Prints a line of JSON: outputs' values, and those that differ.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from quant.simulation import step1
from quant.simulation.network import Network

HELD_OUT = 10
Array = np.ndarray[Any, Any]


def read(model: onnx.ModelProto, file: str) -> list[Array]:
    weights = {tensor.name for tensor in model.graph.initializer}
    (given,) = (value for value in model.graph.input if value.name not in weights)
    shape = [axis.dim_value for axis in given.type.tensor_type.shape.dim]
    return [np.ascontiguousarray(each.reshape(shape), np.float32) for each in np.load(file)]


def check(
    model: onnx.ModelProto, samples: Sequence[Array], platform: str, algorithm: str
) -> dict[str, Any]:
    """Runs in the current folder."""
    from pipelines.backends.rknn.sdk.api import Sdk

    for number, array in enumerate(calibrating := samples[:-HELD_OUT]):
        np.save(f"{number}.npy", array)
    Path("dataset.txt").write_text("".join(f"{i}.npy\n" for i in range(len(calibrating))))
    onnx.save(model, "net.onnx")
    options = {"target_platform": platform, "quantized_algorithm": algorithm}
    sdk = Sdk(verbose=False)
    sdk.config(**options)
    sdk.load_onnx("net.onnx")
    sdk.hybrid_step1("dataset.txt")
    names = ("net.model", "net.data", "net.quantization.cfg")
    sdk = Sdk(verbose=False)
    sdk.hybrid_step2(*names)
    sdk.start_simulator()
    run = Network(step1.read(Path(names[0]), Path(names[2]), options))
    values = differ = 0
    for array in samples[-HELD_OUT:]:
        ours = run({run.graph.inputs[0]: array}).values()
        for one, other in zip(ours, sdk.infer([array], ["nchw"]), strict=True):
            values += one.size
            differ += int(np.count_nonzero(one.ravel() != other.ravel()))
    return {"calibrated": len(calibrating), "values": values, "differ": differ}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("samples")
    parser.add_argument("--platform", default="rk3588")
    parser.add_argument("--algorithm", default="normal", choices=("normal", "kl_divergence"))
    told = parser.parse_args()
    printed = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # the SDK's own words
    model = onnx.load(told.model)
    samples = read(model, told.samples)
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        found = check(model, samples, told.platform, told.algorithm)
        os.chdir("/")
    print(
        json.dumps({"platform": told.platform, "algorithm": told.algorithm, **found}), file=printed
    )


if __name__ == "__main__":
    main()
