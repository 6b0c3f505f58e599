"""What the SDK's step 1 computes once a channel or once a shape, in forms that take less time.

The same numbers, bit for bit. See pipelines.backends.rknn.sdk.instead.replaced.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from pipelines.backends.rknn.sdk.instead.replaced import replaced

_MODULES = ("rknn.api.quant_utils", "rknn.api.quantizer")  # each holds it by its own name
_SUMS = "rknn.api.libcpputils2"
_SHAPES = (list, type(onnx.TensorProto().dims))
_WHOLE = frozenset({int})


@contextmanager
def step1() -> Iterator[None]:
    """All of these."""
    with _ranges(_MODULES[0]), _ranges(_MODULES[1]), _sums(), _products():
        yield


def _ranges(module: str) -> Any:
    """A convolution's weights: lowest and highest of each filter, which it looks for one by one."""

    def unless_filters(find: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(graph: Any, node: Any, name: Any, method: Any, const: Any = None) -> Any:
            is_filters = node.op_type == "Conv" and name in node.input[1:] and method == "channel"
            found = of_filters(const) if is_filters else None
            return find(graph, node, name, method, const) if found is None else (*found, method)

        return wrapped

    return replaced(module, "get_const_min_max", unless_filters)


def of_filters(weights: Any) -> tuple[list[float], list[float]] | None:
    """Lowest and highest along the first axis; None where it is left to the SDK.

    So are zeros: which of 0.0 and -0.0 is found hangs on the order.
    """
    is_known = type(weights) is np.ndarray and weights.dtype == np.float32 and weights.size
    if not is_known or not weights.flags.c_contiguous:
        return None
    rows = weights.reshape(len(weights), -1)
    low, high = rows.min(axis=1), rows.max(axis=1)
    return (low.tolist(), high.tolist()) if low.all() and high.all() else None


def _sums() -> Any:
    """Sums of a filter's positive and negative weights: it describes each array to C anew.

    Here a shape is described once.
    """
    module: Any = sys.modules.get(_SUMS)

    def by_shape(add: Callable[[Any], Any]) -> Callable[[Any], Any]:
        described: dict[tuple[int, ...], Any] = {}

        def wrapped(array: npt.NDArray[Any]) -> Any:
            if array.dtype != np.float32 or not array.flags.c_contiguous:
                return add(array)
            held = described.get(array.shape)
            if held is None:
                held = described[array.shape] = module._c_arr(array)
            held.contents.ptr = array.ctypes.data
            module.lib.sum_p_n(held, module.ret2_c_arr)
            return module.ret2

        return wrapped

    return replaced(_SUMS, "cpputils2.sum_p_n", by_shape)


def _products() -> Any:
    """How many numbers a shape has: NumPy makes an array of the shape first."""

    def unless_shape(multiply: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(numbers: Any, *rest: Any, **named: Any) -> Any:
            found = of_shape(numbers) if not rest and not named else None
            return multiply(numbers, *rest, **named) if found is None else found

        return wrapped

    return replaced("numpy", "prod", unless_shape)


def of_shape(numbers: Any) -> np.int64 | None:
    """The product of whole numbers; None where it is left to NumPy."""
    if type(numbers) not in _SHAPES or not numbers or not _WHOLE.issuperset(map(type, numbers)):
        return None
    product = math.prod(numbers)
    # With a 0, one of the numbers may be larger than the product: NumPy refuses what is too large.
    return np.int64(product) if 0 < abs(product) < 2**63 else None
