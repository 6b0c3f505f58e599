"""onnx's own checker, its findings in plain words."""

from __future__ import annotations

from importlib.metadata import version

import onnx
from onnx import checker, shape_inference

from quant.fault import Fault
from quant.graph.light import large_weights, without
from quant.graph.operators import OWN_DOMAINS, label, nodes, operator, opset
from quant.graph.tensors import require_whole

_COUNTS = ("group", "blocksize", "num_outputs")
_LISTS = ("strides", "dilations", "kernel_shape")


def check_graph(model: onnx.ModelProto, full: bool = False) -> None:
    """Raise Fault where onnx's checker objects. full: shapes must fit together too."""
    _require_known_versions(model)
    require_whole(model)
    _require_counts(model)
    light = without(model, large_weights(model))
    try:
        checker.check_model(light, full_check=full)
    except (checker.ValidationError, shape_inference.InferenceError) as error:
        raise Fault(
            f"the graph is not valid ONNX: {_brief(error)}",
            "export the model again; if it comes from a converter, try a newer release of that",
        ) from None
    except Exception as error:  # the checker's C++ exceptions arrive as several Python types
        raise Fault(f"onnx's checker cannot read the graph: {_brief(error)}") from error


def foreign_operators(model: onnx.ModelProto) -> list[str]:
    """Operators outside ONNX's own domain, as `domain.Operator (node)`, each once."""
    found: dict[str, str] = {}
    for node in nodes(model.graph):
        if node.domain not in OWN_DOMAINS:
            found.setdefault(operator(node), label(node))
    return [f"{name} ({node})" for name, node in sorted(found.items())]


def _require_known_versions(model: onnx.ModelProto) -> None:
    known = onnx.defs.onnx_opset_version()
    if opset(model) > known:
        raise Fault(
            f"the model has opset {opset(model)}; onnx {version('onnx')} knows opsets up to "
            f"{known}",
            "export it again with opset 19 or lower (torch.onnx.export: opset_version=17)",
        )
    if model.ir_version > onnx.IR_VERSION:
        raise Fault(
            f"the file has ONNX IR version {model.ir_version}; onnx {version('onnx')} reads up to "
            f"{onnx.IR_VERSION}",
            "export it again with an onnx package of at most that version",
        )


def _require_counts(model: onnx.ModelProto) -> None:
    """Raise Fault on a stride of 0 and the like, by which onnx's shape inference divides."""
    for node in nodes(model.graph):
        for attribute in node.attribute if node.domain in OWN_DOMAINS else ():
            numbers = [attribute.i] if attribute.name in _COUNTS else list(attribute.ints)
            if attribute.name in (*_COUNTS, *_LISTS) and not all(0 < n < 2**31 for n in numbers):
                raise Fault(
                    f"{operator(node)} `{label(node)}` has {attribute.name} "
                    f"{', '.join(map(str, numbers))}",
                    "they count from 1; export the model again",
                )


def _brief(error: Exception) -> str:
    """The message's first line, and which node it is about."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    about = [line.removeprefix("==> Context: ") for line in lines[1:] if line.startswith("==>")]
    if not lines:
        return type(error).__name__
    # "... however input 'x' of node:" goes on in the next line.
    first = " ".join(lines[:2]) if lines[0].endswith(":") else lines[0]
    return "; ".join([first, *about])
