"""The rule that makes fewer, wider groups of a grouped convolution."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx

from quant.graph.graph import Array, Graph
from quant.rewrites.convolution import (
    groups,
    multiplier,
    require_constant,
    weight_shape,
    with_groups,
)
from quant.rewrites.rule import Match, Rule, Verdict

PLACE = 50

# int8 channels lie in groups of 16 in the NPU's memory: no other width is left a group.
_ALIGNMENT = 16
# 16 x Conv3x3 of 640 channels in 80 groups, in MB with 16, 32 and 64 channels a group:
# rk3588 10.1, 7.5, 8.4 (single_core_mode 4.0, 4.4, 6.8); rk3576 7.4, 6.1, 7.7 (5.7, 5.3, 7.3).
_CHANNELS = 32


class MergeGroups(Rule[Match]):
    """Merges groups of a Conv until their input channels are a multiple of 16, and 32 at least.

    rknn-toolkit2 makes one dense convolution, filled with zeros, of a grouped one whose groups have
    a number of channels that is no multiple of 16 (of 8 on rk3566), and one convolution a group of
    any other. 16 layers Conv3x3 of 640 channels in 80 groups, an ONNX of 3.2 MB, become 59.7 MB on
    rk3588; on rk3576 they fall back to float16 as well and become 118.6 MB. Groups of 32 channels,
    their weights a block diagonal, need 7.5 MB and 6.1 MB, with `single_core_mode` 4.4 MB and
    5.3 MB, and no float layer.

    Exact but for rounding: every output has the same products and more zeros to sum, in an order
    that is the runtime's. An output of n products moves by at most n 2^-24 (float32; 2^-11 for
    float16) of the sum of their magnitudes.
    """

    rounding = 2.0**-16

    def matches(self, graph: Graph) -> Iterator[Match]:
        for node in graph.nodes:
            shape = weight_shape(graph, node)
            if shape is None or groups(node) == 1 or multiplier(graph, node) == 1:
                continue
            if not _is_wide(shape[1]):
                yield Match((node,))

    def check(self, graph: Graph, match: Match) -> Verdict:
        (conv,) = match.nodes
        weight = graph.constant(conv.input[1])
        if weight is None:
            return Verdict.no("the Conv has no constant weight", conv)
        if _merged(groups(conv), weight.shape[1]) is None:
            return Verdict.no(
                f"{groups(conv)} groups of {weight.shape[1]} channels can't become fewer, but more "
                f"than one, with a multiple of {_ALIGNMENT} channels and {_CHANNELS} at least",
                conv,
            )
        if not np.isfinite(weight.astype(np.float64)).all():
            return Verdict.no("a weight is not finite", conv)
        return Verdict.yes()

    def rewrite(self, graph: Graph, match: Match) -> tuple[onnx.NodeProto, ...]:
        (conv,) = match.nodes
        weight = require_constant(graph, conv.input[1])
        merged = _merged(groups(conv), weight.shape[1]) or 1
        name = graph.add_constant(f"{conv.output[0]}.weight", _block_diagonal(weight, conv, merged))
        made = with_groups(conv, groups(conv) // merged)
        made.input[1] = name
        graph.replace(match.nodes, [made])
        return (made,)


def _is_wide(channels: int) -> bool:
    return channels % _ALIGNMENT == 0 and channels >= _CHANNELS


def _merged(count: int, channels: int) -> int | None:
    """How many of `count` groups become one: the fewest that are wide together, but not all."""
    divisors = (n for n in range(2, count) if count % n == 0)
    return next((n for n in divisors if _is_wide(n * channels)), None)


def _block_diagonal(weight: Array, conv: onnx.NodeProto, merged: int) -> Array:
    """[out, in / groups, ...] -> [out, merged * in / groups, ...], zero where groups differ."""
    outputs, channels, *kernel = weight.shape
    a_group = outputs // groups(conv)
    wide = np.zeros((outputs // (merged * a_group), merged, a_group, merged, channels, *kernel))
    blocks = weight.reshape(-1, merged, a_group, channels, *kernel)
    for place in range(merged):
        wide[:, place, :, place] = blocks[:, place]
    return wide.astype(weight.dtype).reshape(outputs, merged * channels, *kernel)
