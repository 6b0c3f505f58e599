"""Lowering a model's opset, with proof that it still computes the same.

onnx's converter has no way back for operators that are newer than the opset wanted (Gelu of 20,
GroupNormalization of 21, RMSNormalization of 23). Such ones go first, by the function body of older
operators that onnx ships with them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import onnx
from onnx import version_converter

from quant.conversion.function_bodies import inline_newer
from quant.execution.compare import differences, require_close
from quant.execution.run import run_random
from quant.fault import Fault
from quant.graph.check import check_graph
from quant.graph.operators import OWN_DOMAINS, nodes, opset
from quant.graph.weights import is_half

# rknn-toolkit2 2.2.0 to 2.5.0 raise ValueError above it.
NEWEST_OPSET = 19

_MODES = {b"linear": b"bilinear", b"cubic": b"bicubic"}

# Both models do the same float32 operations in the same order, but for those an adapter rewrites.
TOLERANCE = 1e-5
# A body sums in another order, as in pipelines.stages.export.jobs.from_torch; float16 rounds by
# 2^-11.
_BODY_TOLERANCE, _HALF_TOLERANCE = 1e-4, 1e-2


@dataclass(frozen=True)
class Lowered:
    """said: a sentence on what was done. tolerance: how far the outputs may be from before."""

    model: onnx.ModelProto
    said: str
    tolerance: float


def lower_opset(model: onnx.ModelProto, newest: int = NEWEST_OPSET) -> Lowered:
    """The same network with opset `newest`. Its input shapes must be known.

    Raises Fault where onnx's converter can't do it, or its result is wrong.
    """
    told = f"the model has opset {opset(model)}, above {newest}, the newest that the SDK reads"
    advice = f"export it again with opset {newest} or lower (torch.onnx.export: opset_version=17)"
    try:
        written_out, names = inline_newer(model, newest)
        lowered = _converted(written_out, newest)
        check_graph(lowered)
        tolerance = _tolerance(model, names)
        found = differences(run_random(model), run_random(lowered))
        require_close(found, tolerance, "after conversion", advice)
    except Fault as fault:
        raise Fault(f"{told}; onnx's converter made a broken graph: {fault.what}", advice) from None
    except Exception as error:  # the converter's C++ exceptions arrive as several Python types
        raise Fault(f"{told}, and cannot be converted: {_brief(error)}", advice) from None
    bodies = f", {', '.join(names)} by onnx's function body" if names else ""
    said = f"opset {opset(model)} converted to {newest}{bodies}"
    return Lowered(lowered, said, tolerance)


def _tolerance(model: onnx.ModelProto, written_out: Sequence[str]) -> float:
    exact = _BODY_TOLERANCE if written_out else TOLERANCE
    return _HALF_TOLERANCE if is_half(model) else exact


def _converted(model: onnx.ModelProto, newest: int) -> onnx.ModelProto:
    """By onnx's converter; where that knows no way, as it stands, if the checker takes it so.

    Most versions above 19 take more types, no more; for ConstantOfShape and GridSample the
    converter has no way back even so. Whoever calls compares the outputs.
    """
    try:
        return version_converter.convert_version(model, newest)
    except Exception:
        made = _relabelled(model, newest)
        if made is None:
            raise
        return made


def _relabelled(model: onnx.ModelProto, newest: int) -> onnx.ModelProto | None:
    made = onnx.ModelProto()
    made.CopyFrom(model)
    for entry in made.opset_import:
        if entry.domain in OWN_DOMAINS:
            entry.version = newest
    for node in nodes(made.graph):
        if node.op_type == "GridSample":
            _name_mode(node)
    try:
        check_graph(made, full=True)
    except Fault:
        return None
    return made


def _name_mode(node: onnx.NodeProto) -> None:
    """Opset 20 names the same ways to interpolate otherwise."""
    for held in node.attribute:
        if held.name == "mode":
            held.s = _MODES.get(held.s, held.s)


def _brief(error: Exception) -> str:
    """`No Adapter From Version $20 for Gelu`, without the C++ file and assertion around it."""
    line = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return line.rpartition("failed: ")[2]
