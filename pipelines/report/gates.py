"""Gates: limits of the recipe, judged from recorded reports. They run nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from pipelines.backends.table import BACKENDS
from pipelines.building.project import Project
from pipelines.recipe.define.model import Target
from pipelines.report import summary
from pipelines.report.rows import Run, trouble
from pipelines.report.summary import Outputs, Summary
from pipelines.stages.stage import built

_ACCURACY = (
    "min_cosine", "min_output_cosine", "max_output_error", "min_accuracy", "min_metrics",
    "max_metrics", "finite",
)  # fmt: skip
_UNCOMPARED = "no output was compared with the float network's: the findings say why"
_MOST_CAUSES = 2  # told of one gate
_FINDINGS = {"max_cpu_layers": "cpu_layers", "max_float_layers": "float_fallback"}


def failures(project: Project, run: Run) -> Iterator[tuple[str, str]]:
    """(model, message) of each gate that a built target of the selected models fails.

    Where a step has no result in this run, the reports are of another network, and judge nothing.
    """
    for recipe, target in project.plan.targets():
        steps = project.plan.of(recipe.model, target.name)
        if not any(step.name in run.chosen for step in steps):
            continue
        if trouble(project, recipe, target, run):
            continue
        found = summary.read(project.root, recipe, target)
        runtime = project.root / built(recipe, f"{target.name}/runtime.json")
        judged = [*_judge(target, found)] if found else []
        for gate, said in (*judged, *_judge_runtime(target, runtime)):
            own = f"targets.{target.family}.gates.{gate}"
            where = recipe.where(own if own in recipe.marks else f"gates.{gate}")
            place = f"{where}: {recipe.model}@{target.name}"
            cause = _cause(project.root / built(recipe, f"{target.name}/report"), gate)
            yield recipe.model, "\n  ".join([f"{place}: {said}", *cause])


def _cause(report: Path, gate: str) -> list[str]:
    """What the recorded findings say of it: the message and what to do."""
    if gate == "runtime":  # judged of the built file, which may not be analyzed yet
        return []
    # Only of a gate that fails; nothing else of a run needs what they import.
    from quant.report import bytes_report, layer_error

    if gate in _ACCURACY:
        rows = layer_error.read(report / "layers.json").causes
        causes = [row for row in rows if row["is_cause"]][:_MOST_CAUSES]
        return [line for row in causes for line in (row["message"], row["remedy"])]
    findings = bytes_report.read(report / "bytes.json").findings
    if gate == "max_size_ratio":
        causes = [finding for finding in findings if finding["is_cause"]]
        told = sorted(causes, key=lambda finding: -finding["bytes"])[:1]
    else:
        told = [finding for finding in findings if finding["name"] == _FINDINGS.get(gate)]
    return [line for finding in told for line in (finding["message"], finding["remedy"])]


def _accuracy(target: Target) -> str:
    return f"accuracy in {BACKENDS[target.backend].in_words}"


def _judge(target: Target, found: Summary) -> Iterator[tuple[str, str]]:
    """(gate, what is wrong) of every gate that does not hold. NaN and None hold nothing.

    A count of layers that means nothing to the target's backend is not judged.
    """
    gates, outputs = target.gates, found.outputs
    if outputs.not_finite:
        yield "finite", _not_finite(outputs)
    least = (
        ("min_cosine", gates.min_cosine, found.worst_cosine, f"layer {found.worst_layer}"),
        ("min_output_cosine", *_cosine(gates.min_output_cosine, outputs)),
        ("min_accuracy", gates.min_accuracy, found.accuracy, _accuracy(target)),
    )
    for name, limit, value, what in least:
        if limit is not None and not (value is not None and value >= limit):
            said = f"{what} has {_number(value)}, below {name} {limit}"
            yield name, said if what else _UNCOMPARED
    error = gates.max_output_error
    if error is not None and not (outputs.error is not None and outputs.error <= error):
        what = f"output {outputs.error_of} is off by {_number(outputs.error)} of its range"
        said = f"{what}, above max_output_error {error}"
        yield "max_output_error", said if outputs.error_of else _UNCOMPARED
    yield from _judge_metrics(target, found)
    most = (
        ("max_size_ratio", gates.max_size_ratio, found.size_ratio, "artifact / ONNX bytes"),
        ("max_cpu_layers", gates.max_cpu_layers, found.cpu_layers, "layers on the CPU"),
        ("max_float_layers", gates.max_float_layers, found.float_layers, "float layers"),
    )
    for name, limit, value, what in most:
        if limit is not None and value is not None and not value <= limit:
            yield name, f"{what}: {_number(value)}, above {name} {limit}"


def _judge_metrics(target: Target, found: Summary) -> Iterator[tuple[str, str]]:
    """By what the recipe's own function measured of the built file."""
    backend = BACKENDS[target.backend]
    for gate, limits in (
        ("min_metrics", target.gates.min_metrics),
        ("max_metrics", target.gates.max_metrics),
    ):
        for name, limit in limits.items():
            value = found.evaluation.get(name, {}).get(backend.runs)
            if value is None:
                known = ", ".join(f"`{one}`" for one in found.evaluation) or "nothing"
                yield gate, f"`{name}` is not measured; the recipe's function gives {known}"
            elif value < limit if gate == "min_metrics" else value > limit:
                side = "below" if gate == "min_metrics" else "above"
                said = f"{name} in {backend.in_words} is {_number(value)}, {side} {gate} {limit}"
                yield gate, said


def _judge_runtime(target: Target, report: Path) -> Iterator[tuple[str, str]]:
    least = target.gates.runtime
    if least is None or not report.is_file():
        return
    # It reads whole .rknn files, which takes a tenth of what a run imports.
    from pipelines.backends.rknn.runtime.check import VERDICTS

    told = json.loads(report.read_text())
    if VERDICTS.index(told["verdict"]) < VERDICTS.index(least):
        runtime = f"{told['runtime']['name']} {told['runtime']['version']}"
        said = f"{runtime}: {told['verdict']}, below the gate `{least}`"
        yield "runtime", f"{said}: {told['because']}" if told["because"] else said


def _cosine(limit: float | None, outputs: Outputs) -> tuple[float | None, float | None, str]:
    """Limit, value and name; no limit where every output is a single number: it has no angle.

    No name where no output was compared: such a gate holds nothing.
    """
    if outputs.error_of is None:
        return limit, None, ""
    is_said = outputs.cosine_of is not None
    return limit if is_said else None, outputs.cosine, f"output {outputs.cosine_of}"


def _not_finite(outputs: Outputs) -> str:
    names = ", ".join(f"`{name}`" for name in outputs.not_finite)
    said = f"NaN or infinities in the output {names}"
    if outputs.overflow is None:
        return said
    tensor, magnitude = outputs.overflow
    size = "not finite either" if magnitude is None else f"{magnitude:,.0f}"
    return (
        f"{said}\n  float16 holds 65,504: the first tensor beyond it is `{tensor}`, {size}; "
        "keep that layer and the ones after it in int8, or scale it down"
    )


def _number(value: float | None) -> str:
    return "nothing measured" if value is None else f"{value:.4g}"
