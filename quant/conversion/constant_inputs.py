"""Making inputs constants, and one-element tensors of inputs that are single numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import numpy_helper

from quant.fault import Fault
from quant.graph.names import all_names, free_name, rename
from quant.graph.types import TensorType, input_types, input_values, numpy_dtype, shape_text

# rknn-toolkit2 2.3.2 and 2.5.0 take no input without axes.
ONE_NUMBER = (1,)


def constant(
    name: str, type_: TensorType, value: Any, shape: tuple[int, ...] | None
) -> npt.NDArray[np.generic]:
    """`value` as the array that the input takes.

    type_: the input's. shape: of the array, where the input's own is not fixed. One number fills
    it. Raises Fault on a value that does not fit in shape, or not exactly in type.
    """
    lengths = _lengths(name, type_, np.shape(value), shape)
    given = np.asarray(value)
    array = given.astype(numpy_dtype(type_.dtype))
    if array.dtype.kind != "f" and not np.array_equal(array, given):
        raise Fault(
            f"input `{name}`: the value {value} is no {type_.dtype}",
            f"write one that {type_.dtype} holds exactly",
        )
    if given.shape not in ((), lengths):
        raise Fault(
            f"input `{name}`: the value has the shape {shape_text(given.shape)}, the model takes "
            f"{shape_text(lengths)}",
            "write one number for all, or an array of that shape",
        )
    return np.array(np.broadcast_to(array, lengths))


def _lengths(
    name: str, type_: TensorType, given: tuple[int, ...], shape: tuple[int, ...] | None
) -> tuple[int, ...]:
    wanted = shape if shape is not None else (given or None)
    if type_.is_static and (wanted is None or wanted == given):
        return type_.static_shape
    if wanted is None and type_.shape is not None:
        raise Fault(
            f"input `{name}` has the shape {shape_text(type_.shape)} in the model",
            "declare its `shape` beside its `value`, every length a number",
        )
    return wanted or ()


def make_constant(model: onnx.ModelProto, arrays: Mapping[str, npt.NDArray[np.generic]]) -> None:
    """Put arrays in the place of inputs, in place."""
    kept = [value for value in model.graph.input if value.name not in arrays]
    del model.graph.input[:]
    model.graph.input.extend(kept)
    model.graph.initializer.extend(
        numpy_helper.from_array(array, name) for name, array in arrays.items()
    )


def give_axis(model: onnx.ModelProto) -> list[str]:
    """Give inputs that are single numbers an axis of one, in place. Returns a sentence for each."""
    said = []
    for value in input_values(model):
        if input_types(model)[value.name].shape != ():
            continue
        name, inner = value.name, free_name(f"{value.name}.number", all_names(model.graph))
        rename(model, {name: inner})
        value.name = name
        value.type.tensor_type.shape.dim.add().dim_value = ONE_NUMBER[0]
        squeeze = onnx.helper.make_node("Squeeze", [name], [inner], inner)
        model.graph.node.insert(0, squeeze)
        said.append(
            f"input `{name}` was one number, now {shape_text(ONE_NUMBER)}: the SDK asks for an axis"
        )
    return said
