"""An ONNX graph of whole numbers in float32 while it is made."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from quant.fixed_point.network.network import Integers
from quant.graph.names import free_name

OPSET = 15
IR_VERSION = 8  # the one that came with opset 15
_WHOLE = (np.int8, np.int16, np.int32)


class OnnxBuilder:
    """Collects nodes and constants. Equal constants are stored once.

    opset: of the file; the least one that every node can be written in.
    """

    def __init__(self, opset: int = OPSET) -> None:
        self.opset = opset
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []
        self._names: set[str] = set()
        self._constants: dict[tuple[str, tuple[int, ...], bytes], str] = {}
        self._floats: dict[str, str] = {}

    def take(self, hint: str) -> str:
        """A name like `hint` that nothing bears yet."""
        name = free_name(hint, self._names)
        self._names.add(name)
        return name

    def stored(self, array: NDArray[Any], hint: str) -> str:
        """A constant as it is."""
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._constants:
            name = self.take(hint)
            self.initializers.append(numpy_helper.from_array(array, name))
            self._constants[key] = name
        return self._constants[key]

    def whole(self, values: Integers | int, hint: str) -> str:
        """Whole numbers as float32: stored in the fewest bytes, then cast."""
        array = np.asarray(values, np.int64)
        if array.size == 1 and abs(int(array.reshape(-1)[0])) <= 2**24:
            # A cast takes more bytes than it saves here.
            return self.stored(array.astype(np.float32), hint)
        low, high = int(array.min()), int(array.max())
        dtype = next(d for d in _WHOLE if np.iinfo(d).min <= low and high <= np.iinfo(d).max)
        name = self.stored(array.astype(dtype), hint)
        if name not in self._floats:
            self._floats[name] = self.node("Cast", [name], f"{name}/float", to=TensorProto.FLOAT)
        return self._floats[name]

    def number(self, value: float, hint: str) -> str:
        return self.stored(np.array(value, np.float32), hint)

    def integers(self, values: Sequence[int], hint: str) -> str:
        """An int64 vector, for shapes, axes and indices."""
        return self.stored(np.array(values, np.int64), hint)

    def node(self, kind: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        """Add a node whose output is called like `output`. Returns the name that it got."""
        name = self.take(output)
        self.nodes.append(helper.make_node(kind, list(inputs), [name], name=name, **attributes))
        return name

    def model(
        self,
        name: str,
        inputs: Sequence[onnx.ValueInfoProto],
        outputs: Sequence[onnx.ValueInfoProto],
    ) -> onnx.ModelProto:
        """The model, checked by onnx; its bytes depend on nothing but what was added."""
        used = {i for node in self.nodes for i in node.input}
        kept = [t for t in self.initializers if t.name in used]
        graph = helper.make_graph(self.nodes, name, list(inputs), list(outputs), kept)
        opset = helper.make_opsetid("", self.opset)
        model = helper.make_model(
            graph,
            opset_imports=[opset],
            ir_version=max(IR_VERSION, helper.find_min_ir_version_for([opset])),
            producer_name="npumake",
        )
        onnx.checker.check_model(model, full_check=True)
        return model
