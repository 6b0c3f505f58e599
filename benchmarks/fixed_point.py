"""Quantizing MobileNetV1-224 to int8, against onnxruntime and the TFLite converter.

    .venv/bin/python -m benchmarks.fixed_point [--runs 3]

The same random weights and pictures for all three, each quantizer in a process of its own with its
toolchain's Python. Prints seconds from the float network to the written file (imports left out; in
brackets the whole process) as medians with 16 samples, the peak memory of the process with 16 and
with 256, the file's length, and how its scores differ from float's on 32 other pictures.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.run.toolchain.toolchain import Environments

ROOT = Path(__file__).resolve().parent.parent
TOOLCHAINS = {
    "npumake": "core",
    "npumake-unsigned": "core",
    "npumake-channel": "core",
    "npumake-unsigned-gptq": "core",
    "npumake-channel-gptq": "core",
    "onnxruntime": "core",
    "tensorflow": "tensorflow",
}
FEW, MANY = 16, 256
NAMES = {
    "npumake.onnx": "npumake, fixed_point ONNX",
    "npumake.tflite": "npumake, fixed_point TFLite",
    "npumake-unsigned.onnx": "npumake, activations unsigned, ONNX",
    "npumake-unsigned.tflite": "npumake, activations unsigned, TFLite",
    "npumake-channel.onnx": "npumake, unsigned, weights channel, ONNX",
    "npumake-channel.tflite": "npumake, unsigned, weights channel, TFLite",
    "npumake-unsigned-gptq.onnx": "npumake, unsigned, weight_rounding gptq, ONNX",
    "npumake-unsigned-gptq.tflite": "npumake, unsigned, weight_rounding gptq, TFLite",
    "npumake-channel-gptq.onnx": "npumake, unsigned, weights channel, gptq, ONNX",
    "npumake-channel-gptq.tflite": "npumake, unsigned, weights channel, gptq, TFLite",
    "onnxruntime.onnx": "onnxruntime quantize_static, QDQ",
    "onnxruntime-as-written.onnx": "the same file, its nodes as written",
    "tensorflow.tflite": "TFLite converter, int8",
}


@dataclass(frozen=True)
class Cost:
    """seconds: of quantizing. process_seconds: with imports and the model's making."""

    seconds: float
    process_seconds: float
    peak_bytes: int


class Bench:
    """Runs benchmarks.quantizers in toolchains, on one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._environments = Environments(ROOT)
        self._environments.make(sorted(set(TOOLCHAINS.values())))

    def run(self, toolchain: str, *arguments: str) -> tuple[str, Any]:
        """What it printed, and the resources that it used."""
        python = self._environments.python(toolchain)
        command = [str(python), "-m", "benchmarks.quantizers", arguments[0], str(self._folder)]
        log = (self._folder / "log").open("w")
        environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}
        process = subprocess.Popen(
            [*command, *arguments[1:]],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
        assert process.stdout is not None
        said = process.stdout.read()
        _, status, used = os.wait4(process.pid, 0)
        if status:
            log_text = (self._folder / "log").read_text()
            sys.exit(f"{' '.join(arguments)} failed:\n{log_text[-2000:]}")
        return said.splitlines()[-1] if said else "", used

    def cost(self, quantizer: str, samples: int) -> Cost:
        began = time.perf_counter()
        said, used = self.run(TOOLCHAINS[quantizer], quantizer, str(samples))
        # Linux counts ru_maxrss in KB
        return Cost(float(said), time.perf_counter() - began, used.ru_maxrss * 1024)


def measure(bench: Bench, runs: int) -> dict[str, tuple[list[Cost], Cost]]:
    """Quantizer -> its costs with few samples, and with many."""
    few: dict[str, list[Cost]] = {name: [] for name in TOOLCHAINS}
    for _ in range(runs):  # in turn, so that what else the machine does meets all
        for name, costs in few.items():
            costs.append(bench.cost(name, FEW))
    return {name: (costs, bench.cost(name, MANY)) for name, costs in few.items()}


def rows(
    measured: dict[str, tuple[list[Cost], Cost]], folder: Path, errors: dict[str, list[float]]
) -> list[str]:
    made = [
        f"| | s, {FEW} samples | s, {MANY} | peak MB, {FEW} | peak MB, {MANY} | ratio | file MB "
        "| cosine | largest error |",
        "|" + "---|" * 9,
    ]
    for file, name in NAMES.items():
        cosine, largest = errors[file]
        quantizer = Path(file).stem.removesuffix("-as-written")
        costs, many = measured[quantizer]
        seconds = statistics.median(cost.seconds for cost in costs)
        whole = statistics.median(cost.process_seconds for cost in costs)
        peak = statistics.median(cost.peak_bytes for cost in costs)
        cells = [
            name,
            f"{seconds:.2f} ({whole:.2f})",
            f"{many.seconds:.2f}",
            f"{peak / 1e6:.0f}",
            f"{many.peak_bytes / 1e6:.0f}",
            f"{many.peak_bytes / peak:.2f}",
            f"{(folder / (quantizer + Path(file).suffix)).stat().st_size / 1e6:.2f}",
            f"{cosine:.5f}",
            f"{largest:.2%}",
        ]
        made.append(f"| {' | '.join(cells)} |")
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bench = Bench(folder)
        bench.run("core", "model")
        bench.cost("tensorflow", 1)
        measured = measure(bench, arguments.runs)
        errors = json.loads(bench.run("core", "errors")[0])
        print(*rows(measured, folder, errors), sep="\n")


if __name__ == "__main__":
    main()
