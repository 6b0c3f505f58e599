"""onnxruntime's own quantizer, given ranges and the recipe's choices."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import numpy as np
import onnx
from onnx import numpy_helper
from onnxruntime.quantization import QuantType
from onnxruntime.quantization.calibrate import CalibrationMethod, TensorData, TensorsData
from onnxruntime.quantization.quant_utils import (
    save_and_reload_model_with_shape_infer,
    update_opset_version,
)
from onnxruntime.quantization.registry import QDQRegistry, QLinearOpsRegistry

from pipelines.backends.qdq.jobs.indexed_model import IndexedQuantizer
from pipelines.backends.qdq.recipe.options import Options
from pipelines.files.where import did_you_mean
from pipelines.run.jobs.refusal import Refusal
from quant.execution.run import FloatRun
from quant.fault import Fault
from quant.graph.operators import label, nodes, opset

Ranges = Mapping[str, tuple[float, float]]
_INTEGER = ("DynamicQuantizeLinear", "ConvInteger", "MatMulInteger", "DequantizeLinear")
_PER_CHANNEL_OPSET = 13  # DequantizeLinear has no axis before


def quantize(
    model: onnx.ModelProto, ranges: Ranges, options: Options
) -> tuple[onnx.ModelProto, list[str]]:
    """The model with QuantizeLinear and DequantizeLinear around what becomes integer, and what
    onnxruntime warned of.

    Raises Fault on a network that is quantized already,
    or that the quantizer can't do; Refusal on names that it has not.
    """
    _require_float(model)
    _require_known(model, options)
    with _warnings() as told:
        prepared = save_and_reload_model_with_shape_infer(model)
        weights = QuantType[options.weight_type]
        prepared = update_opset_version(prepared, weights)
        quantizer = IndexedQuantizer(
            prepared,
            options.per_channel,
            options.reduce_range,
            weights,
            QuantType[options.activation_type],
            _data(prepared, ranges),
            [],
            list(options.nodes_to_exclude),
            list(options.op_types_to_quantize) or known_operators(),
            {},
        )
        try:
            quantizer.quantize_model()
        except Exception as error:  # it raises whatever it stumbles over
            raise _told(error, model, ranges) from error
        quantizer.model.topological_sort()
    made = quantizer.model.model
    FloatRun(made)  # onnxruntime's own checks
    return made, list(dict.fromkeys(told))


def known_operators() -> list[str]:
    """The operators that onnxruntime quantizes, as quantize_static takes them."""
    return sorted({*QLinearOpsRegistry, *QDQRegistry})


def _data(model: onnx.ModelProto, ranges: Ranges) -> TensorsData:
    """In the tensors' own types, since scales get the range's."""
    graph = model.graph
    halves = {
        value.name
        for value in (*graph.input, *graph.value_info, *graph.output)
        if value.type.tensor_type.elem_type == onnx.TensorProto.FLOAT16
    }
    found = {}
    for name, (low, high) in ranges.items():
        dtype = np.float16 if name in halves else np.float32
        found[name] = TensorData(lowest=np.array(low, dtype), highest=np.array(high, dtype))
    return TensorsData(CalibrationMethod.MinMax, found)


def _require_float(model: onnx.ModelProto) -> None:
    for node in nodes(model.graph):
        if node.op_type in _INTEGER or node.op_type.startswith("QLinear"):
            raise Fault(
                f"{node.op_type} `{label(node)}`: the network is quantized already",
                "name a float network as the source; the backend rknn builds a quantized one, with "
                "`dtype: prequantized`",
            )


def _require_known(model: onnx.ModelProto, options: Options) -> None:
    names = [node.name for node in nodes(model.graph) if node.name]
    for name in options.nodes_to_exclude:
        if name not in names:
            what = f"`nodes_to_exclude` names `{name}`, which no node of the simplified graph is"
            raise Refusal(what, did_you_mean(name, names, "its nodes"))
    operators = known_operators()
    for name in options.op_types_to_quantize:
        if name not in operators:
            what = f"`op_types_to_quantize` names `{name}`, which onnxruntime does not quantize"
            raise Refusal(what, did_you_mean(name, operators, "it quantizes"))
    if options.per_channel and opset(model) < _PER_CHANNEL_OPSET:
        raise Refusal(
            f"the network has opset {opset(model)}, and `per_channel` needs "
            f"{_PER_CHANNEL_OPSET}: DequantizeLinear has no axis before",
            f"export it with opset {_PER_CHANNEL_OPSET} or above, or delete `per_channel`",
        )


@contextmanager
def _warnings() -> Iterator[list[str]]:
    """What onnxruntime's Python logs to the root logger meanwhile."""
    told: list[str] = []

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            told.append(record.getMessage())

    listener = Listener(logging.WARNING)
    logging.getLogger().addHandler(listener)
    try:
        yield told
    finally:
        logging.getLogger().removeHandler(listener)


def _told(error: Exception, model: onnx.ModelProto, ranges: Ranges) -> Fault:
    """With the tensor, where it is one that holds NaN or infinities."""
    for tensor in model.graph.initializer:
        values = numpy_helper.to_array(tensor)
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            return Fault(f"the weights `{tensor.name}` hold NaN or infinities", "mend them")
    text = " ".join(str(error).split()) or type(error).__name__
    made = {name for node in model.graph.node for name in node.output}
    made |= {value.name for value in model.graph.input}
    for name in sorted(made - ranges.keys(), key=len, reverse=True):
        if f"param {name}." in text:
            return Fault(
                f"`{name}` holds NaN or infinities on the calibration data: it has no range",
                "check the weights and the data, or name the nodes around it in `nodes_to_exclude`",
            )
    return Fault(
        f"onnxruntime's quantizer cannot do this network: {text}",
        "name the node that it stumbles over in `nodes_to_exclude`",
    )
