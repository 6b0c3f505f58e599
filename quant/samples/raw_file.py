"""Files of plain numbers without a header: dumps of a board's program, a camera's frames."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quant.fault import Fault
from quant.samples.images import yuv
from quant.samples.images.yuv_format import is_frame
from quant.samples.input_form import InputForm
from quant.samples.raw_form import RawForm, is_turned, sample_bytes

Array = NDArray[Any]


@dataclass(frozen=True)
class RawFile:
    """Samples one behind the other. rows: [count, numbers of one], read as they are used."""

    name: str
    rows: Array
    form: InputForm
    raw: RawForm

    def __len__(self) -> int:
        """Batches of the network's."""
        return len(self.rows) // self.form.batch

    def batch(self, position: int) -> Array:
        """[batch, *shape of one], in the file's own type; of frames RGB, or BGR if the input is."""
        count = self.form.batch
        rows = self.rows[position * count : (position + 1) * count]
        return self.samples(rows)

    def samples(self, rows: Array) -> Array:
        single = self.form.single
        if self.raw.frame:
            return _pixels(rows, self.form, self.raw.frame)
        shape = self.raw.shape or single
        made = rows.reshape(len(rows), *shape)
        return np.moveaxis(made, -1, 1) if is_turned(shape, single) else made


def open_raw(path: Path, form: InputForm, name: str = "") -> RawFile:
    """name: what messages call the file.

    Raises Fault where the recipe says nothing of the input's raw files, their shape is none of the
    network's, or the length is no whole number of samples.
    """
    name = name or path.name
    raw = form.raw
    if raw is None:
        raise Fault(
            f"{name}: plain numbers, and input `{form.name}` does not say which",
            "write under it `raw: {dtype: uint8, shape: [HEIGHT, WIDTH, 3]}`, or "
            "`raw: {frame: nv12}`",
        )
    _require_shape(raw, form)
    count = _count(path, sample_bytes(raw, form.single), name)
    rows: Array = np.memmap(path, raw.dtype, "r")
    return RawFile(name, rows.reshape(count, -1), form, raw)


def _require_shape(raw: RawForm, form: InputForm) -> None:
    single = form.single
    if raw.frame:
        if not is_frame((1, *single)):
            raise Fault(
                f"input `{form.name}` {list(form.shape)} takes no {raw.frame} frames",
                "they are for [N, 3, HEIGHT, WIDTH], both even",
            )
        return
    if raw.shape not in (None, single) and not is_turned(raw.shape or (), single):
        raise Fault(
            f"input `{form.name}`: its raw files hold {list(raw.shape or ())}, a sample of the "
            f"network {list(single)}",
            "write the shape of one sample, without the batch; channels may be last",
        )


def _count(path: Path, each: int, name: str) -> int:
    try:
        size = path.stat().st_size
    except OSError as error:
        raise Fault(f"{name}: {error.strerror}", "name a file that exists") from error
    if size == 0 or size % each:
        raise Fault(
            f"{name}: {size:,} bytes are no whole number of samples of {each:,}",
            "correct `raw` (its type or shape), or the file: no header may stand in it",
        )
    return size // each


def _pixels(frames: Array, form: InputForm, kind: str) -> Array:
    """RGB or BGR of frames, each a row of bytes: Y, then U and V in turn."""
    _, height, width = form.single
    luma = frames[:, : height * width].reshape(-1, 1, height, width)
    chroma = frames[:, height * width :].reshape(-1, 1, height // 2, width)
    pixels = yuv.decoded(luma, chroma, kind)
    return pixels[:, ::-1] if form.color == "bgr" else pixels
