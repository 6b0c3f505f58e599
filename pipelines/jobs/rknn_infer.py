"""infer for the rknn backend: samples through float network and simulator (an rknn toolchain).

params: as for rknn_build. inputs: quantize or model as build had it, artifact.rknn, float.
Data: samples/, as jobs.samples leaves it; for a model that one call quantizes, calibration/ too.

Writes out/float.npz and out/simulator.npz (output name -> [samples, *shape]) and
out/comparison.json: {"samples": [{output: {cosine, ...} of this one sample}, ...],
"outputs": {output: the same over all}, "findings": [sentences]}.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pipelines.backends.rknn import compiled_graph, end_to_end
from pipelines.backends.rknn.compile import compile_network
from pipelines.backends.rknn.end_to_end import FloatNetwork, Outputs, Simulator
from pipelines.jobs import prepared_samples
from pipelines.jobs.job import Job


def run(job: Job) -> None:
    compiled = compile_network(job, verbose=False)
    file = compiled_graph.read(job.inputs["artifact.rknn"])
    simulator = Simulator(compiled.sdk, file.outputs, job.params)
    network = FloatNetwork(job.inputs["float"], job.params, file.outputs)
    samples = prepared_samples.read(Path("samples"), compiled.inputs)
    pairs = [(network(samples.inputs, one), simulator(one)) for one in samples.arrays()]
    outputs, findings = end_to_end.compare(pairs)
    comparison = {
        "samples": [end_to_end.compare([pair])[0] for pair in pairs],
        "outputs": outputs,
        "findings": findings,
    }
    job.out.mkdir(exist_ok=True)
    _save(job.out / "float.npz", [pair[0] for pair in pairs])
    _save(job.out / "simulator.npz", [pair[1] for pair in pairs])
    text = json.dumps(comparison, indent=1, allow_nan=False)
    (job.out / "comparison.json").write_text(text + "\n")


def _save(file: Path, found: Sequence[Outputs]) -> None:
    np.savez(file, **{name: np.stack([one[name] for one in found]) for name in found[0]})
