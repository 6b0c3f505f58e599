"""Sections and keys of a recipe that fixed_point reads."""

from __future__ import annotations

from collections.abc import Mapping

from pipelines.backends.fixed_point.recipe.options import FixedPoint
from pipelines.recipe.define.sections import QUANTIZE, defaults_of
from pipelines.recipe.kinds.containers import Either, ListOf, MapOf
from pipelines.recipe.kinds.scalars import Choice, Flag
from pipelines.recipe.kinds.scale import InputScale
from pipelines.recipe.kinds.section import Key
from quant.fixed_point.network import options

_INPUT_SCALE = MapOf("input", InputScale(), at_least=1)
_BIAS_MODE = Choice("bias mode", options.BIAS_MODES, is_any_case=True)

# Of a target.
KEYS: Mapping[str, Key] = {
    "input_scale": Key(
        Either(
            InputScale(),
            ListOf(Either(InputScale(), None, _INPUT_SCALE), at_least=1, unique=True),
            _INPUT_SCALE,
        ),
        "fixed_point: the factor on the real inputs, or on each (images 4 to 32, text 1 to 8). A "
        "list sweeps: target `int8` becomes `int8-s4`, `int8-s8`. Must be written.",
    ),
    "bias_mode": Key(
        Either(_BIAS_MODE, ListOf(_BIAS_MODE, at_least=1, unique=True)),
        "fixed_point: `B8` shifts, then adds an 8-bit bias; `B16` adds a 16-bit bias, then shifts. "
        "A list sweeps: `int8-b8`, `int8-b16`.",
    ),
    "rounding": Key(
        Choice("rounding", options.ROUNDINGS),
        "fixed_point: `compensated` puts half of the last place into the bias; `truncate` does "
        "not.",
    ),
    "shifts": Key(
        Choice("shifts", options.SHIFTS),
        "fixed_point: each tensor's scale is from its range on the calibration data, or on random "
        "data; `constant`: every tensor has the input's.",
    ),
    "weights": Key(
        Choice("weights", options.WEIGHTS),
        "fixed_point: what shares a power of two, a whole weight tensor or each channel of it.",
    ),
    "weight_rounding": Key(
        Choice("weight rounding", options.WEIGHT_ROUNDINGS),
        "fixed_point: `gptq` rounds the weights of a layer one after the other, so that later ones "
        "make good what earlier ones lose, and corrects biases by a few samples; `auto` does so "
        "where that takes seconds.",
    ),
    "equalize": Key(
        Flag(), "fixed_point: move factors between the channels of neighbouring layers (exact)."
    ),
    "unsupported": Key(
        Choice("way with unsupported operators", options.UNSUPPORTED),
        "fixed_point: what becomes of an operator that has no integer form; `float` leaves it in "
        "float between a dequantize and a quantize, in the ONNX file alone.",
    ),
    "activations": Key(
        Choice("kind of activations", options.ACTIVATIONS),
        "fixed_point: `signed` gives every tensor an int8 whose scale is input_scale times a power "
        "of two; `unsigned` gives what is never negative the codes 0 to 255, and every tensor the "
        "scale that uses all of its codes. Nearer to float, most with `weights: channel`.",
    ),
}
DEFAULTS = defaults_of(FixedPoint)
SECTIONS = {"quantize": QUANTIZE}
