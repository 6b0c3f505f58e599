"""Large networks from source to .rknn, against a plain script of SDK calls.

    .venv/bin/python -m benchmarks.large_networks [--only resnet50 wide deep] [--rounds N]

resnet50: 102 MB, 50 photographs. wide: 353 MB in 24 nodes. deep: 5,592 nodes. npumake: `./doit` up
to build, so export, simplify, quantize and build, with all their checks, from toolchains that have
not started. The peer: one process in the SDK's environment with torch, config, load_onnx, build and
export_rknn. Wall and CPU seconds, the peak of the memory of all processes together (PSS, every
0.1 s) and the longest time without a word: medians of N rounds, one after the other in turn,
nothing cached.

For wide and deep also simplify without its checks against onnxslim alone, both with reading and
writing: CPU seconds of a process in the toolchain core.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import onnx

from benchmarks.made_networks import deep, wide, write_photographs
from benchmarks.resnet import as_onnx
from pipelines.run.toolchain.toolchain import Environments
from tests.workspace import Workspace

ROOT = Path(__file__).resolve().parent.parent
TICKS = os.sysconf("SC_CLK_TCK")
MADE: Mapping[str, tuple[Callable[[], onnx.ModelProto], tuple[int, ...]]] = {
    "resnet50": (as_onnx, (1, 3, 224, 224)),
    "wide": (wide, (1, 3, 28, 28)),
    "deep": (deep, (1, 3, 16, 16)),
}
PLAIN = """
from rknn.api import RKNN
rknn = RKNN(verbose=False)
rknn.config(mean_values=[[127] * 3], std_values=[[128] * 3], target_platform="rk3588")
assert rknn.load_onnx("net.onnx") == 0
assert rknn.build(do_quantization=True, dataset="dataset.txt") == 0
assert rknn.export_rknn("net.rknn") == 0
"""
SIMPLIFY = {
    "npumake": """
import sys
from pathlib import Path
from pipelines.stages.simplify.jobs.simplifiers import simplified
from quant.graph.file import read, save
made = simplified(Path(), read(Path(sys.argv[1])), "auto", lambda model: model)
save(made.model, Path("ours.onnx"))
""",
    "onnxslim": """
import onnx, onnxslim, sys
skipped = ["FusionConvBN", "FusionConvTransposeBN"]
onnx.save(onnxslim.slim(onnx.load(sys.argv[1]), skip_fusion_patterns=skipped), "theirs.onnx")
""",
}


@dataclass
class Cost:
    """Of a process and all that it started: seconds, and bytes at their highest.

    silence: the longest time in which it printed nothing. before_it: the line before that.
    """

    wall: float = 0.0
    cpu: float = 0.0
    peak: int = 0
    silence: float = 0.0
    before_it: str = ""


def measured(command: list[str], folder: Path, environment: Mapping[str, str]) -> Cost:
    """Run to its end. Exits where it fails."""
    cost, seconds, before = Cost(), dict[int, float](), _waited_for()
    began = time.perf_counter()
    process = subprocess.Popen(
        command,
        cwd=folder,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    lines: list[tuple[float, str]] = [(began, "its start")]
    reader = threading.Thread(target=_read, args=(process, lines))
    reader.start()
    while process.poll() is None:
        tree = _tree(process.pid)
        cost.peak = max(cost.peak, sum(map(_memory, tree)))
        seconds |= {one: _cpu(one) or seconds.get(one, 0.0) for one in tree}
        time.sleep(0.1)
    ended = time.perf_counter()
    cost.wall = ended - began
    # npumake's servers are not waited for; what runs for less than 0.1 s is not seen.
    cost.cpu = max(sum(seconds.values()), _waited_for() - before)
    reader.join()
    if process.returncode != 0:
        last = "\n".join(line for _, line in lines[-40:])
        sys.exit(f"{command} failed:\n{last}")
    for (told, line), (then, _) in pairwise([*lines, (ended, "")]):
        if then - told > cost.silence:
            cost.silence, cost.before_it = then - told, line
    return cost


def _read(process: subprocess.Popen[str], lines: list[tuple[float, str]]) -> None:
    """When each line came: a thread of its own, since a look at all processes may take long."""
    assert process.stdout is not None
    lines += ((time.perf_counter(), line.strip()) for line in process.stdout)


def _waited_for() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _tree(root: int) -> list[int]:
    parents: dict[int, list[int]] = {}
    for place in Path("/proc").iterdir():
        if place.name.isdigit() and (fields := _stat(int(place.name))):
            parents.setdefault(int(fields[1]), []).append(int(place.name))
    found, waiting = [], [root]
    while waiting:
        found.append(waiting.pop())
        waiting += parents.get(found[-1], [])
    return found


def _stat(process: int) -> list[str]:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _cpu(process: int) -> float:
    fields = _stat(process)
    return (int(fields[11]) + int(fields[12])) / TICKS if fields else 0.0


def _memory(process: int) -> int:
    try:
        lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)


def lay_out(folder: Path, name: str) -> None:
    """net.onnx and its calibration data, as the script takes it and as a recipe does."""
    make, shape = MADE[name]
    onnx.save(make(), folder / "net.onnx")
    if name == "resnet50":
        write_photographs(folder / "data", 50)
        files = sorted(file.name for file in (folder / "data").iterdir())
        (folder / "dataset.txt").write_text("".join(f"data/{file}\n" for file in files))
        return
    samples = np.random.default_rng(0).integers(0, 256, (4, *shape[1:])).astype(np.float32)
    np.save(folder / "samples.npy", samples)
    for number, sample in enumerate(samples):
        np.save(folder / f"{number}.npy", sample[None])
    (folder / "dataset.txt").write_text("".join(f"{number}.npy\n" for number in range(4)))


def recipe(name: str) -> dict[str, Any]:
    given = {"shape": list(MADE[name][1]), "mean": 127, "std": 128}
    data: dict[str, Any] = {"npy": "samples.npy"}
    if name == "resnet50":
        given |= {"color": "rgb", "resize": "stretch"}
        data = {"images": "data", "samples": 50}
    return {
        "source": {"onnx": "net.onnx"},
        "inputs": {"input": given},
        "quantize": {"calibration": data},
        "targets": {"rk3588": {}},
    }


def compare(name: str, folder: Path, environments: Environments, rounds: int) -> None:
    lay_out(folder, name)
    python = str(environments.python("rknn-2.5.0-torch"))
    ours, theirs = [], []
    for number in range(rounds):
        theirs.append(measured([python, "-s", "-c", PLAIN], folder, {"OMP_NUM_THREADS": "1"}))
        ours.append(_build(name, folder, folder / str(number)))
    print(f"| {name} | npumake | plain script | ratio |\n|---|---|---|---|")
    for what, read, digits in (
        ("wall, s", lambda cost: cost.wall, 1),
        ("CPU, s", lambda cost: cost.cpu, 1),
        ("peak memory, GB", lambda cost: cost.peak / 1e9, 2),
    ):
        mine, other = (median(map(read, costs)) for costs in (ours, theirs))
        print(f"| {what} | {mine:.{digits}f} | {other:.{digits}f} | {mine / other:.2f} |")
    longest = max(ours, key=lambda cost: cost.silence)
    print(f"| longest without a word, s | {longest.silence:.1f} | | |")
    print(f"after: {longest.before_it}", flush=True)


def _build(name: str, given: Path, root: Path) -> Cost:
    """What `./doit` takes to the .rknn, in a new project. Exits where it is not the script's."""
    root.mkdir()
    workspace = Workspace(root, ROOT / ".npumake" / "toolchains")
    parts = {"net__onnx": given / "net.onnx"}
    data = given / ("data" if name == "resnet50" else "samples.npy")
    parts[data.name.replace(".", "__")] = data
    workspace.add(name, recipe(name), **parts)
    cost = measured([sys.executable, "-s", "dodo.py", f"{name}:build@rk3588"], root, {})
    lengths = [
        file.stat().st_size
        for file in (workspace.built(name, "rk3588/model.rknn"), given / "net.rknn")
    ]
    if abs(lengths[0] / lengths[1] - 1) > 0.01:
        sys.exit(f"the .rknn files differ in length: {lengths}")
    shutil.rmtree(root)
    return cost


def compare_simplify(name: str, folder: Path, environments: Environments) -> None:
    python = str(environments.python("core"))
    costs = {}
    for tool, code in SIMPLIFY.items():
        command = [python, "-s", "-c", code, str(folder / "net.onnx")]
        costs[tool] = measured(command, folder, {"PYTHONPATH": str(ROOT)}).cpu
    ratio = costs["npumake"] / costs["onnxslim"]
    print(
        f"{name}: simplify {costs['npumake']:.1f} CPU s, onnxslim {costs['onnxslim']:.1f}, ", end=""
    )
    print(f"{ratio:.2f}x", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="*", choices=list(MADE), default=list(MADE))
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--simplify-only", action="store_true", help="no SDK")
    arguments = parser.parse_args()
    environments = Environments(ROOT)
    environments.make(["core", "rknn-2.5.0", "rknn-2.5.0-torch"])
    for name in arguments.only:
        with tempfile.TemporaryDirectory() as made:
            folder = Path(made)
            if arguments.simplify_only:
                lay_out(folder, name)
            else:
                compare(name, folder, environments, arguments.rounds)
            if name != "resnet50":
                compare_simplify(name, folder, environments)


if __name__ == "__main__":
    main()
