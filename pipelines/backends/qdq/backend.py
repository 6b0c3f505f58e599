"""The backend qdq."""

from __future__ import annotations

from pipelines.backends.qdq import steps
from pipelines.backends.qdq.notes import notes
from pipelines.backends.qdq.recipe import keys
from pipelines.backends.qdq.recipe.check import check
from pipelines.backends.qdq.recipe.resolve import resolve
from pipelines.recipe.define.backend_keys import BackendKeys
from pipelines.stages.backend import Backend

QDQ = Backend(
    keys=BackendKeys(
        name="qdq",
        doc="onnxruntime's static quantization: NAME_qdq.onnx, the open second opinion.",
        sections=keys.SECTIONS,
        keys=keys.KEYS,
        defaults=keys.DEFAULTS,
        check=check,
        resolve=resolve,
        example="qdq: {backend: qdq}",
    ),
    steps=steps.steps,
    artifacts=steps.artifacts,
    infer_step=steps.infer_step,
    bytes_key="artifact",
    runs="qdq",
    in_words="QDQ",
    notes=notes,
)
