"""simplify: one of the public simplifiers, exact rewrites, and proof that nothing else changed."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from typing import Any, cast

import onnx

from pipelines.jobs.calibration_inputs import calibration_inputs
from pipelines.jobs.job import Job
from pipelines.jobs.refusal import Refusal
from quant.compare import differences, require_close, three_digits
from quant.graph import Graph
from quant.graph_changes import graph_changes
from quant.graph_check import check_graph
from quant.graph_file import read, save
from quant.graph_run import FloatRun
from quant.graph_shapes import renew_shapes
from quant.graph_types import TensorType, input_types, input_values, output_types
from quant.nearest import did_you_mean
from quant.random_inputs import DRAWS, random_inputs
from quant.rewrites import RULES
from quant.rewrites.apply import Applied, apply

# onnx 1.16.1, which rknn-toolkit2 2.3.2 is used with, reads no newer one.
_NEWEST_IR = 10
# Since this version a weight need not be a graph input as well.
_OLDEST_IR = 4
_OTHER_TOOL = "try another `simplify.tool`: onnxsim, onnxslim or none"


def run(job: Job) -> None:
    """Writes out/model.onnx and out/changes.json.

    The inputs and outputs keep names, order, shapes and types; the opset stays.
    """
    told = job.params["simplify"]
    original = read(job.inputs["model"])
    check_graph(original)
    tool = _tool(told["tool"])
    simplified = tool(_with_constant_weights(original))
    model, applied = _rewritten(simplified, told["rewrite"])
    _restore(model, original)
    model = renew_shapes(model)
    check_graph(model, full=True)
    compared = _compare(original, model, job, told["tolerance"])
    save(model, job.out / "model.onnx")
    changes = {
        "tool": _tool_version(told["tool"]),
        **graph_changes(original, model),
        "rewrites": _rewrites(applied),
        "difference": compared,
    }
    text = json.dumps(changes, indent=2, sort_keys=True, ensure_ascii=False)
    (job.out / "changes.json").write_text(text + "\n", encoding="utf-8")


def _with_constant_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy whose weights are no graph inputs: as inputs they could change, so nothing folds."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    kept = list(input_values(copy))
    if len(kept) < len(copy.graph.input):
        del copy.graph.input[:]
        copy.graph.input.extend(kept)
    copy.ir_version = max(copy.ir_version, _OLDEST_IR)
    return copy


def _onnxsim(model: onnx.ModelProto) -> onnx.ModelProto:
    import onnxsim  # seconds to import, and not every recipe uses it

    # Batch normalization is folded by the rule of that name, in float64 and on record, or not at
    # all.
    simplified, _ = onnxsim.simplify(model, skipped_optimizers=["fuse_bn_into_conv"])
    return cast(onnx.ModelProto, simplified)


def _onnxslim(model: onnx.ModelProto) -> onnx.ModelProto:
    import onnxslim

    skipped = ["FusionConvBN", "FusionConvTransposeBN"]
    return cast(onnx.ModelProto, onnxslim.slim(model, skip_fusion_patterns=skipped))


def _none(model: onnx.ModelProto) -> onnx.ModelProto:
    return model


_TOOLS: Mapping[str, Callable[[onnx.ModelProto], onnx.ModelProto]] = {
    "onnxsim": _onnxsim,
    "onnxslim": _onnxslim,
    "none": _none,
}


def _tool(name: str) -> Callable[[onnx.ModelProto], onnx.ModelProto]:
    """The simplifier of that name, its errors as Refusals."""
    if name not in _TOOLS:
        raise Refusal(f"no simplifier `{name}`", did_you_mean(name, _TOOLS, "known ones"))

    def simplify(model: onnx.ModelProto) -> onnx.ModelProto:
        try:
            return _TOOLS[name](model)
        except Exception as error:  # both tools let C++ and assertion errors through
            first = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise Refusal(f"{_tool_version(name)} failed: {first}", _OTHER_TOOL) from error

    return simplify


def _tool_version(name: str) -> str:
    return name if name == "none" else f"{name} {version(name)}"


def _rewritten(
    model: onnx.ModelProto, names: Sequence[str]
) -> tuple[onnx.ModelProto, list[Applied]]:
    """Apply the rules in order."""
    graph = Graph(model)
    applied = []
    for name in names:
        if name not in RULES:
            raise Refusal(f"no rewrite `{name}`", did_you_mean(name, RULES, "known ones"))
        applied.append(apply(RULES[name], graph))
    return (graph.to_model() if any(a.fired for a in applied) else model), applied


def _restore(model: onnx.ModelProto, original: onnx.ModelProto) -> None:
    """Put back what is not a simplifier's to change; raise Refusal where that can't be."""
    _restore_inputs(model, original)
    before, after = output_types(original), output_types(model)
    if list(before.items()) != list(after.items()):
        raise _changed("outputs", before, after)
    if list(model.opset_import) != list(original.opset_import):
        del model.opset_import[:]
        model.opset_import.extend(original.opset_import)
    model.ir_version = min(max(original.ir_version, _OLDEST_IR), _NEWEST_IR)
    model.producer_name = original.producer_name
    model.producer_version = original.producer_version


def _restore_inputs(model: onnx.ModelProto, original: onnx.ModelProto) -> None:
    """onnxslim drops inputs that nothing reads; the caller still has them."""
    before, after = input_types(original), input_types(model)
    if any(before.get(name) != type_ for name, type_ in after.items()):
        raise _changed("inputs", before, after)
    given = list(input_values(original))
    del model.graph.input[:]
    model.graph.input.extend(given)


def _changed(
    noun: str, before: Mapping[str, TensorType], after: Mapping[str, TensorType]
) -> Refusal:
    return Refusal(f"the {noun} were {_told(before)}; simplified, {_told(after)}", _OTHER_TOOL)


def _told(types: Mapping[str, TensorType]) -> str:
    return ", ".join(f"`{name}` {type_}" for name, type_ in types.items())


def _compare(
    original: onnx.ModelProto, model: onnx.ModelProto, job: Job, tolerance: float
) -> dict[str, Any]:
    """Both graphs in onnxruntime, on random inputs and on calibration data where there is any."""
    types = input_types(model)
    before, after = FloatRun(original), FloatRun(model)
    samples = calibration_inputs(types, job.params["inputs"])
    found: dict[str, dict[str, float]] = {}
    for kind, inputs in (
        ("random", [random_inputs(types, draw) for draw in range(DRAWS)]),
        ("calibration", samples),
    ):
        values = differences(map(before, inputs), map(after, inputs))
        require_close(
            values,
            tolerance,
            f"on {kind} inputs the simplified graph does not compute what the original does",
            f"{_OTHER_TOOL}, or fewer rewrites",
        )
        found[kind] = {name: three_digits(value) for name, value in values.items()}
    return {
        "tolerance": tolerance,
        "calibration_samples": len(samples),
        "outputs": {
            name: {"random": found["random"][name], "calibration": found["calibration"].get(name)}
            for name in output_types(model)
        },
    }


def _rewrites(applied: Sequence[Applied]) -> dict[str, Any]:
    return {
        "fired": [
            {"rule": made.rule, "nodes": list(made.nodes), "became": list(made.became)}
            for one in applied
            for made in one.fired
        ],
        "refused": [
            {"rule": no.rule, "node": no.node, "because_of": no.because_of, "reason": no.reason}
            for one in applied
            for no in one.refused
        ],
    }
