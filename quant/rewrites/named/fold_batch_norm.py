"""The rule that folds BatchNormalization into the linear node beside it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

import numpy as np
import onnx

from quant.graph.analysis import batch_norm
from quant.graph.analysis.batch_norm import Doubles
from quant.graph.graph import Array, Graph, attribute
from quant.graph.operators import OWN_DOMAINS
from quant.rewrites.rule import Match, Rule, Verdict

PLACE = 10

_FOLDS_INTO = ("Conv", "ConvTranspose", "Gemm")


@dataclass(frozen=True)
class BatchNormMatch(Match):
    """nodes: the BatchNormalization, then its producer or, where `is_before`, its consumer."""

    is_before: bool

    @property
    def norm(self) -> onnx.NodeProto:
        return self.nodes[0]

    @property
    def partner(self) -> onnx.NodeProto | None:
        """None where a graph input or a weight feeds the BatchNormalization."""
        return self.nodes[1] if len(self.nodes) > 1 else None


@dataclass(frozen=True)
class _Linear:
    """Weight and bias of a Conv, ConvTranspose or Gemm."""

    weight: Doubles
    bias: Doubles


class FoldBatchNorm(Rule[BatchNormMatch]):
    """Folds BatchNormalization into the Conv, ConvTranspose or Gemm before it, or a Conv after.

    In inference a BatchNormalization is y = a x + b per channel, with a = scale / sqrt(variance +
    epsilon) and b = bias - mean a. A linear node before it takes a and b into its weight and
    bias; a Conv after it does so too where it pads nothing (padding puts in zeros after b was
    added) or where b is zero. One node less to run, and quantization sees one range, not two.

    Exact but for rounding: new weights and biases are computed in float64 and rounded once, so
    each is within 2^-24 (float32; 2^-11 for float16) of its true value, relatively, unless that is
    subnormal. An output moves by no more than that share of the sum of the magnitudes of its
    products and bias.
    """

    rounding = 2.0**-10  # what one layer's rounding becomes depends on all that follow it

    def matches(self, graph: Graph) -> Iterator[BatchNormMatch]:
        for node in graph.nodes:
            if node.op_type == "BatchNormalization" and node.domain in OWN_DOMAINS:
                producer = graph.producer(node.input[0])
                yield BatchNormMatch((node, producer) if producer else (node,), is_before=False)
                consumers = graph.consumers(node.output[0])
                if any(consumer.op_type == "Conv" for consumer in consumers):
                    yield BatchNormMatch((node, consumers[0]), is_before=True)

    def check(self, graph: Graph, match: BatchNormMatch) -> Verdict:
        verdict = _check_batch_norm(graph, match.norm)
        if not verdict.is_yes:
            return verdict
        if match.partner is None:
            return Verdict.no("its input is no node's output", match.norm)
        check = _check_consumer if match.is_before else _check_producer
        verdict = check(graph, match.norm, match.partner)
        if verdict.is_yes and not _fits(graph, match):
            return Verdict.no("the folded weights are not finite in their type", match.partner)
        return verdict

    def rewrite(self, graph: Graph, match: BatchNormMatch) -> tuple[onnx.NodeProto, ...]:
        partner = cast(onnx.NodeProto, match.partner)
        weight, bias = _folded(graph, match)
        made = onnx.NodeProto()
        made.CopyFrom(partner)
        first, last = (match.norm, partner) if match.is_before else (partner, match.norm)
        made.input[:] = [
            first.input[0],
            graph.add_constant(f"{last.output[0]}.weight", weight),
            graph.add_constant(f"{last.output[0]}.bias", bias),
        ]
        made.output[:] = [last.output[0]]
        if partner.op_type == "Gemm":
            _drop_beta(made)
        graph.replace(match.nodes, [made])
        return (made,)


def _check_batch_norm(graph: Graph, node: onnx.NodeProto) -> Verdict:
    if graph.opset < 7:
        return Verdict.no(f"opset {graph.opset} does not say that it is in inference mode", node)
    if attribute(node, "training_mode", 0) or any(node.output[1:]):
        return Verdict.no("it is in training mode", node)
    if attribute(node, "spatial", 1) != 1:
        return Verdict.no("it normalizes each element, not each channel (spatial=0)", node)
    values = [graph.constant(name) for name in node.input[1:5]]
    if any(value is None for value in values):
        return Verdict.no("its scale, bias, mean or variance is not constant", node)
    scale, shift = _affine(graph, node)
    if not (np.isfinite(scale).all() and np.isfinite(shift).all()):
        return Verdict.no("a variance is negative or not a number", node)
    return Verdict.yes()


def _check_producer(graph: Graph, norm: onnx.NodeProto, linear: onnx.NodeProto) -> Verdict:
    if linear.op_type not in _FOLDS_INTO:
        return Verdict.no(f"its input comes from a {linear.op_type}, not from {_listing()}", linear)
    if graph.is_output(linear.output[0]):
        return Verdict.no(f"the output of the {linear.op_type} is an output of the graph", linear)
    others = [n for n in graph.consumers(linear.output[0]) if n is not norm]
    if others:
        return Verdict.no(f"another {others[0].op_type} reads the {linear.op_type}", others[0])
    return _check_constants(graph, linear)


def _check_consumer(graph: Graph, norm: onnx.NodeProto, conv: onnx.NodeProto) -> Verdict:
    if graph.is_output(norm.output[0]):
        return Verdict.no("its output is an output of the graph", norm)
    if len(graph.consumers(norm.output[0])) > 1:
        return Verdict.no("several nodes read it", norm)
    if list(conv.input).count(norm.output[0]) > 1 or conv.input[0] != norm.output[0]:
        return Verdict.no("it feeds the Conv's weight", conv)
    verdict = _check_constants(graph, conv)
    if verdict.is_yes and _pads(graph, conv) and _affine(graph, norm)[1].any():
        return Verdict.no("the Conv pads with zeros, which the shift would have to reach", conv)
    return verdict


def _check_constants(graph: Graph, linear: onnx.NodeProto) -> Verdict:
    weight = graph.constant(linear.input[1])
    if weight is None:
        return Verdict.no(f"the {linear.op_type} has no constant weight", linear)
    if weight.dtype.kind != "f":
        return Verdict.no(f"the {linear.op_type}'s weight is {weight.dtype}, not float", linear)
    if _has_bias(linear) and graph.constant(linear.input[2]) is None:
        return Verdict.no(f"the {linear.op_type} has no constant bias", linear)
    return Verdict.yes()


def _listing() -> str:
    return f"{', '.join(_FOLDS_INTO[:-1])} or {_FOLDS_INTO[-1]}"


def _has_bias(node: onnx.NodeProto) -> bool:
    return len(node.input) > 2 and bool(node.input[2])


def _pads(graph: Graph, conv: onnx.NodeProto) -> bool:
    """Whether a Conv may read zeros from outside its input."""
    automatic = attribute(conv, "auto_pad", "NOTSET")
    if automatic == "NOTSET":
        return any(cast("list[int]", attribute(conv, "pads", [])))
    if automatic == "VALID":
        return False
    kernel = _constant(graph, conv.input[1]).shape[2:]
    # SAME_UPPER and SAME_LOWER pad by what kernel and stride need: nothing for a kernel of one.
    return any(length != 1 for length in kernel)


def _fits(graph: Graph, match: BatchNormMatch) -> bool:
    return all(np.isfinite(array).all() for array in _folded(graph, match))


def _folded(graph: Graph, match: BatchNormMatch) -> tuple[Array, Array]:
    """The partner's new weight and bias, in the type that its weight has."""
    partner = cast(onnx.NodeProto, match.partner)
    dtype = _constant(graph, partner.input[1]).dtype
    scale, shift = _affine(graph, match.norm)
    fold = _absorb_before if match.is_before else _absorb_after
    linear = fold(partner, _linear(graph, partner, len(scale), match.is_before), scale, shift)
    with np.errstate(over="ignore"):  # `check` looks at the result
        return linear.weight.astype(dtype), linear.bias.astype(dtype)


def _affine(graph: Graph, norm: onnx.NodeProto) -> tuple[Doubles, Doubles]:
    """a and b of y = a x + b, per channel."""
    values = [_constant(graph, name).astype(np.float64) for name in norm.input[1:5]]
    return batch_norm.affine(norm, *values)  # `check` looks at the result


def _linear(graph: Graph, node: onnx.NodeProto, channels: int, is_before: bool) -> _Linear:
    weight = _constant(graph, node.input[1]).astype(np.float64)
    outputs = weight.shape[0] if is_before else channels
    if not _has_bias(node):
        return _Linear(weight, np.zeros(outputs))
    return _Linear(weight, _constant(graph, node.input[2]).astype(np.float64))


def _absorb_after(node: onnx.NodeProto, linear: _Linear, scale: Doubles, shift: Doubles) -> _Linear:
    """a (W x + c) + b: weights and biases of each output channel times a."""
    weight = linear.weight
    if node.op_type == "Gemm":
        across = scale[:, None] if attribute(node, "transB", 0) else scale[None, :]
        beta = float(cast(float, attribute(node, "beta", 1.0)))
        # A bias of [M, N], [M, 1] or a single number broadcasts against the channels, the last
        # axis.
        return _Linear(weight * across, beta * linear.bias * scale + shift)
    bias = linear.bias * scale + shift
    spatial = [1] * (weight.ndim - 2)
    if node.op_type == "Conv":  # [out, in / groups, ...]
        return _Linear(weight * scale.reshape(-1, 1, *spatial), bias)
    groups = int(cast(int, attribute(node, "group", 1)))  # ConvTranspose: [in, out / groups, ...]
    grouped = weight.reshape(groups, -1, *weight.shape[1:])
    grouped = grouped * scale.reshape(groups, 1, -1, *spatial)
    return _Linear(grouped.reshape(weight.shape), bias)


def _absorb_before(
    node: onnx.NodeProto, linear: _Linear, scale: Doubles, shift: Doubles
) -> _Linear:
    """W (a x + b) + c: weights of each input channel times a, and W b into the bias."""
    weight = linear.weight  # [out, in / groups, ...]
    groups = int(cast(int, attribute(node, "group", 1)))
    per_output = (groups, 1, weight.shape[1], *[1] * (weight.ndim - 2))
    grouped = weight.reshape(groups, -1, *weight.shape[1:])
    moved = (grouped * shift.reshape(per_output)).reshape(weight.shape[0], -1).sum(axis=1)
    scaled = (grouped * scale.reshape(per_output)).reshape(weight.shape)
    return _Linear(scaled, linear.bias + moved)


def _constant(graph: Graph, name: str) -> Array:
    value = graph.constant(name)
    if value is None:
        raise ValueError(f"`{name}` is not constant, though `check` found it so")
    return value


def _drop_beta(gemm: onnx.NodeProto) -> None:
    """beta is in the new bias."""
    kept = [held for held in gemm.attribute if held.name != "beta"]
    del gemm.attribute[:]
    gemm.attribute.extend(kept)
