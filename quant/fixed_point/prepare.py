"""A float graph made ready for lowering: every BatchNormalization that can be is folded."""

from __future__ import annotations

import onnx

from quant.graph import Graph
from quant.rewrites.apply import apply
from quant.rewrites.fold_batch_norm import FoldBatchNorm


def prepare(model: onnx.ModelProto) -> onnx.ModelProto:
    """An equal float graph.

    Folded: Conv + BN, Gemm + BN, and BN + Conv without padding (or without a shift). What is left
    (Conv + activation + BN, BN + activation + Conv) is lowered to an int8 factor and a whole bias.
    """
    graph = Graph(model)
    apply(FoldBatchNorm(), graph)
    return graph.to_model()
