"""The same check of a TFLite file: see quant.fixed_point.network.whole_numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from quant.fixed_point.network.whole_numbers import is_fractional

_MUL = schema.BuiltinOperator.MUL


def fractional_parameters(raw: bytes) -> list[str]:
    """Names of the constants that hold a fraction, outside the MUL that makes each output.

    A scale of quantization other than 1 counts as one.
    """
    model = schema.ModelT.InitFromPackedBuf(raw, 0)
    (net,) = model.subgraphs
    outputs = {int(i) for i in net.outputs}
    allowed: set[int] = set()
    elsewhere: set[int] = set()
    for operator in net.operators:
        code = model.operatorCodes[operator.opcodeIndex].builtinCode
        makes_output = code == _MUL and outputs.intersection(map(int, operator.outputs))
        (allowed if makes_output else elsewhere).update(int(i) for i in operator.inputs)
    return [
        tensor.name.decode()
        for index, tensor in enumerate(net.tensors)
        if _has_fraction(model, tensor, is_scale=index in allowed - elsewhere)
    ]


def _has_fraction(model: Any, tensor: Any, is_scale: bool) -> bool:
    given = tensor.quantization
    if given is not None and given.scale is not None and (np.asarray(given.scale) != 1).any():
        return True
    data = model.buffers[tensor.buffer].data
    if is_scale or data is None or tensor.type != schema.TensorType.FLOAT32:
        return False
    return is_fractional(np.asarray(data, np.uint8).view(np.float32))
