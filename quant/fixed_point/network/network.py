"""The integer network: operations on named tensors of whole numbers, in ONNX's layout (NCHW).

The reference (NumPy, int64), the ONNX file and the TFLite file are three readings of this one form,
and must agree on every number. Arrays in operations are int64 and hold whole numbers alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quant.graph.names import free_name

Integers = NDArray[np.int64]

INT8_LOW, INT8_HIGH = -128, 127
UINT8_HIGH = 255
EXACT_LIMIT = 2**24  # float32 holds every whole number up to here


@dataclass(frozen=True)
class Tensor:
    """shape: with the model's batch. scale: q = real * scale; None for indices.

    source: the tensor of the float ONNX graph whose values this one holds; None for one between.
    low, high: bounds of every value.
    """

    name: str
    shape: tuple[int, ...]
    scale: Fraction | None
    source: str | None = None
    low: int = INT8_LOW
    high: int = INT8_HIGH

    @property
    def limits(self) -> tuple[int, int]:
        """What 8 bits hold of it: without a sign where codes pass 127."""
        return (0, UINT8_HIGH) if self.high > INT8_HIGH and self.low >= 0 else (INT8_LOW, INT8_HIGH)


@dataclass(frozen=True)
class RealInput:
    """A network input of reals: its tensor is floor(x * input_scale + 1/2), within its limits.

    name: of the input in the files. input_scale: whole, or whole over a power of two.
    """

    name: str
    tensor: str
    input_scale: Fraction


@dataclass(frozen=True)
class IndexInput:
    """A network input of indices, which no scale touches. dtype: int32 or int64.

    is_narrow: int32 in the TFLite file whatever dtype is: LiteRT's CompiledModel (2.3.0) takes no
    int64.
    """

    name: str
    tensor: str
    dtype: str
    is_narrow: bool = False


@dataclass(frozen=True)
class Output:
    """A network output: `tensor` / its scale, by one final multiplication. name: in the files."""

    name: str
    tensor: str


@dataclass(frozen=True)
class Rescale:
    """clip(((acc * multiplier + bias) >> shift) + bias_after, low, high): an accumulator to int8.

    `>>` is arithmetic (floor). shift >= 0. Each array is a scalar or broadcasts to the result, in
    ONNX's layout: [C, 1, 1] for a convolution's channels. None stands for 1, 0 and 0.
    B16 has its bias in `bias`, B8 in `bias_after`.
    """

    shift: Integers
    low: int = INT8_LOW
    high: int = INT8_HIGH
    multiplier: Integers | None = None
    bias: Integers | None = None
    bias_after: Integers | None = None


@dataclass(frozen=True)
class Convolution:
    """sum(x * weight), zero padding, then rescale. weight: int8 values [O, C/groups, kh, kw].

    strides, dilations: (h, w). pads: (top, left, bottom, right).
    """

    output: str
    x: str
    weight: Integers
    rescale: Rescale
    groups: int = 1
    strides: tuple[int, int] = (1, 1)
    pads: tuple[int, int, int, int] = (0, 0, 0, 0)
    dilations: tuple[int, int] = (1, 1)


@dataclass(frozen=True)
class MatrixProduct:
    """x [..., K] @ weight [K, M] -> [..., M], then rescale. weight: int8 values."""

    output: str
    x: str
    weight: Integers
    rescale: Rescale


@dataclass(frozen=True)
class TensorProduct:
    """a @ b of two tensors, as NumPy's matmul, then rescale."""

    output: str
    a: str
    b: str
    rescale: Rescale


@dataclass(frozen=True)
class Affine:
    """x * weight, then rescale, element by element. weight: int8 values, broadcasts to x."""

    output: str
    x: str
    weight: Integers
    rescale: Rescale


@dataclass(frozen=True)
class Sum:
    """a * factor_a + sign * b * factor_b, then rescale. a and b broadcast. sign: 1 or -1."""

    output: str
    a: str
    b: str
    factor_a: int
    factor_b: int
    rescale: Rescale
    sign: int = 1


@dataclass(frozen=True)
class Product:
    """a * b element by element, then rescale. a and b broadcast."""

    output: str
    a: str
    b: str
    rescale: Rescale


@dataclass(frozen=True)
class Reduction:
    """Sum over axes (>= 0, kept with length 1 where keepdims), then rescale."""

    output: str
    x: str
    axes: tuple[int, ...]
    keepdims: bool
    rescale: Rescale


@dataclass(frozen=True)
class Requantize:
    """x, then rescale: another scale, or a clip alone."""

    output: str
    x: str
    rescale: Rescale


@dataclass(frozen=True)
class MaxPool:
    """Maximum over windows [.., .., h, w]; padding never wins. Numbers as in Convolution."""

    output: str
    x: str
    kernel: tuple[int, int]
    strides: tuple[int, int] = (1, 1)
    pads: tuple[int, int, int, int] = (0, 0, 0, 0)
    dilations: tuple[int, int] = (1, 1)


@dataclass(frozen=True)
class Maximum:
    """Maximum over axes (>= 0), kept with length 1 where keepdims."""

    output: str
    x: str
    axes: tuple[int, ...]
    keepdims: bool


@dataclass(frozen=True)
class Lookup:
    """table[x - first], element by element. table: 8-bit values [256]. first: of x's codes."""

    output: str
    x: str
    table: Integers
    first: int = INT8_LOW


@dataclass(frozen=True)
class Softmax:
    """min(127, floor(128 * T / sum(T))) over one axis (>= 0), T = table[max - x].

    table: [256], 0..2^14. The result's scale is 128. is_unsigned: floor(255 * T / sum(T) + 1/2)
    instead, at the scale 255.
    """

    output: str
    x: str
    axis: int
    table: Integers
    is_unsigned: bool = False


@dataclass(frozen=True)
class Reshape:
    """The same numbers in the output tensor's shape."""

    output: str
    x: str


@dataclass(frozen=True)
class Transpose:
    """perm as in ONNX."""

    output: str
    x: str
    perm: tuple[int, ...]


@dataclass(frozen=True)
class Concat:
    """inputs have one scale. axis >= 0."""

    output: str
    inputs: tuple[str, ...]
    axis: int


@dataclass(frozen=True)
class Slice:
    """x[starts[i]:ends[i]:steps[i], ...]: one number an axis of x, 0 <= start < end, step >= 1."""

    output: str
    x: str
    starts: tuple[int, ...]
    ends: tuple[int, ...]
    steps: tuple[int, ...]


@dataclass(frozen=True)
class Pad:
    """`value` (a whole number) around x. before, after: one number >= 0 an axis of x."""

    output: str
    x: str
    before: tuple[int, ...]
    after: tuple[int, ...]
    value: int = 0


@dataclass(frozen=True)
class Take:
    """np.take(x, indices, axis): indices are constant, >= 0, [n]. Nearest resizing is two."""

    output: str
    x: str
    indices: tuple[int, ...]
    axis: int


@dataclass(frozen=True)
class Embedding:
    """table[indices]: rows of a constant table, int8 values [rows, ...]; indices: a tensor."""

    output: str
    table: Integers
    indices: str


@dataclass(frozen=True)
class FloatNode:
    """An ONNX node left in float: its inputs are dequantized, its one output is quantized.

    node: the serialized NodeProto; inputs: for each of its inputs that is computed, the float name
    it bears there and the tensor. constants: name -> array of its other inputs. opset: of the node.
    TFLite has no form of it.
    """

    output: str
    node: bytes
    inputs: tuple[tuple[str, str], ...]
    constants: Mapping[str, NDArray[Any]]
    opset: int


Operation = (
    Convolution
    | MatrixProduct
    | TensorProduct
    | Affine
    | Sum
    | Product
    | Reduction
    | Requantize
    | MaxPool
    | Maximum
    | Lookup
    | Softmax
    | Reshape
    | Transpose
    | Concat
    | Slice
    | Pad
    | Take
    | Embedding
    | FloatNode
)


@dataclass(frozen=True)
class Network:
    """operations: each after those that make what it reads. tensors: every name, inputs' too."""

    inputs: tuple[RealInput | IndexInput, ...]
    operations: tuple[Operation, ...]
    outputs: tuple[Output, ...]
    tensors: Mapping[str, Tensor]
    # what a reader should know, such as weights that had to be coarser; sentences
    notes: tuple[str, ...] = field(default=())


def reads(operation: Operation) -> tuple[str, ...]:
    """Names of the tensors that an operation reads, in order."""
    if isinstance(operation, Concat):
        return operation.inputs
    if isinstance(operation, FloatNode):
        return tuple(tensor for _, tensor in operation.inputs)
    named: Any = operation
    if isinstance(operation, (Sum, Product, TensorProduct)):
        return (named.a, named.b)
    return (named.indices,) if isinstance(operation, Embedding) else (named.x,)


def integer_name(tensor: str) -> str:
    """What a tensor of the network is called in the files, if it can be."""
    return f"{tensor}_q"


def integer_names(network: Network) -> dict[str, str]:
    """Tensor -> what it is called in the ONNX file: a number is added where an input or an output
    bears that name."""
    taken = {port.name for port in (*network.inputs, *network.outputs)}
    return {tensor: free_name(integer_name(tensor), taken) for tensor in network.tensors}
