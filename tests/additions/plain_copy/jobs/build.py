"""build for the backend plain_copy: the simplified network under another name (toolchain core)."""

from __future__ import annotations

import shutil

from pipelines.run.jobs.job import Job


def run(job: Job) -> None:
    shutil.copyfile(job.inputs["model"], job.out / job.params["file"])
