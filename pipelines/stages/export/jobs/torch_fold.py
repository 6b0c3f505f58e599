"""Folding BatchNorm of an exported torch network as torch's exporter would, but in float64."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import cast

import onnx

from quant.graph.graph import Graph
from quant.graph.names import all_names, free_name, rename
from quant.rewrites.apply import apply
from quant.rewrites.named.fold_batch_norm import BatchNormMatch, FoldBatchNorm


class _IntoConv(FoldBatchNorm):
    """The pattern that torch's exporter folds: a Conv, and the BatchNormalization that reads it."""

    def matches(self, graph: Graph) -> Iterator[BatchNormMatch]:
        for match in super().matches(graph):
            if not match.is_before and match.partner and match.partner.op_type == "Conv":
                yield match


def fold_into_convolutions(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with every BatchNormalization after a Conv folded into it.

    torch's exporter does it in float32, with kernels whose last bits hang on the processor: the
    same network came out with other weights on one without AVX2. In float64, rounded once, it
    does not. The Conv keeps the names of its node, its weight and, unless that was the network's
    output, what it puts out.
    """
    graph, rule = Graph(model), _IntoConv()
    convolutions = {m.norm.output[0]: cast(onnx.NodeProto, m.partner) for m in rule.matches(graph)}
    if not apply(rule, graph).fired:
        return model
    folded = graph.to_model()
    rename(folded, _own_names(folded, convolutions))
    return folded


def _own_names(
    model: onnx.ModelProto, convolutions: Mapping[str, onnx.NodeProto]
) -> dict[str, str]:
    """Names that folding made -> those of the Conv before it, where no other tensor has them.

    convolutions: output of a BatchNormalization -> the Conv before it.
    """
    taken, moves = all_names(model.graph), {}
    outputs = {value.name for value in model.graph.output}
    for node in model.graph.node:
        former = convolutions.get(node.output[0]) if node.op_type == "Conv" else None
        if former is None:
            continue
        wanted = {node.input[1]: former.input[1], node.input[2]: _bias_name(former)}
        if node.output[0] not in outputs:
            wanted[node.output[0]] = former.output[0]
        for made, name in wanted.items():
            moves[made] = free_name(name, taken)
            taken.add(moves[made])
    return moves


def _bias_name(conv: onnx.NodeProto) -> str:
    if len(conv.input) > 2:
        return str(conv.input[2])
    return f"{conv.input[1].removesuffix('.weight')}.bias"
