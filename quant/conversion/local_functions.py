"""Functions that an ONNX file brings along, written out: the SDK reads none.

onnxruntime's own forms of GELU, which its optimizer leaves in a file, are such functions here.
"""

from __future__ import annotations

import onnx
from onnx import helper, inliner, parser

from quant.graph.operators import OWN_DOMAINS, nodes, opset
from quant.graph.weights import is_half

_MICROSOFT = "com.microsoft"
_ERF = """root = Constant<value_float: float = 1.4142135623730951>()
    one = Constant<value_float: float = 1.0>() half = Constant<value_float: float = 0.5>()
    scaled = Div({0}, root) erf = Erf(scaled) shifted = Add(erf, one)
    twice = Mul({0}, shifted) y = Mul(twice, half)"""
_TANH = """cubic = Constant<value_float: float = 0.044715>()
    root = Constant<value_float: float = 0.7978845608028654>()
    one = Constant<value_float: float = 1.0>() half = Constant<value_float: float = 0.5>()
    square = Mul({0}, {0}) cube = Mul(square, {0}) part = Mul(cube, cubic) inner = Add({0}, part)
    scaled = Mul(inner, root) tanh = Tanh(scaled) shifted = Add(tanh, one)
    twice = Mul({0}, shifted) y = Mul(twice, half)"""
# Operator and its number of inputs -> its inputs and nodes.
_GELUS = {
    ("Gelu", 1): ("x", _ERF.format("x")),
    ("BiasGelu", 2): ("x, b", "s = Add(x, b) " + _ERF.format("s")),
    ("FastGelu", 1): ("x", _TANH.format("x")),
    ("FastGelu", 2): ("x, b", "s = Add(x, b) " + _TANH.format("s")),
}


def write_out_functions(model: onnx.ModelProto) -> list[str]:
    """Put the nodes of functions in the place of their calls, in the model itself.

    Returns a sentence where there were some: torch's dynamo exporter and onnxscript make them.
    """
    if not is_half(model):
        _add_gelus(model)
    if not model.functions:
        return []
    names = sorted({function.name for function in model.functions})
    made = inliner.inline_local_functions(model)
    used = {*OWN_DOMAINS, *(node.domain for node in nodes(made.graph))}
    kept = [entry for entry in made.opset_import if entry.domain in used]
    del made.opset_import[:]
    made.opset_import.extend(kept)
    model.CopyFrom(made)
    return [f"functions of the file written out: {', '.join(names)}"]


def _add_gelus(model: onnx.ModelProto) -> None:
    """onnxruntime's GELUs as functions of the file, those of different inputs by names of ours."""
    held = {(function.domain, function.name) for function in model.functions}
    for node in nodes(model.graph):
        given = [name for name in node.input if name]
        key = (node.op_type, len(given))
        if node.domain != _MICROSOFT or key not in _GELUS or (node.domain, node.op_type) in held:
            continue
        inputs, body = _GELUS[key]
        node.input[:] = given
        node.op_type, node.domain = f"{node.op_type}{len(given)}", "npumake.gelu"
        if (node.domain, node.op_type) in {(one.domain, one.name) for one in model.functions}:
            continue
        head = f'<opset_import: ["" : {opset(model)}], domain: "{node.domain}">'
        text = f"{head} {node.op_type} ({inputs}) => (y) {{ {body} }}"
        model.functions.append(parser.parse_function(text))
        if not any(entry.domain == node.domain for entry in model.opset_import):
            model.opset_import.append(helper.make_opsetid(node.domain, 1))
