"""kill -9 at random moments over real builds, the doctor, pulls and releases.

    .venv/bin/python -m benchmarks.kills [--kills 50] [--seed 0] [--only doctor ...]

Of each command so many kills: a project is copied, the command started and killed, again and again
until one run ends by itself; then what is there is held against the same command undisturbed. All
is real, the vendor's SDK too. Prints kills by command, and ends with 1 where an artifact, lock,
recipe, archive or tag is another, an object of the cache is not what its name says, or something
is left in the folders of unfinished work. With 50 kills a command it takes a quarter of an hour.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.checkout import Checkout
from tests.small_models import conv_net, samples
from tests.test_cures import pooled, recipe

_MOST = 5  # kills of one project, then it is left in peace
_LIMIT_S = 300
_RECIPE = "models/net/recipe.yaml"
SMALL: dict[str, dict[str, Any]] = {"rk3588": {}}


@dataclass(frozen=True)
class Case:
    """command: of ./doit. made: files that it makes below the project, with all that is in them.

    after: a command that ends what the first left to do. done: what stands in the recipe when the
    command has nothing left to do: asked again, the doctor would look for more.
    """

    command: tuple[str, ...]
    make: Callable[[Path], Checkout]
    made: tuple[str, ...]
    after: tuple[str, ...] = ()
    done: str = ""


def unbuilt(place: Path) -> Checkout:
    checkout = Checkout(place)
    for key, value in (("user.name", "t"), ("user.email", "t@t")):
        checkout.git("config", key, value)
    given = {
        "source": {"onnx": "net.onnx"},
        "quantize": {"calibration": {"npy": "samples.npy"}},
        "analyze": {"samples": 1},
        "targets": {**SMALL, "int8": {"backend": "fixed_point", "input_scale": 16}},
    }
    checkout.add("net", given, net__onnx=conv_net(), samples__npy=samples(4))
    checkout.commit("recipe")
    return checkout


def built(place: Path) -> Checkout:
    """Built, committed, and pushed to a folder beside it."""
    checkout = unbuilt(place)
    _require(checkout)
    checkout.dvc("remote", "add", "-d", "store", str(place.with_name("store")))
    checkout.commit("build")
    checkout.dvc("push")
    return checkout


def emptied(place: Path) -> Checkout:
    """As after `git clone`."""
    checkout = built(place)
    shutil.rmtree(place / ".dvc/cache")
    shutil.rmtree(place / "models/net/build")
    for name in ("seals", "contents.txt", "locks.txt", "whole.txt"):
        found = place / ".npumake" / name
        shutil.rmtree(found) if found.is_dir() else found.unlink(missing_ok=True)
    return checkout


def sick(place: Path) -> Checkout:
    """With a model that builds only after the doctor wrote a rewrite into its recipe."""
    checkout = Checkout(place)
    files = {"net__onnx": pooled(), "samples__npy": samples(4, (3, 32, 32))}
    checkout.add("net", recipe(SMALL), **files)
    return checkout


_BUILT = ("dvc.yaml", "models")
CASES = {
    "build": Case((), unbuilt, _BUILT),
    "pull": Case(("--pull",), emptied, _BUILT),
    "doctor": Case(("doctor", "net", "--apply"), sick, _BUILT, ("net",), "split_average_pool"),
    "release": Case(("release", "net", "--version", "1.0.0"), built, (*_BUILT, "dist")),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="+", choices=CASES, default=[*CASES])
    arguments = parser.parse_args()
    wrong: list[str] = []
    for name in arguments.only:
        with tempfile.TemporaryDirectory() as folder:
            chance = random.Random(f"{arguments.seed} {name}")
            kills, runs, found = measure(CASES[name], Path(folder), arguments.kills, chance)
        print(f"{name:<8} {kills:>4} kills in {runs} projects, {len(found)} wrong", flush=True)
        wrong += [f"{name}: {one}" for one in found]
    print("\n".join(wrong) or "nothing wrong, nothing left")
    sys.exit(bool(wrong))


def measure(
    case: Case, folder: Path, wanted: int, chance: random.Random
) -> tuple[int, int, list[str]]:
    """(kills, projects, what was wrong)."""
    # All are copies of one: times and paths are in what is remembered.
    first = case.make(folder / "first")
    calm = first.copy(folder / "calm")
    began = time.monotonic()
    _require(calm, *case.command)
    seconds = time.monotonic() - began
    _end(calm, case)
    expected = state(calm.root, case)
    kills, runs, wrong = 0, 0, []
    while kills < wanted:
        runs += 1
        one = first.copy(folder / f"project{runs}")
        kills += disturb(one, case, seconds, chance)
        _end(one, case)
        wrong += [f"project {runs}: {what}" for what in differences(one, case, expected)]
        shutil.rmtree(one.root)
    return kills, runs, wrong


def disturb(project: Checkout, case: Case, seconds: float, chance: random.Random) -> int:
    """How often the command was killed before it ended by itself."""
    for kills in range(_MOST):
        process = _start(project, *case.command)
        try:
            code = process.wait(chance.uniform(0.02, 1.3) * seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            if process.wait(30) == -signal.SIGKILL:
                if case.done and case.done in (project.root / _RECIPE).read_text():
                    return kills + 1
                continue
            code = process.returncode
        if code != 0:
            sys.exit(f"{case.command} ended with {code}:\n{_said(project)}")
        return kills
    _require(project, *case.command)
    return _MOST


def _end(project: Checkout, case: Case) -> None:
    if case.after:
        _require(project, *case.after)


def state(root: Path, case: Case) -> dict[str, bytes]:
    """Path -> content of all that the command makes, and git's tags. No trial: they are cache."""
    found = {
        path.relative_to(root).as_posix(): path.read_bytes()
        for place in case.made
        for path in ([root / place] if (root / place).is_file() else (root / place).rglob("*"))
        if path.is_file() and "trials" not in path.parts
    }
    tags = subprocess.run(
        ["git", "for-each-ref", "--format=%(refname)"], cwd=root, capture_output=True, check=True
    )
    return {**found, "git's refs": tags.stdout}


def differences(project: Checkout, case: Case, expected: dict[str, bytes]) -> Iterator[str]:
    found = state(project.root, case)
    for path in sorted(found.keys() | expected.keys()):
        if path not in found or path not in expected:
            yield f"{path} is {'missing' if path not in found else 'left'}"
        elif found[path] != expected[path]:
            yield f"{path} is another"
    yield from _false_objects(project.root / ".dvc/cache/files/md5")
    for name in ("work", "journal"):
        yield from (f"{path} is left" for path in (project.root / ".npumake" / name).glob("*"))


def _false_objects(objects: Path) -> Iterator[str]:
    for path in objects.glob("??/*"):
        name = path.parent.name + path.name.removesuffix(".dir")
        if hashlib.md5(path.read_bytes()).hexdigest() != name:
            yield f"object {name} of the cache is another, or unfinished"


def _start(project: Checkout, *words: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-s", "dodo.py", *words],
        cwd=project.root,
        env={k: v for k, v in os.environ.items() if not k.startswith("PYTEST")},
        stdout=subprocess.DEVNULL,
        stderr=(project.root.with_suffix(".err")).open("ab"),
    )


def _require(project: Checkout, *words: str) -> None:
    code = _start(project, *words).wait(_LIMIT_S)
    if code != 0:
        sys.exit(f"./doit {' '.join(words)} ended with {code}:\n{_said(project)}")


def _said(project: Checkout) -> str:
    return project.root.with_suffix(".err").read_text()[-2000:]


if __name__ == "__main__":
    main()
