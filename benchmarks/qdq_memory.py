"""Memory of calibration by the number of samples: the backend qdq, and onnxruntime's calibraters.

.venv/bin/python -m benchmarks.qdq_memory

Each in a process of its own, which makes its samples one at a time: a small network of convolutions
on 64 x 64 pixels, whose tensors take 1.1 MB a sample. Prints peak memory and CPU seconds beyond
those of the same with one sample, and whether the ranges are equal.
"""

from __future__ import annotations

import contextlib
import io
import json
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from tests.small_models import conv_net

SHAPE = (1, 3, 64, 64)
COUNTS = (8, 256)
METHODS = ("MinMax", "Percentile")
WHO = ("npumake", "onnxruntime")


def samples(count: int) -> Iterator[dict[str, NDArray[Any]]]:
    for number in range(count):
        random = np.random.default_rng(number)
        yield {"input": random.normal(0, 1, SHAPE).astype(np.float32)}


def npumake(model: onnx.ModelProto, method: str, count: int) -> dict[str, tuple[float, float]]:
    from pipelines.backends.qdq.jobs.ranges import Calibration, observe

    return observe(model, Calibration(method, 99.999, None), lambda: samples(count))


def onnxruntime(model: onnx.ModelProto, method: str, count: int) -> dict[str, tuple[float, float]]:
    from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, create_calibrator

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._rest = samples(count)

        def get_next(self) -> dict[str, NDArray[Any]] | None:
            return next(self._rest, None)

    with tempfile.TemporaryDirectory() as folder:
        onnx.save(model, Path(folder, "model.onnx"))
        calibrater = create_calibrator(
            Path(folder, "model.onnx"),
            augmented_model_path=str(Path(folder, "augmented.onnx")),
            calibrate_method=CalibrationMethod[method],
        )
        calibrater.collect_data(Reader())
        found = calibrater.compute_data()
    return {name: _ends(one.range_value) for name, one in found.items()}


def _ends(found: tuple[Any, Any]) -> tuple[float, float]:
    low, high = (float(np.ravel(end)[0]) for end in found)
    return low, high


def measured(who: str, method: str, count: int) -> dict[str, Any]:
    """Peak memory in bytes, CPU seconds and the ranges, of a process of its own."""
    command = [sys.executable, "-m", "benchmarks.qdq_memory", who, method, str(count)]
    made = subprocess.run(command, capture_output=True, text=True, check=True)
    told: dict[str, Any] = json.loads(made.stdout)
    return told


def one(who: str, method: str, count: int) -> None:
    model = onnx.load_from_string(conv_net(SHAPE))
    with contextlib.redirect_stdout(io.StringIO()):
        ranges = {"npumake": npumake, "onnxruntime": onnxruntime}[who](model, method, count)
    used = resource.getrusage(resource.RUSAGE_SELF)
    told = {
        "bytes": used.ru_maxrss * 1024,
        "seconds": used.ru_utime + used.ru_stime,
        "ranges": ranges,
    }
    print(json.dumps(told))


def main() -> None:
    head = [f"{count} samples" for count in COUNTS]
    print("| method | by | " + " | ".join(head) + " | CPU s | equal |")
    print("|---|---|" + "---|" * (len(COUNTS) + 2))
    for method in METHODS:
        runs = {who: [measured(who, method, count) for count in (1, *COUNTS)] for who in WHO}
        for who in WHO:
            base, *found = runs[who]
            peaks = [f"{(run['bytes'] - base['bytes']) / 1e6:.0f} MB" for run in found]
            seconds = f"{found[-1]['seconds'] - base['seconds']:.1f}"
            is_equal = all(
                run["ranges"] == other["ranges"]
                for run, other in zip(runs[who], runs[WHO[-1]], strict=True)
            )
            cells = [method, who, *peaks, seconds, "yes" if is_equal else "no"]
            print("| " + " | ".join(cells) + " |")


if __name__ == "__main__":
    if sys.argv[1:]:
        one(sys.argv[1], sys.argv[2], int(sys.argv[3]))
    else:
        main()
