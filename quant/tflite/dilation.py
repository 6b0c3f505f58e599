"""Dilated convolutions that a file writes as SPACE_TO_BATCH_ND, convolution, BATCH_TO_SPACE_ND."""

from __future__ import annotations

from dataclasses import replace

from ai_edge_litert.schema_py_generated import Padding

from quant.tflite.building.graph import Graph, Op, Pads

CONVOLUTIONS = ("CONV_2D", "DEPTHWISE_CONV_2D")


def fold_dilation(graph: Graph) -> Graph:
    """The same network with each such triple as one convolution with dilation.

    Splitting into phases of every d-th row and column, convolving each and putting them back is a
    convolution with dilation d of the padded image; what is cropped then was padded too much.
    """
    folded: dict[int, Op] = {}  # index of the convolution -> what stands for all three
    dropped: set[int] = set()
    for op in graph.ops:
        triple = find_triple(graph, op)
        if triple is not None:
            split, joined, pads, block = triple
            folded[op.index] = replace(
                op,
                inputs=(split.inputs[0], *op.inputs[1:]),
                outputs=joined.outputs,
                pads=pads,
                dilations=block,
            )
            dropped |= {split.index, joined.index}
    ops = tuple(folded.get(op.index, op) for op in graph.ops if op.index not in dropped)
    return replace(graph, ops=ops)


def find_triple(graph: Graph, op: Op) -> tuple[Op, Op, Pads, tuple[int, int]] | None:
    """The operators around a convolution of phases, its true padding, and its dilation."""
    if op.kind not in CONVOLUTIONS or not is_plain(op):
        return None
    split, readers = graph.producers.get(op.inputs[0]), graph.consumers.get(op.outputs[0], ())
    if split is None or split.kind != "SPACE_TO_BATCH_ND" or len(readers) != 1:
        return None
    joined = readers[0]
    if joined.kind != "BATCH_TO_SPACE_ND" or len(graph.consumers[op.inputs[0]]) != 1:
        return None
    if {op.inputs[0], op.outputs[0]} & set(graph.outputs):
        return None
    block = numbers(graph, split, 1)
    padded, cropped = numbers(graph, split, 2), numbers(graph, joined, 2)
    if len(block) != 2 or block != numbers(graph, joined, 1) or len(padded) != len(cropped):
        return None
    top, bottom, left, right = (p - c for p, c in zip(padded, cropped, strict=True))
    if min(top, bottom, left, right) < 0:
        return None
    return split, joined, ((top, bottom), (left, right)), (block[0], block[1])


def is_plain(op: Op) -> bool:
    """Whether a convolution has no stride, dilation or padding of its own."""
    options = op.options
    steps = (options.strideH, options.strideW)
    dilations = (options.dilationHFactor, options.dilationWFactor)
    return steps == dilations == (1, 1) and options.padding == Padding.VALID


def numbers(graph: Graph, op: Op, position: int) -> list[int]:
    """A constant input as a flat list; empty where it isn't constant."""
    data = graph.tensors[op.inputs[position]].data
    return [] if data is None else [int(n) for n in data.reshape(-1)]
