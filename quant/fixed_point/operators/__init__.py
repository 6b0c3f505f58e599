"""Operators of ONNX -> functions that lower a node of them. A new operator is one line here."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import onnx

from quant.fixed_point.lowering.lowering import Lowering
from quant.fixed_point.operators import (
    activation,
    arithmetic,
    convolution,
    matrix,
    norm,
    pooling,
    reduction,
    softmax,
)
from quant.fixed_point.operators.movement import gather, join, resize, shape, slices

LOWERINGS: Mapping[str, Callable[[Lowering, onnx.NodeProto], None]] = {
    "Add": arithmetic.add,
    "AveragePool": pooling.average,
    "BatchNormalization": norm.normalize,
    "Cast": shape.cast,
    "Clip": activation.clip,
    "Concat": join.concat,
    "Conv": convolution.conv,
    "DepthToSpace": shape.depth_to_space,
    "Div": arithmetic.divide,
    "Dropout": shape.same,
    "Flatten": shape.reshape,
    "Gather": gather.gather,
    "Gemm": matrix.gemm,
    "GlobalAveragePool": pooling.global_average,
    "GlobalMaxPool": pooling.global_maximum,
    "Identity": shape.same,
    "MatMul": matrix.matmul,
    "MaxPool": pooling.maximum,
    "Mul": arithmetic.multiply,
    "Pad": join.pad,
    "ReduceMax": reduction.maximum,
    "ReduceMean": reduction.mean,
    "ReduceSum": reduction.total,
    "Relu": activation.clip,
    "Reshape": shape.reshape,
    "Resize": resize.nearest,
    "Sigmoid": activation.sigmoid,
    "Slice": slices.slice_,
    "Softmax": softmax.softmax,
    "Split": slices.split,
    "Squeeze": shape.reshape,
    "Sub": arithmetic.subtract,
    "Transpose": shape.transpose,
    "Unsqueeze": shape.reshape,
    "Upsample": resize.nearest,
    **dict.fromkeys(activation.CURVES, activation.curve),
    **dict.fromkeys(activation.UNIT_CURVES, activation.unit_curve),
}
