"""Real builds by two workers of a cluster, beside `-n 2`: wall time, and whether files are equal.

    .venv/bin/python -m benchmarks.cluster_builds [MODEL ...] [--workers 2] [--folder FOLDER]

Each in a clone of its own of this repository, with a cache of its own; the toolchains are shared.
Both have built a model before: connections, servers and imports are there, and not measured. The
machine has to be quiet. All models here take some ten minutes on two cores.
"""

from __future__ import annotations

import argparse
import hashlib
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


def clone(folder: Path, name: str) -> Path:
    root = folder / name
    subprocess.run(["git", "clone", "-q", str(ROOT), str(root)], check=True)
    (root / ".venv").symlink_to(ROOT / ".venv")
    (root / ".npumake").mkdir()
    (root / ".npumake" / "toolchains").symlink_to(ROOT / ".npumake" / "toolchains")
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
    parser.add_argument("models", nargs="*")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--folder", type=Path)
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(dir=arguments.folder))
    address, processes = f"127.0.0.1:{PORT}", []
    try:
        scheduler = clone(folder, "scheduler")
        words = ("worker", "--scheduler", "--host", "127.0.0.1", "--port", str(PORT))
        processes.append(start(scheduler, *words))
        wait_for(lambda: "scheduler at" in told(scheduler), "a scheduler")
        for number in range(arguments.workers):
            root = clone(folder, f"w{number}")
            host = f"127.0.0.{number + 2}"
            processes.append(start(root, "worker", address, "-n", "1", "--host", host))
        here, there = clone(folder, "here"), clone(folder, "there")
        first = "sample_reshape"
        timed(here, "-n", str(arguments.workers), first)
        timed(there, "--cluster", address, first)
        seconds = timed(here, "-n", str(arguments.workers), *arguments.models)
        print(f"-n {arguments.workers}: {seconds:.1f} s", flush=True)
        by_cluster = timed(there, "--cluster", address, *arguments.models)
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
