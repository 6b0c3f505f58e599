"""The two jobs that export an ONNX source, in this process."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnx

from tests.job_runner import Told, Work, recipe_input, run_here, source

EXPORT, CHECK = "pipelines.stages.export.jobs.from_onnx", "pipelines.stages.export.jobs.check_onnx"
X = {"x": recipe_input([1, 3, 8, 8])}


def export(
    folder: Path,
    model: onnx.ModelProto | bytes,
    inputs: Mapping[str, Any] | None = None,
    outputs: tuple[str, ...] = (),
    files: Mapping[str, Path] | None = None,
    constants: Mapping[str, Any] | None = None,
) -> tuple[Told, Work]:
    """Run both jobs on a model called net.onnx; the check only where the export succeeded."""
    folder.mkdir(exist_ok=True)
    place = folder / "net.onnx"
    place.write_bytes(model if isinstance(model, bytes) else model.SerializeToString())
    given = {f"model/{name}": path for name, path in (files or {}).items()}
    work = Work.lay_out(folder / "work", {"source": place, "model/net.onnx": place, **given})
    params = {
        "source": source("onnx", "net.onnx"),
        "inputs": X if inputs is None else inputs,
        "outputs": list(outputs),
        "constants": {
            name: {"value": value, "shape": None, "dtype": None}
            for name, value in (constants or {}).items()
        },
    }
    told = run_here(work, EXPORT, params)
    return (told if told.what else run_here(work, CHECK, params)), work


def exported(work: Work) -> onnx.ModelProto:
    return onnx.load(work.out / "model.onnx")
