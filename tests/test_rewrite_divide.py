"""divide_outputs: parts of outputs divided, told everywhere, and multiplied again by the tail."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import yaml

from pipelines.doctor.factors import _factors
from quant.execution.cut_run import CutRun
from quant.execution.random_inputs import DRAWS, random_inputs
from quant.execution.run import FloatRun
from quant.graph.check import check_graph
from quant.graph.graph import Graph
from quant.graph.types import input_types, output_types
from quant.rewrites import divided
from quant.rewrites.apply import Applied, apply
from quant.rewrites.cuts.divide_outputs import DivideOutputs
from tests.graph_builder import parsed
from tests.rewriting import reasons
from tests.small_models import npy
from tests.vacuous import some
from tests.workspace import Workspace

JOINED = """g (float[1,4,3] x) => (float[1,4,8] y, float[1,4,3] z) {
    a = Relu(x)  b = Sigmoid(x)  c = Slice(x, zero, two, last)
    y = Concat<axis: int = -1>(a, b, c)  z = Neg(x)
}"""
INTEGERS = {"zero": np.array([0]), "two": np.array([2]), "last": np.array([2])}


def divide(model: onnx.ModelProto, **factors: float) -> tuple[Graph, Applied]:
    graph = Graph(model)
    return graph, apply(DivideOutputs(factors), graph)


def run(first: int | None, last: int | None, factor: float) -> dict[str, Any]:
    return {"first": first, "last": last, "factor": factor}


WHOLE = {"axis": None, "factors": [run(None, None, 4)]}
DIVIDED: dict[str, tuple[dict[str, float], dict[str, Any], list[str]]] = {
    "a part": (
        {"a": 256}, {"y_divided": {"output": "y", "axis": 2, "factors": [run(0, 2, 256)]}},
        ["y_divided", "z"],
    ),
    "two parts": (
        {"b": 0.5, "c": 8},
        {"y_divided": {"output": "y", "axis": 2, "factors": [run(3, 5, 0.5), run(6, 7, 8)]}},
        ["y_divided", "z"],
    ),
    "an output": ({"z": 4}, {"z_divided": {"output": "z", **WHOLE}}, ["y", "z_divided"]),
    "both outputs": (
        {"a": 2, "z": 4},
        {
            "y_divided": {"output": "y", "axis": 2, "factors": [run(0, 2, 2)]},
            "z_divided": {"output": "z", **WHOLE},
        },
        ["y_divided", "z_divided"],
    ),
    "a joined output": ({"y": 4}, {"y_divided": {"output": "y", **WHOLE}}, ["y_divided", "z"]),
}  # fmt: skip


@pytest.mark.parametrize("name", DIVIDED)
def test_network_and_tail_are_the_whole(name: str) -> None:
    factors, told, outputs = DIVIDED[name]
    model = parsed(JOINED, INTEGERS)
    graph, applied = divide(model, **factors)
    assert graph.tail is not None
    network = graph.to_model()
    check_graph(network, full=True)
    check_graph(graph.tail, full=True)
    assert (len(applied.fired), applied.refused) == (1, ())
    assert list(output_types(network)) == outputs
    assert divided.read(graph.tail) == told
    for draw in some(range(DRAWS)):
        feeds = random_inputs(input_types(model), draw)
        expected = FloatRun(model)(feeds)
        found = CutRun(network, graph.tail)(feeds)
        assert all(found[one].tobytes() == expected[one].tobytes() for one in expected)
        cut = FloatRun(network)(feeds)
        for new, one in some(told.items()):
            by = np.ones(expected[one["output"]].shape[-1], np.float32)
            for part in one["factors"]:
                by[part["first"] : None if part["last"] is None else part["last"] + 1] = part[
                    "factor"
                ]
            assert (np.asarray(cut[new], np.float32) * by == expected[one["output"]]).all()
            assert (cut[new] != expected[one["output"]]).any()


def test_the_sentence_for_people() -> None:
    graph, _ = divide(parsed(JOINED, INTEGERS), a=256, z=4)
    assert graph.tail is not None
    assert list(divided.sentences(divided.read(graph.tail))) == [
        "`y_divided` is `y`, places 0 to 2 along axis 2, divided by 256: the program multiplies "
        "that again",
        "`z_divided` is `z` divided by 4: the program multiplies that again",
    ]


INSIDE = "g (float[1,4] x) => (float[1,4] y, float[1,4] z) { y = Relu(x)  z = Neg(y) }"
WHOLE_NUMBERS = (
    "g (float[1,4] x) => (int64[1] y) { y = ArgMax<axis: int = 1, keepdims: int = 0>(x) }"
)
REFUSED: dict[str, tuple[str, dict[str, float], str]] = {
    "a wrong name": (JOINED, {"aa": 2}, "`aa` is no output, and no part of one that a Concat "
                     "joins: did you mean `a`?"),
    "a right and a wrong one": (JOINED, {"a": 2, "nothing": 2}, "`nothing` is no output, and no "
                                "part of one that a Concat joins: there are: a, b, c, y, z"),
    "an output and its part": (JOINED, {"a": 2, "y": 2}, "`y` and its part `a` are both named"),
    "read inside": (INSIDE, {"y": 2}, "`y` is read inside the network too"),
    "whole numbers": (WHOLE_NUMBERS, {"y": 2}, "`y` is int64 [1], and no float of fixed shape"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str) -> None:
    text, factors, reason = REFUSED[name]
    graph, applied = divide(parsed(text, INTEGERS if text == JOINED else {}), **factors)
    assert (graph.tail, applied.fired) == (None, ())
    assert [why for _, why in reasons(applied)] == [reason]


def test_a_tail_of_another_rule_tells_no_factor() -> None:
    text = "g (float[1,4] x) => (float[1,4] y) { y = Mul(x, k) }"
    assert divided.read(parsed(text, {"k": np.array([4], np.float32)})) == {}


@pytest.mark.parametrize(
    ("seen", "factors"),
    [
        ({"boxes": (0, 640), "scores": (0, 0.98)}, {"boxes": 512.0}),
        ({"a": (0, 3), "b": (0, 1), "c": (-50, 50)}, {"a": 4.0, "c": 128.0}),
        ({"a": (0, 2), "b": (0, 1)}, {}),
        ({"a": (0, 1e9), "b": (0, 1e-9)}, {"a": 65536.0}),
        ({"boxes": (0, 640), "scores": (0.49, 0.51)}, {"boxes": 4096.0}),  # 4 times 1024
    ],
)
def test_factors_bring_parts_to_one_span(
    seen: dict[str, tuple[float, float]], factors: dict[str, float]
) -> None:
    assert dict(_factors(seen)) == factors


MEASURE = """\
import numpy as np
def scores_off(outputs, labels):
    return {"first": float(np.abs(outputs["y"] - labels).max()), "names": len(outputs)}
"""


def detector(workspace: Workspace) -> None:
    """Boxes in pixels and scores of 0 to 1 in one output; labels are the right outputs."""
    random = np.random.default_rng(0)

    def weights(*shape: int, spread: float = 0.3) -> Any:
        return (random.normal(0, 1, shape) * spread).astype(np.float32)

    model = parsed(
        "g (float[1,3,16,16] x) => (float[1,8,16,16] y) { c = Conv<pads: ints = [1, 1, 1, 1]>(x, w)"
        "  b = Conv(c, wb)  boxes = Mul(b, k)  l = Conv(c, ws)  scores = Sigmoid(l)"
        "  y = Concat<axis: int = 1>(boxes, scores) }",
        {
            "w": weights(8, 3, 3, 3),
            "wb": weights(4, 8, 1, 1),
            "ws": weights(4, 8, 1, 1, spread=0.05),
            "k": np.array([200], np.float32),
        },
        opset=13,
    )
    samples = random.normal(0, 1, (4, 3, 16, 16)).astype(np.float32)
    run = FloatRun(model)
    labels = np.concatenate([run({"x": sample[None]})["y"] for sample in samples])
    recipe = {
        "source": {"onnx": "net.onnx"},
        "inputs": {"x": {"shape": [1, 3, 16, 16]}},
        "quantize": {"calibration": {"npy": "x.npy"}},
        "evaluate": {"inputs": "x.npy", "labels": "y.npy", "metric": "measure.py:scores_off"},
        "targets": {
            "rk3588": {},
            "ints": {"backend": "fixed_point", "input_scale": 16},
            "qdq": {"backend": "qdq"},
        },
    }
    workspace.add(
        *("boxes", recipe), net__onnx=model.SerializeToString(), x__npy=npy(samples),
        y__npy=npy(labels), measure__py=MEASURE,
    )  # fmt: skip


@pytest.mark.toolchain
def test_divided_boxes_leave_the_scores_their_levels(tmp_path: Path) -> None:
    """The doctor proposes it, never takes it unasked; what was written is within 2 % of each
    channel's range of onnxruntime on the source; metrics, sheet and infer tell the factor."""
    workspace = Workspace(tmp_path)
    detector(workspace)
    words = ["doctor", "boxes@rk3588", "--for", "accuracy"]
    for name in ("mmse", "layer", "kl_divergence", "layers", "cut_postprocessing", "split_concat"):
        words += ["--without", name]
    unasked = workspace.doit(*words, "--apply")
    assert unasked.code == 0, unasked.err
    assert "(interface)" in unasked.out and "--interface divide_outputs" in unasked.out
    recipe = tmp_path / "models/boxes/recipe.yaml"
    assert "divide" not in recipe.read_text()
    told = workspace.doit(*words, "--interface", "divide_outputs", "--apply")
    assert told.code == 0, told.err
    simplify = yaml.safe_load(recipe.read_text())["simplify"]
    assert simplify["rewrite"] == ["fold_batch_norm", "divide_outputs"]
    ((part, factor),) = simplify["divide"].items()
    assert (part, factor >= 64) == ("b", True)  # onnxsim takes the 200 into its convolution
    built = workspace.doit()
    assert built.code == 0, built.err
    expected = {"output": "y", "axis": 1, "factors": [run(0, 3, factor)]}
    changes = json.loads(workspace.built("boxes", "simplify/changes.json").read_text())
    assert changes["divided"] == {"y_divided": expected}
    span = float(np.ptp(np.load(tmp_path / "models/boxes/y.npy")))
    for target in ("rk3588", "ints", "qdq"):
        metrics = json.loads(workspace.built("boxes", f"{target}/report/metrics.json").read_text())
        assert metrics["divided"] == {"y_divided": expected}
        assert list(metrics["outputs"]) == ["y_divided"]
        measured = metrics["evaluation"]["metrics"]
        # Both networks give `y` in pixels, as the source does, and `y_divided`.
        assert set(measured["names"].values()) == {2}
        assert measured["first"]["float"] < 1e-3 * factor
        (other,) = (value for key, value in measured["first"].items() if key != "float")
        assert 0 < other < 0.05 * span
    compared_with_the_source(workspace, tmp_path, factor)
    handed(workspace, tmp_path, expected)


def compared_with_the_source(workspace: Workspace, folder: Path, factor: float) -> None:
    samples = np.load(workspace.root / "models/boxes/x.npy")
    for i, sample in enumerate(samples):
        np.save(folder / f"{i}.npy", sample[None])
    files = [str(folder / f"{i}.npy") for i in range(len(samples))]
    kept = workspace.doit("infer", "boxes@rk3588", *files, "--output", str(folder / "kept"))
    assert kept.code == 0, kept.err
    assert re.search(r"places 0 to 3 along axis 1,\s+divided by", kept.out)
    with np.load(folder / "kept/simulator.npz") as simulated:
        made = simulated["y_divided"].reshape(-1, 8, 16, 16)
    made[:, :4] *= factor
    session = onnxruntime.InferenceSession(
        str(workspace.root / "models/boxes/net.onnx"), providers=["CPUExecutionProvider"]
    )
    right = np.concatenate([session.run(None, {"x": sample[None]})[0] for sample in samples])
    axes = (0, 2, 3)
    span = right.max(axis=axes) - right.min(axis=axes)
    assert (np.abs(right - made).max(axis=axes) <= 0.02 * span).all()


def handed(workspace: Workspace, folder: Path, expected: dict[str, Any]) -> None:
    ran = workspace.doit("handoff", "boxes@rk3588", "--output", str(folder / "sheet"))
    assert ran.code == 0, ran.err
    sheet = json.loads((folder / "sheet/handoff.json").read_text())
    assert sheet["divided"] == {"y_divided": expected}
    assert sheet["tail"] == {"file": "tail.onnx", "inputs": ["y_divided"], "outputs": ["y"]}
    page = (folder / "sheet/HANDOFF.md").read_text()
    assert "`y_divided` is `y`, places 0 to 3 along axis 1, divided by" in page
    board = np.load(folder / "sheet/references/0/output_0_float.npy")
    whole = FloatRun(onnx.load(folder / "sheet/tail.onnx"))({"y_divided": board})["y"]
    right = np.load(workspace.root / "models/boxes/y.npy")[0]
    assert np.abs(whole[0] - right).max() <= 0.02 * np.ptp(right)
