"""A TFLite file of dynamic range as a float file that has the rounded weights.

Such a file holds weights in 8 bits with scales, and computes in float or, where the runtime has a
kernel for it, on activations that are rounded as it runs. There is no other float network in it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from quant.tflite.file import IDENTIFIER, KINDS, has_items, indices, is_quantized, tensor
from quant.tflite.packer import Packer
from quant.tflite.tables import require_sound, told, unpack

_CODES = (schema.TensorType.INT8, schema.TensorType.UINT8)


def widen(raw: bytes, name: str) -> tuple[bytes, int]:
    """The file with quantized weights as float32, and how many these are; as it is for none.

    A network with quantized activations is left as it is. Raises Fault on a damaged file.
    """
    model = unpack(raw, name)
    if not model.subgraphs or not has_items(model.subgraphs[0].tensors):
        return raw, 0
    require_sound(model, len(raw), name)
    with told(name):
        net = model.subgraphs[0]
        codes = [index for index, given in enumerate(net.tensors) if is_quantized(given)]
        if not all(_is_weight(model, net.tensors[index]) for index in codes):
            return raw, 0
        for index in codes:
            _widen(model, raw, index, name)
        _drop_conversions(model, net, set(codes))
    return (_packed(model), len(codes)) if codes else (raw, 0)


def _is_weight(model: Any, given: Any) -> bool:
    return given.type in _CODES and has_items(model.buffers[given.buffer].data)


def _widen(model: Any, raw: bytes, index: int, name: str) -> None:
    given = model.subgraphs[0].tensors[index]
    codes = tensor(model, raw, index, given, name).data
    assert codes is not None
    values = np.frombuffer(_real(codes, given.quantization).tobytes(), np.uint8)
    buffer = schema.BufferT()
    buffer.data = values
    model.buffers.append(buffer)
    given.buffer, given.type = len(model.buffers) - 1, schema.TensorType.FLOAT32
    given.quantization = None


def _real(codes: NDArray[Any], told_: Any) -> NDArray[np.float32]:
    """(code - zero point) * scale, of the tensor or along one axis, as LiteRT's Dequantize."""
    scales = np.asarray(told_.scale, np.float32)
    zeros = np.asarray(told_.zeroPoint if has_items(told_.zeroPoint) else [0], np.int64)
    if len(scales) > 1:
        shape = [1] * codes.ndim
        shape[told_.quantizedDimension] = -1
        scales = scales.reshape(shape)
        zeros = zeros.reshape(shape) if len(zeros) > 1 else zeros
    return ((codes.astype(np.int64) - zeros).astype(np.float32) * scales).astype(np.float32)


def _drop_conversions(model: Any, net: Any, weights: set[int]) -> None:
    """DEQUANTIZE of a weight, which is float by now: who reads its output reads the weight."""
    kept, instead = [], {}
    for op in net.operators:
        code = model.operatorCodes[op.opcodeIndex]
        kind = KINDS.get(max(code.builtinCode, code.deprecatedBuiltinCode))
        if kind == "DEQUANTIZE" and op.inputs[0] in weights:
            instead[int(op.outputs[0])] = int(op.inputs[0])
        else:
            kept.append(op)
    for op in kept:
        op.inputs = [instead.get(index, index) for index in indices(op.inputs)]
    if not instead.keys() & {*indices(net.outputs)}:
        net.operators = kept


def _packed(model: Any) -> bytes:
    packer = Packer()
    packer.Finish(model.Pack(packer), IDENTIFIER)
    return packer.Output()
