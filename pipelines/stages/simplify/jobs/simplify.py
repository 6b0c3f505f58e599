"""simplify: one of the public simplifiers, exact rewrites, and proof that nothing else changed."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import onnx

from pipelines.recipe.define.model import Simplify
from pipelines.run.jobs.job import Job
from pipelines.run.jobs.refusal import Refusal
from pipelines.stages.simplify.jobs.params import SimplifyParams
from pipelines.stages.simplify.jobs.proof import Proof, Step
from pipelines.stages.simplify.jobs.simplifiers import OTHER_TOOL, simplified
from quant.execution.shapes import renew_shapes
from quant.graph.analysis.changes import graph_changes
from quant.graph.check import check_graph
from quant.graph.file import read, save
from quant.graph.graph import Graph
from quant.graph.types import TensorType, input_types, input_values, output_types
from quant.nearest import did_you_mean
from quant.rewrites import divided
from quant.rewrites.apply import Applied, apply
from quant.rewrites.cuts.divide_outputs import DivideOutputs
from quant.rewrites.names import CUTS
from quant.rewrites.table import ADAPTATIONS, RULES

# onnx 1.16.1, which rknn-toolkit2 2.3.2 is used with, reads no newer one.
_NEWEST_IR = 10
# Since this version a weight need not be a graph input as well.
_OLDEST_IR = 4


def run(job: Job[SimplifyParams]) -> None:
    """Writes out/model.onnx and out/changes.json; out/tail.onnx where the recipe cuts the graph.

    The inputs and outputs keep names, order, shapes and types, but for the outputs of a graph that
    is cut; the opset stays.
    """
    # protobuf writes a large model at three times its size: all that it came from is gone by then.
    made, tail, changes = _made(job)
    save(made, job.out / "model.onnx")
    if tail is not None:
        save(tail, job.out / "tail.onnx")
    text = json.dumps(changes, indent=2, sort_keys=True, ensure_ascii=False)
    (job.out / "changes.json").write_text(text + "\n", encoding="utf-8")


def _made(
    job: Job[SimplifyParams],
) -> tuple[onnx.ModelProto, onnx.ModelProto | None, dict[str, Any]]:
    """The simplified model, what was cut off it, and what changed, for changes.json."""
    told = job.params.simplify
    original = read(job.inputs["model"])
    check_graph(original)
    proof = Proof(original, job)
    chosen = simplified(
        job.scratch,
        _with_constant_weights(original),
        told.tool,
        lambda model: proof.first(_finished(Step(None, model, None), original)).model,
    )
    steps, applied = _rewritten(chosen.model, told)
    for step in steps[1:]:
        proof.next(_finished(step, original))
    cuts = [name for name in told.rewrite if name in CUTS]
    tail = _tail(proof.last, applied, cuts) if cuts else None
    changes = {
        "tool": chosen.tool,
        "notes": [*chosen.notes, *_adapted(applied)],
        **graph_changes(original, proof.last.model),
        "rewrites": _rewrites(applied),
        "difference": proof.difference(),
        "difference_by_rewrite": proof.by_rule,
        **({"divided": divided.read(tail)} if tail is not None and told.divide else {}),
    }
    return proof.last.model, tail, changes


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


def _rewritten(model: onnx.ModelProto, told: Simplify) -> tuple[list[Step], list[Applied]]:
    """Apply the rules in order, those that apply by themselves first.

    The steps: the model as it is, and after each rule that fired.
    """
    graph = Graph(model)
    steps, applied = [Step(None, model, None)], []
    for name in (*ADAPTATIONS, *told.rewrite):
        rule = ADAPTATIONS.get(name) or RULES.get(name)
        if isinstance(rule, DivideOutputs):
            rule = DivideOutputs(told.divide)
        if rule is None:
            raise Refusal(f"no rewrite `{name}`", did_you_mean(name, RULES, "known ones"))
        applied.append(apply(rule, graph))
        if applied[-1].fired:
            steps.append(Step(rule, graph.to_model(), graph.tail))
    return steps, applied


def _adapted(applied: Sequence[Applied]) -> list[str]:
    """A sentence for each rule that applied by itself."""
    counts = Counter(made.rule for one in applied for made in one.fired if made.rule in ADAPTATIONS)
    return [
        f"`{rule}` by itself, {count} time{'s' * (count > 1)}: the SDK refuses what it changes"
        for rule, count in counts.items()
    ]


def _tail(last: Step, applied: Sequence[Applied], cuts: Sequence[str]) -> onnx.ModelProto:
    if last.tail is not None:
        return last.tail
    refused = [no for one in applied for no in one.refused if no.rule in cuts]
    why = "; ".join(f"{no.reason} ({no.because_of})" for no in refused) or _NOTHING_TO_CUT[cuts[0]]
    raise Refusal(f"the graph can't be cut: {why}", f"take `{cuts[0]}` out of `simplify.rewrite`")


_NOTHING_TO_CUT = {
    "cut_postprocessing": "nothing follows its last layer with weights but changes of shape",
    "split_concat": "no output is made by a Concat of computed tensors",
    "divide_outputs": "`simplify.divide` names no tensor",
}


def _finished(step: Step, original: onnx.ModelProto) -> Step:
    """With what is not a simplifier's to change put back, and checked."""
    _require_outputs(step, original)
    _restore_inputs(step.model, original)
    parts = [_renewed(part, original) for part in (step.model, step.tail) if part is not None]
    return Step(step.rule, parts[0], parts[1] if step.tail is not None else None)


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


def _require_outputs(step: Step, original: onnx.ModelProto) -> None:
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
    return Refusal(f"the {noun} were {_told(before)}; simplified, {_told(after)}", OTHER_TOOL)


def _told(types: Mapping[str, TensorType]) -> str:
    return ", ".join(f"`{name}` {type_}" for name, type_ in types.items())


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
