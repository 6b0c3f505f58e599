"""Making every input and output shape of a graph known."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import onnx
from onnx import shape_inference

from quant.execution.run import run_random
from quant.fault import Fault
from quant.graph.light import large_weights, put_back, without
from quant.graph.operators import label, nodes
from quant.graph.types import Dim, input_values, output_types, shape_text, tensor_type

# How long their outputs are depends on values, not shapes.
_DATA_DEPENDENT = {"Compress", "NonMaxSuppression", "NonZero", "StringSplit", "Unique"}

Shape = tuple[int, ...]


def fix_inputs(model: onnx.ModelProto, shapes: Mapping[str, Shape]) -> list[str]:
    """Give inputs their shapes, in place. Returns one sentence an input whose shape changed.

    A symbolic length (`batch`) that becomes known does so in the outputs too, unless inference
    knows better: torch gives an input and an output one symbol though a convolution between them
    has strides. Shapes of tensors in between are dropped, since they were those of the former
    inputs.
    """
    said = []
    known: dict[str, int] = {}
    for value in input_values(model):
        if value.name not in shapes:
            continue
        before, after = tensor_type(value).shape, shapes[value.name]
        if before == after:
            continue
        known |= {d: n for d, n in zip(before or (), after, strict=False) if isinstance(d, str)}
        _set_shape(value, after)
        said.append(
            f"input `{value.name}` had the shape {shape_text(before)}, now {shape_text(after)}"
        )
    if said:
        del model.graph.value_info[:]
        _settle_symbols(model, known)
    return said


def _settle_symbols(model: onnx.ModelProto, known: Mapping[str, int]) -> None:
    """Symbols of outputs become numbers where inference agrees, and unknown where it does not."""
    symbolic = [value for value in model.graph.output if not tensor_type(value).is_static]
    inferred = output_types(_inferred(model)) if symbolic else {}
    for value in symbolic:
        before, found = tensor_type(value).shape, inferred[value.name].shape
        guess = _substituted(before, known)
        unknown = (
            None
            if before is None
            else tuple(None if isinstance(dim, str) else dim for dim in before)
        )
        _set_shape(value, guess if found == guess else unknown)


def renew_shapes(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with the shapes of the tensors in between inferred anew; its own are dropped.

    onnxsim 0.7.3 leaves wrong ones where it removes a node (a scalar's, on UltraFace), and onnx's
    checker then refuses the graph.
    """
    weights = large_weights(model)
    light = without(model, weights)
    del light.graph.value_info[:]
    inferred = shape_inference.infer_shapes(light, data_prop=True)
    order = [tensor.name for tensor in model.graph.initializer]
    put_back(inferred, weights, order)
    return inferred


def settle_outputs(model: onnx.ModelProto) -> list[str]:
    """Make the outputs' shapes known, in place, where they are not. Returns what changed.

    First by shape inference; what that can't prove (long chains of shape arithmetic), by running
    the graph. Raises Fault where a shape truly depends on the data.
    """
    before = output_types(model)
    if all(type_.is_static for type_ in before.values()):
        return []
    inferred = output_types(_inferred(model))
    found = {name: type_.shape for name, type_ in inferred.items()}
    if not all(type_.is_static for type_ in inferred.values()):
        found = dict(_observed(model))
    said = []
    for value in model.graph.output:
        if not before[value.name].is_static:
            _set_shape(value, found[value.name])
            said.append(_told(value.name, before[value.name].shape, found[value.name]))
    return said


def _told(name: str, before: tuple[Dim, ...] | None, after: tuple[Dim, ...] | None) -> str:
    if before is None:
        return f"output `{name}` said no shape, now {shape_text(after)}"
    return f"output `{name}` had the shape {shape_text(before)}, now {shape_text(after)}"


def _inferred(model: onnx.ModelProto) -> onnx.ModelProto:
    # Inference keeps what is declared, so unknown lengths of outputs must go first.
    bare = onnx.ModelProto()
    bare.CopyFrom(model)
    for value in bare.graph.output:
        if not tensor_type(value).is_static:
            value.type.tensor_type.ClearField("shape")
    try:
        return shape_inference.infer_shapes(bare, data_prop=True)
    except shape_inference.InferenceError as error:
        raise Fault(
            f"the graph's shapes do not fit together: {str(error).strip().splitlines()[-1]}",
            "check the input shapes in the recipe against those that the network expects",
        ) from None


def _observed(model: onnx.ModelProto) -> dict[str, Shape]:
    """Output shapes when the graph runs, the same for every draw of random inputs."""
    _require_no_data_dependence(model)
    runs: list[dict[str, npt.NDArray[np.generic]]] = run_random(model)
    shapes = [{name: array.shape for name, array in run.items()} for run in runs]
    for name, shape in shapes[0].items():
        for other in shapes[1:]:
            if other[name] != shape:
                raise Fault(
                    f"output `{name}` has the shape {shape_text(shape)} for some inputs and "
                    f"{shape_text(other[name])} for others",
                    "NPUs need fixed shapes: cut the graph before the part that selects",
                )
    return shapes[0]


def _require_no_data_dependence(model: onnx.ModelProto) -> None:
    for node in nodes(model.graph):
        if node.op_type in _DATA_DEPENDENT:
            raise Fault(
                f"{node.op_type} `{label(node)}` makes an output whose length depends on the data",
                "NPUs need fixed shapes: cut the graph before it (the recipe's `outputs` may name "
                "any tensor of an ONNX source) and do the rest on the CPU",
            )


def _substituted(shape: tuple[Dim, ...] | None, known: Mapping[str, int]) -> tuple[Dim, ...] | None:
    if shape is None:
        return None
    return tuple(known.get(dim, dim) if isinstance(dim, str) else dim for dim in shape)


def _set_shape(value: onnx.ValueInfoProto, shape: tuple[Dim, ...] | None) -> None:
    tensor = value.type.tensor_type
    tensor.ClearField("shape")
    if shape is None:
        return
    tensor.shape.SetInParent()  # an empty shape is a scalar's, not an unknown one
    for dim in shape:
        made = tensor.shape.dim.add()
        if isinstance(dim, int):
            made.dim_value = dim
        elif dim is not None:
            made.dim_param = dim
