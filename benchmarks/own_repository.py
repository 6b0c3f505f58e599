"""A repository of one's own beside a checkout of this one: the first .rknn, and nothing to do.

    .venv/bin/python -m benchmarks.own_repository [--runs 3] [--quiet-runs 20]

Both hold one small network, share made toolchains and .venv (a warm NPUMAKE_HOME), and start with
no bytecode, as fresh clones do. The own one fetches its engine from its wheel in the first run;
the other has it from `git clone`, which is timed by itself, and added in a row of its own.
They take turns within one run; prints medians and their ratio.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.cold_build import write_model
from pipelines.front.init import pin, repository

ROOT = Path(__file__).resolve().parent.parent
PARTS = ("dodo.py", "doit", "pyproject.toml", "pipelines", "quant", "toolchains", ".dvc/config")
RECIPE = """\
model: net
source: {onnx: net.onnx}
inputs: {input: {shape: [1, 3, 32, 32], mean: 127, std: 128}}
quantize: {calibration: {npy: samples.npy}}
analyze: {samples: 1}
targets: {rk3588: {}}
"""


def add_model(root: Path) -> Path:
    folder = root / "models" / "net"
    folder.mkdir(parents=True)
    write_model(folder / "net.onnx", 0)
    pixels = np.random.default_rng(0).integers(0, 256, (4, 3, 32, 32))
    np.save(folder / "samples.npy", pixels.astype(np.float32))
    (folder / "recipe.yaml").write_text(RECIPE)
    (root / ".venv").symlink_to(ROOT / ".venv")
    return root


def checkout(root: Path) -> Path:
    for part in PARTS:
        (root / part).parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / part).is_dir():
            shutil.copytree(ROOT / part, root / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(ROOT / part, root / part)
    return add_model(root)


def own(root: Path, wheel: Path) -> Path:
    repository.make(root, pin.told(str(wheel)))
    return add_model(root)


def timed(root: Path, *command: str) -> tuple[float, float]:
    """Seconds of the clock and of the CPU of one command; by default of ./doit."""
    home = os.environ.get("NPUMAKE_HOME", str(ROOT / ".npumake"))
    words = command or (sys.executable, str(root / "doit"))
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(
        words, cwd=root, env={**os.environ, "NPUMAKE_HOME": home}, check=True, capture_output=True
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.perf_counter() - began, used


def cloned(source: Path, to: Path) -> tuple[float, float]:
    """Of one `git clone`: the files of this repository are its engine, too."""
    return timed(to.parent, "git", "clone", "-q", "--depth", "1", f"file://{source}", str(to))


def committed(root: Path) -> Path:
    """What `npumake init` makes, as somebody clones it."""
    for words in (["add", "--all"], ["commit", "-q", "-m", "new"]):
        subprocess.run(["git", "-c", "user.name=t", "-c", "user.email=t@t", *words], cwd=root)
    return root


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--quiet-runs", type=int, default=20)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", name]
        subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
        (wheel,) = folder.glob("*.whl")
        makers: dict[str, Callable[[Path], Path]] = {
            "this repository": checkout,
            "one's own": lambda root: own(root, wheel),
        }
        first: dict[str, list[tuple[float, float]]] = {kind: [] for kind in makers}
        quiet: dict[str, list[tuple[float, float]]] = {kind: [] for kind in makers}
        repository.make(folder / "mine", pin.told(str(wheel)))
        sources = {"this repository": ROOT, "one's own": committed(folder / "mine")}
        whole: dict[str, list[tuple[float, float]]] = {kind: [] for kind in makers}
        roots: dict[str, Path] = {}
        for number in range(arguments.runs):
            for kind, make in makers.items():
                roots[kind] = make(folder / f"{number}-{len(kind)}")
                clock, cpu = cloned(sources[kind], folder / f"{number}-{len(kind)}-clone")
                first[kind].append(timed(roots[kind]))
                whole[kind].append((clock + first[kind][-1][0], cpu + first[kind][-1][1]))
                assert (roots[kind] / "models/net/build/rk3588/model.rknn").is_file()
        for root in roots.values():
            timed(root)  # writes the seal
        for _ in range(arguments.quiet_runs):
            for kind, root in roots.items():
                quiet[kind].append(timed(root))
    tell("the first .rknn", first)
    tell("git clone and the first .rknn", whole)
    tell("nothing to do", quiet)


def tell(what: str, found: dict[str, list[tuple[float, float]]]) -> None:
    medians = [
        [statistics.median(run) for run in zip(*runs, strict=True)] for runs in found.values()
    ]
    for kind, (clock, cpu) in zip(found, medians, strict=True):
        print(f"{what}, {kind}: {clock:.3f} s, {cpu:.3f} s of CPU")
    ratios = [own / ours for own, ours in zip(medians[1], medians[0], strict=True)]
    print(f"{what}: {ratios[0]:.2f} times the time, {ratios[1]:.2f} times the CPU")


if __name__ == "__main__":
    main()
