"""Samples in the layout that the SDK takes: NCHW, whatever the network's own is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.stages.samples.jobs.prepared_samples import PreparedSamples

Array = NDArray[Any]


def to_sdk(array: Array, params: Mapping[str, Any]) -> Array:
    """One input's array, with its batch, as calibration, analysis and simulator take it.

    The SDK turns a TFLite network, which is NHWC, into NCHW, and its data must be so already.
    """
    is_nhwc = params["source_kind"] == "tflite" and not params["rknn"].get("input_is_nchw")
    if is_nhwc and array.ndim == 4:
        return np.ascontiguousarray(array.transpose(0, 3, 1, 2))
    return array


def for_sdk(samples: PreparedSamples, params: Mapping[str, Any]) -> PreparedSamples:
    """The same samples in the SDK's layout; files that change are written to `sdk_samples/`."""
    if params["source_kind"] != "tflite":
        return samples
    folder = Path("sdk_samples")
    folder.mkdir(exist_ok=True)
    return replace(samples, rows=tuple(_row(row, folder, params) for row in samples.rows))


def _row(row: Sequence[Path], folder: Path, params: Mapping[str, Any]) -> tuple[Path, ...]:
    files = []
    for file in row:
        turned = folder / file.name
        np.save(turned, to_sdk(np.load(file, allow_pickle=False), params))
        files.append(turned)
    return tuple(files)


def write_list(samples: PreparedSamples, file: Path) -> None:
    """A dataset.txt in the current folder; the SDK looks for its files beside the list."""
    lines = (" ".join(str(path) for path in row) for row in samples.rows)
    file.write_text("".join(f"{line}\n" for line in lines))
