"""The search of layers: equal to brute force on small networks, and of what a front is made."""

from __future__ import annotations

import json
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import yaml

from quant.report.tuning import Chosen, Point, Search, front, spread, subsets
from tests.conftest import Pythons
from tests.sdk_check import run_check
from tests.small_models import conv_net, recipe, samples
from tests.workspace import Workspace


def point(cost: float, error: float) -> Point:
    return Point(frozenset(), cost, error)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ([(1, 5), (2, 3), (3, 4), (4, 1)], [(1, 5), (2, 3), (4, 1)]),
        ([(1, 5), (1, 4), (2, 4)], [(1, 4)]),
        ([(2, float("inf")), (3, 0)], [(2, float("inf")), (3, 0)]),
        ([], []),
    ],
)
def test_front(given: list[tuple[float, float]], kept: list[tuple[float, float]]) -> None:
    assert [(one.cost, one.error) for one in front(point(*pair) for pair in given)] == kept


def test_spread_keeps_the_ends_and_the_largest_steps() -> None:
    points = [point(1, 100), point(2, 99), point(3, 10), point(9, 9), point(10, 1)]
    assert [one.cost for one in spread(points, 3)] == [1, 3, 10]
    assert spread(points, 9) == points


def coupled(seed: int, count: int) -> Search:
    """Errors of layers that depend on each other: no order by single layers finds all sets."""
    random = np.random.default_rng(seed)
    own, price = random.uniform(0, 1, count), random.integers(1, 9, count)
    both = {pair: random.uniform(0, 1) for pair in combinations(range(count), 2)}

    def error(chosen: Chosen) -> float:
        left = [one for one in range(count) if one not in chosen]
        return float(own[left].sum() + sum(both[pair] for pair in combinations(left, 2)))

    def cost(chosen: Chosen) -> float:
        return float(price[list(chosen)].sum())

    return Search(range(count), cost, error, 300)


def test_twelve_layers_are_searched_exhaustively_and_thirteen_are_not() -> None:
    search = coupled(0, 12)
    found = search.run()
    every = [Point(one, search.cost(one), search.error(one)) for one in subsets(range(12))]
    assert len(every) == len(search.tried) == 4096
    assert [(one.cost, one.error) for one in found] == [
        (one.cost, one.error) for one in front(every)
    ]
    larger = coupled(0, 13)
    larger.run()
    assert len(larger.tried) == 300


def test_seeds_are_tried_and_never_beat_the_front() -> None:
    seed = frozenset((3, 7, 11, 14))
    search = coupled(1, 16)
    found = search.run([seed])
    assert seed in search.tried
    own = search.tried[seed]
    assert any(one.cost <= own.cost and one.error <= own.error for one in found)


@pytest.mark.toolchain
def test_mixed_networks_are_the_sdk_s(toolchain_python: Pythons, tmp_path: Path) -> None:
    """Random networks, random layers in float16: no element differs.

    Where many are, sums may differ in a last place: docs/tune.md.
    """
    found = run_check(toolchain_python["rknn-2.5.0"], "tests.mixed_check", 6, tmp_path)
    assert len(found) == 6 * 3
    assert {one["half"] > 0 for one in found} == {True, False}
    for one in found:
        assert (one["differ"], one["elements"] > 0) == (0, True), one


@pytest.mark.toolchain
def test_tunes_applies_and_costs_nothing_again(tmp_path: Path) -> None:
    """On a network of four layers: all rows measured, the front not dominated, recipe written."""
    workspace = Workspace(tmp_path)
    workspace.add("m", recipe(), net__onnx=conv_net(), samples__npy=samples())
    first = workspace.doit("tune", "m")
    assert first.code == 0, first.err
    for told in ("auto_hybrid", "proposal", "every layer", "int8", "cycles"):
        assert told in first.out
    tune = json.loads(workspace.built("m", "trials/tune-rk3588-error/tune.json").read_text())
    assert tune["exhaustive"]
    assert tune["tried"] == 2 ** len(tune["layers"])
    assert "<circle" in workspace.built("m", "trials/tune-rk3588.svg").read_text()
    again = workspace.doit("tune", "m", "--max-output-error", "0.005", "--apply")
    assert again.code == 0, again.out
    for what in ("auto_hybrid", "proposal", "every layer"):
        assert f"{what}: from the cache" in again.err
    written = yaml.safe_load((tmp_path / "models/m/recipe.yaml").read_text())
    layers = written["targets"]["rk3588"]["build"]["layers"]
    assert set(layers.values()) == {"float16"}
    built = workspace.doit()
    assert built.code == 0, built.err
    assert built.steps["m:build@rk3588"] == "restored"
    metrics = json.loads(workspace.built("m", "rk3588/report/metrics.json").read_text())
    assert metrics["worst_output_error"] <= 0.005
    refused = workspace.doit("tune", "m")
    assert refused.code == 3
    assert "`build.layers` chooses float layers" in refused.err


REFUSED = (
    (["m", "--target", "rk3566"], "has no target `rk3566`"),
    (["n"], "no model `n`"),
    (["m", "--target", "half"], "is float16 as a whole"),
    (["m"], "has several targets"),
    (["m", "--target", "int8"], "is of the backend fixed_point"),
    (["m@rk3588", "--apply"], "say what is: --max-output-error"),
    (["m@rk3588", "--max-output-error", "2"], "2 is not between 0 and 1"),
    (["m@rk3588", "--max-drop", "1"], "names no `evaluate`"),
    (["m@rk3588", "--max-drop", "1", "--max-output-error", "1"], "not allowed with"),
    (["m@auto"], "`build.auto_hybrid` chooses float layers"),
)


def test_what_cannot_be_tuned_is_told(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    targets = {
        "rk3588": {},
        "half": {"platform": "rk3588", "quantize": {"dtype": "float16"}},
        "auto": {"platform": "rk3588", "build": {"auto_hybrid": True}},
        "int8": {"backend": "fixed_point", "input_scale": 16},
    }
    given = {**recipe(), "targets": targets}
    workspace.add("m", given, net__onnx=conv_net(), samples__npy=samples())
    for arguments, told in REFUSED:
        ran = workspace.doit("tune", *arguments)
        assert (ran.code, told in ran.err) == (3, True), ran.err
