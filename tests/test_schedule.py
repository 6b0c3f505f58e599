"""The order in which steps run: the longest way to the end first, as far as memory goes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import pytest

from pipelines.building.schedule import UNKNOWN, Turns, expected, tails
from pipelines.record.costs import Cost
from pipelines.run.machine import blas_kernels, free_bytes
from tests import warm_toolchains
from tests.fake_project import STAGES, FakeProject
from tests.fake_steps import make_step
from tests.vacuous import some

GB = 1_000_000_000


def test_a_step_costs_what_it_did_or_what_its_stage_does() -> None:
    steps = [make_step(stage, {}, model=model) for stage in "xyz" for model in ("a", "b", "c", "d")]
    recorded = {"a:x": Cost(1, 10), "b:x": Cost(3, 30), "c:x": Cost(5, 20), "a:y": Cost(7, 0)}
    found = expected(steps, recorded)
    assert found["a:x"] == (1, 10)
    assert found["d:x"] == (3, 20)  # the medians
    assert found["b:y"] == (7, 0)
    assert found["a:z"] == UNKNOWN


@pytest.mark.parametrize(
    ("before", "seconds", "found"),
    [
        ({}, {}, {}),
        ({"a": [], "b": ["a"]}, {"a": 1, "b": 2}, {"a": 3, "b": 2}),
        ({"a": [], "b": ["a"], "c": ["a"]}, {"a": 1, "b": 2, "c": 5}, {"a": 6, "b": 2, "c": 5}),
        ({"a": [], "b": [], "c": ["a", "b"]}, {"b": 4, "c": 1}, {"a": 1, "b": 5, "c": 1}),
        ({"a": [], "b": ["a"], "c": ["b"]}, {"c": 9}, {"a": 9, "b": 9, "c": 9}),
    ],
)
def test_the_way_to_the_end(
    before: Mapping[str, Sequence[str]], seconds: Mapping[str, float], found: Mapping[str, float]
) -> None:
    assert tails(before, seconds) == found


# What is done, in order: `+x` is ready, `-x` has ended, `x` is handed out, `.` is none.
TURNS: Mapping[str, tuple[Mapping[str, tuple[float, int]], str]] = {
    "the longest first": ({"a": (1, 0), "b": (3, 0), "c": (2, 0)}, "+a +b +c b c a ."),
    "equals as they come": ({}, "+b +a b a ."),
    "what came later and is longer": ({"a": (1, 0), "b": (2, 0)}, "+a a +a +b b a ."),
    "two large ones never meet": ({"a": (2, 6), "b": (1, 6)}, "+a +b a . -a b ."),
    "a small one passes": ({"a": (3, 6), "b": (2, 6), "c": (1, 2)}, "+a +b +c a c . -a b ."),
    "what fits nowhere runs alone": ({"a": (2, 20), "b": (1, 1)}, "+a +b a . -a b ."),
    "nor does it begin beside others": ({"a": (2, 20), "b": (9, 1)}, "+a +b b . -b a ."),
    "small ones let a large one come": (
        {"a": (9, 4), "b": (9, 4), "l": (5, 8), "c": (1, 2), "d": (1, 2), "e": (1, 1)},
        "+a +b +l +c +d +e a b c . -a . -b l . -c d . -l e .",
    ),
    "one without memory passes all": ({"a": (3, 9), "b": (2, 9), "c": (1, 0)}, "+a +b +c a c ."),
}


@pytest.mark.parametrize("name", TURNS)
def test_turns(name: str) -> None:
    costs, script = TURNS[name]
    turns = Turns(
        {step: seconds for step, (seconds, _) in costs.items()},
        {step: peak for step, (_, peak) in costs.items()},
        capacity=10,
    )
    taken = []
    for word in script.split():
        if word[0] == "+":
            turns.add(word[1:])
        elif word[0] == "-":
            turns.ended(word[1:])
        else:
            taken.append((turns.take(), None if word == "." else word))
    assert all(found == expected for found, expected in some(taken)), (taken, script)


def test_what_a_process_waits_for_goes_first() -> None:
    """Before longer ways; memory it has to wait for too."""
    turns = Turns({"a": 9, "b": 1, "c": 5}, {"a": 6, "c": 6}, 10, frozenset("bc"))
    for name in "abc":
        turns.add(name)
    assert [turns.take() for _ in "abc"] == ["c", "b", None]
    turns.ended("c")
    assert turns.take() == "a"


def test_memory_is_what_is_left_of_the_least_limit(tmp_path: Path) -> None:
    (tmp_path / "meminfo").write_text("MemTotal: 9 kB\nMemAvailable:    7 kB\nSwapFree: 1 kB\n")
    assert free_bytes(tmp_path, tmp_path) == 7 * 1024
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "memory.current").write_text("1000\n")
    assert free_bytes(tmp_path, tmp_path) == 7 * 1024
    (tmp_path / "memory.max").write_text("3000\n")
    assert free_bytes(tmp_path, tmp_path) == 2000


def test_a_run_goes_by_what_the_last_one_took(tmp_path: Path) -> None:
    """Recorded by the first run; of the second, where two large steps are never there at once."""
    log = tmp_path / "log"
    (tmp_path / "copy").mkdir()
    project = FakeProject(tmp_path / "copy", seconds=0.05, log=str(log))
    project.add_models(3)
    ran = project.doit("-n", "2")
    assert ran.code == 0, ran.err
    file = project.root / ".npumake" / "costs.json"
    costs = json.loads(file.read_text())
    assert sorted(costs) == sorted(f"m000{n}:{stage}" for n in range(3) for stage in STAGES)
    assert all(0.04 < s < 60 and 5e6 < peak < 1e9 for s, peak in costs.values()), costs

    peak = free_bytes() * 2 // 3
    costs |= {f"m000{n}:simplify": [10 * n, peak] for n in range(3)}
    file.write_text(json.dumps(costs))
    log.unlink()
    assert project.doit("-a", "-n", "2").code == 0
    told = [line.split() for line in log.read_text().splitlines()]
    began = [name for what, name in told if what == "began"]
    assert {*began[:2]} == {"m0001-export", "m0002-export"}
    large = [name for what, name in told if name.endswith("simplify")]
    assert large[::2] == large[1::2] and large[-1] == "m0000-simplify"
    # Others did run side by side.
    assert any(a == b == "began" for (a, _), (b, _) in pairwise(told))


@pytest.mark.parametrize(
    ("cpuinfo", "kernels"),
    [
        ("flags\t\t: fpu sse2 avx avx2 fma\nflags\t\t: fpu\n", "Haswell"),
        ("flags\t\t: fpu sse2 avx avx2\n", None),
        ("Features\t: fp asimd\n", None),
        (None, None),
    ],
)
def test_all_processors_with_avx2_add_in_one_order(
    tmp_path: Path, cpuinfo: str | None, kernels: str | None
) -> None:
    if cpuinfo is not None:
        (tmp_path / "cpuinfo").write_text(cpuinfo)
    assert blas_kernels(tmp_path) == kernels


@pytest.mark.toolchain
def test_a_job_has_those_kernels(tmp_path: Path) -> None:
    script = (
        "import ctypes, numpy\n"
        "from pathlib import Path\n"
        "(blas,) = Path(numpy.__file__).parents[1].glob('numpy.libs/libopenblas*')\n"
        "name = ctypes.CDLL(str(blas)).openblas_get_corename64_\n"
        "name.restype = ctypes.c_char_p\n"
        "print(name().decode())\n"
    )
    kernels = blas_kernels()
    if kernels is None:
        pytest.skip("OpenBLAS chooses on this processor")
    assert warm_toolchains.run("core", script, tmp_path) == f"{kernels}\n"
