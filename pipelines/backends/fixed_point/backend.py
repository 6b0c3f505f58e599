"""The backend fixed_point."""

from __future__ import annotations

from pipelines.backends.fixed_point import steps
from pipelines.backends.fixed_point.recipe import keys
from pipelines.backends.fixed_point.recipe.check import check
from pipelines.backends.fixed_point.recipe.resolve import resolve
from pipelines.recipe.define.backend_keys import BackendKeys
from pipelines.stages.backend import Backend

FIXED_POINT = Backend(
    keys=BackendKeys(
        name="fixed_point",
        doc="whole numbers alone: NAME_quant.onnx and NAME_quant.tflite, equal bit for bit.",
        sections=keys.SECTIONS,
        keys=keys.KEYS,
        defaults=keys.DEFAULTS,
        check=check,
        resolve=resolve,
        example="int8: {backend: fixed_point, input_scale: 16}",
    ),
    steps=steps.steps,
    artifacts=steps.artifacts,
    infer_step=steps.infer_step,
    bytes_key="artifact",
    runs="integer",
    in_words="int8",
    commands=frozenset(("table",)),
)
