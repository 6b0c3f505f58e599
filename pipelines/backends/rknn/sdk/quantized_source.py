"""Sources that are quantized already, of which rknn-toolkit2 takes one kind with one dtype.

Measured on 2.5.0: QDQ of int8 and uint8 loads; int16 activations and operators on codes
(QLinearConv) end in `'NoneType' object is not iterable`; a float network is built as float16, as if
nothing had been said of its dtype, and a QDQ one as int8 whatever dtype was asked for. TFLite: int8
loads, 16x8 ends in onnxruntime's INVALID_GRAPH, dynamic range becomes a float network.
"""

from __future__ import annotations

from pathlib import Path

import onnx

from pipelines.backends.rknn.file.dtypes import PREQUANTIZED
from pipelines.backends.rknn.params import RknnParams
from pipelines.backends.rknn.sdk import quantized_tflite
from pipelines.run.jobs.refusal import Refusal
from quant.graph.analysis import quantized
from quant.graph.file import parse


def require(params: RknnParams, source: Path) -> None:
    """Raises Refusal where an ONNX or TFLite source and the recipe's dtype do not go together."""
    dtype = params.quantize.dtype
    if params.source_kind == "tflite" and dtype == PREQUANTIZED:
        _require_int8(quantized_tflite.form(source))
    if params.source_kind != "onnx":
        return
    model = parse(source, source.name)
    form, operator = quantized.form(model.graph)
    if dtype == PREQUANTIZED:
        _require_quantized(model, form, operator)
    elif form != quantized.FLOAT:
        raise Refusal(
            f"the source is quantized already ({operator}), and the recipe says `dtype: {dtype}`",
            "write `quantize: {dtype: prequantized}`, or give the float network, which the SDK "
            "quantizes itself",
        )


def _require_int8(form: str) -> None:
    if form == quantized_tflite.WIDE:
        raise Refusal(
            "the file has activations of 16 bits (16x8), and the SDK reads 8",
            "convert it with int8 activations, or give the float network with `dtype: w16a16i_dfp`",
        )
    if form == quantized_tflite.NARROW:
        raise Refusal(
            f"the file has {form}, which neither the SDK nor npumake reads",
            "convert it with weights of 8 bits, or give the float network with `dtype: w8a8`",
        )
    if form != quantized_tflite.INT8:
        raise Refusal(
            f"the file is of {form}, and the recipe says `dtype: prequantized`",
            "write `dtype: w8a8` and calibration data, without `load: direct`: npumake reads it, "
            "and the SDK quantizes it",
        )


def _require_quantized(model: onnx.ModelProto, form: str, operator: str) -> None:
    if form == quantized.FLOAT:
        raise Refusal(
            "the source is not quantized, and the recipe says `dtype: prequantized`",
            "write `dtype: w8a8` and calibration data, or give a QDQ ONNX file",
        )
    if form != quantized.QDQ:
        raise Refusal(
            f"the source is quantized in the {form} form ({operator}), which the SDK does not read",
            "write it as QDQ (onnxruntime: `quant_format=QuantFormat.QDQ`), or give the float one",
        )
    for held in quantized.activations(model):
        if held.bits != 8:
            raise Refusal(
                f"`{held.names[0]}` is quantized to {held.bits} bits, and the SDK reads 8",
                "quantize activations to int8 or uint8, or give the float network with "
                "`dtype: w16a16i_dfp`",
            )
