"""CPU seconds of the same commands in two checkouts, one after the other: what a change has cost.

    .venv/bin/python -m benchmarks.two_checkouts BEFORE AFTER [--runs 5] [--only no-op,why]

Each is a whole checkout with its toolchains made, and is changed: its models but sample_reshape go.
Prints a row a case: the median of both, their ratio, and the ratio of the least.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import os
import shutil
import statistics
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from pipelines.run.job_server import PR_SET_CHILD_SUBREAPER

MODEL, TARGET = "sample_reshape", "rk3588"
ANALYZED = "analyze:\n  samples: 2\n"


def cpu(root: Path, *words: str) -> float:
    """CPU seconds of `./doit WORDS` and of all that it starts, which becomes ours as it ends."""
    process = subprocess.Popen(
        ["./doit", *words], cwd=root, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    assert process.stderr is not None
    said = process.stderr.read()
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit(f"{root}: ./doit {' '.join(words)}\n{said.decode()[-2000:]}")
    total = used.ru_utime + used.ru_stime
    with contextlib.suppress(ChildProcessError):
        while True:
            _, _, left = os.wait4(-1, 0)
            total += left.ru_utime + left.ru_stime
    return total


def prepare(root: Path) -> None:
    for folder in (root / "models").iterdir():
        if folder.is_dir() and folder.name != MODEL:
            shutil.rmtree(folder)
    cpu(root, "help")


def build(root: Path) -> float:
    shutil.rmtree(root / "models" / MODEL / "build", ignore_errors=True)
    shutil.rmtree(root / ".dvc" / "cache", ignore_errors=True)
    (root / "models" / MODEL / "dvc.lock").unlink(missing_ok=True)
    return cpu(root)


def one_change(root: Path) -> float:
    """Another number of analysis samples: one step."""
    recipe = root / "models" / MODEL / "recipe.yaml"
    text = recipe.read_text()
    assert text.count(ANALYZED) == 1
    recipe.write_text(text.replace(ANALYZED, "analyze:\n  samples: 3\n"))
    try:
        return cpu(root, f"{MODEL}@{TARGET}")
    finally:
        recipe.write_text(text)
        cpu(root)


CASES: dict[str, Callable[[Path], float]] = {
    "build": build,
    "no-op": cpu,
    "named no-op": lambda root: cpu(root, MODEL),
    "why": lambda root: cpu(root, "why"),
    "one change": one_change,
    "doctor": lambda root: cpu(root, "doctor", f"{MODEL}@{TARGET}"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--only", default=",".join(CASES), help="cases, by comma")
    arguments = parser.parse_args()
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
    sides = (arguments.before, arguments.after)
    for root in sides:
        prepare(root)
    print("case          before   after   ratio   of the least")
    for name in arguments.only.split(","):
        taken: tuple[list[float], list[float]] = ([], [])
        for _ in range(arguments.runs):
            for root, found in zip(sides, taken, strict=True):
                found.append(CASES[name](root))
        (old, new), least = map(statistics.median, taken), [min(found) for found in taken]
        print(
            f"{name:12} {old:7.2f} {new:7.2f} {new / old:7.2f} {least[1] / least[0]:9.2f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
