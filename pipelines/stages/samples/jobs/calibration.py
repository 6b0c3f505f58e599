"""The calibration data again, beside an analysis with data of its own (toolchain core).

analyze compiles the network again, and a network that one call quantizes is calibrated in it.
params: as for samples, and `calibration`, a Samples. inputs: those of samples, each name
after `calibration/`. Writes the folder calibration/ as samples writes samples/.
"""

from __future__ import annotations

from dataclasses import replace

from pipelines.run.jobs.job import Job
from pipelines.stages.samples.jobs import samples
from pipelines.stages.samples.jobs.params import CalibrationParams
from pipelines.stages.samples.jobs.prepared_samples import CALIBRATION


def run(job: Job[CalibrationParams]) -> None:
    own = {
        name.removeprefix(f"{CALIBRATION}/"): path
        for name, path in job.inputs.items()
        if name.startswith(f"{CALIBRATION}/")
    }
    params = replace(job.params, samples=job.params.calibration, evaluate=None)
    samples.prepare(replace(job, params=params, inputs={**job.inputs, **own}), CALIBRATION)
