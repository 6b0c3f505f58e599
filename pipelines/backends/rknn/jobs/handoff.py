"""handoff for the rknn backend: references for a board's program (an rknn toolchain).

params: RknnParams. inputs: quantize or model as build had it, build.json, artifact.rknn.
Data: samples/, as stages.samples leaves it; for a model that one call quantizes, calibration/ too.

Writes out/references/N/ for each sample, see pipelines.backends.rknn.handoff.references;
out/references/tolerance.txt, a number an output; has_shapes.txt beside it where dynamic_input gave
the network several; and out/references.json: {"samples": count,
"files": [[names] a sample], "is_random", "inputs": [{"name", "source_name", "is_pixels", "dtype",
"frame": nv12 or nv21 where the file takes one}],
"outputs": [{"name", "tolerance", "unit": "steps" or "value"}]}.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from pipelines.backends.rknn.analysis.end_to_end import Array, Simulator
from pipelines.backends.rknn.file import inspection
from pipelines.backends.rknn.handoff import ends, references
from pipelines.backends.rknn.handoff.references import InputWay
from pipelines.backends.rknn.params import RknnParams
from pipelines.backends.rknn.sdk import frames
from pipelines.backends.rknn.sdk import samples as sdk_samples
from pipelines.backends.rknn.sdk.compile import Compiled, compile_network
from pipelines.run.jobs.job import Job
from pipelines.run.jobs.refusal import Refusal
from pipelines.stages.samples.jobs import prepared_samples
from quant.samples.input import Input


def run(job: Job[RknnParams]) -> None:
    compiled = compile_network(job, verbose=False)
    held = inspection.inspect(job.inputs["artifact.rknn"])
    outputs = [ends.of_output(row, held["batch"]) for row in held["outputs"]]
    samples = prepared_samples.read(job, compiled.inputs)
    simulator = Simulator(compiled.sdk, [row["name"] for row in outputs], job.params)
    arrays = [sdk_samples.given(sample, job.params) for sample in samples.arrays()]
    ways = _ways(job, compiled, held, arrays)
    batch = job.params.quantize.rknn_batch_size or 1
    random = np.random.default_rng(0)
    pairs: list[list[tuple[Array, Array]]] = [[] for _ in outputs]
    for number, sample in enumerate(arrays):
        told = list(simulator.run(sample).values())
        moved = [way.moved(one, random) for way, one in zip(ways, sample, strict=True)]
        for pair, one, other in zip(pairs, told, simulator.run(moved).values(), strict=True):
            pair.append((one, other))
        made = [_shaped(one, row, batch) for one, row in zip(told, outputs, strict=True)]
        references.write(
            job.out / "references" / str(number),
            [
                way.array(np.repeat(one, batch, axis=0))
                for way, one in zip(ways, sample, strict=True)
            ],
            [(references.codes(one, row), one) for one, row in zip(made, outputs, strict=True)],
        )
    limits = [references.tolerance(pair, row) for pair, row in zip(pairs, outputs, strict=True)]
    text = "".join(f"{limit:.9g}\n" for limit in limits)
    (job.out / "references" / "tolerance.txt").write_text(text)
    if held["graphs"] > 1:
        shapes = "".join(f"{row['shape']}\n" for row in held["inputs"])
        (job.out / "references" / "has_shapes.txt").write_text(shapes)
    record = {
        **_told(_sources(job, compiled.inputs), ways, outputs, limits),
        "is_random": samples.is_random,
        "samples": len(arrays),
    }
    (job.out / "references.json").write_text(json.dumps(record, indent=1) + "\n")


def _ways(
    job: Job[RknnParams],
    compiled: Compiled,
    held: dict[str, Any],
    arrays: Sequence[Sequence[Array]],
) -> list[InputWay]:
    """In the order in which the SDK takes inputs, which has to be the file's."""
    ways = []
    rows = [ends.of_input(row, held["batch"]) for row in held["inputs"]]
    names = [row["name"] for row in rows]
    wanted = frames.names(compiled.inputs, job.params)
    if set(names) == set(wanted) and names != wanted:
        raise Refusal(f"the file's inputs are {', '.join(names)}, in another order than the SDK's")
    sources = _sources(job, compiled.inputs)
    for place, ((name, _), row) in enumerate(zip(sources, rows, strict=True)):
        told = job.params.inputs.get(name, Input())
        of_one = [sample[place] for sample in arrays]
        is_image = of_one[0].ndim == 4 and row["dtype"] not in references.WHOLE
        is_pixels = is_image and references.is_whole_pixels(of_one)
        std = told.std
        ways.append(InputWay(row, is_pixels, min(std) if std else 1.0))
    return ways


def _sources(job: Job[RknnParams], names: Sequence[str]) -> list[tuple[str, str | None]]:
    """The network's input behind each of the file's, and its format: a frame has two planes."""
    pairs = zip(names, frames.formats(job.params, len(names)), strict=True)
    return [(name, form) for name, form in pairs for _ in range(1 if form is None else 2)]


def _shaped(array: Array, row: dict[str, Any], batch: int) -> Array:
    """As the board's output stands, which the SDK may give with other lengths of 1."""
    return np.repeat(array, batch, axis=0).reshape(row["shape"])


def _told(
    sources: Sequence[tuple[str, str | None]],
    ways: Sequence[InputWay],
    outputs: Sequence[dict[str, Any]],
    limits: Sequence[float],
) -> dict[str, Any]:
    return {
        "inputs": [
            {
                "name": way.row["name"],
                "source_name": name,
                "is_pixels": way.is_pixels,
                "dtype": str(way.given),
                "frame": form,
            }
            for way, (name, form) in zip(ways, sources, strict=True)
        ],
        "outputs": [
            {
                "name": row["name"],
                "tolerance": limit,
                "unit": "steps" if row["dtype"] in references.INTEGERS else "value",
            }
            for row, limit in zip(outputs, limits, strict=True)
        ],
    }
