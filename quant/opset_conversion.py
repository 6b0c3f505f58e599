"""Lowering a model's opset, with proof that it still computes the same."""

from __future__ import annotations

import onnx
from onnx import version_converter

from quant.compare import differences, require_close
from quant.fault import Fault
from quant.graph_check import check_graph
from quant.graph_run import run_random
from quant.operators import opset

# rknn-toolkit2 2.2.0 to 2.5.0 raise ValueError above it.
NEWEST_OPSET = 19

# Both models do the same float32 operations in the same order, but for those an adapter rewrites.
TOLERANCE = 1e-5


def lower_opset(model: onnx.ModelProto, newest: int = NEWEST_OPSET) -> onnx.ModelProto:
    """The same network with opset `newest`. Its input shapes must be known.

    Raises Fault where onnx's converter can't do it, or its result is wrong.
    """
    told = f"the model has opset {opset(model)}, above {newest}, the newest that the SDK reads"
    advice = f"export it again with opset {newest} or lower (torch.onnx.export: opset_version=17)"
    try:
        lowered = version_converter.convert_version(model, newest)
        check_graph(lowered)
        found = differences(run_random(model), run_random(lowered))
        require_close(found, TOLERANCE, "after conversion", advice)
    except Fault as fault:
        raise Fault(f"{told}; onnx's converter made a broken graph: {fault.what}", advice) from None
    except Exception as error:  # the converter's C++ exceptions arrive as several Python types
        raise Fault(f"{told}, and cannot be converted: {_brief(error)}", advice) from None
    return lowered


def _brief(error: Exception) -> str:
    """`No Adapter From Version $20 for Gelu`, without the C++ file and assertion around it."""
    line = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return line.rpartition("failed: ")[2]
