"""Operators newer than a wanted opset, written out in older ones.

By the function bodies that onnx ships with them, but for those of which rknn-toolkit2 knows another
form (Gelu and GroupNormalization in torch's run on the NPU, in onnx's on the CPU), and Attention.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
import onnx
from onnx import defs, helper, inliner, numpy_helper, parser, shape_inference

from quant.conversion.attention_body import attention
from quant.fault import Fault
from quant.graph.graph import attribute, constant_value
from quant.graph.operators import OWN_DOMAINS, nodes, opset
from quant.graph.types import dtype_name, numpy_dtype

_DOMAIN = "npumake.body"
Types = Mapping[str, onnx.TypeProto]


def inline_newer(model: onnx.ModelProto, newest: int) -> tuple[onnx.ModelProto, list[str]]:
    """The model with operators that opset `newest` lacks written out, and their names, sorted.

    Those without a body stay. The opset stays. Raises Fault where shapes don't fit together.
    """
    made = onnx.ModelProto()
    made.CopyFrom(model)
    names: set[str] = set()
    # A body may hold newer operators itself, as Attention's does.
    while found := _inlined(made, newest):
        made, inlined = found
        names |= inlined
    return made, sorted(names)


def _inlined(model: onnx.ModelProto, newest: int) -> tuple[onnx.ModelProto, set[str]] | None:
    """One pass; None where there is nothing to do."""
    newer = [node for node in nodes(model.graph) if _is_newer(node, newest, opset(model))]
    for node in newer:
        _drop_absent_ends(node)
    types = _types(model) if newer else {}
    # Own forms first: they need shapes, and onnx infers none through some of the others.
    bodies = [(node, _own_body(node, types)) for node in newer]
    if not any(body for _, body in bodies):
        bodies = [(node, _onnx_body(node, opset(model), types)) for node in newer]
    inlined = set()
    for number, (node, body) in enumerate(bodies):
        if body is None:
            continue
        inlined.add(node.op_type)
        body.name, body.domain = f"{node.op_type}_{number}", _DOMAIN
        del body.opset_import[:]
        body.opset_import.append(helper.make_opsetid("", opset(model)))
        model.functions.append(body)
        node.op_type, node.domain = body.name, _DOMAIN
    if not inlined:
        return None
    model.opset_import.append(helper.make_opsetid(_DOMAIN, 1))
    made = inliner.inline_local_functions(model)
    kept = [entry for entry in made.opset_import if entry.domain != _DOMAIN]
    del made.opset_import[:]
    made.opset_import.extend(kept)
    _settle_casts(made)
    return made, inlined


def _drop_absent_ends(node: onnx.NodeProto) -> None:
    """Optional inputs and outputs may be left out by name, at the end as well."""
    for names in (node.input, node.output):
        while names and not names[-1]:
            del names[-1]


def _is_newer(node: onnx.NodeProto, newest: int, version: int) -> bool:
    """Whether opset `newest` lacks it; a new version that takes more types has a way back."""
    if node.domain not in OWN_DOMAINS or not defs.has(node.op_type, version, ""):
        return False
    return (
        not defs.has(node.op_type, newest, "")
        or defs.get_schema(node.op_type, newest, "").deprecated
    )


def _types(model: onnx.ModelProto) -> Types:
    try:
        graph = shape_inference.infer_shapes(model, data_prop=True).graph
    except shape_inference.InferenceError as error:
        raise Fault(f"the graph's shapes do not fit together: {error}") from None
    found = {value.name: value.type for value in (*graph.input, *graph.output, *graph.value_info)}
    for tensor in graph.initializer:
        value = helper.make_tensor_value_info(tensor.name, tensor.data_type, list(tensor.dims))
        found.setdefault(tensor.name, value.type)
    return found


def _own_body(node: onnx.NodeProto, types: Types) -> onnx.FunctionProto | None:
    own = _OWN.get(node.op_type)
    return own(node, types) if own else None


def _onnx_body(node: onnx.NodeProto, version: int, types: Types) -> onnx.FunctionProto | None:
    """A function that does what a node does; None where there is none."""
    schema: Any = defs.get_schema(node.op_type, version, "")  # onnx's stubs lack its functions
    body = onnx.FunctionProto()
    if schema.has_function:
        at = max(one for one in schema.function_opset_versions if one <= version)
        body.ParseFromString(schema.get_function_with_opset_version(at))
        _write_defaults(node, schema, body)
        return body
    if not schema.has_context_dependent_function:
        return None
    at = max(one for one in schema.context_dependent_function_opset_versions if one <= version)
    inputs = [types.get(name, onnx.TypeProto()).SerializeToString() for name in node.input]
    told = schema.get_context_dependent_function_with_opset_version(
        at, node.SerializeToString(), inputs
    )
    body.ParseFromString(told)
    return body


def _write_defaults(node: onnx.NodeProto, schema: Any, body: onnx.FunctionProto) -> None:
    """A body refers to attributes by name; one that a node leaves out has the schema's default."""
    written = {held.name for held in node.attribute}
    for name in body.attribute:
        default = schema.attributes[name].default_value
        if name not in written and default.name:
            node.attribute.append(default)


_GELU = f"""<opset_import: ["" : 20], domain: "{_DOMAIN}">
Gelu (x) => (y) {{
    root_2 = Constant<value_float: float = 1.4142135623730951>()
    one = Constant<value_float: float = 1.0>()
    half = Constant<value_float: float = 0.5>()
    root_2_cast = CastLike(root_2, x)
    one_cast = CastLike(one, x)
    half_cast = CastLike(half, x)
    scaled = Div(x, root_2_cast)
    erf = Erf(scaled)
    shifted = Add(erf, one_cast)
    twice = Mul(x, shifted)
    y = Mul(twice, half_cast)
}}"""


def _gelu(node: onnx.NodeProto, types: Types) -> onnx.FunctionProto | None:
    """x (erf(x / sqrt 2) + 1) / 2, in the order in which torch writes it."""
    if attribute(node, "approximate", "none") != "none":
        return None
    return parser.parse_function(_GELU)


def _group_norm(node: onnx.NodeProto, types: Types) -> onnx.FunctionProto | None:
    """By InstanceNormalization of [batch, groups, rest], as torch writes it."""
    told = types.get(node.input[0], onnx.TypeProto())
    shape = [dim.dim_value for dim in told.tensor_type.shape.dim]
    if not shape or not all(shape):
        return None
    kind = np.dtype(numpy_dtype(dtype_name(told.tensor_type.elem_type)))
    groups = int(str(attribute(node, "num_groups")))
    channels = [1, shape[1], *[1] * (len(shape) - 2)]
    constants: dict[str, Any] = {
        "ones": np.ones(groups, kind),
        "zeros": np.zeros(groups, kind),
        "grouped": np.array([shape[0], groups, -1]),
        "shape": np.array(shape),
        "channels": np.array(channels),
    }
    make = helper.make_node
    made = [
        make("Constant", [], [name], value=numpy_helper.from_array(value))
        for name, value in constants.items()
    ]
    epsilon = attribute(node, "epsilon", 1e-5)
    made += [
        make("Reshape", ["x", "grouped"], ["groups"]),
        make("InstanceNormalization", ["groups", "ones", "zeros"], ["normal"], epsilon=epsilon),
        make("Reshape", ["normal", "shape"], ["back"]),
        make("Reshape", ["scale", "channels"], ["scale_axes"]),
        make("Reshape", ["bias", "channels"], ["bias_axes"]),
        make("Mul", ["back", "scale_axes"], ["scaled"]),
        make("Add", ["scaled", "bias_axes"], ["y"]),
    ]
    return helper.make_function(
        _DOMAIN, "GroupNormalization", ["x", "scale", "bias"], ["y"], made, []
    )


_OWN: Mapping[str, Callable[[onnx.NodeProto, Types], onnx.FunctionProto | None]] = {
    "Attention": partial(attention, domain=_DOMAIN),
    "Gelu": _gelu,
    "GroupNormalization": _group_norm,
}


def _settle_casts(model: onnx.ModelProto) -> None:
    """Constants in the type that a body casts them to: CastLike reads data, so nothing folds it.

    And Add in the place of a Sum of two, which compilers know better.
    """
    types = _types(model)
    graph = model.graph
    held = {node.output[0]: node for node in graph.node if node.op_type == "Constant"}
    for node in graph.node:
        if node.op_type == "Sum" and len(node.input) == 2:
            node.op_type = "Add"
        like = types.get(node.input[1]) if node.op_type == "CastLike" else None
        if like is None or node.input[0] not in held:
            continue
        value = constant_value(held[node.input[0]])
        if value is None:
            continue
        kind = numpy_dtype(dtype_name(like.tensor_type.elem_type))
        node.op_type = "Constant"
        del node.input[:], node.attribute[:]
        tensor = numpy_helper.from_array(value.astype(kind))
        node.attribute.append(helper.make_attribute("value", tensor))
        held[node.output[0]] = node
