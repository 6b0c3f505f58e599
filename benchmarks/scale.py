"""Nothing to do, and one thing to do, with 10 to 10,000 models; against DVC, make and ninja.

    .venv/bin/python -m benchmarks.scale [--models 10 100 1000] [--runs 5] [--no-dvc] [--no-commit]
        [--folder FOLDER]

Every model has five chained steps with files of 100 KB. For npumake and DVC these are its real
steps, whose jobs are replaced by ones that write made-up bytes; for doit, GNU make and ninja they
are the same files, made by copying. All in one run on one machine; medians of wall and CPU seconds
(user and system, of all processes). With 1,000 models it takes some ten minutes, mostly DVC's.
With more than 100 models one is built; the others' files are its own, each made another one, and
recorded by Builder's own calls. With more than 1,000 they are of 1 KB: a run with nothing to do
opens none of them.
A folder in memory (/dev/shm, 8 GB for 1,000 models) compares the programs, and not how the disk's
file system takes thousands of new files.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipelines.backends import recipes
from pipelines.building import plan as plans
from pipelines.building.plan import Plan
from pipelines.record import seal
from tests.fake_project import FakeProject

ROOT = Path(__file__).resolve().parent.parent
SIZE, SMALL_SIZE = 100_000, 1_000
MOST_BUILT, MOST_LARGE = 100, 1_000  # models
DVC = Path(sys.executable).with_name("dvc")
PLAIN_DODO = """
import json, shutil
DOIT_CONFIG = {"verbosity": 0}
def copy(targets, dependencies):
    for target in targets:
        shutil.copyfile(sorted(dependencies)[0], target)
def task_steps():
    for name, deps, outs in json.load(open("graph.json")):
        yield {"name": name, "file_dep": deps, "targets": outs, "actions": [copy]}
"""


@dataclass(frozen=True)
class Cost:
    """Seconds."""

    wall: float
    cpu: float

    def __str__(self) -> str:
        return f"{self.wall:.3f} / {self.cpu:.3f}"


Step = tuple[str, list[str], list[str]]  # name, dependencies and outputs: files only


def once(
    command: Sequence[str | Path], folder: Path, environment: Mapping[str, str], code: int = 0
) -> Cost:
    """code: what it must end with."""
    kept = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    with tempfile.TemporaryFile() as told:
        began = time.perf_counter()
        process = subprocess.Popen(
            [str(word) for word in command],
            cwd=folder,
            env={**kept, **environment},
            stdout=told,
            stderr=told,
        )
        _, status, used = os.wait4(process.pid, 0)
        wall = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != code:
            told.seek(0)
            sys.exit(f"{command} failed:\n{told.read()[-3000:].decode()}")
    return Cost(wall, used.ru_utime + used.ru_stime)


def peak_mb(command: Sequence[str | Path], folder: Path) -> float:
    """Peak memory of the command's largest process."""
    # By a small process: Linux counts what the parent held before the child's exec.
    code = (
        "import os, sys; process = os.spawnvp(os.P_NOWAIT, sys.argv[1], sys.argv[1:])\n"
        "print(os.wait4(process, 0)[2].ru_maxrss / 1024)"
    )
    words = [sys.executable, "-c", code, *map(str, command)]
    told = subprocess.run(words, cwd=folder, check=True, capture_output=True, text=True).stdout
    return float(told.splitlines()[-1])


def median(
    runs: int,
    command: Sequence[str | Path],
    folder: Path,
    environment: Mapping[str, str] | None = None,
    before: Callable[[], object] = lambda: None,
    code: int = 0,
) -> Cost:
    costs = []
    for _ in range(runs):
        before()
        time.sleep(0.05)  # a seal trusts no file younger than a tick of the clock
        costs.append(once(command, folder, environment or {}, code))
    return Cost(
        statistics.median(cost.wall for cost in costs), statistics.median(c.cpu for c in costs)
    )


def make_project(root: Path, count: int) -> Plan:
    """The project, built once; `.venv` and .git as a checkout has them."""
    root.mkdir(parents=True)
    size = SIZE if count <= MOST_LARGE else SMALL_SIZE
    project = FakeProject(root, size, is_warm=False)
    project.add_models(count)
    (root / ".venv").symlink_to(ROOT / ".venv")
    once(["git", "init", "-q"], root, {})
    if count > MOST_BUILT:
        once([sys.executable, "doit", "m0000"], root, {})
        models = root / "models"
        for number in range(1, count):
            make_another(models / "m0000" / "build", models / f"m{number:04}" / "build", number)
        once([sys.executable, "-m", "benchmarks.record", root], ROOT, {})
    once([sys.executable, "doit"], root, {})
    return plans.make(recipes.load_all(root), root)


def make_another(build: Path, to: Path, number: int) -> None:
    """The files of one built model with the number behind, as blanks: JSON stays what it is."""
    blanks = f"{number:b}".replace("0", " ").replace("1", "\n").encode()
    for file in (file for file in build.rglob("*") if file.is_file()):
        place = to / file.relative_to(build)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(file.read_bytes() + blanks)


def graph_of(plan: Plan, root: Path) -> list[Step]:
    """The steps with files for folders, as make knows nothing else."""

    def files(path: str) -> list[str]:
        place = root / path
        found = place.rglob("*") if place.is_dir() else [place]
        return sorted(file.relative_to(root).as_posix() for file in found if file.is_file())

    return [
        (
            step.name.replace(":", "-").replace("@", "-"),
            [file for path in step.dependencies for file in files(path)],
            [file for path in step.outputs.values() for file in files(path)],
        )
        for step in plan.steps.values()
    ]


def make_plain(root: Path, project: Path, graph: Sequence[Step]) -> None:
    """Sources, and the same graph for ninja, make and doit."""
    import json

    made = {path for _, _, outs in graph for path in outs}
    for _, deps, outs in graph:
        for path in {*deps, *outs}:
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            if path not in made and not (root / path).exists():
                shutil.copyfile(project / path, root / path)
    (root / "graph.json").write_text(json.dumps(graph))
    (root / "dodo.py").write_text(PLAIN_DODO)
    ninja = ["rule copy\n  command = tee $out < $dep > /dev/null\n"]
    make = [f"all: {' '.join(path for _, _, outs in graph for path in outs)}\n"]
    for _, deps, outs in graph:
        first = sorted(deps)[0]
        ninja.append(f"build {' '.join(outs)}: copy {' '.join(deps)}\n  dep = {first}\n")
        told = " ".join(outs)
        make.append(f"{told} &: {' '.join(deps)}\n\t@tee {told} < {first} > /dev/null\n")
    (root / "build.ninja").write_text("".join(ninja))
    (root / "Makefile").write_text("".join(make))


def append(file: Path) -> None:
    with file.open("ab") as opened:
        opened.write(b"x")


def measure_npumake(root: Path, count: int, runs: int) -> dict[str, Cost]:
    source = root / "models" / f"m{count // 2:04}" / "net.onnx"
    doit = [sys.executable, "doit"]

    def unseal() -> None:
        shutil.rmtree(root / ".npumake" / "seals")

    return {
        "./doit, nothing to do": median(runs, doit, root),
        "./doit beside a failing gate": beside_a_failing_gate(root, runs),
        "./doit without the seal": median(runs, doit, root, before=unseal),
        "./doit, all read": median(min(runs, 3), doit, root, {seal.OFF: "1"}),
        "./doit, one change": median(runs, doit, root, before=lambda: append(source)),
    }


def beside_a_failing_gate(root: Path, runs: int) -> Cost:
    """Nothing to do but to tell of one model's gate again."""
    recipe, doit = root / "models" / "m0000" / "recipe.yaml", [sys.executable, "doit"]
    text = recipe.read_text()
    recipe.write_text(f"{text}gates: {{min_cosine: 1}}\n")
    once(doit, root, {}, code=1)
    cost = median(runs, doit, root, code=1)
    recipe.write_text(text)
    once(doit, root, {})
    return cost


def measure_plain(root: Path, count: int, runs: int) -> dict[str, Cost]:
    source = root / "models" / f"m{count // 2:04}" / "net.onnx"
    tools: dict[str, list[str | Path]] = {
        "ninja": ["ninja"],
        "make": ["make", "-s"],
        "doit": [Path(sys.executable).with_name("doit")],
    }
    costs = {}
    for name, command in tools.items():
        if shutil.which(str(command[0])) is None:
            print(f"{name}: not installed, left out", file=sys.stderr)
            continue
        once(command, root, {})  # the first build, whose cost is the copying's
        costs[f"{name}, nothing to do"] = median(runs, command, root)
        change = median(runs, command, root, before=lambda: append(source))
        costs[f"{name}, one change"] = change
    return costs


def measure_dvc(root: Path, runs: int, environment: Mapping[str, str]) -> dict[str, Cost]:
    once([DVC, "status"], root, environment)  # fills DVC's own memory of hashes
    return {
        "dvc status": median(runs, [DVC, "status"], root, environment),
        "dvc repro, nothing to do": median(runs, [DVC, "repro"], root, environment),
    }


def measure_recording(root: Path, runs: int, environment: Mapping[str, str]) -> dict[str, Cost]:
    """Hash and keep every output, and write run-cache and dvc.lock, for both from nothing."""
    locks = sorted(root.glob("models/*/dvc.lock"))
    memories = [root / ".npumake" / name for name in ("contents.txt", "locks.txt")]
    forgotten = [root / ".dvc" / "cache", *locks, *memories]
    texts = []
    commands: dict[str, list[str | Path]] = {
        "npumake, recording all": [sys.executable, "-m", "benchmarks.record", root],
        "dvc commit -f": [DVC, "commit", "-f"],
    }
    costs = {}
    for name, command in commands.items():
        folder = root if command[0] == DVC else ROOT
        times = 1 if command[0] == DVC else runs
        costs[name] = median(times, command, folder, environment, lambda: _forget(root, forgotten))
        texts.append([lock.read_text() for lock in locks])
    if texts[0] != texts[1]:
        sys.exit("dvc.lock is not what dvc commit writes")
    return costs


def _forget(root: Path, paths: Sequence[Path]) -> None:
    """Move the paths away."""
    # Not deleted: for minutes an ext4 without a journal looks at every inode deleted before
    # it makes a new one (fs/ext4/ialloc.c, recently_deleted).
    away = Path(tempfile.mkdtemp(dir=root.parent))
    for i, path in enumerate(paths):
        if path.exists():
            path.rename(away / str(i))


def tell(rows: dict[int, dict[str, Cost]], peaks: Mapping[int, float]) -> None:
    """A Markdown table, a column an N. peaks: MB of a run with nothing to do."""
    counts = list(rows)
    print("\n| wall / CPU, s | " + " | ".join(f"N={count}" for count in counts) + " |")
    print("|---" * (len(counts) + 1) + "|")
    for name in dict.fromkeys(name for row in rows.values() for name in row):
        print(f"| {name} | " + " | ".join(str(rows[n].get(name, "-")) for n in counts) + " |")
    for count, row in rows.items():
        ours = row["./doit, nothing to do"]
        what = f"{ours.cpu:.3f} s CPU, {peaks[count]:.0f} MB"
        print(f"\nN={count}: nothing to do takes {what}", end="")
        if "dvc status" in row:
            print(f", {row['dvc status'].cpu / ours.cpu:.0f}x less than dvc status", end="")
        if "dvc commit -f" in row:
            mine, commit = row["npumake, recording all"], row["dvc commit -f"]
            print(
                f"; recording {count * 5} steps is {commit.wall / mine.wall:.1f}x faster ", end=""
            )
            print(f"than dvc commit -f ({commit.cpu / mine.cpu:.1f}x in CPU)", end="")
    print()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=int, nargs="+", default=[10, 100, 1000])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--no-dvc", action="store_true", help="leave out DVC")
    parser.add_argument("--no-commit", action="store_true", help="leave out dvc commit -f")
    parser.add_argument("--folder", type=Path, help="where the projects are made")
    arguments = parser.parse_args()
    cores = len(os.sched_getaffinity(0))
    print(f"{cores} cores, Python {platform.python_version()}, median of {arguments.runs}")
    print(f"files in {arguments.folder or tempfile.gettempdir()}")
    rows: dict[int, dict[str, Cost]] = {}
    peaks: dict[int, float] = {}
    for count in arguments.models:
        with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
            project, plain = Path(folder, "project"), Path(folder, "plain")
            environment = {"DVC_SITE_CACHE_DIR": f"{folder}/site", "DVC_NO_ANALYTICS": "1"}
            plan = make_project(project, count)
            row = rows[count] = measure_npumake(project, count, arguments.runs)
            once([sys.executable, "doit"], project, {})
            peaks[count] = peak_mb([sys.executable, "doit"], project)
            if not arguments.no_dvc:
                row |= measure_dvc(project, 1 if count > 500 else 3, environment)
            make_plain(plain, project, graph_of(plan, project))
            row |= measure_plain(plain, count, arguments.runs)
            if not (arguments.no_dvc or arguments.no_commit):
                row |= measure_recording(project, min(arguments.runs, 3), environment)
            for name, cost in row.items():
                print(f"N={count:<5} {name:<28} {cost}", flush=True)
    tell(rows, peaks)


if __name__ == "__main__":
    main()
