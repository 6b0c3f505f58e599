"""simplify: one of the public simplifiers, exact rewrites, and proof that nothing else changed."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, cast

import onnx

from pipelines.jobs.calibration_inputs import calibration_inputs
from pipelines.jobs.job import Job
from pipelines.jobs.refusal import Refusal
from quant.compare import differences, require_close, three_digits
from quant.cut_run import CutRun
from quant.graph import Graph
from quant.graph_changes import graph_changes
from quant.graph_check import check_graph
from quant.graph_file import read, save
from quant.graph_run import FloatRun
from quant.graph_shapes import renew_shapes
from quant.graph_tensors import tensors
from quant.graph_types import TensorType, input_types, input_values, output_types
from quant.nearest import did_you_mean
from quant.random_inputs import DRAWS, random_inputs
from quant.rewrites import RULES
from quant.rewrites.apply import Applied, apply
from quant.rewrites.cut_postprocessing import CutPostprocessing
from quant.rewrites.rule import Rule

CUT = CutPostprocessing.name
# onnx 1.16.1, which rknn-toolkit2 2.3.2 is used with, reads no newer one.
_NEWEST_IR = 10
# Since this version a weight need not be a graph input as well.
_OLDEST_IR = 4
# float16 rounds by 2^-11, float32 by 2^-24.
_HALF_FOR_SINGLE = 2.0**13
_OTHER_TOOL = "try another `simplify.tool`: onnxsim, onnxslim or none"


def run(job: Job) -> None:
    """Writes out/model.onnx and out/changes.json; out/tail.onnx where the recipe cuts the graph.

    The inputs and outputs keep names, order, shapes and types, but for the outputs of a graph that
    is cut; the opset stays.
    """
    told = job.params["simplify"]
    original = read(job.inputs["model"])
    check_graph(original)
    tool = _tool(told["tool"])
    simplified = tool(_with_constant_weights(original))
    steps, applied = _rewritten(simplified, told["rewrite"])
    steps = [_finished(step, original) for step in steps]
    compared, by_rule = _compare(original, steps, job, told["tolerance"])
    last = steps[-1]
    save(last.model, job.out / "model.onnx")
    if CUT in told["rewrite"]:
        save(_tail(last, applied), job.out / "tail.onnx")
    changes = {
        "tool": _tool_version(told["tool"]),
        **graph_changes(original, last.model),
        "rewrites": _rewrites(applied),
        "difference": compared,
        "difference_by_rewrite": by_rule,
    }
    text = json.dumps(changes, indent=2, sort_keys=True, ensure_ascii=False)
    (job.out / "changes.json").write_text(text + "\n", encoding="utf-8")


@dataclass(frozen=True)
class _Step:
    """The graph after the simplifier, or after one rule. rule: None for the simplifier."""

    rule: Rule[Any] | None
    model: onnx.ModelProto
    tail: onnx.ModelProto | None

    def run(self) -> FloatRun | CutRun:
        return CutRun(self.model, self.tail) if self.tail else FloatRun(self.model)

    @property
    def outputs(self) -> dict[str, TensorType]:
        return output_types(self.model) | (output_types(self.tail) if self.tail else {})

    @property
    def bound(self) -> float:
        """The largest difference that the rule's rounding explains."""
        rounding = self.rule.rounding if self.rule else 0.0
        is_half = any(
            tensor.data_type == onnx.TensorProto.FLOAT16 for tensor in tensors(self.model.graph)
        )
        return rounding * (_HALF_FOR_SINGLE if is_half else 1)


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


def _rewritten(model: onnx.ModelProto, names: Sequence[str]) -> tuple[list[_Step], list[Applied]]:
    """Apply the rules in order. The steps: the model as it is, and after each rule that fired."""
    graph = Graph(model)
    steps, applied = [_Step(None, model, None)], []
    for name in names:
        if name not in RULES:
            raise Refusal(f"no rewrite `{name}`", did_you_mean(name, RULES, "known ones"))
        applied.append(apply(RULES[name], graph))
        if applied[-1].fired:
            steps.append(_Step(RULES[name], graph.to_model(), graph.tail))
    return steps, applied


def _tail(last: _Step, applied: Sequence[Applied]) -> onnx.ModelProto:
    if last.tail is not None:
        return last.tail
    refused = [no for one in applied for no in one.refused if no.rule == CUT]
    why = (
        "; ".join(f"{no.reason} ({no.because_of})" for no in refused)
        or "nothing follows its last layer with weights but changes of shape"
    )
    raise Refusal(f"the graph can't be cut: {why}", f"take `{CUT}` out of `simplify.rewrite`")


def _finished(step: _Step, original: onnx.ModelProto) -> _Step:
    """With what is not a simplifier's to change put back, and checked."""
    _require_outputs(step, original)
    _restore_inputs(step.model, original)
    parts = [_renewed(part, original) for part in (step.model, step.tail) if part is not None]
    return _Step(step.rule, parts[0], parts[1] if step.tail is not None else None)


def _renewed(model: onnx.ModelProto, original: onnx.ModelProto) -> onnx.ModelProto:
    if list(model.opset_import) != list(original.opset_import):
        del model.opset_import[:]
        model.opset_import.extend(original.opset_import)
    model.ir_version = min(max(original.ir_version, _OLDEST_IR), _NEWEST_IR)
    model.producer_name = original.producer_name
    model.producer_version = original.producer_version
    model = renew_shapes(model)
    check_graph(model, full=True)
    return model


def _require_outputs(step: _Step, original: onnx.ModelProto) -> None:
    """Raise Refusal where an output is not what it was, or of a cut graph, not there."""
    before, after = output_types(original), step.outputs
    found = {name: after.get(name) for name in before} if step.tail else after
    if list(before.items()) != list(found.items()):
        raise _changed("outputs", before, after)


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
    original: onnx.ModelProto, steps: Sequence[_Step], job: Job, tolerance: float
) -> tuple[dict[str, Any], dict[str, Any]]:
    """All graphs in onnxruntime, on random inputs and on calibration data where there is any.

    Returns how far the last is from the original, and each rule's graph from the one before.
    """
    types = input_types(original)
    runs = [FloatRun(original), *(step.run() for step in steps)]
    samples = calibration_inputs(types, job.params["inputs"])
    found: dict[str, dict[str, float]] = {}
    by_rule: dict[str, dict[str, float | None]] = {
        step.rule.name: {"bound": step.bound, "random": None, "calibration": None}
        for step in steps
        if step.rule
    }
    for kind, inputs in (
        ("random", [random_inputs(types, draw) for draw in range(DRAWS)]),
        ("calibration", samples),
    ):
        rows = [[run(one) for run in runs] for one in inputs]
        graphs = list(zip(*rows, strict=True)) or [()] * len(runs)
        values = differences(graphs[0], graphs[-1])
        require_close(
            values,
            tolerance,
            f"on {kind} inputs the simplified graph does not compute what the original does",
            f"{_OTHER_TOOL}, or fewer rewrites",
        )
        found[kind] = {name: three_digits(value) for name, value in values.items()}
        for step, before, after in zip(steps, graphs, graphs[1:], strict=False):
            if step.rule and rows:
                name, values = step.rule.name, differences(before, after)
                require_close(
                    values,
                    step.bound,
                    f"on {kind} inputs `{name}` changes more than its rounding explains",
                    f"take `{name}` out of `simplify.rewrite`",
                )
                by_rule[name][kind] = three_digits(max(values.values()))
    outputs = {
        name: {"random": found["random"][name], "calibration": found["calibration"].get(name)}
        for name in output_types(original)
    }
    samples_told = {"tolerance": tolerance, "calibration_samples": len(samples)}
    return {**samples_told, "outputs": outputs}, by_rule


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
