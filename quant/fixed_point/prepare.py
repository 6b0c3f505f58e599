"""A float graph made ready for lowering."""

from __future__ import annotations

import onnx

from quant.fixed_point.network.inputs import require_known
from quant.fixed_point.preparing.channels import fold_channels
from quant.fixed_point.preparing.clips import simplify_clips
from quant.fixed_point.preparing.constants import fold_constants
from quant.fixed_point.preparing.gates import find_hard_gates
from quant.fixed_point.preparing.gemm import make_gemms
from quant.fixed_point.preparing.movement import simplify_movement
from quant.graph.graph import Graph
from quant.graph.types import input_types


def prepare(model: onnx.ModelProto) -> onnx.ModelProto:
    """A float graph with the same outputs, but for rounding, in the forms that lowering knows.

    Constants, also those computed from constants or static shapes, are initializers. Identity,
    Dropout, and what neither reshapes nor transposes are gone. Bounds are a Relu or one Clip.
    MatMul of a matrix with a constant one is a Gemm with its bias; MatMul of more axes stays, and
    lowering takes in the Add behind it. Folded into layers: Conv + BN, Gemm + BN, BN + Gemm, BN +
    Conv without padding (or without a shift), and constants a channel behind a layer. A
    BatchNormalization that is left (Conv + activation + BN, BN + activation + Conv) is lowered to
    an int8 factor and a whole bias. Tensors that stay keep their names. Raises Fault on inputs that
    no network of whole numbers has.
    """
    require_known(input_types(model))
    graph = Graph(fold_constants(model))
    for rewrite in (simplify_movement, simplify_clips, find_hard_gates, make_gemms, fold_channels):
        rewrite(graph)
    return graph.to_model()
