"""The seal alone, with up to 10,000 models: CPU seconds and memory of a run with nothing to do.

    .venv/bin/python -m benchmarks.seal [--models 1000 10000] [--runs 5] [--folder FOLDER]

Every model has the files of five steps, empty, and the two names that must stay absent. The seal is
written over them as a run writes it, and read by a process of its own, which ends as ./doit does.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from pipelines.record import seal

ROOT = Path(__file__).resolve().parent.parent
REPORTS = ("layers.json", "layers.csv", "bytes.json", "metrics.json", "error_analysis.txt")
FILES = (
    *("net.onnx", "samples.npy", "recipe.yaml", "dvc.yaml", "dvc.lock"),
    *("build/export/model.onnx", "build/export/export.json", "build/simplify/model.onnx"),
    *("build/rk3588/model.rknn", "build/rk3588/build.json", "build/rk3588/quantize/a.data"),
    *(f"build/rk3588/report/{name}" for name in REPORTS),
)
ABSENT = ("recipe.yml", ".dvcignore")
CHECK = """
import sys
sys.path.insert(0, sys.argv[1])
from pipelines.record import seal
whole = seal.check(sys.argv[2], []) is not None
import resource
used = resource.getrusage(resource.RUSAGE_SELF)
print(whole, used.ru_utime + used.ru_stime, used.ru_maxrss / 1000)
"""


def make(root: Path, count: int) -> int:
    """The files and their seal. Returns how many paths it tells of."""
    paths: list[str] = []
    absent: list[str] = []
    for model in (f"models/m{number:05}" for number in range(count)):
        for name in FILES:
            place = root / model / name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.touch()
        paths += [f"{model}/{name}" for name in FILES]
        absent += [f"{model}/{name}" for name in ABSENT]
    (root / ".npumake").mkdir()
    (root / ".npumake/run.lock").touch()
    told = {
        "form": seal.FORM,
        "arguments": [],
        "width": None,
        "environment": seal.environment(),
        "report": "",
        "failures": [],
        "folders": {},
        "paths": paths,
        "absent": absent,
        "state": seal.state_of(seal.stamps_of(str(root), paths)),
    }
    place = root / seal.place([])
    place.parent.mkdir()
    place.write_text(json.dumps(told))
    return len(paths) + len(absent)


def measure(root: Path) -> tuple[float, float]:
    """CPU seconds of the process, Python's start included, and its peak in MB."""
    command = [sys.executable, "-s", "-c", CHECK, str(ROOT), str(root)]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert told[0] == "True", "the seal is broken"
    return float(told[1]), float(told[2])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=int, nargs="+", default=[1000, 10_000])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="where the files are made")
    arguments = parser.parse_args()
    print(f"{len(os.sched_getaffinity(0))} cores, median of {arguments.runs}")
    print("\n| models | paths | CPU, s | peak, MB |\n|---|---|---|---|")
    for count in arguments.models:
        with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
            paths = make(Path(folder), count)
            cpu, peak = zip(*(measure(Path(folder)) for _ in range(arguments.runs)), strict=True)
            row = (count, paths, f"{statistics.median(cpu):.3f}", f"{max(peak):.0f}")
            print("| " + " | ".join(map(str, row)) + " |", flush=True)


if __name__ == "__main__":
    main()
