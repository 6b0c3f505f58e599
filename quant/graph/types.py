"""Names, shapes and element types of a graph's inputs and outputs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx

from quant.fault import Fault

Dim = int | str | None  # a length, a symbolic name, or unknown


@dataclass(frozen=True)
class TensorType:
    """shape is None where even the rank is unknown. dtype: NumPy's name of it, or ONNX's own."""

    shape: tuple[Dim, ...] | None
    dtype: str

    @property
    def is_static(self) -> bool:
        return self.shape is not None and all(isinstance(dim, int) for dim in self.shape)

    @property
    def static_shape(self) -> tuple[int, ...]:
        """The shape, all lengths known. Raises ValueError on any other."""
        lengths = tuple(dim for dim in self.shape or () if isinstance(dim, int))
        if not self.is_static:
            raise ValueError(f"the shape {shape_text(self.shape)} is not static")
        return lengths

    def __str__(self) -> str:
        return f"{self.dtype} {shape_text(self.shape)}"


def shape_text(shape: Iterable[Dim] | None) -> str:
    """`[1, 3, height, ?]`"""
    if shape is None:
        return "of unknown rank"
    return "[" + ", ".join("?" if dim is None else str(dim) for dim in shape) + "]"


def dtype_name(element_type: int) -> str:
    """`float32` for TensorProto.FLOAT; types that NumPy lacks keep ONNX's name, in lower case."""
    name = str(onnx.TensorProto.DataType.Name(element_type)).lower()
    return {"float": "float32", "double": "float64"}.get(name, name)


# What another package has registered since: ml_dtypes, which LiteRT imports, adds bfloat16.
_ADDED = 2


def numpy_dtype(name: str) -> npt.DTypeLike:
    """NumPy's type of that name. Raises Fault on names that NumPy has no type for."""
    try:
        found = np.dtype(name)
    except TypeError:
        found = None
    if found is None or found.isbuiltin == _ADDED:
        raise Fault(f"NumPy has no type `{name}`", "use float32, float16, or integers")
    return found


def tensor_type(value: onnx.ValueInfoProto) -> TensorType:
    """Raises Fault where the value is no tensor (a sequence, map or optional)."""
    kind = value.type.WhichOneof("value")
    if kind != "tensor_type":
        noun = (kind or "value without a type").removesuffix("_type").replace("_", " ")
        raise Fault(f"`{value.name}` is a {noun}, not a tensor", "NPUs take and give tensors only")
    tensor = value.type.tensor_type
    shape = tuple(map(_dim, tensor.shape.dim)) if tensor.HasField("shape") else None
    return TensorType(shape, dtype_name(tensor.elem_type))


def _dim(dim: onnx.TensorShapeProto.Dimension) -> Dim:
    if dim.HasField("dim_value"):
        # Exporters have written 0 and -1 for "any".
        return dim.dim_value if dim.dim_value > 0 else None
    return dim.dim_param or None


def input_values(model: onnx.ModelProto) -> list[onnx.ValueInfoProto]:
    """The graph's inputs without those that have an initializer: weights, listed so up to IR 3."""
    weights = {tensor.name for tensor in model.graph.initializer}
    return [value for value in model.graph.input if value.name not in weights]


def input_types(model: onnx.ModelProto) -> dict[str, TensorType]:
    """Input name -> type, in the graph's order, weights left out."""
    return {value.name: tensor_type(value) for value in input_values(model)}


def output_types(model: onnx.ModelProto) -> dict[str, TensorType]:
    """Output name -> type, in the graph's order."""
    return {value.name: tensor_type(value) for value in model.graph.output}


def require_static(types: Mapping[str, TensorType], noun: str, advice: str) -> None:
    """Raise Fault naming the first of `types` whose shape is not wholly known."""
    for name, type_ in types.items():
        if not type_.is_static:
            raise Fault(f"{noun} `{name}` has the shape {shape_text(type_.shape)}", advice)
