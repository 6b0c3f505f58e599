"""A .tflite file read into a Graph. Floats only: a quantized file is refused."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from quant.fault import Fault
from quant.tflite.building.graph import Graph, Op, Tensor
from quant.tflite.tables import require_fit, require_sound, told, unpack

IDENTIFIER = b"TFL3"  # bytes 4-8, the schema's file_identifier

DTYPES: dict[int, type[np.generic]] = {
    schema.TensorType.FLOAT32: np.float32,
    schema.TensorType.FLOAT16: np.float16,
    schema.TensorType.FLOAT64: np.float64,
    schema.TensorType.INT8: np.int8,
    schema.TensorType.UINT8: np.uint8,
    schema.TensorType.INT16: np.int16,
    schema.TensorType.UINT16: np.uint16,
    schema.TensorType.INT32: np.int32,
    schema.TensorType.UINT32: np.uint32,
    schema.TensorType.INT64: np.int64,
    schema.TensorType.UINT64: np.uint64,
    schema.TensorType.BOOL: np.bool_,
}


def read(path: Path, name: str) -> bytes:
    """The file's bytes, which start as TFLite's do; `name` is for messages.

    Raises Fault if the file is missing, empty or not TFLite.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise Fault(f"{name}: {error.strerror}", "name a .tflite file that exists") from error
    if not raw:
        raise Fault(f"{name}: the file is empty", "copy it again from where it was made")
    if raw[4:8] != IDENTIFIER:
        raise Fault(
            f"{name}: this is not a TFLite file (bytes 4-8 are {raw[4:8]!r}, not 'TFL3')",
            "name a .tflite file; for an ONNX file write `source: {onnx: ...}`",
        )
    return raw


def parse(raw: bytes, name: str) -> Graph:
    """The network in the bytes of a whole TFLite file; `name` is for messages.

    Raises Fault on a quantized network, sparse or external weights, unknown types, and tables that
    don't fit each other.
    """
    model = unpack(raw, name)
    if not model.subgraphs or not model.subgraphs[0].operators:
        raise Fault(f"{name}: the network has no operators", "convert it again")
    require_sound(model, len(raw), name)
    with told(name):
        return _graph(model, raw, name)


def _graph(model: Any, raw: bytes, name: str) -> Graph:
    net = model.subgraphs[0]
    refuse_quantized(net.tensors, model.buffers, name)
    tensors = tuple(tensor(model, raw, i, t, name) for i, t in enumerate(net.tensors))
    return Graph(
        tensors=tensors,
        ops=tuple(operator(model, i, op) for i, op in enumerate(net.operators)),
        inputs=signed_order(model, "inputs", indices(net.inputs)),
        outputs=signed_order(model, "outputs", indices(net.outputs)),
        aliases=dict(aliases(model)),
    )


def indices(vector: Any) -> tuple[int, ...]:
    """A flatbuffer's vector of integers, which may be absent."""
    return () if vector is None else tuple(int(i) for i in vector)


def has_items(vector: Any) -> bool:
    return vector is not None and len(vector) > 0


def text(name: bytes | None) -> str:
    return (name or b"").decode("utf-8", "replace")


def aliases(model: Any) -> Iterable[tuple[str, int]]:
    """The names that the first subgraph's signatures give to its inputs and outputs."""
    for signature in model.signatureDefs or ():
        if signature.subgraphIndex == 0:
            for entry in [*(signature.inputs or ()), *(signature.outputs or ())]:
                yield text(entry.name), int(entry.tensorIndex)


def signed_order(model: Any, side: str, own: tuple[int, ...]) -> tuple[int, ...]:
    """Inputs or outputs in the order of the signature, where there is one that names them all.

    The converter numbers the outputs of a signature like the network's author did, while the
    graph's own list is often the reverse.
    """
    for signature in model.signatureDefs or ():
        signed = tuple(int(entry.tensorIndex) for entry in getattr(signature, side) or ())
        if signature.subgraphIndex == 0 and sorted(signed) == sorted(own):
            return signed
    return own


def operator(model: Any, index: int, op: Any) -> Op:
    code = model.operatorCodes[op.opcodeIndex]
    # Files from before schema 3a hold the code in an int8 field, later ones in both.
    builtin = max(code.builtinCode, code.deprecatedBuiltinCode)
    kind = KINDS.get(builtin, f"builtin {builtin}")
    if kind == "CUSTOM":
        kind = f"CUSTOM {text(code.customCode)}"
    options = op.builtinOptions if op.builtinOptions is not None else op.builtinOptions2
    return Op(index, kind, indices(op.inputs), indices(op.outputs), options)


KINDS: dict[int, str] = {
    code: kind for kind, code in vars(schema.BuiltinOperator).items() if isinstance(code, int)
}
TYPE_NAMES: dict[int, str] = {
    code: kind for kind, code in vars(schema.TensorType).items() if isinstance(code, int)
}


def tensor(model: Any, raw: bytes, index: int, given: Any, file: str) -> Tensor:
    name = text(given.name)
    if given.type not in DTYPES:
        raise Fault(
            f"{file}: tensor {index} `{name}` has type {TYPE_NAMES.get(given.type, given.type)}",
            "only float networks are converted; convert the network again without this type",
        )
    if given.sparsity is not None or given.externalBuffer:
        raise Fault(
            f"{file}: the weights `{name}` (tensor {index}) are sparse or outside the file",
            "convert the network again with dense weights inside the file",
        )
    shape = indices(given.shape)
    signature = indices(given.shapeSignature) or shape
    dtype = np.dtype(DTYPES[given.type])
    data = constant(
        model.buffers[given.buffer], raw, dtype, shape, f"{file}: tensor {index} `{name}`"
    )
    return Tensor(index, name, shape, signature, dtype, data)


def constant(
    buffer: Any, raw: bytes, dtype: np.dtype[Any], shape: tuple[int, ...], what: str
) -> NDArray[Any] | None:
    """A buffer's values, or None where it is empty: the tensor is then computed.

    what: the tensor in messages. Raises Fault where the bytes are not those of the shape.
    """
    if buffer.size:  # files above 2 GB keep the bytes behind the flatbuffer
        data = raw[buffer.offset : buffer.offset + buffer.size]
    elif has_items(buffer.data):
        data = np.asarray(buffer.data, np.uint8).tobytes()
    else:
        return None
    require_fit(len(data), dtype, shape, what)
    return np.frombuffer(data, dtype).reshape(shape)


def refuse_quantized(tensors: Any, buffers: Any, name: str) -> None:
    """Raise Fault where tensors hold codes with a scale instead of reals."""
    quantized = [(i, t) for i, t in enumerate(tensors) if is_quantized(t)]
    if not quantized:
        return
    for index, given in quantized:
        if not has_items(buffers[given.buffer].data) and not buffers[given.buffer].size:
            raise Fault(
                f"{name}: the network is already quantized: tensor {index} "
                f"`{text(given.name)}` is {TYPE_NAMES[given.type]} with a scale",
                f"{_as_it_is(given)}convert the network to TFLite again without "
                "optimizations, as float32",
            )
    index, given = quantized[0]
    raise Fault(
        f"{name}: the weights are quantized (dynamic range): tensor {index} "
        f"`{text(given.name)}` is {TYPE_NAMES[given.type]} with a scale",
        "convert the network to TFLite again without optimizations, as float32 or with "
        "float16 weights; an integer-only file can be handed on with `rknn: {load: direct}` "
        "and `quantize: {dtype: prequantized}`",
    )


def _as_it_is(given: Any) -> str:
    """The SDK's own reader takes activations of 8 bits."""
    if given.type not in (schema.TensorType.INT8, schema.TensorType.UINT8):
        return ""
    return (
        "hand it to the SDK as it is: `rknn: {load: direct}` and "
        "`quantize: {dtype: prequantized}`; or "
    )


def is_quantized(given: Any) -> bool:
    if given.type in (schema.TensorType.FLOAT32, schema.TensorType.FLOAT16):
        return False
    return given.quantization is not None and has_items(given.quantization.scale)
