"""The calibration data again, beside an analysis with data of its own (toolchain core).

analyze compiles the network again, and a network that one call quantizes is calibrated in it.
params: as for samples, and `calibration`, a Samples. inputs: those of samples, each name
after `calibration/`. Writes the folder calibration/ as samples writes samples/.
"""

from __future__ import annotations

from pathlib import Path

from pipelines.run.jobs.job import Job
from pipelines.stages.samples.jobs import samples

FOLDER = "calibration"


def run(job: Job) -> None:
    own = {
        name.removeprefix(f"{FOLDER}/"): path
        for name, path in job.inputs.items()
        if name.startswith(f"{FOLDER}/")
    }
    params = {**job.params, "samples": job.params["calibration"], "evaluate": None}
    samples.prepare(Job(params, {**job.inputs, **own}, job.out), Path(FOLDER))
