"""simplify: what goes away, what stays, and the proof of it."""

from __future__ import annotations

import itertools
import json
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

from pipelines.stages.simplify.jobs import proof as simplify_proof
from pipelines.stages.simplify.jobs import simplifiers
from quant.execution.run import FloatRun
from quant.graph.check import check_graph
from quant.graph.names import rename
from quant.graph.operators import opset
from quant.graph.types import input_types, output_types
from quant.rewrites.table import RULES
from tests.graph_builder import Builder, parsed
from tests.job_runner import Run, Told, ToolchainJobs, Work, jobs_of, run_here
from tests.vacuous import some

JOB = "pipelines.stages.simplify.jobs.simplify"
SIMPLIFIERS = ("onnxsim", "onnxslim")
numbers = itertools.count()
jobs = jobs_of("core")


def run(
    jobs: Run,
    folder: Path,
    model: onnx.ModelProto,
    tool: str = "none",
    rewrite: tuple[str, ...] = ("fold_batch_norm",),
    tolerance: float | None = 1e-4,
    inputs: dict[str, Any] | None = None,
    samples: list[dict[str, Any]] | None = None,
) -> tuple[Told, Work]:
    """Simplify a model. samples: what jobs.samples would have left."""
    place = folder / f"in{next(numbers)}"
    place.mkdir(parents=True)
    onnx.save(model, place / "model.onnx")
    work = Work.lay_out(folder / f"work{next(numbers)}", {"model": place / "model.onnx"})
    if samples:
        leave(work.folder / "samples", samples)
    params = {
        "simplify": {"tool": tool, "rewrite": list(rewrite), "tolerance": tolerance},
        "inputs": inputs or {},
        "samples": {"npy": ["x.npy"]} if samples else None,
    }
    return jobs(work, JOB, params), work


def leave(folder: Path, samples: list[dict[str, Any]]) -> None:
    folder.mkdir()
    lines = []
    for number, sample in enumerate(samples):
        files = [f"{number}_{i}.npy" for i in range(len(sample))]
        for file, array in zip(files, sample.values(), strict=True):
            np.save(folder / file, array)
        lines.append(" ".join(files))
    (folder / "dataset.txt").write_text("\n".join(lines) + "\n")
    record = {"inputs": list(samples[0]), "digest": "", "evaluate": None}
    (folder / "samples.json").write_text(json.dumps(record))


def conv_norm() -> onnx.ModelProto:
    b = Builder(0)
    made = b.batch_norm(b.op("Conv", "x", b.weight(4, 3, 3, 3)), 4)
    return b.model({"x": (1, 3, 8, 8)}, [b.op("Relu", made)])


FLATTEN = """g (float[2,3,4,5] x, float[1] unused) => (float[a,b] y, float[2,3,4,5] r) {
    r = Relu(x)
    s = Shape(r)
    zero = Constant<value = int64[1] {0}>()
    two = Constant<value = int64[1] {2}>()
    n = Slice(s, zero, two)
    rest = Constant<value = int64[1] {-1}>()
    c = Concat<axis = 0>(n, rest)
    t = Reshape(r, c)
    shift = Identity(w)
    y = Add(t, shift)
}"""


def flatten(opset: int = 15) -> onnx.ModelProto:
    model = parsed(FLATTEN, {"w": np.ones(20, np.float32)}, opset)
    model.graph.output[0].CopyFrom(
        helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [2, 3, 20])
    )
    return model


def saved(work: Work) -> onnx.ModelProto:
    return onnx.load(work.out / "model.onnx")


@pytest.mark.toolchain
@pytest.mark.parametrize("tool", SIMPLIFIERS)
def test_chains_go_away_and_are_told(jobs: ToolchainJobs, tmp_path: Path, tool: str) -> None:
    told, work = run(jobs, tmp_path, flatten(), tool)
    assert told == Told()
    changes = work.json("changes.json")
    assert changes["tool"].split()[0] == tool
    assert changes["shape_chains"] == {
        "before": 1,
        "after": 0,
        "left": [],
        "removed": [
            {
                "nodes": ["Shape(s)", "Slice(n)", "Concat(c)"],
                "operators": {"Concat": 1, "Shape": 1, "Slice": 1},
                "shape_of": ["r"],
                "made_by": ["Relu(r)"],
                "consumer": "Reshape(t)",
                "consumer_operator": "Reshape",
                "input": 1,
            }
        ],
    }
    assert changes["operators"]["after"] == {"Add": 1, "Relu": 1, "Reshape": 1}
    assert changes["nodes"] == {"before": 10, "after": 3}
    assert changes["difference"]["outputs"]["y"] == {"random": 0.0, "calibration": None}


@pytest.mark.toolchain
@pytest.mark.parametrize("tool", [*SIMPLIFIERS, "none"])
def test_the_signature_stays(jobs: ToolchainJobs, tmp_path: Path, tool: str) -> None:
    """Names, order, shapes; inputs that nothing reads; the opset; an IR version old onnx reads."""
    model = flatten()
    model.ir_version = 11
    told, work = run(jobs, tmp_path, model, tool)
    assert told == Told()
    after = saved(work)
    assert input_types(after) == input_types(model)
    assert list(input_types(after)) == ["x", "unused"]
    assert output_types(after) == output_types(model)
    assert list(output_types(after)) == ["y", "r"]
    assert (opset(after), after.ir_version) == (15, 10)
    check_graph(after, full=True)


@pytest.mark.toolchain
@pytest.mark.parametrize("tool", [*SIMPLIFIERS, "none"])
def test_the_same_bytes_in_another_folder_and_process(
    jobs: ToolchainJobs, tmp_path: Path, tool: str, request: pytest.FixtureRequest, realworld: Path
) -> None:
    fresh = ToolchainJobs.start("core", request, tmp_path / "log")
    for model in (onnx.load(realworld / "ultraface" / "rfb320.onnx"), flatten()):
        one, other = (
            run(where, tmp_path / folder, model, tool)[1]
            for where, folder in ((jobs, "a"), (jobs, "another, longer"))
        )
        third = run(fresh, tmp_path / "b", model, tool)[1]
        for name in ("model.onnx", "changes.json"):
            assert (one.out / name).read_bytes() == (other.out / name).read_bytes()
            assert (one.out / name).read_bytes() == (third.out / name).read_bytes()
    fresh.close()


@pytest.mark.toolchain
@pytest.mark.parametrize("tool", SIMPLIFIERS)
def test_a_published_face_detector(
    jobs: ToolchainJobs, tmp_path: Path, realworld: Path, tool: str
) -> None:
    told, work = run(jobs, tmp_path, onnx.load(realworld / "ultraface" / "rfb320.onnx"), tool)
    assert told == Told()
    changes = work.json("changes.json")
    chains = changes["shape_chains"]
    assert (chains["before"], chains["after"], len(chains["removed"])) == (8, 0, 8)
    assert len(changes["rewrites"]["fired"]) == 35
    assert changes["rewrites"]["refused"] == []
    after = changes["operators"]["after"]
    gone = ("BatchNormalization", "Constant", "Gather", "Shape", "Unsqueeze")
    assert not set(gone) & set(after)
    assert (after["Conv"], after["Concat"]) == (52, 5)
    assert changes["parameters"]["before"] == 307_624
    assert changes["parameters"]["after"] < 300_500
    # 35 folded layers, each weight rounded once: some units in the last place.
    assert all(value["random"] <= 1e-5 for value in some(changes["difference"]["outputs"].values()))


@pytest.mark.toolchain
@pytest.mark.parametrize("tool", SIMPLIFIERS)
def test_batch_norm_is_folded_by_the_rule_or_not_at_all(
    jobs: ToolchainJobs, tmp_path: Path, tool: str
) -> None:
    told, work = run(jobs, tmp_path, conv_norm(), tool, rewrite=())
    assert told == Told()
    assert work.json("changes.json")["operators"]["after"]["BatchNormalization"] == 1
    told, work = run(jobs, tmp_path, conv_norm(), tool)
    changes = work.json("changes.json")
    assert changes["operators"]["after"] == {"Conv": 1, "Relu": 1}
    assert [fired["rule"] for fired in changes["rewrites"]["fired"]] == ["fold_batch_norm"]


def test_what_a_rule_did_is_recorded(tmp_path: Path) -> None:
    told, work = run(run_here, tmp_path, conv_norm())
    assert told == Told()
    changes = work.json("changes.json")
    assert changes["rewrites"] == {
        "fired": [
            {
                "rule": "fold_batch_norm",
                "nodes": ["BatchNormalization_1", "Conv_0"],
                "became": ["Conv_0"],
            }
        ],
        "refused": [],
    }
    assert changes["parameters"] == {"before": 4 * 27 + 16, "after": 4 * 27 + 4}
    assert changes["difference"]["tolerance"] == 1e-4


def test_why_a_rule_did_nothing_is_recorded(tmp_path: Path) -> None:
    b = Builder(0)
    model = b.model({"x": (1, 3, 8, 8)}, [b.batch_norm("x", 3)])
    told, work = run(run_here, tmp_path, model)
    assert told == Told()
    assert work.json("changes.json")["rewrites"] == {
        "fired": [],
        "refused": [
            {
                "rule": "fold_batch_norm",
                "node": "BatchNormalization_0",
                "because_of": "BatchNormalization_0",
                "reason": "its input is no node's output",
            }
        ],
    }


def test_weights_listed_as_inputs_become_constants(tmp_path: Path) -> None:
    model = conv_norm()
    model.ir_version = 3
    for tensor in model.graph.initializer:
        value = helper.make_tensor_value_info(tensor.name, tensor.data_type, list(tensor.dims))
        model.graph.input.append(value)
    told, work = run(run_here, tmp_path, model)
    assert told == Told()
    after = saved(work)
    assert [value.name for value in after.graph.input] == ["x"]
    assert after.ir_version == 4
    assert work.json("changes.json")["operators"]["after"] == {"Conv": 1, "Relu": 1}


def test_calibration_data_is_normalised_and_counts(tmp_path: Path) -> None:
    """Where |x| is huge only before mean and std are applied, the log below would be -inf."""
    text = "g (float[1,2,1,1] x) => (float[1,2,1,1] y) { y = Log(x) }"
    inputs = {"x": {"mean": [100.0, 200.0], "std": [2.0, 4.0]}}
    pixels = np.array([102.0, 204.0], np.float32).reshape(1, 2, 1, 1)
    samples = [{"x": pixels}, {"x": pixels + 1}]
    seen = []

    class Spy(FloatRun):
        def __call__(self, given: Any) -> Any:
            seen.append(given["x"].ravel().tolist())
            return super().__call__(given)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(simplify_proof, "FloatRun", Spy)
        told, work = run(run_here, tmp_path, parsed(text), inputs=inputs, samples=samples)
    assert told == Told()
    both = [[1.0, 1.0], [1.5, 1.25]]
    assert [x for x in seen if x in both] == both * 2
    found = work.json("changes.json")["difference"]
    assert found["calibration_samples"] == 2
    assert found["outputs"] == {"y": {"random": 0.0, "calibration": 0.0}}


def test_above_the_tolerance_it_fails(tmp_path: Path) -> None:
    """Folding rounds; nothing is allowed to."""
    told, work = run(run_here, tmp_path, conv_norm(), tolerance=0.0)
    assert told.what.startswith(
        "on random inputs the simplified graph does not compute what the original does: "
        "output `Relu_2_out` differs by "
    )
    assert "fewer rewrites" in told.advice
    assert not list(work.out.iterdir())


def test_a_tool_that_breaks_the_graph_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def with_(change: Any) -> Told:
        def tool(_: Path, model: onnx.ModelProto) -> onnx.ModelProto:
            change(model)
            return model

        monkeypatch.setattr(simplifiers, "_TOOLS", {"none": tool})
        return run(run_here, tmp_path, flatten())[0]

    def scale(model: onnx.ModelProto) -> None:
        model.graph.node[-1].op_type = "Sub"

    def rename_input(model: onnx.ModelProto) -> None:
        rename(model, {"x": "z"})

    def drop_input(model: onnx.ModelProto) -> None:
        del model.graph.input[1]

    def turn_outputs(model: onnx.ModelProto) -> None:
        outputs = list(model.graph.output)[::-1]
        del model.graph.output[:]
        model.graph.output.extend(outputs)

    def fail(model: onnx.ModelProto) -> None:
        raise AssertionError("no adapter\nmore of it")

    assert "output `y` differs by" in with_(scale).what
    assert with_(drop_input) == Told()
    assert with_(rename_input).what.startswith("the inputs were `x` float32 [2, 3, 4, 5], `unused`")
    assert with_(turn_outputs).what.startswith("the outputs were `y` float32 [2, 3, 20], `r`")
    assert with_(fail).what == "none failed: no adapter"


@pytest.mark.parametrize(
    ("tool", "rewrite", "what", "advice"),
    [
        ("onnxsin", (), "no simplifier `onnxsin`", "did you mean `onnxsim`?"),
        ("none", ("fold_batchnorm",), "no rewrite `fold_batchnorm`", "did you mean `fold_batch_"),
    ],
)
def test_unknown_names(
    tmp_path: Path, tool: str, rewrite: tuple[str, ...], what: str, advice: str
) -> None:
    told, _ = run(run_here, tmp_path, conv_norm(), tool, rewrite)
    assert told.what == what
    assert advice in told.advice


def test_the_table_of_rules_holds_each_under_its_own_name() -> None:
    assert all(rule.name == name for name, rule in RULES.items())


def detector() -> onnx.ModelProto:
    """Two heads of 7 and 9 boxes, joined and decoded."""
    b = Builder(0)
    b.weights["shape"] = np.array([1, -1, 4], np.int64)
    parts = []
    for side in (3, 2):
        x = b.op("Conv", "x", b.weight(4, 3, side, side))
        parts.append(b.op("Reshape", b.op("Transpose", x, perm=[0, 2, 3, 1]), "shape"))
    return b.model({"x": (1, 3, 5, 5)}, [b.op("Softmax", b.op("Concat", *parts, axis=1), axis=2)])


def test_a_cut_leaves_the_tail_in_a_file_of_its_own(tmp_path: Path) -> None:
    model = detector()
    samples = [{"x": np.ones((1, 3, 5, 5), np.float32)}]
    rules = ("concat_on_spatial_axis", "cut_postprocessing")
    told, work = run(run_here, tmp_path, model, rewrite=rules, samples=samples)
    assert told == Told()
    tail = onnx.load(work.out / "tail.onnx")
    check_graph(tail, full=True)
    assert (
        list(output_types(saved(work))) == list(input_types(tail)) == ["Conv_0_out", "Conv_3_out"]
    )
    assert output_types(tail) == output_types(model)
    assert opset(tail) == opset(model)
    changes = work.json("changes.json")
    assert list(changes["difference"]["outputs"]) == list(output_types(model))
    exact = {"bound": 0.0, "random": 0.0, "calibration": 0.0}
    assert changes["difference_by_rewrite"] == dict.fromkeys(rules, exact)


def test_a_graph_without_postprocessing_cannot_be_cut(tmp_path: Path) -> None:
    told, work = run(run_here, tmp_path, conv_norm(), rewrite=("cut_postprocessing",))
    assert told.what == (
        "the graph can't be cut: nothing follows its last layer with weights but changes of shape"
    )
    assert told.advice == "take `cut_postprocessing` out of `simplify.rewrite`"
    assert not (work.out / "tail.onnx").exists()


def test_a_rule_that_changes_more_than_it_says_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(RULES["fold_batch_norm"]), "rounding", 0.0)
    told, work = run(run_here, tmp_path, conv_norm())
    assert told.what.startswith(
        "on random inputs `fold_batch_norm` changes more than its rounding explains: output "
    )
    assert told.advice == "take `fold_batch_norm` out of `simplify.rewrite`"
    assert not list(work.out.iterdir())


# auto: the first tool whose graph is good


def with_tools(monkeypatch: pytest.MonkeyPatch, **tools: Any) -> None:
    given = {name: lambda _, model, tool=tool: tool(model) for name, tool in tools.items()}
    monkeypatch.setattr(simplifiers, "_TOOLS", {**simplifiers._TOOLS, **given})
    # Not all are installed where the tests run.
    monkeypatch.setattr(simplifiers, "_with_version", lambda name: f"{name} 1")


def auto(folder: Path, model: onnx.ModelProto, **given: Any) -> tuple[str, list[str]]:
    """The tool that was taken, and the notes."""
    told, work = run(run_here, folder, model, "auto", **given)
    assert told == Told()
    changes = work.json("changes.json")
    assert FloatRun(saved(work))
    return changes["tool"].split()[0], changes["notes"]


def broken(model: onnx.ModelProto) -> onnx.ModelProto:
    model = onnx.ModelProto.FromString(model.SerializeToString())
    weights = onnx.numpy_helper.to_array(model.graph.initializer[0]) * np.float32(1.5)
    model.graph.initializer[0].CopyFrom(
        onnx.numpy_helper.from_array(weights, model.graph.initializer[0].name)
    )
    return model


def invalid(model: onnx.ModelProto) -> onnx.ModelProto:
    model = onnx.ModelProto.FromString(model.SerializeToString())
    model.graph.node[0].input[0] = "nothing"
    return model


def raising(model: onnx.ModelProto) -> onnx.ModelProto:
    raise RuntimeError("no luck")


def test_a_tool_that_fails_or_spoils_the_graph_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for bad, why in (
        (broken, "on random inputs the simplified graph does not compute what the original does"),
        (invalid, "the graph is not valid ONNX"),
        (raising, "onnxsim 1 failed: no luck"),
    ):
        with_tools(monkeypatch, onnxsim=bad, onnxslim=lambda model: model)
        tool, (note,) = auto(tmp_path, conv_norm())
        assert tool == "onnxslim"
        assert note.startswith(f"onnxsim 1 is passed over: {why}")
    with_tools(monkeypatch, onnxsim=broken, onnxslim=raising)
    tool, notes = auto(tmp_path, conv_norm())
    assert (tool, len(notes)) == ("none", 2)


@pytest.mark.parametrize(
    ("shapes", "others", "first"),
    [(31, 2970, "onnxslim"), (30, 2970, "onnxsim"), (30, 2971, "onnxsim"), (0, 9000, "onnxsim")],
)
def test_a_large_graph_gets_the_quicker_tool(
    monkeypatch: pytest.MonkeyPatch, shapes: int, others: int, first: str
) -> None:
    """Above 3,000 nodes, where one in a hundred asks for a shape."""
    monkeypatch.setattr(simplifiers, "_with_version", str)
    order, notes = simplifiers._order(["Shape"] * shapes + ["Conv"] * others)
    assert order[0] == first
    assert len(notes) == (first == "onnxslim")


def test_what_the_order_passes_over_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(simplifiers, "_MOST_NODES", 2)
    monkeypatch.setattr(simplifiers, "_FEW_SHAPES", 0)
    with_tools(monkeypatch, onnxsim=raising, onnxslim=lambda model: model)
    tool, (note,) = auto(tmp_path, conv_norm())
    assert tool == "onnxslim"
    assert "of 3 nodes 0 ask for a shape, and above 2 it takes minutes for that" in note


def test_a_tool_that_dies_takes_nothing_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The guard against a crash, with a child that kills itself."""
    monkeypatch.setattr(simplifiers, "_child", lambda *_: os.kill(os.getpid(), signal.SIGKILL))
    with_tools(monkeypatch, onnxslim=lambda model: model)
    tool, (note,) = auto(tmp_path, conv_norm())
    assert (tool, note.rpartition(": ")[2]) == ("onnxslim", "it died of signal 9")


def test_what_rounding_of_the_inputs_explains_is_not_held_against_a_graph(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sine of 100,000 x has no more than three digits in float32, in whatever order."""
    whole = "g (float[1,64] x) => (float[1,64] y) { a = Mul(x, many) y = Sin(a) }"
    parts = "g (float[1,64] x) => (float[1,64] y) { a = Mul(x, few) b = Mul(a, more) y = Sin(b) }"
    values = {"many": 1e5, "few": 1e2, "more": 1e3, "wrong": 1.0002e3}
    weights = {name: np.array(value, np.float32) for name, value in values.items()}
    model, other, wrong = (
        parsed(text, weights) for text in (whole, parts, parts.replace("more", "wrong"))
    )
    for made, taken in ((other, "onnxsim"), (wrong, "none")):
        with_tools(monkeypatch, onnxsim=lambda model, made=made: made, onnxslim=raising)
        tool, notes = auto(tmp_path, model, tolerance=None)
        assert tool == taken, notes
    told, _ = run(run_here, tmp_path, model, "onnxsim", tolerance=None)
    assert "does not compute what the original does" in told.what


def test_float16_rounds_more(tmp_path: Path) -> None:
    b = Builder(0, "float16")
    made = b.batch_norm(b.op("Conv", "x", b.weight(4, 3, 3, 3)), 4)
    half = b.model({"x": (1, 3, 8, 8)}, [made])
    for model, tolerance in ((half, 1e-2), (conv_norm(), 1e-4)):
        told, work = run(run_here, tmp_path, model, "none", tolerance=None)
        assert told == Told()
        assert work.json("changes.json")["difference"]["tolerance"] == tolerance
