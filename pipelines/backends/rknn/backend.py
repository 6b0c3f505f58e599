"""The backend rknn."""

from __future__ import annotations

from pipelines.backends.rknn import steps, tune_steps
from pipelines.backends.rknn.notes import notes
from pipelines.backends.rknn.recipe import keys, known_mistakes, reference
from pipelines.backends.rknn.recipe.check import check
from pipelines.backends.rknn.recipe.resolve import resolve
from pipelines.recipe.define.backend_keys import BackendKeys
from pipelines.stages.backend import Backend, Trials

RKNN = Backend(
    keys=BackendKeys(
        name="rknn",
        doc="Rockchip NPUs, by the vendor's rknn-toolkit2.",
        sections=keys.SECTIONS,
        keys=keys.KEYS,
        defaults=keys.DEFAULTS,
        check=check,
        resolve=resolve,
        example="rk3588: {}",
        homes=keys.HOMES,
        known=known_mistakes.key,
    ),
    steps=steps.steps,
    artifacts=steps.artifacts,
    infer_step=steps.infer_step,
    bytes_key="rknn",
    runs="simulator",
    in_words="the simulator",
    notes=notes,
    board_step=steps.infer_step,
    commands=frozenset(("handoff", "runtime", "tune", "upgrade")),
    trials=Trials(
        measure=tune_steps.measure_step,
        search=tune_steps.search_step,
        simulate=tune_steps.foretell_step,
        is_one_call=steps.is_one_call,
    ),
    reference=reference.text,
)
