"""Random networks of whole numbers: every operation, in shapes that lowering seldom makes."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quant.fixed_point.network import network as net
from quant.fixed_point.network.network import Integers, Network, Rescale, Tensor


class IntegerNetwork:
    """Collects operations; each method adds one and returns its output's name."""

    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng(seed)
        self.inputs: list[net.RealInput | net.IndexInput] = []
        self.operations: list[Any] = []
        self.tensors: dict[str, Tensor] = {}

    def real(self, *shape: int, scale: int | Fraction = 16) -> str:
        name = self._tensor(shape)
        self.inputs.append(net.RealInput(f"x{len(self.inputs)}", name, Fraction(scale)))
        return name

    def indices(self, *shape: int, dtype: str = "int32") -> str:
        name = self._tensor(shape, None)
        self.inputs.append(net.IndexInput(f"x{len(self.inputs)}", name, dtype))
        return name

    def shape(self, name: str) -> tuple[int, ...]:
        return self.tensors[name].shape

    def add(self, kind: Any, shape: tuple[int, ...], *read: Any, **fields: Any) -> str:
        scale = Fraction(1, 8)
        if read and isinstance(read[0], str) and kind is not net.Embedding:
            scale = self.tensors[read[0]].scale  # type: ignore[assignment]
        name = self._tensor(shape, scale)
        self.operations.append(kind(name, *read, **fields))
        return name

    def network(self, *outputs: str) -> Network:
        ports = tuple(net.Output(f"y{i}", name) for i, name in enumerate(outputs))
        return Network(tuple(self.inputs), tuple(self.operations), ports, self.tensors)

    def one_of(self, *values: Any) -> Any:
        return values[int(self.random.integers(len(values)))]

    def codes(self, *shape: int, limit: int = 127) -> Integers:
        return self.random.integers(-limit, limit + 1, shape)

    def rescale(self, bound: int, *channels: int) -> Rescale:
        """channels: what a number for each channel of the result is shaped as."""
        most = max(0, min(bound, 2**22).bit_length() - 5)
        size = self.one_of((), channels)
        low = self.one_of(-128, 0, -20)
        rest: dict[str, Integers | None] = {"bias": None, "bias_after": None}
        mode = self.one_of(None, *rest)
        if mode is not None:
            rest[mode] = self.codes(*channels, limit=100 if mode == "bias_after" else 5000)
        shift = self.random.integers(max(0, most - 4), most + 1, size)
        return Rescale(np.asarray(shift), low, self.one_of(127, 6, 96), **rest)

    def draw(self) -> dict[str, NDArray[Any]]:
        """Values for the inputs, some beyond what a code holds."""
        made: dict[str, NDArray[Any]] = {}
        for given in self.inputs:
            shape = self.shape(given.tensor)
            if isinstance(given, net.RealInput):
                drawn = self.random.normal(size=shape) * 60 / float(given.input_scale)
                made[given.name] = drawn.astype(np.float32)
            else:
                made[given.name] = self.random.integers(0, 7, shape).astype(given.dtype)
        return made

    def _tensor(self, shape: tuple[int, ...], scale: Fraction | None = Fraction(1, 8)) -> str:
        name = f"t{len(self.tensors)}"
        self.tensors[name] = Tensor(name, tuple(int(n) for n in shape), scale)
        return name


Step = Callable[[IntegerNetwork, str], str]


def _out(size: int, kernel: int, stride: int, dilation: int, pads: int) -> int:
    return (size + pads - (kernel - 1) * dilation - 1) // stride + 1


def _window(n: IntegerNetwork, x: str) -> dict[str, Any]:
    """A kernel that fits the images, and where it goes."""
    kernel = (n.one_of(1, 2, 3), n.one_of(1, 2, 3))
    dilations = n.one_of((1, 1), (1, 1), (2, 1), (2, 2))
    pads = tuple(int(n.random.integers(0, kernel[i % 2])) for i in range(4))
    pads = n.one_of((0, 0, 0, 0), pads, tuple((kernel[i % 2] - 1) // 2 for i in range(4)))
    strides = n.one_of((1, 1), (2, 2), (1, 2))
    sizes = n.shape(x)[2:]
    outs = tuple(
        _out(sizes[i], kernel[i], strides[i], dilations[i], pads[i] + pads[i + 2]) for i in (0, 1)
    )
    # A window must see some of the images, or a maximum over it means nothing.
    reach = all(
        pads[i] < sizes[i % 2] and pads[i] <= _least(kernel, dilations, i) for i in range(4)
    )
    if min(outs) < 1 or not reach:
        return {"kernel": (1, 1), "outs": sizes}
    return {"kernel": kernel, "outs": outs} | {
        "strides": strides,
        "pads": pads,
        "dilations": dilations,
    }


def _least(kernel: tuple[int, int], dilations: tuple[int, int], side: int) -> int:
    """The widest border of which every window of a side sees beyond."""
    return 0 if dilations[side % 2] > 1 and kernel[side % 2] == 1 else kernel[side % 2] - 1


def convolution(n: IntegerNetwork, x: str) -> str:
    x = _images(n, x)
    count, channels = n.shape(x)[:2]
    fields = _window(n, x)
    kernel, outs = fields.pop("kernel"), fields.pop("outs")
    groups = n.one_of(1, channels, *(g for g in (2, 3) if channels % g == 0))
    outputs = groups * n.one_of(1, 2, 3)
    weight = n.codes(outputs, channels // groups, *kernel)
    rescale = n.rescale(127 * 30 * weight[0].size, outputs, 1, 1)
    shape = (count, outputs, *outs)
    return n.add(net.Convolution, shape, x, weight, rescale, groups=groups, **fields)


def max_pool(n: IntegerNetwork, x: str) -> str:
    x = _images(n, x)
    fields = _window(n, x)
    outs = fields.pop("outs")
    return n.add(net.MaxPool, (*n.shape(x)[:2], *outs), x, **fields)


def matrix(n: IntegerNetwork, x: str) -> str:
    *most, inner = n.shape(x)
    outputs = n.one_of(1, 3, inner)
    rescale = n.rescale(127 * 30 * inner, outputs)
    return n.add(net.MatrixProduct, (*most, outputs), x, n.codes(inner, outputs), rescale)


def tensor_product(n: IntegerNetwork, x: str) -> str:
    """With itself, turned round; sometimes without the axes of the batch."""
    shape, rank = n.shape(x), len(n.shape(x))
    if rank < 2:
        return matrix(n, x)
    swapped = (*range(rank - 2), rank - 1, rank - 2)
    other = n.add(net.Transpose, tuple(shape[a] for a in swapped), x, swapped)
    if n.one_of(True, False):
        other = n.add(net.Requantize, n.shape(other), other, n.rescale(127))
    first = n.one_of(x, x, other)
    second = other if first == x else x
    if rank > 2 and n.one_of(True, False):
        second = n.add(net.Maximum, n.shape(second)[1:], second, (0,), False)
    result = (*shape[:-2], n.shape(first)[-2], n.shape(second)[-1])
    return n.add(net.TensorProduct, result, first, second, n.rescale(127 * 500))


def affine(n: IntegerNetwork, x: str) -> str:
    channels = _by_channel(n, x)
    return n.add(net.Affine, n.shape(x), x, n.codes(*channels), n.rescale(127 * 60, *channels))


def sum_of_two(n: IntegerNetwork, x: str) -> str:
    other = _other(n, x)
    a, b = n.one_of((x, other), (other, x))
    lefts = (n.one_of(1, 8), n.one_of(1, 4))
    rescale = n.rescale(127 * 16, *_by_channel(n, x))
    return n.add(net.Sum, n.shape(x), a, b, *lefts, rescale, sign=n.one_of(1, -1))


def product(n: IntegerNetwork, x: str) -> str:
    other = _other(n, x)
    a, b = n.one_of((x, other), (other, x))
    return n.add(net.Product, n.shape(x), a, b, n.rescale(127 * 127, *_by_channel(n, x)))


def requantize(n: IntegerNetwork, x: str) -> str:
    rescale = n.rescale(127 * 20, *_by_channel(n, x))
    factor = n.codes(*n.one_of((), _by_channel(n, x)), limit=40)
    made = Rescale(
        rescale.shift, rescale.low, rescale.high, factor, rescale.bias, rescale.bias_after
    )
    return n.add(net.Requantize, n.shape(x), x, made)


def reduction(n: IntegerNetwork, x: str) -> str:
    shape, fields = _reduced(n, x)
    return n.add(net.Reduction, shape, x, *fields, n.rescale(127 * 10))


def maximum(n: IntegerNetwork, x: str) -> str:
    shape, fields = _reduced(n, x)
    return n.add(net.Maximum, shape, x, *fields)


def lookup(n: IntegerNetwork, x: str) -> str:
    return n.add(net.Lookup, n.shape(x), x, n.codes(256))


def softmax(n: IntegerNetwork, x: str) -> str:
    table = np.rint(2**14 * np.exp(-np.arange(256) / n.one_of(2, 16, 64))).astype(np.int64)
    return n.add(net.Softmax, n.shape(x), x, _axis(n, x), table)


def reshape(n: IntegerNetwork, x: str) -> str:
    count, *rest = n.shape(x)
    size = int(np.prod(rest))
    shapes = [(count, size), (count, size, 1, 1), (count, 1, size), (1, *n.shape(x))]
    shapes += [(count, 2, size // 2, 1)] if size % 2 == 0 else []
    shape = n.one_of(*(s for s in shapes if len(s) <= 5))
    return n.add(net.Reshape, shape, x)


def transpose(n: IntegerNetwork, x: str) -> str:
    perm = tuple(int(axis) for axis in n.random.permutation(len(n.shape(x))))
    return n.add(net.Transpose, tuple(n.shape(x)[axis] for axis in perm), x, perm)


def concat(n: IntegerNetwork, x: str) -> str:
    axis, shape = _axis(n, x), list(n.shape(x))
    other = requantize(n, x)
    shape[axis] *= 3
    return n.add(net.Concat, tuple(shape), (x, other, x), axis)


def slice_of(n: IntegerNetwork, x: str) -> str:
    shape = n.shape(x)
    starts = tuple(int(n.random.integers(0, (size + 1) // 2)) for size in shape)
    steps = tuple(int(n.one_of(1, 1, 2)) for _ in shape)
    made = tuple(-(-(size - a) // s) for size, a, s in zip(shape, starts, steps, strict=True))
    return n.add(net.Slice, made, x, starts, shape, steps)


def pad(n: IntegerNetwork, x: str) -> str:
    before = tuple(int(n.one_of(0, 0, 1)) for _ in n.shape(x))
    after = tuple(int(n.one_of(0, 0, 2)) for _ in n.shape(x))
    shape = tuple(a + s + b for a, s, b in zip(before, n.shape(x), after, strict=True))
    return n.add(net.Pad, shape, x, before, after, n.one_of(0, -128, 5))


def take(n: IntegerNetwork, x: str) -> str:
    axis, shape = _axis(n, x), list(n.shape(x))
    indices = tuple(int(i) for i in n.random.integers(0, shape[axis], n.one_of(1, 4)))
    shape[axis] = len(indices)
    return n.add(net.Take, tuple(shape), x, indices, axis)


def embedding(n: IntegerNetwork, x: str) -> str:
    """Rows of indices of its own, multiplied with x; both types of index in one network."""
    shape = n.shape(x)
    dtype = n.one_of("int32", "int64")
    indices = n.indices(2, *shape[:-1], dtype=dtype)
    if n.one_of(True, False):
        n.indices(3, dtype="int64" if dtype == "int32" else "int32")
    rank = len(shape)
    cuts = ((0,) * rank, (1, *shape[:-1]), (1,) * rank)
    cut = n.add(net.Slice, (1, *shape[:-1]), indices, *cuts)
    flat = n.add(net.Reshape, shape[:-1] or (1,), cut)
    rows = n.add(net.Embedding, (*n.shape(flat), shape[-1]), n.codes(7, shape[-1]), flat)
    rows = rows if shape[:-1] else n.add(net.Reshape, shape, rows)
    return n.add(net.Product, shape, x, rows, n.rescale(127 * 127))


def _images(n: IntegerNetwork, x: str) -> str:
    shape = n.shape(x)
    if len(shape) == 4:
        return x
    return n.add(net.Reshape, (1,) * (4 - len(shape)) + shape, x) if len(shape) < 4 else _flat(n, x)


def _flat(n: IntegerNetwork, x: str) -> str:
    first, *rest, last = n.shape(x)
    return n.add(net.Reshape, (first, 1, int(np.prod(rest)), last), x)


def _axis(n: IntegerNetwork, x: str) -> int:
    return int(n.random.integers(len(n.shape(x))))


def _by_channel(n: IntegerNetwork, x: str) -> tuple[int, ...]:
    """A shape that broadcasts to that of x."""
    shape = n.shape(x)
    ones = n.one_of(None, 0, 1, 2)
    if ones is None or ones >= len(shape):
        return shape
    return tuple(1 if i > ones else size for i, size in enumerate(shape))[ones:]


def _other(n: IntegerNetwork, x: str) -> str:
    """A tensor that broadcasts to x: of x's own shape, of some axes, or of a lower rank."""
    shape = n.shape(x)
    keepdims, axes = n.one_of(True, False), tuple(range(n.one_of(0, 1, len(shape) - 1)))
    if n.one_of(True, False):
        axes, keepdims = (n.one_of(*range(len(shape))),), True
    made = tuple(1 if i in axes else s for i, s in enumerate(shape) if keepdims or i not in axes)
    return n.add(net.Maximum, made, x, axes, keepdims) if axes else requantize(n, x)


def _reduced(n: IntegerNetwork, x: str) -> tuple[tuple[int, ...], tuple[tuple[int, ...], bool]]:
    shape, keepdims = n.shape(x), n.one_of(True, False)
    count = int(n.random.integers(1, len(shape))) if len(shape) > 1 else 1
    drawn = n.random.choice(len(shape), count, replace=False)
    axes = tuple(sorted(int(axis) for axis in drawn))
    keepdims = keepdims or len(shape) == 1
    made = tuple(1 if i in axes else s for i, s in enumerate(shape) if keepdims or i not in axes)
    return made, (axes, keepdims)


STEPS: dict[str, Step] = {
    "affine": affine,
    "concat": concat,
    "convolution": convolution,
    "embedding": embedding,
    "lookup": lookup,
    "matrix": matrix,
    "max_pool": max_pool,
    "maximum": maximum,
    "pad": pad,
    "product": product,
    "reduction": reduction,
    "requantize": requantize,
    "reshape": reshape,
    "slice": slice_of,
    "softmax": softmax,
    "sum": sum_of_two,
    "take": take,
    "tensor_product": tensor_product,
    "transpose": transpose,
}
SHAPES = ((1, 4, 5, 6), (2, 3, 7, 4), (1, 6, 4, 4), (2, 5, 6), (1, 8), (3, 6))
_MOST_NUMBERS = 20_000


def one_step(kind: str, seed: int) -> tuple[Network, dict[str, NDArray[Any]]]:
    """A network of one operation of a kind, and values for its inputs."""
    return _made(seed, [kind])


def walk(seed: int) -> tuple[Network, dict[str, NDArray[Any]]]:
    """A network of a few operations one after another, and values for its inputs."""
    random = np.random.default_rng([seed, 1])
    return _made(seed, list(random.choice(sorted(STEPS), int(random.integers(3, 8)))))


def _made(seed: int, kinds: list[str]) -> tuple[Network, dict[str, NDArray[Any]]]:
    n = IntegerNetwork(seed)
    x = n.real(*n.one_of(*SHAPES), scale=n.one_of(1, 3, 16, Fraction(5, 2)))
    seen = [x]
    for kind in kinds:
        x = STEPS[kind](n, x)
        seen.append(x)
        if np.prod(n.shape(x)) > _MOST_NUMBERS or len(n.shape(x)) > 4:
            break
    return n.network(x, n.one_of(*seen)), n.draw()
