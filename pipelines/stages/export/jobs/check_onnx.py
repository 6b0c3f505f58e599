"""The last job of every export: out/model.onnx is sound, whatever made it, or the step fails."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from pipelines.run.jobs.job import Job
from pipelines.run.jobs.refusal import Refusal
from pipelines.stages.export.jobs.notes import ExportNotes, read_export_notes
from pipelines.stages.export.jobs.params import ExportParams
from pipelines.stages.export.jobs.recipe_inputs import bind
from quant.conversion.constant_inputs import give_axis
from quant.conversion.opset_conversion import NEWEST_OPSET
from quant.execution.run import run_random
from quant.graph.check import check_graph, foreign_operators
from quant.graph.file import read, save
from quant.graph.operators import operator_counts, opset
from quant.graph.types import TensorType, input_types, output_types, require_static, shape_text
from quant.graph.weights import parameter_count, require_finite

_FIXED = "NPUs need fixed shapes: declare the `shape` of every input in the recipe"


def run(job: Job[ExportParams]) -> None:
    """Checks out/model.onnx and writes out/export.json: what it is and where it came from.

    Inputs that are single numbers get an axis first, whatever made the graph.
    """
    file = job.out / "model.onnx"
    model = read(file)
    if said := give_axis(model):
        save(model, file)
    check_graph(model, full=True)
    _check_signature(model, job)
    require_finite(model)
    warnings = _check_run(model)
    record = _record(model, read_export_notes(job.scratch), warnings)
    record["changes"] += said
    record["bytes"] = file.stat().st_size
    text = json.dumps(record, indent=2, sort_keys=True, ensure_ascii=False)
    (job.out / "export.json").write_text(text + "\n", encoding="utf-8")


def _check_signature(model: onnx.ModelProto, job: Job[ExportParams]) -> None:
    if opset(model) > NEWEST_OPSET:
        raise Refusal(
            f"the exported graph has opset {opset(model)}, above {NEWEST_OPSET}, the newest that "
            "the SDK reads",
            f"set `source.opset` to {NEWEST_OPSET} or lower",
        )
    inputs, outputs = input_types(model), output_types(model)
    require_static(inputs, "input", _FIXED)
    require_static(outputs, "output", _FIXED)
    bind(job.params.inputs, inputs)
    wanted = list(job.params.outputs)
    if wanted and wanted != list(outputs):
        raise Refusal(
            f"the recipe names the outputs {', '.join(wanted)}; the model has {', '.join(outputs)}",
            "correct `outputs` in the recipe, or leave it out to take all",
        )


def _check_run(model: onnx.ModelProto) -> list[str]:
    """Run the graph on random inputs. Returns warnings.

    Raises Refusal unless its outputs have the shapes and types it declares, and hold numbers.
    """
    runs = run_random(model)
    warnings = []
    for name, type_ in output_types(model).items():
        arrays = [run[name] for run in runs]
        _check_output(name, type_, arrays[0])
        finite = [np.isfinite(array) for array in arrays if array.dtype.kind == "f"]
        if finite and not any(mask.any() for mask in finite):
            raise Refusal(
                f"output `{name}` is NaN or infinite everywhere on random inputs",
                "check the weights, and the range of values that the network expects",
            )
        if not all(mask.all() for mask in finite):
            warnings.append(f"output `{name}` has NaN or infinite elements on random inputs")
    return warnings


def _check_output(name: str, type_: TensorType, array: npt.NDArray[np.generic]) -> None:
    if (array.shape, str(array.dtype)) != (type_.static_shape, type_.dtype):
        raise Refusal(
            f"output `{name}` is declared {type_}, but running the graph gives "
            f"{array.dtype} {shape_text(array.shape)}",
            "export the model again for the recipe's input shapes",
        )


def _record(model: onnx.ModelProto, notes: ExportNotes, warnings: Sequence[str]) -> dict[str, Any]:
    foreign = [
        f"operator outside ONNX's own, which the SDK may not know: {name}"
        for name in foreign_operators(model)
    ]
    return {
        "inputs": _types(input_types(model)),
        "outputs": _types(output_types(model)),
        "opset": opset(model),
        "ir_version": model.ir_version,
        "operators": operator_counts(model),
        "parameters": parameter_count(model),
        "exporter": notes.exporter,
        "producer": f"{model.producer_name} {model.producer_version}".strip(),
        "changes": list(notes.changes),
        "warnings": [*notes.warnings, *foreign, *warnings],
        "maximum_difference": notes.maximum_difference,
    }


def _types(types: Mapping[str, TensorType]) -> dict[str, Any]:
    return {
        name: {"shape": list(type_.static_shape), "dtype": type_.dtype}
        for name, type_ in types.items()
    }
