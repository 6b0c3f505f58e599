"""Every set of float16 layers of a quantized network, one by one; runs in an rknn toolchain.

    PYTHON -m tests.brute_force BUILD SAMPLES.npy

BUILD: the folder `build` of a model for rk3588 that `./doit tune` has searched by error, without
mean and std. Each set is simulated by a network made for it alone; its error is computed here, and
so is what no other set beats. Prints a line of JSON: {sets, front: [[cycles, error], ...]}.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from quant.report import build_json
from quant.simulation import step1
from quant.simulation.mixed import Mixed

Array = np.ndarray[Any, Any]


def front(build: Path, samples: list[Array]) -> dict[str, Any]:
    quantize = build / "rk3588/quantize"
    told = json.loads((quantize / "config.json").read_text())["config"]
    written = step1.read(quantize / "model.model", quantize / "model.quantization.cfg", told)
    tune = json.loads((build / "trials/tune-rk3588-error/tune.json").read_text())
    plain = onnxruntime.SessionOptions()
    plain.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    source = onnxruntime.InferenceSession(
        str(build / "export/model.onnx"), plain, providers=["CPUExecutionProvider"]
    )
    (name,) = (given.name for given in source.get_inputs())
    expected = [source.run(None, {name: array})[0] for array in samples]
    span = max(float(a.max()) for a in expected) - min(float(a.min()) for a in expected)
    layers = tune["layers"]
    base = base_cycles(build)
    found = []
    for number in range(2 ** len(layers)):
        chosen = [place for place in range(len(layers)) if number >> place & 1]
        cycles = base + sum(layers[place]["half"] - layers[place]["int8"] for place in chosen)
        network = Mixed(written)
        wanted = {tuple(layers[place]["tensors"]) for place in chosen}
        half = [p for p, layer in enumerate(network.layers) if tuple(layer.tensors) in wanted]
        assert len(half) == len(chosen)
        apart = 0.0
        for sample, reference in enumerate(expected):
            (made,) = network(sample, {network.graph.inputs[0]: samples[sample]}, half).values()
            wide = made.astype(np.float64).ravel() - reference.astype(np.float64).ravel()
            apart = max(apart, float(np.abs(wide).max()))
        found.append((cycles, apart / span))
    best = [
        one
        for one in set(found)
        if not any(a <= one[0] and b <= one[1] and (a, b) != one for a, b in found)
    ]
    return {"sets": len(found), "front": sorted(best)}


def base_cycles(build: Path) -> int:
    """Of the whole network in int8, as the compiler told."""
    made = build_json.read(build / "rk3588/build.json").made
    return sum(max(0, layer["cycles_total"] or 0) for layer, outputs in made if outputs)


def main() -> None:
    printed = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    build, samples = Path(sys.argv[1]), np.load(sys.argv[2])
    print(json.dumps(front(build, [one[None] for one in samples])), file=printed)


if __name__ == "__main__":
    main()
