"""Steps whose jobs are a few lines of Python, for tests of everything but the stages."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipelines.record.step import Step, Work

# Joins its inputs, the parameter and the clock-free facts only, so reruns are byte-identical.
JOIN = """
def run(job):
    parts = [path.read_text() for _, path in sorted(job.inputs.items())]
    (job.out / "out.txt").write_text("+".join([*parts, str(job.params["value"])]))
"""


def write_job(project: Path, name: str, text: str = JOIN) -> str:
    (project / "jobs" / f"{name}.py").write_text(text)
    return name


def make_step(
    stage: str,
    inputs: Mapping[str, str],
    module: str = "join",
    sections: Mapping[str, Any] | None = None,
    outputs: Mapping[str, str] | None = None,
    model: str = "m",
    outside: tuple[str, ...] = (),
) -> Step:
    """One step of model `m` in the fake toolchain; its parameter `value` is its only section."""
    read = {"value": 1} if sections is None else sections
    return Step(
        model=model,
        stage=stage,
        target=None,
        folder=f"models/{model}",
        inputs=inputs,
        outputs=outputs or {"out.txt": f"models/{model}/build/{stage}/out.txt"},
        sections=read,
        version_key=stage,
        version=1,
        toolchains=("fake",),
        outside=outside,
        work=lambda: (Work("fake", module, dict(read)),),
    )
