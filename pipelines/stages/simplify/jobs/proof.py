"""The graphs that simplify makes one after the other, and the proof that they compute the same."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from pipelines.run.jobs.job import Job
from pipelines.stages.samples.jobs.calibration_inputs import calibration_inputs
from pipelines.stages.simplify.jobs.params import SimplifyParams
from pipelines.stages.simplify.jobs.simplifiers import OTHER_TOOL
from quant.execution.compare import at_most, differences, require_close
from quant.execution.cut_run import CutRun
from quant.execution.random_inputs import DRAWS, random_inputs
from quant.execution.run import Arrays, FloatRun, Results
from quant.graph.types import TensorType, input_types, output_types
from quant.graph.weights import is_half
from quant.rewrites.rule import Rule

Array = npt.NDArray[np.generic]

# float16 rounds by 2^-11, float32 by 2^-24.
_HALF_FOR_SINGLE = 2.0**13
# What rounding explains, relative to an output's largest magnitude: 2^-24 is 6e-8, 2^-11 5e-4.
_TOLERANCE, _HALF_TOLERANCE = 1e-4, 1e-2
# How many times one rounding of the inputs the roundings inside may come to.
_NOISE = 4


@dataclass(frozen=True)
class Step:
    """The graph after the simplifier, or after one rule. rule: None for the simplifier."""

    rule: Rule[Any] | None
    model: onnx.ModelProto
    tail: onnx.ModelProto | None

    def run(self) -> FloatRun | CutRun:
        return CutRun(self.model, self.tail) if self.tail else FloatRun(self.model)

    @property
    def outputs(self) -> dict[str, TensorType]:
        return output_types(self.model) | (output_types(self.tail) if self.tail else {})

    @property
    def bound(self) -> float:
        """The largest difference that the rule's rounding explains."""
        rounding = self.rule.rounding if self.rule else 0.0
        return rounding * (_HALF_FOR_SINGLE if is_half(self.model) else 1)


class Proof:
    """The original's outputs, on random inputs and calibration data, and each step held to them.

    by_rule: rule -> its bound, and how far its graph's outputs are from those of the one before.
    """

    def __init__(self, original: onnx.ModelProto, job: Job[SimplifyParams]) -> None:
        types = input_types(original)
        self._inputs = {
            "random": [random_inputs(types, draw) for draw in range(DRAWS)],
            "calibration": calibration_inputs(job, types),
        }
        self._outputs = list(output_types(original))
        told = job.params.simplify.tolerance
        self._tolerance = _tolerance(original) if told is None else told
        self._is_strict = told is not None  # the recipe's own is meant as it stands
        # No session stays: it holds the weights again, as onnxruntime packs them.
        self._original = original
        self._expected = self._run(FloatRun(original))
        self._found = self._expected
        self.by_rule: dict[str, dict[str, float | None]] = {}
        self.last = Step(None, original, None)

    def first(self, step: Step) -> Step:
        """The step after the simplifier. Raises Fault where it does not compute the same."""
        found = self._run(step.run())
        self._require_close(found)
        self.last, self._found = step, found
        return step

    def next(self, step: Step) -> None:
        """A step after a rule. Raises Fault where that changes more than it says."""
        found = self._run(step.run())
        if step.rule is not None:
            self._judge(step.rule.name, step.bound, found)
        self._require_close(found)
        self.last, self._found = step, found

    def difference(self) -> dict[str, Any]:
        """How far the last step is from the original, for changes.json."""
        far = {kind: differences(self._expected[kind], self._found[kind]) for kind in self._inputs}
        print(f"differences from the original: {far}")
        outputs = {
            name: {
                kind: at_most(values[name]) if name in values else None
                for kind, values in far.items()
            }
            for name in self._outputs
        }
        count = len(self._inputs["calibration"])
        return {"tolerance": self._tolerance, "calibration_samples": count, "outputs": outputs}

    def _run(self, network: Callable[[Arrays], Results]) -> dict[str, list[Results]]:
        return {kind: [network(one) for one in given] for kind, given in self._inputs.items()}

    def _require_close(self, found: Mapping[str, Sequence[Results]]) -> None:
        for kind, results in found.items():
            self._hold(
                kind,
                zip(self._expected[kind], results, strict=True),
                self._tolerance,
                self._is_strict,
                "the simplified graph does not compute what the original does",
                f"{OTHER_TOOL}, or fewer rewrites",
            )

    def _judge(self, rule: str, bound: float, found: Mapping[str, Sequence[Results]]) -> None:
        judged: dict[str, float | None] = {"bound": bound, "random": None, "calibration": None}
        for kind, results in found.items():
            self._hold(
                kind,
                zip(self._found[kind], results, strict=True),
                bound,
                bound == 0,
                f"`{rule}` changes more than its rounding explains",
                f"take `{rule}` out of `simplify.rewrite`",
            )
            if values := differences(self._found[kind], results):
                judged[kind] = at_most(max(values.values()))
        self.by_rule[rule] = judged

    def _hold(
        self,
        kind: str,
        pairs: Iterable[tuple[Results, Results]],
        limit: float,
        is_strict: bool,
        what: str,
        advice: str,
    ) -> None:
        """Raise Fault where two runs on one input are further apart than `limit`.

        Unless that is strict, they may be a few times as far apart as the original is from itself
        where each input moves by one rounding: an output that is tiny beside what it is computed
        from has no more digits.
        """
        original = cache(lambda: FloatRun(self._original))  # for as long as these are compared
        for place, (before, after) in enumerate(pairs):
            told = {name: array for name, array in before.items() if _says_something(array)}
            found = differences([told], [after])
            if all(value <= limit for value in found.values()):
                continue
            own = dict.fromkeys(found, 0.0)
            if not is_strict:
                own = self._sensitivity(original(), kind, place)
            beyond = {n: v for n, v in found.items() if not v <= max(limit, _NOISE * own[n])}
            require_close(beyond, limit, f"on {kind} inputs {what}", advice)

    def _sensitivity(self, original: FloatRun, kind: str, place: int) -> dict[str, float]:
        """How far the original's outputs move with one rounding of every input."""
        moved = {name: _nudged(array) for name, array in self._inputs[kind][place].items()}
        expected = self._expected[kind][place]
        told = {name: array for name, array in expected.items() if _says_something(array)}
        return differences([told], [original(moved)])


def _says_something(array: Array) -> bool:
    """Whether it has a finite element, so that a difference can be told."""
    return array.dtype.kind != "f" or not array.size or bool(np.isfinite(array).any())


def _nudged(array: Array) -> Array:
    return np.nextafter(array, array.dtype.type(np.inf)) if array.dtype.kind == "f" else array


def _tolerance(model: onnx.ModelProto) -> float:
    """A thousand roundings of float32; of float16, in which simplifiers join fewer, twenty."""
    return _HALF_TOLERANCE if is_half(model) else _TOLERANCE
