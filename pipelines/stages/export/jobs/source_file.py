"""Where the recipe's source stands among a step's inputs."""

from __future__ import annotations

import posixpath
from pathlib import Path

from pipelines.run.jobs.job import Job
from pipelines.stages.export.jobs.params import ExportParams, LookParams

# Below it the model's folder is laid out as it is: the source and its declared dependencies.
_MODEL = "model"


def source_file(job: Job[ExportParams] | Job[LookParams]) -> Path:
    """The source under its own name, beside its dependencies; a file or a folder."""
    file = posixpath.normpath(job.params.source.file)
    return job.inputs.get(f"{_MODEL}/{file}", job.inputs["source"])


def model_folder(job: Job[ExportParams] | Job[LookParams]) -> Path:
    """The folder that stands for the model's: paths of the recipe are relative to it."""
    file = posixpath.normpath(job.params.source.file)
    path = job.inputs.get(f"{_MODEL}/{file}")
    if path is None:
        return job.inputs["source"].parent
    return Path(*path.parts[: len(path.parts) - len(Path(file).parts)])
