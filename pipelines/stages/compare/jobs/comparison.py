"""How far a built network's outputs are from the float one's, over samples."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.stages.compare.jobs.float_network import Array, Outputs, turned
from quant.graph.types import shape_text
from quant.report.layer_error import Distance, over_samples
from quant.report.metrics import distance, max_abs_difference
from quant.report.output_error import NOT_FINITE, OutputError
from quant.rewrites.divided import sentences


def save(
    folder: Path,
    pairs: Sequence[tuple[Outputs, Outputs]],
    runs: str,
    divided: Mapping[str, Any] | None = None,
) -> None:
    """FOLDER/float.npz and RUNS.npz (output -> [samples, *shape]), and comparison.json.

    comparison.json: {"samples": [{output: {cosine, ...} of this one sample}, ...],
    "outputs": {output: the same over all}, "findings": [sentences], "divided": see
    quant.rewrites.divided}.
    """
    outputs, findings = compare(pairs)
    comparison = {
        "samples": [compare([pair])[0] for pair in pairs],
        "outputs": outputs,
        "findings": [*findings, *sentences(divided or {})],
        "divided": divided or {},
    }
    folder.mkdir(exist_ok=True)
    for number, name in enumerate(("float", runs)):
        found = [pair[number] for pair in pairs]
        stacked = {output: np.stack([one[output] for one in found]) for output in found[0]}
        np.savez(folder / f"{name}.npz", **stacked)
    text = json.dumps(comparison, indent=1, allow_nan=False)
    (folder / "comparison.json").write_text(text + "\n")


# The keys of an output that is none of the float network's, or has another shape than its.
UNCOMPARED: dict[str, Any] = {
    "finite": True,
    "cosine": {"worst": None, "mean": None},
    "euclidean": {"worst": None, "mean": None},
    "max_abs_difference": None,
    **NOT_FINITE,
}


@dataclass
class Comparison:
    """Differences of one output, sample by sample."""

    distances: list[Distance] = field(default_factory=list)
    largest: list[float] = field(default_factory=list)
    error: OutputError = field(default_factory=OutputError)

    def add(self, expected: Array, actual: Array) -> None:
        apart = distance(expected, actual)
        self.distances.append(apart)
        self.largest.append(
            max_abs_difference(expected, actual) if apart.is_finite else float("nan")
        )
        if apart.is_finite:
            self.error.add(expected, actual)

    def summary(self) -> dict[str, Any]:
        """Worst and mean over the samples, as metrics.json holds them; null where not finite."""
        error = over_samples(self.distances)
        return {
            "finite": error.finite,
            "cosine": {"worst": error.cosine_worst, "mean": error.cosine_mean},
            "euclidean": {"worst": error.euclidean_worst, "mean": error.euclidean_mean},
            "max_abs_difference": max(self.largest) if error.finite else None,
            **(self.error.summary() if error.finite else NOT_FINITE),
        }


def compare(pairs: Iterable[tuple[Outputs, Outputs]]) -> tuple[dict[str, Any], list[str]]:
    """Summaries by output name, and findings on what can't be compared or isn't finite.

    An output that can't be compared with the float network's has UNCOMPARED: no gate holds for it.

    pairs: for each sample what the float network and the built one made of it. Where the SDK
    renamed every output, as it does with TorchScript, they are compared in order.
    """
    found: dict[str, Comparison | None] = {}
    findings: dict[str, None] = {}
    for expected, renamed in pairs:
        for name, array in _by_name(expected, renamed).items():
            if name not in expected:
                findings[f"output `{name}` is none of the float network's: not compared"] = None
                found[name] = None
                continue
            aligned = _aligned(array, expected[name].shape)
            if aligned is None:
                findings[
                    f"output `{name}` is {shape_text(array.shape)}, in the float network "
                    f"{shape_text(expected[name].shape)}: not compared"
                ] = None
                found[name] = None
            elif (comparison := found.setdefault(name, Comparison())) is not None:
                comparison.add(expected[name], aligned)
    summaries = {name: one.summary() if one else UNCOMPARED for name, one in found.items()}
    for name, summary in summaries.items():
        if not summary["finite"]:
            findings[f"output `{name}` holds NaN or infinities"] = None
        elif (summary["constant_channels"] or {}).get("count"):
            findings[_constant(name, summary["constant_channels"])] = None
    return summaries, list(findings)


def _constant(name: str, channels: Mapping[str, int]) -> str:
    return (
        f"output `{name}`: {channels['count']} of {channels['of']} channels (axis "
        f"{channels['axis']}) are constant, in the float network none of these is"
    )


def worst_output(outputs: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The lowest cosine and the largest relative error of all outputs, with their names.

    A single number has no angle: its cosine is left out. null where an output is not finite, was
    not compared, or nothing can be said.
    """
    bad = [name for name, one in outputs.items() if not one["finite"]]
    cosines = {name: one["cosine"]["worst"] for name, one in outputs.items() if one["values"] != 1}
    errors = {name: one["relative_error"] for name, one in outputs.items()}
    unknown = [name for name, value in errors.items() if value is None]
    bad += [name for name, value in cosines.items() if value is None and name not in bad]
    lowest = bad[0] if bad else min(cosines, key=lambda name: cosines[name], default=None)
    largest = unknown[0] if unknown else max(errors, key=lambda name: errors[name], default=None)
    return {
        "worst_output_cosine": None if bad or lowest is None else cosines[lowest],
        "worst_cosine_output": lowest,
        "worst_output_error": None if largest is None else errors[largest],
        "worst_error_output": largest,
    }


def _by_name(expected: Outputs, actual: Outputs) -> Outputs:
    """What the built network returned, by the float network's names."""
    if len(expected) != len(actual) or set(expected) & set(actual):
        return actual
    return dict(zip(expected, actual.values(), strict=True))


def _aligned(array: Array, shape: tuple[int, ...]) -> Array | None:
    """The array in another network's shape: lengths of 1 added or left out, or NCHW for NHWC.

    The SDK's `remove_reshape` drops a last Reshape, its TFLite loader turns the layout.
    """
    for form in (array, *turned(array)):
        if [n for n in form.shape if n != 1] == [n for n in shape if n != 1]:
            return form.reshape(shape)
    return None
