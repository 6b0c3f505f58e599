"""runtime: what the vendor's own runtime says of the built file (the core toolchain).

inputs: artifact.rknn; librknnrt.so where the recipe names a copy. Writes out/runtime.json, see
pipelines.backends.rknn.runtime.check. The front end has fetched what this needs before.
"""

from __future__ import annotations

import json

from pipelines.backends.rknn.runtime import check
from pipelines.files.engine import PROJECT
from pipelines.run.jobs.job import Job, NoParams

_HOME = PROJECT / ".npumake" / "runtime"


def run(job: Job[NoParams]) -> None:
    job.out.mkdir(exist_ok=True)
    found = check.check(job.inputs["artifact.rknn"], job.inputs.get("librknnrt.so"), _HOME)
    (job.out / "runtime.json").write_text(json.dumps(found, indent=1) + "\n")
