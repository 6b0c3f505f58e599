"""export of an ONNX source: copied byte for byte, unless shapes, outputs or opset must change."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import onnx

from pipelines.run.jobs.job import Job
from pipelines.run.jobs.refusal import Refusal
from pipelines.stages.export.jobs.notes import ExportNotes, bounds
from pipelines.stages.export.jobs.params import ExportParams
from pipelines.stages.export.jobs.recipe_inputs import bind
from pipelines.stages.export.jobs.source_file import source_file
from quant.conversion.byte_inputs import widen_bytes
from quant.conversion.constant_branches import take_known_branches
from quant.conversion.constant_inputs import constant, make_constant
from quant.conversion.local_functions import write_out_functions
from quant.conversion.narrowing import narrow
from quant.conversion.opset_conversion import NEWEST_OPSET, TOLERANCE, lower_opset
from quant.execution.compare import differences, require_close
from quant.execution.random_inputs import DRAWS, random_inputs
from quant.execution.run import FloatRun
from quant.execution.shapes import fix_inputs, settle_outputs
from quant.fault import Fault
from quant.graph.check import check_graph
from quant.graph.file import parse, save
from quant.graph.light import large_weights, without
from quant.graph.names import select_outputs
from quant.graph.operators import opset
from quant.graph.side_files import embed
from quant.graph.types import input_types, output_types
from quant.nearest import did_you_mean

Array = npt.NDArray[np.generic]


def run(job: Job[ExportParams]) -> None:
    """Writes out/model.onnx, one file with all its weights."""
    path, name = source_file(job), job.params.source.file
    original = parse(path, name)
    changes = []
    if count := embed(original, path.parent, name):
        changes.append(f"{count} weights moved from side files into the model")
    check_graph(original)
    changes += narrow(original)
    changes += widen_bytes(original)
    constants = _constants(original, job)
    model = onnx.ModelProto()
    model.CopyFrom(original)
    changes += write_out_functions(model)
    changes += _make_constant(model, constants)
    changes += _choose_outputs(model, job.params.outputs, job.params.inputs)
    changes += _drop_wrong_shapes(model)
    changes += fix_inputs(model, bind(job.params.inputs, input_types(model)))
    changes += take_known_branches(model)
    changes += settle_outputs(model)
    tolerance = TOLERANCE
    if opset(model) > NEWEST_OPSET:
        lowered = lower_opset(model)
        changes.append(lowered.said)
        model, tolerance = lowered.model, lowered.tolerance
    if not changes:
        shutil.copyfile(path, job.out / "model.onnx")
        ExportNotes().save(job.scratch)
        return
    save(model, job.out / "model.onnx")
    ExportNotes(
        changes=changes, maximum_difference=_compare(original, model, constants, tolerance)
    ).save(job.scratch)


def _constants(model: onnx.ModelProto, job: Job[ExportParams]) -> dict[str, Array]:
    """The arrays of the inputs that the recipe gives a value."""
    told, types = job.params.constants, input_types(model)
    for name in told:
        if name not in types:
            raise Refusal(
                f"the model has no input `{name}`", did_you_mean(name, types, "its inputs")
            )
        if told[name].dtype not in (None, types[name].dtype):
            raise Refusal(
                f"input `{name}`: the recipe says {told[name].dtype}, the model takes "
                f"{types[name].dtype}",
                "delete its `dtype`",
            )
    return {
        name: constant(name, types[name], given.value, given.shape) for name, given in told.items()
    }


def _make_constant(model: onnx.ModelProto, constants: Mapping[str, Array]) -> list[str]:
    make_constant(model, constants)
    return [
        f"input `{name}` is the constant {array.tolist()}"
        if array.size == 1
        else f"input `{name}` is a constant of {array.size} values"
        for name, array in constants.items()
    ]


def _drop_wrong_shapes(model: onnx.ModelProto) -> list[str]:
    """Drop the shapes of tensors in between where onnx's checker finds them wrong.

    Simplifiers leave such ones (see quant.execution.shapes.renew_shapes); they are no part of what
    the graph computes. Anything else that the full check objects to is left for check_onnx to tell.
    """
    if not model.graph.value_info or _passes(model):
        return []
    bare = without(model, large_weights(model))
    del bare.graph.value_info[:]
    if not _passes(bare):
        return []
    del model.graph.value_info[:]
    return ["shapes of tensors in between were wrong and are dropped"]


def _passes(model: onnx.ModelProto) -> bool:
    try:
        check_graph(model, full=True)
    except Fault:
        return False
    return True


def _choose_outputs(
    model: onnx.ModelProto, wanted: Sequence[str], inputs: Mapping[str, object]
) -> list[str]:
    present, taken = list(output_types(model)), input_types(model)
    if not wanted or list(wanted) == present:
        return []
    select_outputs(model, wanted)
    for name in inputs:
        if name in taken and name not in input_types(model):
            raise Refusal(
                f"no output that the recipe names depends on the input `{name}`",
                "remove it from `inputs`, or add an output that needs it",
            )
    return [f"outputs were {', '.join(present)}, now {', '.join(wanted)}"]


def _compare(
    original: onnx.ModelProto,
    model: onnx.ModelProto,
    constants: Mapping[str, Array],
    tolerance: float,
) -> dict[str, float] | None:
    """Both models on the same random inputs; None where a cut left nothing in common."""
    types = input_types(model)
    common = [name for name in output_types(original) if name in output_types(model)]
    if {*types, *constants} != set(input_types(original)) or not common:
        return None
    before, after = FloatRun(original), FloatRun(model)
    draws = [random_inputs(types, draw) for draw in range(DRAWS)]
    ran = [before({**inputs, **constants}) for inputs in draws]
    expected = [{name: outputs[name] for name in common} for outputs in ran]
    found = differences(expected, map(after, draws))
    require_close(
        found,
        tolerance,
        "with the recipe's shapes, outputs and opset",
        "the graph holds shapes of its own; export it for the recipe's shapes",
    )
    return bounds(found)
