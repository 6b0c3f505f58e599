"""infer for the backend qdq: samples through both networks (toolchain core).

params and inputs: as for analyze. Data: samples/, as stages.samples leaves it.

Writes out/float.npz and out/qdq.npz (output name -> [samples, *shape]) and out/comparison.json, see
pipelines.stages.compare.jobs.comparison.
"""

from __future__ import annotations

from pipelines.backends.qdq.jobs.opened import Opened
from pipelines.backends.qdq.jobs.params import QdqParams
from pipelines.run.jobs.job import Job
from pipelines.stages.compare.jobs.comparison import save
from pipelines.stages.compare.jobs.tail import Tail
from pipelines.stages.samples.jobs import prepared_samples


def run(job: Job[QdqParams]) -> None:
    opened = Opened.of(job)
    samples = prepared_samples.read(job, opened.inputs)
    feeds = (opened.feeds(arrays) for arrays in samples.arrays())
    pairs = [(opened.float_run(one), opened.built_run(one)) for one in feeds]
    save(job.out, pairs, "qdq", Tail(job.inputs).divided)
