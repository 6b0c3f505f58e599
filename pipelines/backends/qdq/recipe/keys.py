"""Sections and keys of a recipe that qdq reads: arguments of onnxruntime's quantize_static."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pipelines.backends.qdq.recipe.options import METHODS, TYPES, Options
from pipelines.recipe.define.sections import QUANTIZE, defaults_of
from pipelines.recipe.kinds.containers import ListOf
from pipelines.recipe.kinds.scalars import Choice, Flag, Integer, Name, Number
from pipelines.recipe.kinds.section import Key


def _type(names: Sequence[str]) -> Choice:
    """NumPy's and ONNX's names of the types are told the right one."""

    def explain(value: str) -> tuple[str, str] | None:
        meant = {name.lower().removeprefix("q"): name for name in names}
        right = meant.get(value.lower().removeprefix("q"))
        return (f"no type `{value}`", f"write {right}, as onnxruntime does") if right else None

    return Choice("type", tuple(names), explain)


def _method(value: str) -> tuple[str, str] | None:
    meant = {name.lower(): name for name in METHODS}.get(value.lower().replace("_", ""))
    return (f"no calibration method `{value}`", f"write {meant}") if meant else None


# Of a target.
KEYS: Mapping[str, Key] = {
    "activation_type": Key(
        _type(TYPES),
        "qdq: codes of activations. 16 bits are written with Microsoft's own operators below "
        "opset 21.",
    ),
    "weight_type": Key(_type(TYPES[:2]), "qdq: codes of weights."),
    "per_channel": Key(Flag(), "qdq: each output channel of a weight has a scale of its own."),
    "reduce_range": Key(
        Flag(),
        "qdq: weights of 7 bits, so that the integer kernels of processors without VNNI do not "
        "saturate.",
    ),
    "calibrate_method": Key(
        Choice("calibration method", METHODS, _method),
        "qdq: how a range is made of what a tensor held: all of it, or less, by its histogram.",
    ),
    "percentile": Key(
        Number(0, 100, low_open=True),
        "qdq: how much of a tensor's magnitudes a range holds, in per cent.",
    ),
    "num_bins": Key(
        Integer(128),
        "qdq: bins of the histograms. Left out: 128 for Entropy, which then clips nothing, and "
        "2048 for Percentile.",
    ),
    "op_types_to_quantize": Key(
        ListOf(Name("an operator"), at_least=1, unique=True),
        "qdq: operators to quantize. All that onnxruntime knows where left out.",
    ),
    "nodes_to_exclude": Key(
        ListOf(Name("a node's name"), at_least=1, unique=True), "qdq: nodes that stay float."
    ),
}
DEFAULTS = defaults_of(Options)
SECTIONS = {"quantize": QUANTIZE}
