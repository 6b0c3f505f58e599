"""Samples where a recipe names no data: seeded noise in the network's own units."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quant.execution.random_inputs import random_inputs
from quant.graph.types import TensorType
from quant.samples.input_form import InputForm
from quant.samples.samples import Sample


class RandomSource:
    """Standard normal behind mean and std; whole numbers as `random_inputs` draws them."""

    noun = "random samples"

    def __init__(self, forms: Sequence[InputForm], count: int) -> None:
        self._forms, self._count = forms, count
        self._types = {form.name: TensorType(form.shape, form.dtype.name) for form in forms}

    def __len__(self) -> int:
        return self._count

    def sample(self, index: int) -> Sample:
        drawn = random_inputs(self._types, 2 * index)  # even draws are normal
        arrays = [_in_pixels(form, drawn[form.name]) for form in self._forms]
        return Sample(arrays, [f"random {index}"])


def _in_pixels(form: InputForm, values: NDArray[Any]) -> NDArray[Any]:
    """What mean and std make of it is `values` again."""
    if values.dtype.kind != "f":
        return values
    axes = [1] * values.ndim
    for numbers, change in ((form.std, np.multiply), (form.mean, np.add)):
        if numbers is not None:
            shape = axes.copy()
            if len(numbers) > 1:
                shape[1] = len(numbers)
            values = change(values, np.array(numbers, values.dtype).reshape(shape))
    return values
