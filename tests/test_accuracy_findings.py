"""Causes of lost accuracy: each where it is one and where it is none, and on real builds."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import yaml

from pipelines.backends.rknn.findings.accuracy.evidence import (
    Evidence,
    Layer,
    Operation,
    Range,
    SourceScale,
)
from pipelines.backends.rknn.findings.accuracy.table import SUSPECTS, findings
from pipelines.doctor import accuracy
from pipelines.doctor.accuracy import Bench, try_all
from pipelines.doctor.remedy import Remedy
from pipelines.doctor.trial import Foretold, Result
from pipelines.files.where import Where
from pipelines.recipe.define.model import Analyze, Target
from quant.report.target_metrics import Metrics
from quant.samples.input import Input
from tests.conftest import ROOT
from tests.graph_builder import parsed
from tests.small_models import npy
from tests.test_findings import described
from tests.workspace import Ran, Workspace

FINE = Metrics(
    samples=4,
    worst_cosine=0.9999,
    worst_layer="y",
    worst_single_cosine=0.9999,
    worst_single_layer="y",
    mean_cosine=0.9999,
    outputs={},
    worst_output_cosine=0.9999,
    worst_cosine_output="y",
    worst_output_error=0.01,
    worst_error_output="y",
    layers=2,
    float_layers=0,
    sizes={"rknn": 2, "onnx": 1},
    size_ratio=2,
)
HURT = replace(FINE, worst_output_cosine=0.5)
PIXELS = {"x": Input(mean=(127.5,), std=(127.5,))}


def said(**given: Any) -> dict[str, bool]:
    """Finding -> whether it is a cause."""
    metrics = given.pop("metrics", FINE)
    return {row["name"]: row["is_cause"] for row in findings(Evidence(metrics, **given))}


def data(low: float, high: float, **given: Any) -> dict[str, Any]:
    usual = {"low": low, "high": high, "is_whole": True, "constant": [], "distinct": 4}
    return {"inputs": PIXELS, "samples": {"x": {**usual, **given}}}


def held(high: float, seen: float, step: float | None = None) -> Range:
    return Range(step or high / 255, 0, high, 0, seen)


def joined(small: float, large: float) -> dict[str, Any]:
    ranges = {"a": held(small, small), "b": held(large, large), "y": held(large, large)}
    return {"operations": [Operation("Concat", ["a", "b"], ["y"])], "ranges": ranges}


def resized(seen: float, after: float, mode: str = "linear", used: float = 5) -> dict[str, Any]:
    ranges = {"a": held(used, seen), "y": held(used, after)}
    return {"operations": [Operation("Resize", ["a"], ["y"], mode)], "ranges": ranges}


def pooled(means: float, step: float | None = None) -> dict[str, Any]:
    ranges = {"a": held(10, 10), "y": held(10, means, step)}
    return {"operations": [Operation("AveragePool", ["a"], ["y"])], "ranges": ranges}


def spans(*high: float) -> dict[str, Any]:
    return {"spans": {"t": ([0.0] * len(high), [*high])}}


def layers(*cosines: tuple[float, float]) -> list[Layer]:
    return [Layer(f"t{i}", *pair) for i, pair in enumerate(cosines)]


GOOD = (0.9999, 0.9999)
WIDE = "mixed_ranges"
CASES: dict[str, tuple[dict[str, Any], dict[str, bool]]] = {
    "nothing": ({}, {}),
    "boxes and scores": (joined(1, 1000), {WIDE: True}),
    "alike": (joined(300, 1000), {WIDE: False}),
    "a small range beside a smaller one": (joined(0.001, 0.01), {WIDE: False}),
    "peaks cut": (resized(7, 5), {"clipped_resize": True}),
    "peaks kept": (resized(5, 5), {"clipped_resize": False}),
    "nearest": (resized(7, 5, "nearest"), {}),
    "a source's scale changed": (
        {"source_scales": [SourceScale("a", (0.3, 0), (0.3 * 128 / 127, 0))]},
        {"source_scales": True},
    ),
    "a source's scale kept": (
        {"source_scales": [SourceScale("a", (0.3, 3), (0.3, 3))]},
        {"source_scales": False},
    ),
    "cut by the algorithm": (resized(7, 7), {"clipped_resize": False}),
    "half cut, and an output minds": (
        {"metrics": HURT, "ranges": {"t0": held(4, 10)}, "layers": layers((0.9, 0.9))},
        {"clipped_ranges": True, "accumulated_error": False, "own_error": True},
    ),
    "an input half cut": (
        {"metrics": HURT, "ranges": {"x_int8": held(4, 10)}} | {"samples": data(0, 9)["samples"]},
        {"clipped_ranges": True},
    ),
    "half cut, and no output minds": (
        {"ranges": {"t0": held(4, 10)}, "layers": layers(GOOD)},
        {"clipped_ranges": False},
    ),
    "half cut where it is no matter": (
        {"metrics": HURT, "ranges": {"t0": held(4, 10)}, "layers": layers(GOOD)},
        {},
    ),
    "half cut by the activation": ({"metrics": HURT, "ranges": {"before": held(4, 10)}}, {}),
    "few means": (pooled(1), {"coarse_average": True}),
    "many means": (pooled(9), {"coarse_average": False}),
    "a scale of its own": (pooled(1, 1 / 255), {}),
    "all 0": ({"lost": ["t"]}, {"lost_tensors": True}),
    "overflow": (
        {"metrics": replace(FINE, overflow={"tensor": "t", "magnitude": 7e4})},
        {"float16_overflow": True},
    ),
    "normalised": (data(-1, 1, is_whole=False), {"normalized_already": True}),
    "pixels": (data(0, 255), {"normalized_already": False}),
    "no mean": ({**data(-1, 1), "inputs": {}}, {}),
    "16 bits": (data(0, 65535), {"normalized_already": False, "deep_pictures": True}),
    "no picture": (data(-9, 900), {"normalized_already": False}),
    "16 bits and their mean": ({**data(0, 65535), "inputs": {"x": Input(mean=(32767,))}}, {
        "normalized_already": False
    }),
    "a black sample": (data(0, 255, constant=[1]), {"normalized_already": False} | {
        "poor_samples": False
    }),
    "black samples": (data(0, 255, constant=[0, 1, 2, 3]), {"normalized_already": False} | {
        "poor_samples": True
    }),
    "one sample again and again": (data(0, 255, distinct=1), {"normalized_already": False} | {
        "poor_samples": True
    }),
    "adds up": (
        {"metrics": HURT, "layers": layers(GOOD, (0.995, 0.995), (0.9, 0.9999))},
        {"accumulated_error": True},
    ),
    "adds up, and no output minds": (
        {"layers": layers(GOOD, (0.995, 0.995), (0.9, 0.9999))},
        {"accumulated_error": False},
    ),
    "its own error": (
        {"metrics": HURT, "layers": layers(GOOD, (0.9, 0.91))},
        {"accumulated_error": False, "own_error": True},
    ),
    "its own error, which the network does not feel": (
        {"metrics": HURT, "layers": layers(GOOD, (0.999, 0.91))},
        {"own_error": False},
    ),
    "its own error, as a Concat's part": (
        {"metrics": HURT, "layers": [Layer("y", 0.9, 0.9)], **joined(1, 1000)},
        {"accumulated_error": False, WIDE: True},
    ),
    "channels apart": (
        {"metrics": HURT, "ranges": {"t": held(64, 64)}, **spans(1, 1, 64, 60)},
        {"uneven_channels": True},
    ),
    "channels apart, and no output minds": (
        {"ranges": {"t": held(64, 64)}, **spans(1, 1, 64, 60)},
        {"uneven_channels": False},
    ),
    "one channel of five apart": (
        {"metrics": HURT, "ranges": {"t": held(64, 64)}, **spans(1, 33, 64, 60, 50)}, {},
    ),
    "dead channels": (
        {"metrics": HURT, "ranges": {"t": held(64, 64)}, **spans(0, 0, 64, 60, 50, 50)}, {},
    ),
    "beyond the calibration": (
        {"metrics": HURT, "ranges": {"t": held(5, 5)}, **spans(6, 4), "calibrated": 30},
        {"few_samples": True},
    ),
    "beyond it, and no output minds": (
        {"ranges": {"t": held(5, 5)}, **spans(6, 4), "calibrated": 3},
        {"few_samples": False},
    ),
    "few samples that showed all": (
        {"metrics": HURT, "ranges": {"t": held(5, 5)}, **spans(5.2, 4), "calibrated": 3},
        {"few_samples": False},
    ),
    "many samples that showed all": (
        {"metrics": HURT, "ranges": {"t": held(5, 5)}, **spans(5, 4), "calibrated": 20}, {},
    ),
    "first layers": (
        {"metrics": HURT, "layers": layers((0.95, 0.95), *[(0.99, 0.9999)] * 8)},
        {"first_layers": True, "accumulated_error": False, "own_error": True},
    ),
    "the last layer": (
        {"metrics": HURT, "layers": layers(*[GOOD] * 8, (0.95, 0.95))},
        {"accumulated_error": False, "own_error": True},
    ),
    "REGTASK": ({"printed": ["E RKNN: REGTASK: The bit width"]}, {"sdk_lines": True}),
    "harmless": ({"printed": ["E RKNN: Unkown op target: 0"]}, {}),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_a_cause_is_one_only_where_it_is(name: str) -> None:
    given, expected = CASES[name]
    assert said(**given) == expected


def test_every_module_is_in_the_table_and_has_a_case() -> None:
    folder = ROOT / "pipelines/backends/rknn/findings/accuracy"
    modules = {path.stem for path in folder.rglob("*.py")} - {"__init__", "evidence", "table"}
    assert {cause.name for cause in SUSPECTS} == modules
    told = {(name, is_cause) for _, said in CASES.values() for name, is_cause in said.items()}
    assert {name for name, is_cause in told if is_cause} == modules


def test_the_documentation_is_current() -> None:
    assert (ROOT / "docs/accuracy.md").read_text().endswith("\n" + described(SUSPECTS))


# Real builds.

RANDOM = np.random.default_rng(0)
CONV = "c = Conv<pads: ints = [1, 1, 1, 1]>(x, w)"
PICTURE = "float[1,3,16,16] x"


def weights(*shape: int, spread: float = 0.3) -> np.ndarray[Any, Any]:
    return RANDOM.normal(0, spread, shape).astype(np.float32)


def add(
    workspace: Workspace,
    name: str,
    text: str,
    held: dict[str, Any],
    samples: np.ndarray[Any, Any],
    target: dict[str, Any] | None = None,
    gates: dict[str, float] | None = None,
    **told: Any,
) -> None:
    """A model with the input `x` and npy samples."""
    recipe = {
        "source": {"onnx": "net.onnx"},
        "inputs": {"x": {"shape": list(samples.shape[1:]), **told}},
        "quantize": {"calibration": {"npy": "x.npy"}},
        "targets": {"rk3588": target or {}},
        **({"gates": gates} if gates else {}),
    }
    model = parsed(text, held, opset=13)
    workspace.add(
        name, recipe, net__onnx=model.SerializeToString(), x__npy=npy(samples.astype(np.float32))
    )


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    made = Workspace(tmp_path_factory.mktemp("accuracy"))
    normal = RANDOM.normal(0, 1, (4, 1, 3, 16, 16))
    first = {"w": weights(8, 3, 3, 3)}
    add(
        made,
        "boxes_and_scores",
        f"g ({PICTURE}) => (float[1,8,16,16] y) {{ {CONV}  b = Conv(c, wb)  boxes = Mul(b, k)"
        "  l = Conv(c, ws)  scores = Sigmoid(l)  y = Concat<axis: int = 1>(boxes, scores) }",
        {
            **first,
            "wb": weights(4, 8, 1, 1),
            "ws": weights(4, 8, 1, 1, spread=0.05),
            "k": np.array([200], np.float32),
        },
        normal,
    )
    sparse = np.where(RANDOM.random((4, 1, 3, 16, 16)) > 0.97, 5, 0)
    add(
        made,
        "linear_resize",
        f"g ({PICTURE}) => (float[1,8,32,32] y) {{ {CONV}  r = Relu(c)  y = Resize<mode: string = "
        '"linear", coordinate_transformation_mode: string = "half_pixel">(r, , s) }',
        {**first, "s": np.array([1, 1, 2, 2], np.float32)},
        sparse,
        gates={"max_output_error": 0.05},
    )
    add(
        made,
        "coarse_average",
        f"g ({PICTURE}) => (float[1,8,2,2] y) {{ {CONV}  r = Relu(c)  y = AveragePool<kernel_shape"
        ": ints = [6, 6], strides: ints = [6, 6]>(r) }",
        first,
        np.where(RANDOM.random((4, 1, 3, 16, 16)) > 0.995, 5, 0),
    )
    flat = {"w": weights(4, 8), "b": weights(8)}
    add(
        made,
        "flat_input",
        "g (float[1,4] x) => (float[1,8] y) { y = Gemm(x, w, b) }",
        flat,
        RANDOM.normal(200, 100, (4, 1, 4)),
        mean=200,
        std=100,
    )
    plain = f"g ({PICTURE}) => (float[1,8,16,16] c) {{ {CONV} }}"
    pixels = RANDOM.integers(0, 256, (4, 1, 3, 16, 16))
    add(
        made, "small_units", plain, first, pixels,
        mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225],
    )  # fmt: skip
    add(
        made, "normalized_twice", plain, first, RANDOM.uniform(-1, 1, pixels.shape),
        mean=127.5, std=127.5,
    )  # fmt: skip
    add(
        made,
        "one_number",
        f"g ({PICTURE}) => (float[1,1,1,1] y) {{ {CONV}  m = ReduceMean<axes: ints = [1, 2, 3]>(c)"
        "  y = Sigmoid(m) }",
        first,
        normal,
    )
    add(
        made,
        "overflow",
        f"g ({PICTURE}) => (float[1,8,16,16] y) {{ {CONV}  big = Mul(c, k)  y = Mul(big, k) }}",
        {**first, "k": np.full((1, 8, 1, 1), 300, np.float32)},
        normal,
        target={"quantize": {"dtype": "float16"}},
    )
    return made


def unequal() -> tuple[str, dict[str, Any]]:
    """Two convolutions; every second channel between them is 2^6 times as large."""
    factor = np.where(np.arange(8) % 2, 64, 1).astype(np.float32)
    held = {
        "w": weights(8, 3, 3, 3) * factor[:, None, None, None],
        "v": weights(8, 8, 1, 1) / factor[None, :, None, None],
    }
    text = f"g ({PICTURE}) => (float[1,8,16,16] y) {{ {CONV}  r = Relu(c)  y = Conv(r, v) }}"
    return text, held


@pytest.mark.toolchain
def test_channels_that_are_apart_are_equalized(tmp_path: Path) -> None:
    """What the doctor simulated of each remedy is what the built one has; the best is written."""
    made = Workspace(tmp_path)
    add(made, "unequal", *unequal(), RANDOM.normal(0, 1, (8, 1, 3, 16, 16)))
    recipe = tmp_path / "models/unequal/recipe.yaml"
    told = yaml.safe_load(recipe.read_text())
    told["quantize"]["calibration"]["samples"] = 3
    recipe.write_text(yaml.safe_dump(told))
    ran = made.doit("doctor", "unequal", "--for", "accuracy", "--without", "mmse", "--apply")
    assert ran.code == 0, ran.err
    simulated = {remedy: error for error, remedy in re.findall(r"simulated +(\S+)  (.+)", ran.err)}
    known = {"equalize_channels", "algorithm=kl_divergence", "method=layer", "8 samples"}
    assert known <= {*simulated}
    built = {row[6]: row[0] for line in ran.out.splitlines() if (row := line.split(None, 6))[6:]}
    for remedy in ("as it is", "equalize_channels"):
        assert built[remedy] == simulated[remedy]
    assert float(simulated["equalize_channels"][:-1]) < 0.2 * float(simulated["as it is"][:-1])
    assert "float16: " in ran.out
    assert "rewrite: [fold_batch_norm, equalize_channels]" in ran.out
    assert "channels of `r` have less than 4 of 256 levels" in ran.out
    again = made.doit("unequal")
    assert again.steps["unequal:build@rk3588"] == "restored"
    assert report(made, "unequal", "metrics")["worst_output_error"] < 0.02


@pytest.fixture(scope="module")
def ran(workspace: Workspace) -> Ran:
    return workspace.doit()


def report(workspace: Workspace, name: str, file: str) -> Any:
    return json.loads(workspace.built(name, f"rk3588/report/{file}.json").read_text())


def causes(workspace: Workspace, name: str) -> list[str]:
    return [row["name"] for row in report(workspace, name, "layers")["causes"] if row["is_cause"]]


@pytest.mark.toolchain
@pytest.mark.parametrize(
    ("name", "cause"),
    [
        ("boxes_and_scores", "mixed_ranges"),
        ("linear_resize", "clipped_resize"),
        ("coarse_average", "coarse_average"),
        ("normalized_twice", "normalized_already"),
        ("overflow", "float16_overflow"),
    ],
)
def test_the_cause_of_a_real_build(workspace: Workspace, ran: Ran, name: str, cause: str) -> None:
    assert causes(workspace, name) == [cause]


@pytest.mark.toolchain
def test_mean_and_std_of_a_flat_input_are_applied(workspace: Workspace, ran: Ran) -> None:
    """Without them the error was 143 times the output's range."""
    assert report(workspace, "flat_input", "metrics")["worst_output_error"] < 0.02
    assert causes(workspace, "flat_input") == []


@pytest.mark.toolchain
def test_pixels_with_mean_and_std_of_data_in_0_to_1_are_not_built(
    workspace: Workspace, ran: Ran
) -> None:
    assert ran.steps["small_units:simplify"] == "FAILED"
    assert "in pixel units? write `mean: [123.675, 116.28, 103.53]" in ran.err
    assert not workspace.built("small_units", "rk3588/model.rknn").exists()


@pytest.mark.toolchain
def test_a_single_number_shows_an_error_and_no_cosine(workspace: Workspace, ran: Ran) -> None:
    metrics = report(workspace, "one_number", "metrics")
    assert metrics["worst_output_cosine"] is None
    assert 0.001 < metrics["worst_output_error"] < 0.2


@pytest.mark.toolchain
def test_a_failing_gate_prints_the_cause(ran: Ran) -> None:
    told = ran.err + ran.out
    assert "above max_output_error 0.05" in told
    assert "the linear Resize `y` cuts" in told
    assert "resize_as_convolution" in told


@pytest.mark.toolchain
def test_a_real_overflow_names_the_first_tensor(workspace: Workspace, ran: Ran) -> None:
    overflow = report(workspace, "overflow", "metrics")["overflow"]
    assert (overflow["tensor"], overflow["magnitude"] > 65504) == ("y", True)
    assert "NaN or infinities in the output `y`" in ran.err + ran.out


CURES = {
    "boxes_and_scores": ("split_concat", ("--interface", "split_concat"), "cut_postprocessing"),
    "linear_resize": ("resize_as_convolution", (), "cut_postprocessing"),
}


@pytest.mark.toolchain
@pytest.mark.parametrize("name", CURES)
def test_the_doctor_cures_it(workspace: Workspace, ran: Ran, name: str, tmp_path: Path) -> None:
    """At most 2 % of each channel's range, the SDK's simulator against onnxruntime on the source.

    An interface is never taken unasked.
    """
    rewrite, allowed, without = CURES[name]
    words = ["doctor", name, "--for", "accuracy", "--without", "mmse", "--without", without]
    told = workspace.doit(*words)
    assert ("--interface split_concat" in told.out) == (name == "boxes_and_scores")
    cured = workspace.doit(*words, *allowed, "--apply")
    assert f"rewrite: [fold_batch_norm, {rewrite}]" in cured.out, cured.out + cured.err
    assert workspace.doit(name).code == 0
    samples = np.load(workspace.root / "models" / name / "x.npy")
    for i, sample in enumerate(samples):
        np.save(tmp_path / f"{i}.npy", sample)
    files = [str(tmp_path / f"{i}.npy") for i in range(len(samples))]
    kept = workspace.doit("infer", f"{name}@rk3588", *files, "--output", str(tmp_path / "kept"))
    assert kept.code == 0, kept.err
    with np.load(tmp_path / "kept/simulator.npz") as simulated:
        made = [np.concatenate(list(simulated[key])) for key in simulated.files]
    session = onnxruntime.InferenceSession(
        str(workspace.root / "models" / name / "net.onnx"), providers=["CPUExecutionProvider"]
    )
    expected = np.concatenate([session.run(None, {"x": sample})[0] for sample in samples])
    found = np.concatenate([one.reshape(len(samples), -1, *one.shape[-2:]) for one in made], axis=1)
    axes = (0, 2, 3)
    span = expected.max(axis=axes) - expected.min(axis=axes)
    assert (np.abs(expected - found).max(axis=axes) <= 0.02 * span).all()


def bench(
    errors: Mapping[str, float | None],
    sets: list[dict[str, Any]],
    wide: Sequence[str] = ("float16",),
) -> tuple[Bench, list[str]]:
    """Simulates from a table by name, where it is in it; and the names of what was built."""
    built: list[str] = []

    def foretell(remedy: Remedy, is_searched: bool) -> Foretold:
        return Foretold(remedy, errors.get(remedy.name, 0.5), sets=sets if is_searched else ())

    def build(remedy: Remedy) -> Result:
        built.append(remedy.name)
        return Result(remedy, error=errors.get(remedy.name, 0.5))

    return Bench(foretell, build, 1, wide), built


SETS = [
    {"layers": n, "tensors": [f"t{i}" for i in range(n)], "error": 0.4 / n**2} for n in (1, 2, 6)
]


def test_few_are_built_of_what_was_simulated() -> None:
    errors = {"as it is": 0.5, "a": 0.2, "cut": 0.01, "algorithm=kl_divergence": 0.3,
              "a + algorithm=kl_divergence": 0.1, "algorithm=mmse": None,
              "float16: t0 ... t5 (6)": 0.011}  # fmt: skip
    alone = [Remedy(("a",)), Remedy(("b",)), Remedy(("cut",)),
             *(Remedy(algorithm=one) for one in ("kl_divergence", "mmse"))]  # fmt: skip
    stand, built = bench(errors, SETS)
    found = try_all(stand, Result(Remedy(), error=0.5), alone, ["cut"], has_layers=True)
    layers = "float16: t0 ... t5 (6)"
    assert built == [
        "algorithm=mmse",  # what the simulation does not know
        "a + algorithm=kl_divergence",
        "a",
        layers,
        f"a + algorithm=kl_divergence + {layers}",
        "float16: t0 ... t1 (2)",
        "cut",
    ]
    assert [one.remedy.name for one in found.results] == ["as it is", *built]
    assert "b" in [one.remedy.name for one in found.foretold]
    chosen = accuracy.best(found.results, ["cut"])
    assert chosen is not None
    assert chosen.remedy.name == "float16: t0 ... t5 (6)"


@pytest.mark.parametrize(
    ("wide", "types"),
    [(["float16"], {"float16": 2}), (["int16"], {"int16": 2}),
     (["int16", "float16"], {"float16": 2, "int16": 1})],
)  # fmt: skip
def test_layers_are_built_in_the_types_that_the_platform_has(
    wide: list[str], types: dict[str, int]
) -> None:
    """int16 is not simulated: beside float16 the first set is built in it too."""
    errors = {"as it is": 0.5}
    stand, built = bench(errors, SETS, wide)
    found = try_all(stand, Result(Remedy(), error=0.5), [], [], has_layers=True)
    assert Counter(name.partition(":")[0] for name in built) == types
    assert len({name.partition(":")[2] for name in built}) == 2
    assert len(found.results) == 1 + len(built)


@pytest.mark.parametrize(
    ("platform", "types"),
    [
        *((name, {"int16", "float16"}) for name in ("rk3588", "rk3588s", "rk3562", "rv1126b")),
        *((name, {"int16"}) for name in ("rv1103", "rv1106")),
        ("rk2118", {"float16"}),
    ],
)
def test_types_of_a_platform_s_layers(platform: str, types: set[str]) -> None:
    analyze, where = Analyze(), Where("recipe.yaml")
    target = Target("t", "t", "rknn", platform, "rknn-2.5.0", None, analyze, where, None)
    assert set(accuracy.wide_types(target)) == types


def test_a_named_cut_is_joined_with_the_others() -> None:
    errors = {"as it is": 0.5, "a": 0.2, "cut": 0.3, "a + cut": 0.01}
    for named, joined in (((), False), (("cut",), True)):
        stand, built = bench(errors, [])
        try_all(
            stand, Result(Remedy(), error=0.5), [Remedy(("a",)), Remedy(("cut",))], ["cut"], named
        )
        assert ("a + cut" in built) == joined


def test_nothing_is_simulated_where_it_is_not_known() -> None:
    stand, built = bench({"as it is": None, "a": None, "b": None}, SETS)
    alone = [Remedy(("a",)), Remedy(("b",))]
    found = try_all(stand, Result(Remedy(), error=0.5), alone, [], has_layers=True)
    assert (built, found.foretold) == (["a", "b"], [])


def result(error: float | None, *rewrites: str, algorithm: str = "", layers: int = 0) -> Result:
    half = {f"t{i}": "float16" for i in range(layers)}
    return Result(Remedy(rewrites, algorithm=algorithm, layers=half), error=error)


@pytest.mark.parametrize(
    ("results", "named", "expected"),
    [
        ([result(0.5), result(0.01, "split_concat")], (), None),
        ([result(0.5), result(0.01, "split_concat")], ("split_concat",), 1),
        ([result(0.5), result(0.46, "a")], (), None),  # less than a tenth
        ([result(0.5), result(0.1, "a"), result(0.095, "a", algorithm="mmse")], (), 1),
        ([result(0.5), result(0.1, "a"), result(0.05, "a", algorithm="mmse")], (), 2),
        ([result(0.5), result(None, "a")], (), None),
        ([result(None), result(0.4, "a")], (), 1),
        # good enough, and with fewer layers in float16
        ([result(0.5), result(0.019, "a"), result(0.001, layers=3)], (), 1),
        ([result(0.5), result(0.03, "a"), result(0.019, layers=3), result(0.01, layers=4)], (), 2),
    ],
)
def test_the_best_remedy(
    results: list[Result], named: tuple[str, ...], expected: int | None
) -> None:
    chosen = None if expected is None else results[expected]
    assert accuracy.best(results, ["split_concat"], named) is chosen
