"""infer for the rknn backend: samples through float network and simulator (an rknn toolchain).

params: RknnParams. inputs: quantize or model as build had it, artifact.rknn, float; of a
cut network cut and tail.
Data: samples/, as stages.samples leaves it; for a model that one call quantizes, calibration/ too.

Writes out/float.npz and out/simulator.npz (output name -> [samples, *shape]) and
out/comparison.json, see pipelines.stages.compare.jobs.comparison.
"""

from __future__ import annotations

from pipelines.backends.rknn.analysis.end_to_end import Simulator, reference
from pipelines.backends.rknn.file import compiled_graph
from pipelines.backends.rknn.params import RknnParams
from pipelines.backends.rknn.sdk.compile import compile_network
from pipelines.run.jobs.job import Job
from pipelines.stages.compare.jobs.comparison import save
from pipelines.stages.compare.jobs.tail import Tail
from pipelines.stages.samples.jobs import prepared_samples


def run(job: Job[RknnParams]) -> None:
    compiled = compile_network(job, verbose=False)
    file = compiled_graph.read(job.inputs["artifact.rknn"])
    simulator = Simulator(compiled.sdk, file.outputs, job.params)
    network = reference(job, file.outputs)
    samples = prepared_samples.read(job, compiled.inputs)
    pairs = [(network(samples.inputs, one), simulator(one)) for one in samples.arrays()]
    save(job.out, pairs, "simulator", Tail(job.inputs).divided)
