"""npy files of samples, checked against the input that they are for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quant.fault import Fault
from quant.samples.input_form import InputForm

Array = NDArray[Any]


@dataclass(frozen=True)
class NpyFile:
    """samples: [number of samples, *shape of the input], read from the disk as they are used."""

    name: str
    samples: Array

    def __len__(self) -> int:
        return len(self.samples)

    def batch(self, position: int) -> Array:
        """One sample with the network's batch."""
        return np.asarray(self.samples[position])


def open_npy(path: Path, form: InputForm, name: str = "") -> NpyFile:
    """An npy file as samples of an input.

    It may hold one sample (with or without the batch axis), samples one behind the other along
    the batch axis, or stacked along an axis of their own. name: what messages call the file.
    Raises Fault on a file that isn't npy, pickled objects, other types than numbers, and shapes
    that don't fit, naming both.
    """
    name = name or path.name
    array = _opened(path, name)
    if array.dtype.kind not in "fiub":
        raise Fault(f"{name}: holds {array.dtype}, not numbers", "save it as float32")
    if array.dtype.kind == "f" and form.dtype.kind != "f":
        raise Fault(
            f"{name}: holds {array.dtype}, input `{form.name}` takes {form.dtype}",
            f"save it as {form.dtype}",
        )
    return NpyFile(name, array.reshape(_sample_axes(array.shape, form, name)))


def _opened(path: Path, name: str) -> Array:
    require_npy(path, name)
    try:
        array: Array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise Fault(
            f"{name}: can't be read as npy: {error}",
            "save plain numbers with numpy.save; objects and empty arrays are not read",
        ) from error
    return array


def require_npy(path: Path, name: str) -> None:
    """Raise Fault unless the file begins as npy files do."""
    try:
        with path.open("rb") as file:
            start = file.read(len(np.lib.format.MAGIC_PREFIX))
    except OSError as error:
        raise Fault(f"{name}: {error.strerror or error}", "name an npy file") from error
    if start.startswith(b"PK"):
        raise Fault(f"{name}: is an npz archive", "save each array with numpy.save")
    if start != np.lib.format.MAGIC_PREFIX:
        raise Fault(f"{name}: is no npy file", "save the array with numpy.save")


def _sample_axes(shape: tuple[int, ...], form: InputForm, name: str) -> tuple[int, ...]:
    """The array's shape with an axis of samples in front."""
    if shape == form.single and form.batch == 1:
        return (1, *form.shape)
    if shape[1:] == form.single and shape[0] % form.batch == 0:
        return (shape[0] // form.batch, *form.shape)
    if shape[1:] == form.shape:
        return shape
    raise Fault(
        f"{name}: has the shape {list(shape)}, a sample of input `{form.name}` has "
        f"{list(form.shape)}",
        _shape_advice(shape, form),
    )


def _shape_advice(shape: tuple[int, ...], form: InputForm) -> str:
    """What to do about a shape that doesn't fit; channels at the wrong end are recognised."""
    single, given = form.single, shape[len(shape) - len(form.single) :]
    if len(single) == 3 and len(given) == 3:
        if (given[2], *given[:2]) == single:
            return "the channels are last; put them first with numpy.moveaxis(array, -1, -3)"
        if (*given[1:], given[0]) == single:
            return "the channels are first; put them last with numpy.moveaxis(array, -3, -1)"
    if shape[1:] == single:
        return f"its length must be a multiple of the batch, {form.batch}"
    any_number = ["N", *single] if form.batch == 1 else [f"N*{form.batch}", *single]
    return f"save N samples as [{', '.join(map(str, any_number))}]"


def converted(values: Array, form: InputForm, name: str) -> Array:
    """Values in the input's own type. Raises Fault on NaN, infinity and integers out of range."""
    if form.dtype.kind in "iu":
        limits = np.iinfo(form.dtype)
        if values.size and not limits.min <= values.min() <= values.max() <= limits.max:
            raise Fault(
                f"{name}: holds numbers out of the range of {form.dtype}, the type of input "
                f"`{form.name}`",
                f"keep them between {limits.min} and {limits.max}",
            )
    with np.errstate(over="ignore"):  # an overflow shows as infinity
        result = values.astype(form.dtype)
    if form.dtype.kind == "f" and not np.isfinite(result).all():
        what = "NaN" if np.isnan(result).any() else "infinity"
        raise Fault(f"{name}: holds {what}", "calibration needs finite numbers; mend or drop it")
    return result
