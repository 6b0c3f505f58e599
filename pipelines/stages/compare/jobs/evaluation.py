"""Labelled data measured: the share of right classes, or by a function of the user's own.

`evaluate: {metric: file.py:function}`: function(outputs, labels) -> a number, or a mapping of
numbers. outputs: name -> float32 [N, ...], all samples. labels: the npy file's array, or name ->
array where the recipe names outputs.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from pipelines.files.where import did_you_mean
from pipelines.run.jobs.job import Job
from pipelines.run.jobs.refusal import Refusal
from pipelines.run.jobs.user_code import errors_told, load_module
from pipelines.stages.compare.jobs.accuracy import Array, Network, accuracy, scores
from pipelines.stages.samples.jobs.params import DataParams
from pipelines.stages.samples.jobs.prepared_samples import LabelledSamples
from quant.samples.label_files import FIRST


def evaluation(
    job: Job[DataParams], labelled: LabelledSamples, networks: Mapping[str, Network]
) -> dict[str, Any]:
    """For metrics.json: `accuracy`, or `evaluation`: {samples, metrics: {name: {network: number}}}.

    networks: by what metrics.json calls them. Raises Refusal that names the user's file and line.
    """
    evaluate = job.params.evaluate
    if evaluate is None or evaluate.function is None:
        runs = {key: scores(labelled, network) for key, network in networks.items()}
        return {"accuracy": accuracy(labelled, runs)}
    file, name = evaluate.function
    path = job.inputs[f"model/{file}"]
    folder = Path(*path.parts[: len(path.parts) - len(PurePosixPath(file).parts)])
    measure = _function(path, folder, file, name)
    labels = labelled.labels.get(FIRST, labelled.labels)
    found: dict[str, dict[str, float]] = {}
    for key, network in networks.items():
        outputs = _outputs(labelled, network)
        with errors_told(folder, f"`{file}:{name}` failed"):
            told = measure(outputs, labels)
        for metric, value in _numbers(told, f"{file}:{name}", name).items():
            found.setdefault(metric, {})[key] = value
    return {"evaluation": {"samples": len(labelled), "metrics": found}}


def _function(path: Path, folder: Path, file: str, name: str) -> Callable[..., Any]:
    module = load_module(path, folder, file)
    function: Callable[..., Any] | None = getattr(module, name, None)
    if function is None or not callable(function):
        known = [key for key, value in vars(module).items() if callable(value)]
        raise Refusal(f"`{file}` has no function `{name}`", did_you_mean(name, known, "it has"))
    return function


def _outputs(labelled: LabelledSamples, network: Network) -> dict[str, Array]:
    rows: dict[str, list[Array]] = {}
    for one in labelled.samples():
        for output, array in network(one).items():
            rows.setdefault(output, []).append(array)
    return {
        output: np.concatenate(found) if found[0].ndim else np.stack(found)
        for output, found in rows.items()
    }


def _numbers(told: Any, function: str, name: str) -> dict[str, float]:
    given = told if isinstance(told, Mapping) else {name: told}
    for metric, value in given.items():
        if not isinstance(value, numbers.Real | np.number) or not math.isfinite(float(value)):
            raise Refusal(
                f"`{function}` returned {value!r} for `{metric}`, not a finite number",
                "return a number, or a mapping from names to numbers",
            )
    return {str(metric): float(value) for metric, value in given.items()}
