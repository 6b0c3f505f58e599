"""build for the backend plain_copy: the simplified network under another name (toolchain core)."""

from __future__ import annotations

import shutil
from dataclasses import dataclass

from pipelines.run.jobs.job import Job


@dataclass(frozen=True)
class CopyParams:
    file: str


def run(job: Job[CopyParams]) -> None:
    shutil.copyfile(job.inputs["model"], job.out / job.params.file)
