"""A stand-in for torch, for rknn-toolkit2 on its ONNX and TFLite paths.

Why it exists: `import rknn.api` imports torch, 0.8 GB and more, for `load_pytorch` and the `gdq`
algorithm. On the other paths one function alone uses it: `gen_gather_for_change_split_shape`, of
the rules that move Split and Slice, reshapes, splits and joins a range of whole numbers and takes
it as a list. numpy does exactly that. Found by reading which functions of the compiled modules of
2.5.0 and 2.3.2 refer to torch, and by watching 640 builds with the real one: of the 546 files that
came of them, all are as long with this one, but for rv1106, whose length varies from run to run.
Whatever else is asked for fails by name.

The rknn toolchains without torch put the folder above this package on sys.path; it must never be
installed beside the real one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from . import nn as nn

# `load_pytorch` compares this with the version in a TorchScript file.
__version__ = "0.0.0+npumake.stand.in"

Function = TypeVar("Function", bound=Callable[..., Any])


class Tensor:
    """Nothing is one: `isinstance(x, torch.Tensor)` is false for every numpy array."""


class no_grad:
    """A decorator and context manager that does nothing: no gradients are taken here."""

    def __call__(self, function: Function) -> Function:
        return function

    def __enter__(self) -> None:
        return None

    def __exit__(self, *error: object) -> None:
        return None


def arange(end: int) -> NDArray[np.int64]:
    """0, 1, ... end - 1."""
    return np.arange(end, dtype=np.int64)


def split(
    tensor: NDArray[Any], split_size_or_sections: int | Sequence[int], dim: int = 0
) -> tuple[NDArray[Any], ...]:
    """Pieces of `tensor` along `dim`: of equal length (the last may be shorter), or as listed.

    Raises ValueError where listed lengths do not add up, as torch does.
    """
    length = tensor.shape[dim]
    if isinstance(split_size_or_sections, int):
        ends = list(range(split_size_or_sections, length, split_size_or_sections))
    else:
        if sum(split_size_or_sections) != length:
            raise ValueError(f"pieces of {list(split_size_or_sections)} do not add up to {length}")
        ends = np.cumsum(split_size_or_sections)[:-1].tolist()
    return tuple(np.split(tensor, ends, axis=dim))


def cat(tensors: Sequence[NDArray[Any]], dim: int = 0) -> NDArray[Any]:
    """The tensors joined along `dim`."""
    return np.concatenate(tensors, axis=dim)


def __getattr__(name: str) -> Any:
    raise AttributeError(nn.missing(f"torch.{name}"))
