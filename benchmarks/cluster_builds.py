"""Real builds by two workers of a cluster, beside `-n 2`: wall time, and whether files are equal.

    .venv/bin/python -m benchmarks.cluster_builds [MODEL[=COPIES] ...] [--workers 2] [--folder F]

Each in a clone of its own of this repository, with a cache of its own; the toolchains are shared.
Both have built a model before: connections, servers and imports are there, and not measured. The
machine has to be quiet. All models here take 40 s on two cores; copies make more of them, each of
which calibrates on one sample fewer than the one before, so that no result serves two of them, and
has no gates: what they ask for was measured with all samples.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from tests.cluster import told, wait_for

ROOT = Path(__file__).resolve().parent.parent
PORT = 8797
SAMPLES = re.compile(r"(calibration:(?:\n    .*)*?\n    samples: )(\d+)")
GATES = re.compile(r"^gates:\n(?:  .*\n)+", re.MULTILINE)


def fewer(recipe: str, name: str, number: int) -> str:
    """The recipe of the model `name`'s copy that calibrates on `number` samples fewer."""
    named = re.sub(rf"^model: {name}\b", f"model: {name}_{number}", recipe, flags=re.M)
    found = SAMPLES.search(named)
    if found is None or int(found[2]) <= number:
        sys.exit(f"{name}: a copy needs calibration: with more than {number} samples:")
    samples = f"{found[1]}{int(found[2]) - number}"
    return GATES.sub("", named.replace(found[0], samples, 1))


def copy(root: Path, name: str, number: int) -> None:
    model = root / "models" / f"{name}_{number}"
    shutil.copytree(root / "models" / name, model, ignore=shutil.ignore_patterns("dvc.*"))
    recipe = model / "recipe.yaml"
    recipe.write_text(fewer(recipe.read_text(), name, number))


def clone(folder: Path, name: str, copies: Mapping[str, int]) -> Path:
    """A checkout with models/NAME_1 to models/NAME_N of every NAME in `copies`."""
    root = folder / name
    subprocess.run(["git", "clone", "-q", str(ROOT), str(root)], check=True)
    (root / ".venv").symlink_to(ROOT / ".venv")
    (root / ".npumake").mkdir()
    (root / ".npumake" / "toolchains").symlink_to(ROOT / ".npumake" / "toolchains")
    for model, number in copies.items():
        for each in range(1, number + 1):
            copy(root, model, each)
    return root


def start(root: Path, *words: str) -> subprocess.Popen[bytes]:
    with (root / "told").open("wb") as file:
        return subprocess.Popen(
            [sys.executable, "-s", "-X", "utf8", "dodo.py", *words],
            cwd=root,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
        )


def timed(root: Path, *words: str) -> float:
    began = time.perf_counter()
    if start(root, *words).wait() != 0:
        sys.exit(told(root)[-3000:])
    return time.perf_counter() - began


def made(root: Path) -> Mapping[str, str]:
    """File -> digest, of every dvc.lock and all that was built."""
    files = [*root.glob("models/*/dvc.lock"), *root.glob("models/*/build/**/*")]
    return {
        str(file.relative_to(root)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in files
        if file.is_file()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", metavar="MODEL[=COPIES]")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--folder", type=Path)
    arguments = parser.parse_args()
    named = [word.partition("=") for word in arguments.models]
    copies = {name: int(number) for name, _, number in named if number}
    models = [f"{name}_{each}" for name, number in copies.items() for each in range(1, number + 1)]
    models += [name for name, _, _ in named]
    folder = Path(tempfile.mkdtemp(dir=arguments.folder))
    address, processes = f"127.0.0.1:{PORT}", []
    try:
        scheduler = clone(folder, "scheduler", copies)
        words = ("worker", "--scheduler", "--host", "127.0.0.1", "--port", str(PORT))
        processes.append(start(scheduler, *words))
        wait_for(lambda: "scheduler at" in told(scheduler), "a scheduler")
        for number in range(arguments.workers):
            root = clone(folder, f"w{number}", copies)
            host = f"127.0.0.{number + 2}"
            processes.append(start(root, "worker", address, "-n", "1", "--host", host))
        here, there = clone(folder, "here", copies), clone(folder, "there", copies)
        first = "sample_reshape"
        timed(here, "-n", str(arguments.workers), first)
        timed(there, "--cluster", address, first)
        seconds = timed(here, "-n", str(arguments.workers), *models)
        print(f"-n {arguments.workers}: {seconds:.1f} s", flush=True)
        by_cluster = timed(there, "--cluster", address, *models)
        print(
            f"by {arguments.workers} workers: {by_cluster:.1f} s, {by_cluster / seconds:.3f} times"
        )
        print("files and dvc.lock are", "equal" if made(here) == made(there) else "NOT equal")
    finally:
        for process in processes:
            process.kill()
            process.wait()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
