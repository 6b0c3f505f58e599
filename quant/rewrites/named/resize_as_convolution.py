"""The rule that interpolates by a convolution, whose input keeps its own int8 range."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper

from quant.graph.graph import Graph
from quant.graph.operators import OWN_DOMAINS
from quant.rewrites.rule import Match, Rule, Verdict
from quant.rewrites.window import numbers, text

PLACE = 80

_TRANSFORMATIONS = ("half_pixel", "pytorch_half_pixel")  # they differ where a length becomes 1
_FIRST_OPSET = 11  # Resize 10 has no half pixels, Pad 10 no inputs


class ResizeAsConvolution(Rule[Match]):
    """Makes a Pad and a depthwise ConvTranspose of a linear Resize by even factors.

    rknn-toolkit2 holds a linear Resize's input and output in one int8 range, the output's. Peaks
    that interpolation lowers are cut off before it: isolated ones of 5.56 at 3.90. A cosine of
    0.9996 hides that. Input and output of a convolution have ranges of their own: the largest
    error of a network of sparse maps falls from 19.9 % of its range to 0.6 %, all on the NPU.

    Exact but for rounding: a kernel of twice the factor holds the same weights, and the border is
    repeated as `half_pixel` does. Sums have four terms.
    """

    saves_bytes = False
    rounding = 2.0**-20

    def matches(self, graph: Graph) -> Iterator[Match]:
        for node in graph.nodes:
            is_resize = node.op_type == "Resize" and node.domain in OWN_DOMAINS
            if is_resize and text(node, "mode", "nearest") == "linear":
                yield Match((node,))

    def check(self, graph: Graph, match: Match) -> Verdict:
        (resize,) = match.nodes
        if graph.opset < _FIRST_OPSET:
            return Verdict.no(f"it is of an opset before {_FIRST_OPSET}", resize)
        if text(resize, "coordinate_transformation_mode", "half_pixel") not in _TRANSFORMATIONS:
            return Verdict.no("its corners are not half pixels", resize)
        if numbers(resize, "axes", []) or any(numbers(resize, "antialias", [0])):
            return Verdict.no("it names axes, or smooths", resize)
        factors = _factors(graph, resize)
        if factors is None:
            return Verdict.no("its shapes are not known, or it resizes batch or channels", resize)
        if any(factor != 1 and (factor < 2 or factor % 2) for factor in factors):
            return Verdict.no(f"its factors {factors} are not 1 or even", resize)
        return Verdict.yes()

    def rewrite(self, graph: Graph, match: Match) -> tuple[onnx.NodeProto, ...]:
        (resize,) = match.nodes
        (x, *_), (y,) = resize.input, resize.output
        type_ = graph.type(x)
        factors = _factors(graph, resize)
        assert type_ is not None and factors is not None
        border = [int(factor > 1) for factor in factors]
        pads = [0, 0, *border] * 2
        padded = graph.fresh_tensor(f"{y}.padded")
        weights = _weights(factors, type_.static_shape[1])
        constants = [
            graph.add_constant(f"{y}.pads", np.array(pads, np.int64)),
            graph.add_constant(f"{y}.weights", weights),
        ]
        cut = [3 * factor // 2 if factor > 1 else 0 for factor in factors]
        made = (
            helper.make_node("Pad", [x, constants[0]], [padded], padded, mode="edge"),
            helper.make_node(
                "ConvTranspose",
                [padded, constants[1]],
                [y],
                resize.name,
                group=type_.static_shape[1],
                kernel_shape=list(weights.shape[2:]),
                strides=list(factors),
                pads=cut * 2,
                dilations=[1] * len(factors),
                output_padding=[0] * len(factors),
            ),
        )
        graph.replace(match.nodes, made)
        return made


def _factors(graph: Graph, resize: onnx.NodeProto) -> tuple[int, ...] | None:
    """By how much each axis behind the channels grows; None where that is no whole number."""
    before, after = graph.type(resize.input[0]), graph.type(resize.output[0])
    if before is None or after is None or not (before.is_static and after.is_static):
        return None
    one, other = before.static_shape, after.static_shape
    if before.dtype != "float32" or len(one) != 4 or one[:2] != other[:2] or 0 in one:
        return None
    if any(long % short for short, long in zip(one, other, strict=True)):
        return None
    factors = tuple(long // short for short, long in zip(one[2:], other[2:], strict=True))
    scales = graph.constant(resize.input[2]) if len(resize.input) > 2 and resize.input[2] else None
    if scales is not None and scales.size and not np.array_equal(scales, [1, 1, *factors]):
        return None  # such as 2.1 that is rounded down: positions then go by 2.1
    return factors


def _weights(factors: Sequence[int], channels: int) -> npt.NDArray[np.float32]:
    """[C, 1, kH, kW]: the product of a triangle for each axis."""
    rows, columns = (_triangle(factor) for factor in factors)
    one = np.outer(rows, columns).astype(np.float32)
    return np.ascontiguousarray(np.broadcast_to(one, (channels, 1, *one.shape)))


def _triangle(factor: int) -> npt.NDArray[np.float64]:
    if factor == 1:
        return np.ones(1)
    return np.asarray(1 - np.abs(np.arange(2 * factor) + 0.5 - factor) / factor)
