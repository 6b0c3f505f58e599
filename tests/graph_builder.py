"""ONNX graphs of a few nodes, written down as text or node by node."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper, parser

Array = npt.NDArray[Any]


def parsed(
    text: str, weights: Mapping[str, Array] | None = None, opset: int = 15
) -> onnx.ModelProto:
    """A model from ONNX's textual form of a graph: `g (float[1,2] x) => (float[1,2] y) { ... }`."""
    graph = parser.parse_graph(text)
    graph.initializer.extend(
        numpy_helper.from_array(value, name) for name, value in (weights or {}).items()
    )
    return model(graph, opset)


def model(graph: onnx.GraphProto, opset: int = 15) -> onnx.ModelProto:
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8, producer_name="test"
    )


def from_x_to_y(
    nodes: Sequence[onnx.NodeProto],
    shape: Sequence[int],
    out: Sequence[int] | None,
    weights: Mapping[str, Any],
) -> onnx.ModelProto:
    """A model of one real input and one real output, and `weights`."""
    value = helper.make_tensor_value_info
    made = helper.make_graph(
        nodes,
        "g",
        [value("x", onnx.TensorProto.FLOAT, shape)],
        [value("y", onnx.TensorProto.FLOAT, out)],
        [numpy_helper.from_array(np.asarray(held), name) for name, held in weights.items()],
    )
    return model(made)


class Builder:
    """Collects nodes and random weights. Nodes are called Conv_0, Relu_1 and so on."""

    def __init__(self, seed: int, dtype: str = "float32") -> None:
        self.random = np.random.default_rng(seed)
        self.dtype = np.dtype(dtype)
        self.nodes: list[onnx.NodeProto] = []
        self.weights: dict[str, Array] = {}

    def weight(self, *shape: int, low: float = -1.0, high: float = 1.0) -> str:
        return self.constant(self.random.uniform(low, high, shape))

    def constant(self, values: Any) -> str:
        name = f"w{len(self.weights)}"
        self.weights[name] = np.asarray(values).astype(self.dtype)
        return name

    def op(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """Add a node of one output. Returns the output's name."""
        name = f"{kind}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [f"{name}_out"], name, **attributes))
        return f"{name}_out"

    def batch_norm(self, x: str, channels: int, **attributes: Any) -> str:
        given = [self.weight(channels), self.weight(channels), self.weight(channels)]
        return self.op(
            "BatchNormalization", x, *given, self.weight(channels, low=0.1), **attributes
        )

    def model(
        self, inputs: Mapping[str, Sequence[int]], outputs: Sequence[str], opset: int = 15
    ) -> onnx.ModelProto:
        kind = helper.np_dtype_to_tensor_dtype(self.dtype)
        graph = helper.make_graph(
            self.nodes,
            "g",
            [helper.make_tensor_value_info(name, kind, shape) for name, shape in inputs.items()],
            [helper.make_tensor_value_info(name, kind, None) for name in outputs],
            [numpy_helper.from_array(value, name) for name, value in self.weights.items()],
        )
        made = model(graph, opset)
        inferred = onnx.shape_inference.infer_shapes(made, strict_mode=True)
        del inferred.graph.value_info[:]
        return inferred
