"""Samples as the SDK takes them: NCHW, whatever the network's own layout is; frames for YUV."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.backends.rknn.params import RknnParams
from pipelines.backends.rknn.sdk import frames
from pipelines.run.jobs.job import Job
from pipelines.stages.samples.jobs.prepared_samples import PreparedSamples

Array = NDArray[Any]


def to_sdk(array: Array, params: RknnParams) -> Array:
    """One input's array, with its batch, as calibration, analysis and simulator take it.

    The SDK turns a TFLite network, which is NHWC, into NCHW, and its data must be so already.
    """
    if channel_axis(params) == -1 and array.ndim == 4:
        return np.ascontiguousarray(array.transpose(0, 3, 1, 2))
    return array


def channel_axis(params: RknnParams) -> int:
    """Where a sample of the network has its channels."""
    is_nhwc = params.source_kind == "tflite" and not params.rknn.get("input_is_nchw")
    return -1 if is_nhwc else 1


def given(arrays: Sequence[Array], params: RknnParams) -> list[Array]:
    """A sample as simulator and board take it: NCHW, and planes where the file takes frames."""
    return frames.given([to_sdk(array, params) for array in arrays], params)


def seen(arrays: Sequence[Array], params: RknnParams) -> list[Array]:
    """A sample as the network itself then gets it: pixels that came through a frame."""
    return frames.seen(arrays, params, channel_axis(params))


def for_calibration(samples: PreparedSamples, job: Job[RknnParams]) -> PreparedSamples:
    """What the SDK calibrates with; files that change are written to `sdk_samples/`."""
    params = job.params
    return _turned(
        samples, job, lambda arrays: [to_sdk(one, params) for one in seen(arrays, params)]
    )


def for_simulator(samples: PreparedSamples, job: Job[RknnParams]) -> PreparedSamples:
    """What accuracy_analysis takes; files that change are written to `sdk_samples/`."""
    return _turned(samples, job, lambda arrays: given(arrays, job.params))


def _turned(
    samples: PreparedSamples,
    job: Job[RknnParams],
    turn: Callable[[Sequence[Array]], Sequence[Array]],
) -> PreparedSamples:
    params = job.params
    is_changed = params.source_kind == "tflite" or any(frames.formats(params, len(samples.inputs)))
    if not is_changed:
        return samples
    folder = job.scratch / "sdk_samples"
    folder.mkdir(exist_ok=True)
    rows = (_saved(turn(arrays), folder, number) for number, arrays in enumerate(samples.arrays()))
    return replace(samples, rows=tuple(rows))


def _saved(arrays: Sequence[Array], folder: Path, number: int) -> tuple[Path, ...]:
    files = tuple(folder / f"{number:04d}_{place}.npy" for place in range(len(arrays)))
    for file, array in zip(files, arrays, strict=True):
        np.save(file, array)
    return files


def write_list(samples: PreparedSamples, file: Path) -> None:
    """A dataset.txt in the scratch folder; the SDK looks for its files beside the list."""
    lines = (" ".join(str(path) for path in row) for row in samples.rows)
    file.write_text("".join(f"{line}\n" for line in lines))
