"""Networks of a few kilobytes, made on the spot."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SHAPE = (1, 3, 16, 16)


def conv_net(
    shape: Sequence[int | str] = SHAPE,
    seed: int = 0,
    opset: int = 15,
    nan: bool = False,
    name: str = "input",
    width: int = 16,
) -> bytes:
    """Conv-Relu, Conv-Relu, global pooling, Gemm: ONNX bytes with one input and output `scores`.

    width: channels in between.
    """
    random = np.random.default_rng(seed)
    w1 = random.normal(0, 0.3, (width, 3, 3, 3)).astype(np.float32)
    w2 = random.normal(0, 0.1, (width, width, 3, 3)).astype(np.float32)
    if nan:
        w2[0, 0, 0, 0] = np.nan
    w3 = random.normal(0, 0.3, (width, 4)).astype(np.float32)
    weights = {"w1": w1, "w2": w2, "w3": w3}
    nodes = [
        helper.make_node("Conv", [name, "w1"], ["c1"], "conv1", pads=[1] * 4),
        helper.make_node("Relu", ["c1"], ["r1"], "relu1"),
        helper.make_node("Conv", ["r1", "w2"], ["c2"], "conv2", pads=[1] * 4),
        helper.make_node("Relu", ["c2"], ["r2"], "relu2"),
        helper.make_node("GlobalAveragePool", ["r2"], ["g"], "pool"),
        helper.make_node("Flatten", ["g"], ["f"], "flatten"),
        helper.make_node("Gemm", ["f", "w3"], ["scores"], "fc"),
    ]
    return model_bytes(nodes, weights, {name: shape}, {"scores": (shape[0], 4)}, opset)


def model_bytes(
    nodes: Sequence[onnx.NodeProto],
    weights: dict[str, np.ndarray[Any, Any]],
    inputs: dict[str, Sequence[int | str]],
    outputs: dict[str, Sequence[int | str]],
    opset: int = 15,
) -> bytes:
    """A checked-in-spirit, unchecked-in-fact model: tests need broken ones too."""
    graph = helper.make_graph(
        list(nodes),
        "net",
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in inputs.items()],
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in outputs.items()],
        [numpy_helper.from_array(w, n) for n, w in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    return bytes(model.SerializeToString())


def npy(array: np.ndarray[Any, Any]) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def samples(count: int = 4, shape: Sequence[int] = SHAPE[1:], seed: int = 0) -> bytes:
    """npy of pixels 0..255, float32, one sample a row."""
    random = np.random.default_rng(seed)
    return npy(random.integers(0, 256, (count, *shape)).astype(np.float32))


def recipe(**changes: Any) -> dict[str, Any]:
    """A recipe for `conv_net` with samples.npy, built for rk3588; keys replaced by `changes`."""
    plain: dict[str, Any] = {
        "source": {"onnx": "net.onnx"},
        "inputs": {"input": {"shape": list(SHAPE), "mean": [127] * 3, "std": [128] * 3}},
        "quantize": {"calibration": {"npy": "samples.npy", "samples": 4}},
        "analyze": {"samples": 2},
        "targets": {"rk3588": {}},
    }
    return {key: value for key, value in {**plain, **changes}.items() if value is not None}
