"""The search of layers: equal to brute force on small networks, and of what a front is made."""

from __future__ import annotations

import csv
import json
import os
import re
import signal
import time
from contextlib import closing
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import yaml
from onnx import numpy_helper

from quant.report.tuning import Chosen, Point, Search, front, spread, subsets
from tests import warm
from tests.graph_builder import Builder
from tests.sdk_check import run_check, run_inside
from tests.small_models import SHAPE, conv_net, npy, recipe, samples
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
def test_mixed_networks_are_the_sdk_s(tmp_path: Path) -> None:
    """Random networks, random layers in float16: no element differs.

    Where many are, sums may differ in a last place: docs/tune.md.
    """
    found = run_check("rknn-2.5.0", "tests.mixed_check", 6, tmp_path)
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


@pytest.mark.toolchain
def test_a_platform_without_float16_layers_is_tuned_in_int16(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    told = recipe(targets={"rv1106": {}})
    workspace.add("m", told, net__onnx=conv_net(), samples__npy=samples())
    ran = workspace.doit("tune", "m", "--max-output-error", "0.005", "--apply")
    assert ran.code == 0, ran.err
    assert "failed: every layer: " in ran.out
    with workspace.built("m", "trials/tune-rv1106.csv").open() as file:
        rows = {row["name"]: row for row in csv.DictReader(file)}
    own = [row for name, row in rows.items() if name.endswith(" in int16")]
    assert len(own) > 1 and not any(row["failure"] for row in own)
    written = yaml.safe_load((tmp_path / "models/m/recipe.yaml").read_text())
    layers = written["targets"]["rv1106"]["build"]["layers"]
    assert set(layers.values()) == {"int16"}
    assert workspace.doit().code == 0
    metrics = json.loads(workspace.built("m", "rv1106/report/metrics.json").read_text())
    assert metrics["worst_output_error"] <= 0.005


WIDE = (1, 3, 96, 96)  # so large that int8 takes fewer cycles than float16


def six_layers() -> bytes:
    """Convolutions with a side branch, a sum, a pooling and a product."""
    b = Builder(3)
    x = b.op("Relu", b.op("Conv", "input", b.weight(32, 3, 3, 3), pads=[1] * 4))
    side = b.op("Sigmoid", b.op("Conv", x, b.weight(32, 32, 1, 1)))
    x = b.op("Add", b.op("Relu", b.op("Conv", x, b.weight(32, 32, 3, 3), pads=[1] * 4)), side)
    x = b.op("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])
    y = b.op("Mul", x, b.op("Tanh", b.op("Conv", x, b.weight(32, 32, 1, 1))))
    return bytes(b.model({"input": WIDE}, [y]).SerializeToString())


@pytest.mark.toolchain
def test_the_front_is_that_of_brute_force(tmp_path: Path) -> None:
    """With the real simulated error: each set of layers by a network of its own, one by one.

    And what was foretold of each set is what the SDK's simulator measured of its build.
    """
    workspace = Workspace(tmp_path)
    given = recipe(inputs={"input": {"shape": list(WIDE)}})
    data = np.random.default_rng(1).normal(0, 1, (4, *WIDE[1:])).astype(np.float32)
    workspace.add("m", given, net__onnx=six_layers(), samples__npy=npy(data))
    ran = workspace.doit("tune", "m")
    assert ran.code == 0, ran.err
    build = workspace.built("m", "")
    tune = json.loads((build / "trials/tune-rk3588-error/tune.json").read_text())
    assert 6 <= len(tune["layers"]) <= 12
    np.save(tmp_path / "analyzed.npy", data[:2])
    arguments = [str(build), str(tmp_path / "analyzed.npy")]
    (told,) = run_inside("rknn-2.5.0", "tests.brute_force", arguments, tmp_path)
    assert told["sets"] == tune["tried"] == 2 ** len(tune["layers"])
    found = [[one["cycles"], one["error"]] for one in tune["front"]]
    assert len(found) >= 3
    assert [one[0] for one in found] == [one[0] for one in told["front"]]
    np.testing.assert_allclose([one[1] for one in found], [one[1] for one in told["front"]], 1e-12)
    rows = list(csv.DictReader((build / "trials/tune-rk3588.csv").open()))
    foretold = [one for one in rows if one["simulated_error"]]
    assert foretold
    for one in foretold:
        assert float(one["output_error"]) == pytest.approx(float(one["simulated_error"]), rel=1e-6)


def labelled() -> dict[str, bytes]:
    """conv_net with classes of like scores, and pictures of nearly two; labels are float's own."""
    data = np.random.default_rng(5).integers(0, 256, (300, *SHAPE[1:])).astype(np.float32)
    model = onnx.load_from_string(conv_net())
    model.graph.initializer.append(
        numpy_helper.from_array(-np.mean(scores_of(model, data), axis=0), "mean")
    )
    model.graph.node[-1].input.append("mean")
    scores = scores_of(model, data)
    ordered = np.sort(scores, axis=1)
    margin = (ordered[:, -1] - ordered[:, -2]) / np.ptp(scores)
    # What a step of int8 can turn, and none of float16.
    close = [one for one in np.argsort(margin) if margin[one] > 2e-3][:24]
    net, data, labels = model.SerializeToString(), data[close], scores[close].argmax(axis=1)
    return {
        "net__onnx": bytes(net),
        "samples__npy": samples(),
        "x__npy": npy(data),
        "y__npy": npy(labels),
        "metric__py": b"import numpy as np\ndef far(outputs, labels):\n"
        b"    rows = outputs['scores'].reshape(len(labels), -1)\n"
        b"    return {'wrong': float((rows.argmax(1) != labels).sum())}\n",
    }


def scores_of(model: onnx.ModelProto, data: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    made = [session.run(None, {"input": (one[None] - 127) / 128})[0].ravel() for one in data]
    return np.array(made, np.float32)


@pytest.mark.toolchain
@pytest.mark.parametrize(
    ("goal", "evaluate"),
    [
        (("--min-output-cosine", "0.99999"), {}),
        (("--max-drop", "0"), {"evaluate": {"inputs": "x.npy", "labels": "y.npy"}}),
        (
            ("--max-metric", "wrong=0"),
            {"evaluate": {"inputs": "x.npy", "labels": "y.npy", "metric": "metric.py:far"}},
        ),
    ],
)
def test_a_goal_is_carried_to_a_build_that_meets_it(
    goal: tuple[str, str], evaluate: dict[str, Any], tmp_path: Path
) -> None:
    """int8 alone does not meet it; what is written does, in the SDK's simulator."""
    workspace = Workspace(tmp_path)
    workspace.add("m", recipe(**evaluate), **labelled())
    assert workspace.doit().code == 0
    before = json.loads(workspace.built("m", "rk3588/report/metrics.json").read_text())
    ran = workspace.doit("tune", "m", *goal, "--apply")
    assert ran.code == 0, ran.out + ran.err
    assert "the fewest cycles that are good enough" in ran.out
    again = workspace.doit()
    assert again.code == 0, again.err
    assert again.steps["m:build@rk3588"] == "restored"
    after = json.loads(workspace.built("m", "rk3588/report/metrics.json").read_text())
    if not evaluate:
        assert before["worst_output_cosine"] < 0.99999 <= after["worst_output_cosine"]
        # And the row's column of layers does not look worse.
        assert after["worst_cosine"] >= before["worst_cosine"]
    elif "metric" not in evaluate["evaluate"]:
        assert before["accuracy"]["simulator"] < 1
        assert after["accuracy"]["simulator"] == after["accuracy"]["float"] == 1
    else:
        wrong = [one["evaluation"]["metrics"]["wrong"] for one in (before, after)]
        assert wrong[0]["simulator"] > 0
        assert wrong[1] == {"float": 0, "simulator": 0}


@pytest.mark.toolchain
def test_a_killed_tune_goes_on_where_it_was(tmp_path: Path) -> None:
    """Killed with all it started, after each of its first rows: nothing measured is done again."""
    workspace = Workspace(tmp_path)
    workspace.add("m", recipe(), net__onnx=conv_net(), samples__npy=samples())
    assert workspace.doit().code == 0
    done: set[str] = set()
    for count in (1, 2, 3):
        told = until(workspace, "tune m", count)
        rows = dict(re.findall(r"^  (.+): (from the cache|\d+\.\d s)$", told, re.M))
        assert {name for name in done if rows[name] != "from the cache"} == set()
        assert len(rows) >= count
        done = {*rows}
    whole = workspace.doit("tune", "m")
    assert whole.code == 0, whole.err
    kept = dict(re.findall(r"^  (.+): (from the cache|\d+\.\d s)$", whole.err, re.M))
    assert {name for name in done if kept[name] != "from the cache"} == set()
    other = Workspace(tmp_path / "other")
    other.add("m", recipe(), net__onnx=conv_net(), samples__npy=samples())
    assert other.doit("tune", "m").code == 0
    file = "trials/tune-rk3588.csv"
    assert workspace.built("m", file).read_text() == other.built("m", file).read_text()


ROW = r"^  .+: (?:from the cache|\d+\.\d s)$"


def until(workspace: Workspace, command: str, rows: int) -> str:
    """stderr of a ./doit that is killed with its children once it has told of so many rows."""
    log = workspace.root / "log"
    with log.open("w") as stream:
        running = warm.front(workspace.root, command.split(), stream)
    end = time.monotonic() + 300
    with closing(running) as front:
        while len(re.findall(ROW, log.read_text(), re.M)) < rows:
            assert front.poll() is None, log.read_text()
            assert time.monotonic() < end, log.read_text()
            time.sleep(0.05)
        os.killpg(front.pid, signal.SIGKILL)
        front.wait()
    return log.read_text()


REFUSED = (
    (["m@rk3588", "--max-metric", "wrong"], "write NAME=NUMBER"),
    (["m@rk3588", "--max-metric", "wrong=1"], "names no `evaluate`"),
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
