"""What ./doit runtime costs beside the emulator's start, in CPU seconds.

    .venv/bin/python -m benchmarks.runtime_cost [--runs 5] FILE.rknn [MORE ...]

Files of rk3588. Medians of interleaved runs with librknnrt 1.5.2. start: emulator, C library and
runtime are loaded, and the file is not there; information: rknn_init for information only, and
queries; all: what ./doit runtime does, rknn_run with it; slowest: of these runs.
"""

from __future__ import annotations

import argparse
import resource
import statistics
from pathlib import Path

from pipelines.backends.rknn.file.platforms import VERSIONS
from pipelines.backends.rknn.runtime import emulator
from pipelines.backends.rknn.runtime.emulator import Emulator
from pipelines.front.doit import runtime_parts
from tests.conftest import ROOT

MODES = ("start", "info", "run")


def used_s() -> float:
    """By all processes that have ended, to the microsecond."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return children.ru_utime + children.ru_stime


def cost(machine: Emulator, library: Path, file: Path, mode: str) -> float:
    """CPU seconds of one run."""
    environment = {"NPUMAKE_CHIP": "rk3588", "NPUMAKE_NPU_VERSION": str(VERSIONS["rk3588"])}
    what = Path("/nowhere.rknn") if mode == "start" else file
    before = used_s()
    done = machine.run(library, what, "info" if mode == "start" else mode, environment)
    used = used_s() - before
    if mode != "start" and "done" not in done.stdout.splitlines():
        raise RuntimeError(f"{file} did not run through: {done.stdout[-200:]}")
    return used


def row(machine: Emulator, library: Path, file: Path, runs: int) -> str:
    found = [[cost(machine, library, file, mode) for mode in MODES] for _ in range(runs)]
    columns = list(zip(*found, strict=True))
    start, info, run = (statistics.median(values) for values in columns)
    name = file.parts[-4] if file.name == "model.rknn" else file.stem
    return (
        f"| {name} | {file.stat().st_size:,} | {start:.3f} | {info:.3f} | {run:.3f} "
        f"| {info - start:.3f} | {run - start:.3f} | {max(columns[-1]) - start:.3f} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--runs", type=int, default=5)
    arguments = parser.parse_args()
    home = runtime_parts.home(ROOT)
    machine, library = emulator.prepare(home), emulator.pinned_runtime(home)
    heads = ("file", "bytes", "start", "information", "all", "information - start", "all - start")
    print(f"| {' | '.join(heads)} | slowest - start |")
    print("|---" * (len(heads) + 1) + "|")
    for file in arguments.files:
        print(row(machine, library, file.resolve(), arguments.runs), flush=True)


if __name__ == "__main__":
    main()
