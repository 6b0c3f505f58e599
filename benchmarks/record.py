"""Record every step of a built project, as Builder does with one that has just run.

.venv/bin/python -m benchmarks.record PROJECT
"""

from __future__ import annotations

import sys
from pathlib import Path

from pipelines.building.project import Project
from pipelines.record.facts import observe


def record_all(root: Path) -> None:
    project = Project(root)
    builder = project.builder
    for step in project.plan.steps.values():
        facts = observe(step, builder.contents)
        taken = {path: builder.store.take(root / path) for path in step.outputs.values()}
        builder.record(step, facts, taken)
    builder.close()


if __name__ == "__main__":
    record_all(Path(sys.argv[1]))
