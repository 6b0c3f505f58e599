"""./doit inspect beside rknncli (the Python index) on the same files: CPU seconds.

.venv/bin/python -m benchmarks.inspect --peer RKNNCLI FILE.rknn ... [--runs 5]

RKNNCLI: the program of a virtual environment with rknncli in it.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

from benchmarks.scale import ROOT

OURS = [sys.executable, "-s", "-X", "utf8", str(ROOT / "dodo.py"), "inspect"]


def cpu_s(command: list[str]) -> float:
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    if status:
        raise RuntimeError(f"{command[0]} ended with {status}")
    return used.ru_utime + used.ru_stime


def median(command: list[str], runs: int) -> float:
    return statistics.median(cpu_s(command) for _ in range(runs))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--peer", required=True)
    parser.add_argument("--runs", type=int, default=5)
    arguments = parser.parse_args()
    print("| file | bytes | unexplained | inspect, CPU s | rknncli, CPU s |")
    print("|---|---|---|---|---|")
    for file in arguments.files:
        told = json.loads(subprocess.check_output([*OURS, "--json", str(file)]))
        if sum(told["kinds"].values()) != file.stat().st_size:
            raise RuntimeError(f"{file}: bytes do not add up")
        ours = median([*OURS, str(file)], arguments.runs)
        peer = median([arguments.peer, str(file)], arguments.runs)
        name = f"{told['platform']}, SDK {told['toolkit']}"
        print(
            f"| {name} | {told['file_bytes']:,} | {told['unexplained']:,} | {ours:.2f} "
            f"| {peer:.2f} |"
        )


if __name__ == "__main__":
    main()
