"""What the SDK refuses, as a sentence: the rule, the node of the user's network, what to write."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from tests.detector_parts import attention, distances
from tests.graph_builder import parsed
from tests.job_runner import ToolchainJobs
from tests.small_models import recipe, samples
from tests.test_rknn_jobs import Bench, Done, Network, Toolchain
from tests.workspace import Workspace

pytestmark = pytest.mark.toolchain

SDPA = "fuse_exmatmul_add_mul_exsoftmax13_exmatmul_to_sdpa"
SPLIT = "seperate_conv_rs_split"
INDEX = "IndexError: list index out of range"


@pytest.fixture(scope="module")
def newest(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Toolchain]:
    server = ToolchainJobs.start(
        "rknn-2.5.0", request, tmp_path_factory.mktemp("server") / "log", is_new=False
    )
    yield Toolchain("2.5.0", server)
    server.close()


def bench(toolchain: Toolchain, model: onnx.ModelProto, folder: Path) -> Bench:
    shapes = {
        value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim]
        for value in model.graph.input
    }
    random = np.random.default_rng(0)
    samples = {
        name: random.normal(size=(2, *shape[1:])).astype(np.float32)
        for name, shape in shapes.items()
    }
    return Bench(toolchain, Network(model.SerializeToString(), samples), folder)


def left_out(done: Done) -> list[dict[str, Any]]:
    return list(done.read("quantize/config.json")["left_out"])


BROKEN = {
    "attention": (attention, {"rule": SDPA, "node": "MatMul `scores`", "error": INDEX}),
    "distances": (distances, {"rule": SPLIT, "node": "Conv `mean`", "error": INDEX}),
}


@pytest.mark.parametrize("name", BROKEN)
def test_quantize_goes_on_without_a_rule_that_fails(
    name: str, newest: Toolchain, tmp_path: Path
) -> None:
    make, row = BROKEN[name]
    at = bench(newest, make(), tmp_path)
    quantized = at.quantize()
    assert left_out(quantized) == [row]
    built = at.build(quantized)
    assert built.read("build.json")["left_out"] == [row]
    assert built.read("build.json")["config"]["disable_rules"] == [row["rule"]]
    analyzed = at.analyze(built, quantized)
    outputs = analyzed.read("report/metrics.json")["outputs"]
    assert outputs["y"]["cosine"]["worst"] > 0.99
    (finding,) = (
        one
        for one in analyzed.read("report/bytes.json")["findings"]
        if one["name"] == "left_out_rules"
    )
    assert row["rule"] in finding["message"]
    assert row["node"] in finding["message"]


def test_float16_goes_on_without_it_too(newest: Toolchain, tmp_path: Path) -> None:
    at = bench(newest, attention(), tmp_path)
    built, analyzed = at.in_one_call(quantize={"dtype": "float16"})
    assert built.read("build.json")["left_out"] == [BROKEN["attention"][1]]
    assert analyzed.read("report/metrics.json")["outputs"]["y"]["cosine"]["worst"] > 0.9999


def test_an_axis_over_the_npu_s_limit_is_named_with_the_limit(
    newest: Toolchain, tmp_path: Path
) -> None:
    """An axis of 8,820 over 8,192: a register of the chip, told of in the compiler alone."""
    at = bench(newest, distances(side=84), tmp_path)
    refused = at.build(at.quantize()).refusal
    assert refused is not None
    what, advice = refused
    assert what.startswith("an axis of 8,820 is over the NPU's 8,192, first at `softmax` (6 ")
    assert "limit: 0x1fff, value: 0x2273" in what
    assert "cut_postprocessing" in advice


WEIGHTS = {"w": np.full((8, 3, 3, 3), 0.1, np.float32), "zero": np.zeros(1, np.float32)}
DROPPED = parsed(
    """g (float[1,3,8,8] x, float[1,8,1,1] scale) => (float[1,8,8,8] y) {
      [conv] c = Conv<pads=[1,1,1,1]>(x, w)
      [nothing] z = Mul(scale, zero)
      [sum] y = Add(c, z)
    }""",
    WEIGHTS,
)
OPEN = parsed(
    "g (float[n,3,8,8] x) => (float[n,8,8,8] y) { [conv] y = Conv<pads=[1,1,1,1]>(x, w) }",
    {"w": WEIGHTS["w"]},
)
NUMBERS = WEIGHTS | {"half": np.full((1, 8, 1, 1), 0.5, np.float32)}
FIXED = parsed(
    """g (float[1,3,8,8] x) => (float[1,8,1,1] grid, float[1,8,8,8] y, float[1,8,8,8] off) {
      [conv] y = Conv<pads=[1,1,1,1]>(x, w)
      [constant] grid = Identity(half)
      [nothing] off = Mul(y, zero)
    }""",
    NUMBERS,
)
TWICE = parsed(
    """g (float[1,3,8,8] x) => (float[1,8,8,8] y, float[1,8,8,8] z) {
      [conv] y = Conv<pads=[1,1,1,1]>(x, w)
      [again] z = Identity(y)
    }""",
    WEIGHTS,
)
LIST = parsed(
    """g (float[1,3,8,8] x) => (float[1,4,8,8] y) {
      [conv] c = Conv<pads=[1,1,1,1]>(x, w)
      [parts] s = SplitToSequence<axis = 1>(c, four)
      [second] y = SequenceAt(s, one)
    }""",
    {"w": WEIGHTS["w"], "four": np.array(4), "one": np.array(1)},
)
TRAINING = parsed(
    """g (float[1,3,8,8] x) => (float[1,8,8,8] y) {
      [conv] c = Conv<pads=[1,1,1,1]>(x, w)
      [norm] y, m, v = BatchNormalization<training_mode = 1>(c, e, e, e, e)
    }""",
    {"w": WEIGHTS["w"], "e": np.ones(8, np.float32)},
)
NOTHING = parsed(
    """g (float[1,3,8,8] x) => (float[1,3,8,8] y) {
      [parts] a, b = Split<axis = -1>(x, lengths)
      [relu] c = Relu(a)
      [join] y = Concat<axis = -1>(c, b)
    }""",
    {"lengths": np.array([8, 0])},
)
# network -> what the refusal says, and its advice
TOLD: dict[str, tuple[onnx.ModelProto, str, str]] = {
    "an input that changes nothing": (
        DROPPED,
        "the input has no effect on any output: `scale`; the SDK dropped it",
        "`inputs: {scale: {value: 0}}`",
    ),
    "an open shape": (
        OPEN,
        "the input `x` has the open shape ['n', 3, 8, 8], and the SDK compiles fixed ones",
        "inputs: {x: {shape: [...]}}",
    ),
    "outputs that are fixed": (
        FIXED,
        "the SDK leaves 2 of 3 outputs out of the file: `grid` is the same whatever is fed; "
        "`off` is the same whatever is fed",
        "`outputs: [y]`",
    ),
    "an output that is another one": (
        TWICE,
        "the output `z` is `y` again, and the SDK can't name both (KeyError: 'y')",
        "`outputs: [y]`",
    ),
    "a list of tensors": (
        LIST,
        "the SDK knows no sequences of tensors, which SplitToSequence `parts` is for",
        "with Split and Concat in their place",
    ),
    "a part without elements": (
        NOTHING,
        "the SDK takes the outputs ['y'] for constants",
        "export the network without that part",
    ),
    "a network in training": (
        TRAINING,
        "with Training mode disabled! (at BatchNormalization `norm`)",
        "`model.eval()` before torch.onnx.export",
    ),
}
# What one call, which calibrates nothing, makes of them and returns 0.
SILENT = {
    "an input that changes nothing": (
        DROPPED,
        "the input has no effect on any output: `scale`; the SDK dropped it "
        "(the file has 1 of 2 inputs)",
        "`inputs: {scale: {value: 0}}`",
    ),
    "outputs that are fixed": TOLD["outputs that are fixed"],
    "an output that is another one": (
        TWICE,
        "the SDK leaves 1 of 2 outputs out of the file: `y` is `z` again",
        "`outputs: [z]`",
    ),
}


@pytest.mark.parametrize("name", TOLD)
def test_refused_with_the_node_or_input(name: str, newest: Toolchain, tmp_path: Path) -> None:
    model, what, advice = TOLD[name]
    refused = bench(newest, model, tmp_path).quantize().refusal
    assert refused is not None
    assert what in refused[0]
    assert advice in refused[1]


@pytest.mark.parametrize("name", SILENT)
def test_what_float16_leaves_out_of_the_file_is_told(
    name: str, newest: Toolchain, tmp_path: Path
) -> None:
    model, what, advice = SILENT[name]
    refused = bench(newest, model, tmp_path).build(quantize={"dtype": "float16"}).refusal
    assert refused is not None
    assert what in refused[0]
    assert advice in refused[1]


def test_a_sample_of_zeros_is_told_and_counts_for_no_cosine(
    newest: Toolchain, tmp_path: Path
) -> None:
    model = parsed(
        "g (float[1,3,8,8] x) => (float[1,8,8,8] y) { [conv] y = Conv<pads=[1,1,1,1]>(x, w) }",
        {"w": WEIGHTS["w"]},
    )
    at = bench(newest, model, tmp_path)
    at.network.samples["x"][0] = 0
    _, analyzed = at.whole()
    report = analyzed.read("report/layers.json")
    assert report["findings"] == [
        "sample 0 is all 0 at the input `x`: is that meant?",
        "in sample 0 the float network is all 0 at `x`, `x_int8`, `y_int8`, `y`: that has no "
        "direction, so the sample does not count for the cosines there",
    ]
    (conv,) = (row for row in report["layers"] if row["name"] == "Conv:conv")
    assert conv["entire"]["cosine"]["worst"] == conv["entire"]["cosine"]["mean"] > 0.999
    assert analyzed.read("report/metrics.json")["outputs"]["y"]["cosine"]["worst"] > 0.999


def test_the_row_prints_the_line_that_makes_it_last_and_with_it_nothing_is_left_out(
    tmp_path: Path,
) -> None:
    workspace = Workspace(tmp_path)
    given = recipe(inputs={"x": {"shape": [1, 3, 8, 8]}}, targets={"rk3588": {}})
    net = attention().SerializeToString()
    folder = workspace.add("m", given, net__onnx=net, samples__npy=samples(4, (3, 8, 8)))
    ran = workspace.doit()
    assert ran.code == 0, ran.err
    line = f"targets: {{rk3588: {{quantize: {{rknn: {{disable_rules: [{SDPA}]}}}}}}}}"
    told = [
        f"m@rk3588: built without the SDK's rule {SDPA} (fails at MatMul `scores`)",
        f"m@rk3588:   to make that last, in recipe.yaml: {line}",
    ]
    assert [one for one in ran.out.splitlines() if one.startswith("m@rk3588: ")] == told
    assert told[1] in workspace.doit().out  # nothing to do, and still told
    text = (folder / "recipe.yaml").read_text()
    (folder / "recipe.yaml").write_text(text.partition("targets:")[0] + line + "\n")
    again = workspace.doit()
    assert again.code == 0, again.err
    assert "built without" not in again.out
