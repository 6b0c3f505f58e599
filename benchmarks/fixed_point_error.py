"""Where the error of benchmarks.fixed_point comes from: its float network, rounded in one place.

    .venv/bin/python -m benchmarks.fixed_point_error

Rounds the outputs of every Clip to steps of a size, or the weights to 8 bits, leaves all else in
float, and compares the scores as benchmarks.fixed_point does. 255 / 6 steps a unit is what an int8
with an offset gives a Relu6; 16 is the largest power of two at which 6 fits into one without.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper

from benchmarks.mobilenet import Array, as_onnx, pictures
from benchmarks.quantizers import CALIBRATION, COMPARED, HELD_OUT, INPUT_SCALE, error, outputs
from quant.equalization.equalize import equalize
from quant.execution.run import FloatRun
from quant.fixed_point.calibration.ranges import observe
from quant.fixed_point.lower import lower
from quant.fixed_point.network.options import Options
from quant.fixed_point.onnx.to_onnx import to_onnx
from quant.fixed_point.prepare import prepare

STEPS = (16.0, 255 / 6)  # a unit


def rounded_activations(model: onnx.ModelProto, steps: float) -> onnx.ModelProto:
    """steps: a unit."""
    made = onnx.ModelProto()
    made.CopyFrom(model)
    for name, value in (("steps", steps), ("size", 1 / steps)):
        made.graph.initializer.append(numpy_helper.from_array(np.array(value, np.float32), name))
    nodes = []
    for node in made.graph.node:
        nodes.append(node)
        if node.op_type == "Clip":
            y = node.output[0]
            node.output[0] = f"{y}/float"
            nodes += [
                helper.make_node("Mul", [f"{y}/float", "steps"], [f"{y}/steps"]),
                helper.make_node("Round", [f"{y}/steps"], [f"{y}/round"]),
                helper.make_node("Mul", [f"{y}/round", "size"], [y]),
            ]
    copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del made.graph.node[:]
    made.graph.node.extend(copies)
    return made


def rounded_weights(model: onnx.ModelProto, *, is_power: bool) -> onnx.ModelProto:
    """One scale a layer. is_power: of two."""
    made = onnx.ModelProto()
    made.CopyFrom(model)
    weights = {n.input[1] for n in made.graph.node if n.op_type in ("Conv", "Gemm")}
    for tensor in made.graph.initializer:
        if tensor.name in weights:
            value = numpy_helper.to_array(tensor)
            scale = 127 / float(np.abs(value).max())
            scale = 2.0 ** np.floor(np.log2(scale)) if is_power else scale
            codes = np.rint(value * scale) / scale
            tensor.CopyFrom(numpy_helper.from_array(codes.astype(np.float32), tensor.name))
    return made


def whole_networks(model: onnx.ModelProto) -> Iterator[tuple[str, onnx.ModelProto]]:
    """Both rounded, as `activations: unsigned` does it; with and without what biases take off."""
    prepared = equalize(prepare(model))
    ranges = observe(prepared, ({"input": x} for x in pictures(16, CALIBRATION)))
    without = {name: replace(seen, means=None) for name, seen in ranges.items()}
    for weights in ("tensor", "channel"):
        options = Options(INPUT_SCALE, weights=weights, activations="unsigned")
        for how, given in (("", ranges), (", biases as they are", without)):
            network = lower(prepared, given, options)
            yield f"unsigned, weights {weights}{how}", to_onnx(network, "mobilenet")


def scores(model: onnx.ModelProto) -> Array:
    run = FloatRun(model)
    found = [next(iter(run({"input": x}).values())) for x in pictures(COMPARED, HELD_OUT)]
    return np.concatenate(found)


def main() -> None:
    model = as_onnx()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "float.onnx")
        file.write_bytes(model.SerializeToString())
        expected = outputs(file)
    changed = {
        f"activations in {steps:.1f} steps a unit": rounded_activations(model, steps)
        for steps in STEPS
    }
    changed["weights, scale a power of two"] = rounded_weights(model, is_power=True)
    changed["weights, any scale"] = rounded_weights(model, is_power=False)
    changed |= dict(whole_networks(model))
    print("| rounded | cosine | largest error |\n|---|---|---|")
    for name, network in changed.items():
        cosine, largest = error(expected, scores(network))
        print(f"| {name} | {cosine:.5f} | {largest:.2%} |")


if __name__ == "__main__":
    main()
