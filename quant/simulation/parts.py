"""A network of several copies, cut into runs of onnxruntime wherever the SDK computes in numpy."""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

from quant.execution.run import FloatRun, is_large, stub
from quant.simulation.parameters import Parameters

Array = npt.NDArray[Any]
IR_VERSION = 9


@dataclass
class Part:
    """Nodes of one onnxruntime session. wanted: tensors that somebody needs afterwards.

    constants: large float32 ones are never in a model, which would be copied with them thrice.
    """

    opset: int
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: dict[str, Array] = field(default_factory=dict)
    made: set[str] = field(default_factory=set)
    wanted: dict[str, None] = field(default_factory=dict)
    _run: FloatRun | None = None

    def add(self, node: onnx.NodeProto) -> None:
        self.nodes.append(node)
        self.made.update(node.output)

    def constant(self, name: str, values: Array) -> str:
        self.constants.setdefault(name, values)
        return name

    def round(self, raw: str, rounded: str, parameters: Parameters) -> None:
        """rounded = raw on the grid of `parameters`."""
        if parameters.dtype == "float16":
            half = f"{rounded}:half"
            self.add(helper.make_node("Cast", [raw], [half], to=onnx.TensorProto.FLOAT16))
            self.add(helper.make_node("Cast", [half], [rounded], to=onnx.TensorProto.FLOAT))
            return
        codes = f"{rounded}:codes"
        kind = np.dtype(parameters.dtype)
        grid = [
            self.constant(f"{rounded}:scale", np.array(parameters.scale, np.float32)),
            self.constant(f"{rounded}:zero", np.array(parameters.zero_point, kind)),
        ]
        self.add(helper.make_node("QuantizeLinear", [raw, *grid], [codes]))
        self.add(helper.make_node("DequantizeLinear", [codes, *grid], [rounded]))

    @property
    def inputs(self) -> list[str]:
        """Tensors that other parts make."""
        reads = dict.fromkeys(name for node in self.nodes for name in node.input if name)
        return [name for name in reads if name not in self.made and name not in self.constants]

    def run(self, tensors: Mapping[str, Array]) -> dict[str, Array]:
        """The wanted tensors. The session is made with the first call, when types are known."""
        given = {name: tensors[name] for name in self.inputs}
        if self._run is None:
            large = {name: one for name, one in self.constants.items() if is_large(one)}
            self._run = FloatRun(self._model(given, large), large)
        return {name: np.asarray(array) for name, array in self._run(given).items()}

    def _model(self, given: Mapping[str, Array], large: Container[str]) -> onnx.ModelProto:
        graph = helper.make_graph(
            self.nodes,
            "part",
            [_value(name, array) for name, array in given.items()],
            [onnx.ValueInfoProto(name=name) for name in self.wanted],
            [
                stub(name, array.shape) if name in large else numpy_helper.from_array(array, name)
                for name, array in self.constants.items()
            ],
        )
        opset = helper.make_opsetid("", self.opset)
        return helper.make_model(graph, opset_imports=[opset], ir_version=IR_VERSION)


def _value(name: str, array: Array) -> onnx.ValueInfoProto:
    kind = helper.np_dtype_to_tensor_dtype(array.dtype)
    return helper.make_tensor_value_info(name, kind, array.shape)


def can_round(parameters: Parameters) -> bool:
    """Whether a part can: int16 needs opset 21, which the SDK's graphs are not."""
    return parameters.dtype in ("int8", "float16")
