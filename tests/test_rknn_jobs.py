"""The jobs of the rknn backend on the real SDK, each in a process of its own, as in the worker."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper

from pipelines.backends.rknn.analysis import error_analysis
from quant.report.layer_error import from_json
from quant.report.metrics import cosine
from quant.sha256 import sha256_of
from tests.job_runner import ToolchainJobs, Work
from tests.small_models import conv_net, model_bytes
from tests.vacuous import some

pytestmark = pytest.mark.toolchain

SHAPE = (1, 3, 32, 32)


@dataclass(frozen=True)
class Toolchain:
    """An SDK: its version, and a server that has it imported."""

    version: str
    jobs: ToolchainJobs


@pytest.fixture(scope="session", params=["2.5.0", "2.3.2"])
def toolchain(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Toolchain]:
    yield from started(request.param, request, tmp_path_factory)


@pytest.fixture(params=["2.3.0", "2.2.0"])
def older(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Toolchain]:
    yield from started(request.param, request, tmp_path_factory)


def started(
    version: str, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Toolchain]:
    log = tmp_path_factory.mktemp(f"server-{version}") / "log"
    server = ToolchainJobs.start(f"rknn-{version}", request, log, is_new=False)
    yield Toolchain(version, server)
    server.close()


@dataclass(frozen=True)
class Done:
    """A job that has run: its folder, and its refusal where it made one."""

    folder: Path
    refusal: tuple[str, str] | None

    @property
    def out(self) -> Path:
        assert self.refusal is None, self.refusal
        return self.folder / "out"

    def read(self, name: str) -> Any:
        return json.loads((self.out / name).read_text())


@dataclass(frozen=True)
class Network:
    """A float model with data: samples and labelled ones, [N, *shape without batch] by input."""

    model: bytes
    samples: Mapping[str, np.ndarray[Any, Any]]
    labels: Sequence[int] = ()

    def write_samples(self, folder: Path) -> None:
        """As pipelines.stages.samples.jobs.samples leaves them."""
        folder.mkdir()
        count = len(next(iter(self.samples.values())))
        lines = []
        for i in range(count):
            names = []
            for j, array in enumerate(self.samples.values()):
                names.append(f"{i:04d}_{j}.npy")
                np.save(folder / names[-1], array[i : i + 1])
            lines.append(" ".join(names) + "\n")
        (folder / "dataset.txt").write_text("".join(lines))
        record: dict[str, Any] = {"inputs": list(self.samples), "digest": "d" * 64}
        record["evaluate"] = None
        if self.labels:
            record["evaluate"] = {"count": count}
            np.save(folder / "evaluate_labels.npy", np.array(self.labels, np.int64))
            for j, array in enumerate(self.samples.values()):
                np.save(folder / f"evaluate_{j}.npy", array)
        (folder / "samples.json").write_text(json.dumps(record))

    def params(self, **changes: Any) -> dict[str, Any]:
        """Parameters of a step for rk3588, with parts of them replaced."""
        params: dict[str, Any] = {
            "target": "rk3588",
            "platform": "rk3588",
            "source_kind": "onnx",
            "inputs": {
                name: {"shape": [1, *array.shape[1:]], "mean": None, "std": None}
                for name, array in self.samples.items()
            },
            "quantize": {
                "dtype": "w8a8",
                "algorithm": "normal",
                "method": "channel",
                "rknn_batch_size": None,
                "hybrid": {},
                "rknn": {},
            },
            "build": {"layers": {}, "auto_hybrid": False, "cpp_gen_cfg": False},
            "rknn": {"load": "convert"},
        }
        for key, value in changes.items():
            params[key] = {**params[key], **value} if isinstance(value, dict) else value
        return params


def run(
    toolchain: Toolchain,
    folder: Path,
    module: str,
    params: Mapping[str, Any],
    inputs: Mapping[str, Path],
    network: Network,
    process: Mapping[str, str] | None = None,
) -> Done:
    """Run one job in a new folder, with `samples/` prepared. process: see ToolchainJobs."""
    (folder / "in").mkdir(parents=True)
    network.write_samples(folder / "samples")
    for name, path in inputs.items():
        (folder / "in" / name).symlink_to(path)
    work = Work(folder, {name: f"in/{name}" for name in inputs})
    told = toolchain.jobs(
        work, f"pipelines.backends.rknn.jobs.{module}", params, folder / "log.txt", process
    )
    return Done(folder, (told.what, told.advice) if told.what else None)


@dataclass(frozen=True)
class Bench:
    """A toolchain, a network and a folder to run its jobs in."""

    toolchain: Toolchain
    network: Network
    folder: Path

    def job(
        self, module: str, params: Mapping[str, Any], inputs: Mapping[str, Path], goes_on: str = ""
    ) -> Done:
        """goes_on: folder of the job in whose process it runs, where that is still there."""
        folder = self.folder / f"{len(list(self.folder.iterdir()))}-{module}"
        process = {"goes_on_in": goes_on}
        if module == "build":
            process = {"keep_as": str(folder)}
        return run(self.toolchain, folder, module, params, inputs, self.network, process)

    @property
    def model(self) -> Path:
        path = self.folder / "source.onnx"
        path.write_bytes(self.network.model)
        return path

    def quantize(self, **changes: Any) -> Done:
        params = self.network.params(**changes)
        return self.job("quantize", params, {"model": self.model})

    def build(self, quantized: Done | None = None, **changes: Any) -> Done:
        """In one call where there is no quantized model."""
        params = self.network.params(**changes)
        return self.job("build", params, self.source(quantized))

    def source(self, quantized: Done | None) -> dict[str, Path]:
        return {"quantize": quantized.out / "quantize"} if quantized else {"model": self.model}

    def analyze(
        self, built: Done, quantized: Done | None = None, *, is_kept: bool = True, **changes: Any
    ) -> Done:
        """is_kept: in the process of build, as the worker does it, if it is the first to do so."""
        inputs = {
            **self.source(quantized),
            "model": self.model,
            "build.json": built.out / "build.json",
            "artifact.rknn": built.out / "model.rknn",
            "float": self.model,
        }
        labelled = {"inputs": "x.npy", "labels": "y.npy", "metric": "top1"}
        evaluate = labelled if self.network.labels else None
        params = self.network.params(**changes) | {"evaluate": evaluate}
        return self.job("analyze", params, inputs, str(built.folder) if is_kept else "")

    def whole(self, **changes: Any) -> tuple[Done, Done]:
        """build and analyze, with step 1 before."""
        quantized = self.quantize(**changes)
        built = self.build(quantized, **changes)
        return built, self.analyze(built, quantized, **changes)

    def in_one_call(self, **changes: Any) -> tuple[Done, Done]:
        built = self.build(**changes)
        return built, self.analyze(built, **changes)

    def analyze_both_ways(self, built: Done, quantized: Done | None = None, **changes: Any) -> Done:
        """In the process of build, which makes what is made in a new one."""
        kept = self.analyze(built, quantized, **changes)
        anew = self.analyze(built, quantized, is_kept=False, **changes)
        assert contents(kept.out / "report") == contents(anew.out / "report")
        assert [went_on(each) for each in (kept, anew)] == [True, False]
        return kept


def pixels(count: int = 3, shape: Sequence[int] = SHAPE[1:]) -> np.ndarray[Any, Any]:
    return np.random.default_rng(7).normal(0, 1, (count, *shape)).astype(np.float32)


def float_outputs(network: Network) -> dict[str, np.ndarray[Any, Any]]:
    """What onnxruntime makes of the samples, stacked."""
    session = onnxruntime.InferenceSession(network.model, providers=["CPUExecutionProvider"])
    count = len(next(iter(network.samples.values())))
    found = [
        session.run(None, {name: array[i : i + 1] for name, array in network.samples.items()})
        for i in range(count)
    ]
    names = [output.name for output in session.get_outputs()]
    return {name: np.stack([one[k] for one in found]) for k, name in enumerate(names)}


@pytest.fixture(scope="session")
def network() -> Network:
    """Two convolutions and a classifier, labelled with what it says itself."""
    plain = Network(conv_net(SHAPE), {"input": pixels()})
    labels = float_outputs(plain)["scores"].reshape(3, -1).argmax(axis=1)
    return Network(plain.model, plain.samples, labels.tolist())


@pytest.fixture
def bench(toolchain: Toolchain, network: Network, tmp_path: Path) -> Bench:
    return Bench(toolchain, network, tmp_path)


@pytest.fixture(scope="session")
def quantized(
    toolchain: Toolchain, network: Network, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Done]:
    """Step 1 of the network for rk3588, made once for the tests that start from it."""
    folder = tmp_path_factory.mktemp(f"quantized-{toolchain.version}")
    yield Bench(toolchain, network, folder).quantize()


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def test_quantize_makes_the_same_files_in_any_folder(bench: Bench, quantized: Done) -> None:
    longer = Bench(bench.toolchain, bench.network, bench.folder / ("long" * 20) / "deeper")
    longer.folder.mkdir(parents=True)
    first = contents(quantized.out / "quantize")
    assert contents(longer.quantize().out / "quantize") == first
    assert sorted(first) == [
        "calibration.json",
        "config.json",
        "model.data",
        "model.model",
        "model.quantization.cfg",
        "rules.json",
    ]


def test_an_older_toolkit(older: Toolchain, network: Network, tmp_path: Path) -> None:
    """Int8 near onnxruntime's float network, the same bytes twice, and float16 in one call."""
    bench = Bench(older, network, tmp_path)
    quantized = bench.quantize()
    first, second = bench.build(quantized), bench.build(quantized)
    assert contents(first.out) == contents(second.out)
    analyzed = bench.analyze(first, quantized)
    metrics = analyzed.read("report/metrics.json")
    assert first.read("build.json")["toolkit"] == older.version
    assert metrics["float_layers"] == 0
    assert metrics["worst_cosine"] > 0.999
    assert metrics["outputs"]["scores"]["cosine"]["worst"] > 0.999
    half = bench.build(quantize={"dtype": "float16"})
    assert {layer["dtype"] for layer in half.read("build.json")["layers"]} == {"FLOAT16"}


def test_quantize_records_what_it_passed(bench: Bench) -> None:
    given = {"input": {"shape": list(SHAPE), "mean": [10], "std": [1, 2, 3]}}
    options = {"rknn": {"custom_string": "x", "optimization_level": 2}, "rknn_batch_size": 2}
    done = bench.quantize(inputs=given, quantize=options)
    assert done.read("quantize/config.json") == {
        "toolkit": bench.toolchain.version,
        "network": sha256_of(bench.model),
        "inputs": ["input"],
        "config": {
            "target_platform": "rk3588",
            "mean_values": [[10, 10, 10]],
            "std_values": [[1, 2, 3]],
            "quantized_dtype": "w8a8",
            "quantized_algorithm": "normal",
            "quantized_method": "channel",
            "custom_string": "x",
            "optimization_level": 2,
        },
        "load": {},
        "step1": {"rknn_batch_size": 2},
        "left_out": [],
    }
    assert done.read("quantize/calibration.json") == {"samples": 3, "sha256": "d" * 64}


@pytest.mark.parametrize("platform", ["rk3588", "rk3566", "rk3576", "rv1126b", "rv1106"])
def test_build_and_analyze(bench: Bench, platform: str) -> None:
    built, analyzed = bench.whole(platform=platform)
    report = built.read("build.json")
    assert sorted(path.name for path in built.out.iterdir()) == ["build.json", "model.rknn"]
    assert (report["toolkit"], report["platform"]) == (bench.toolchain.version, platform)
    assert report["bytes"] == (built.out / "model.rknn").stat().st_size
    assert [layer["id"] for layer in report["layers"]] == list(range(len(report["layers"])))
    assert report["layers"][0]["full_name"] == "InputOperator:input"
    assert report["outputs"][-2] == ["scores"]
    assert report["totals"]["weight_bytes"] > 16 * 16 * 9
    assert "convert_global_avgpool_to_conv" in [rule["rule"] for rule in report["rules"]]

    layers = from_json((analyzed.out / "report/layers.json").read_text())
    assert [row.id for row in layers.layers] == list(range(len(report["layers"])))
    compute = [row for row in layers.layers if not row.op.endswith("Operator")]
    assert all(row.entire and row.entire.finite and row.single for row in compute)
    assert {row.dtype for row in compute} == {"INT8"}
    metrics = analyzed.read("report/metrics.json")
    assert metrics["simulation"] == {"by": "npumake", "reason": None}
    assert metrics["layers"] == metrics["compared_layers"] == len(compute)
    assert metrics["float_layers"] == 0
    assert metrics["cpu_layers"] == sum(row.target == "CPU" for row in compute)
    assert metrics["cycles"] == sum(layer["cycles_total"] for layer in report["layers"])
    assert metrics["bytes"] == {"rknn": report["bytes"], "onnx": len(bench.network.model)}
    assert metrics["worst_cosine"] == min(
        row.entire.cosine_worst for row in layers.rows if row.entire and row.entire.cosine_worst
    )
    assert metrics["accuracy"]["float"] == 1


def test_every_sample_is_analyzed_as_the_sdk_does(bench: Bench, quantized: Done) -> None:
    """Our simulation's figures are the SDK's, whose table has five decimals (2.3.2: four)."""
    built = bench.build(quantized)
    done = bench.analyze_both_ways(built, quantized, sdk_analysis=True)
    assert done.read("report/metrics.json")["simulation"] == {"by": "npumake", "reason": None}
    headings, *texts = (done.out / "report/error_analysis.txt").read_text().split("===== sample ")
    assert headings == ""
    assert len(texts) == 3
    analyses = [error_analysis.read(text.partition("\n")[2]) for text in texts]
    report = from_json((done.out / "report/layers.json").read_text())
    ours = {row.tensor: row for row in report.rows if row.tensor}
    digits = 1.1e-5 if bench.toolchain.version == "2.5.0" else 1.1e-4
    compared = 0
    for rows in some(zip(*analyses, strict=True)):
        row = ours[rows[0].tensor]
        for error, theirs in (
            (row.entire, [one.entire for one in rows]),
            (row.single, [one.single for one in rows]),
        ):
            cosines = [one.cosine for one in theirs if one]
            assert (error is None) == (not cosines), row
            if error is not None:
                assert error.cosine_worst == pytest.approx(min(cosines), abs=digits)
                assert error.cosine_mean == pytest.approx(sum(cosines) / 3, abs=digits)
                compared += 1
    assert compared > 10


def test_what_is_not_simulated_is_named_and_the_sdk_analyzes(bench: Bench) -> None:
    _, analyzed = bench.whole(quantize={"algorithm": "mmse"})
    by = analyzed.read("report/metrics.json")["simulation"]
    assert by == {"by": "rknn-toolkit2", "reason": "`quantized_algorithm: mmse`"}
    assert "===== sample 2 =====" in (analyzed.out / "report/error_analysis.txt").read_text()


def test_infer_saves_both_sides(bench: Bench, quantized: Done) -> None:
    built = bench.build(quantized)
    inputs = {
        "quantize": quantized.out / "quantize",
        "artifact.rknn": built.out / "model.rknn",
        "float": bench.model,
    }
    done = bench.job("infer", bench.network.params(), inputs)
    expected = np.load(done.out / "float.npz")["scores"]
    actual = np.load(done.out / "simulator.npz")["scores"]
    # onnxruntime twice, with other optimizations: float32 sums of up to 256 in another order.
    reference = float_outputs(bench.network)["scores"]
    np.testing.assert_allclose(expected, reference, rtol=256 * 2**-24, atol=256 * 2**-24)
    comparison = done.read("comparison.json")
    found = [one["scores"]["cosine"]["worst"] for one in comparison["samples"]]
    assert found == [cosine(a, b) for a, b in zip(expected, actual, strict=True)]
    assert comparison["outputs"]["scores"]["cosine"]["worst"] == min(found)
    assert min(found) > 0.99


def two_outputs() -> Network:
    """Inputs of two ranks; two outputs of one shape, which the SDK computes the other way round."""
    random = np.random.default_rng(1)
    weights = {
        "w": random.normal(size=(16, 3, 3, 3)).astype(np.float32),
        "v": random.normal(size=(10, 16)).astype(np.float32),
    }
    nodes = [
        helper.make_node("Conv", ["left", "w"], ["a"], "conv", pads=[1] * 4),
        helper.make_node("Relu", ["a"], ["b"], "relu"),
        helper.make_node("GlobalAveragePool", ["b"], ["c"], "pool"),
        helper.make_node("Flatten", ["c"], ["d"], "flatten"),
        helper.make_node("Gemm", ["right", "v"], ["e"], "gemm"),
        helper.make_node("Add", ["d", "e"], ["sum"], "add"),
        helper.make_node("Relu", ["e"], ["aside"], "relu2"),
    ]
    inputs: dict[str, Sequence[int | str]] = {"left": SHAPE, "right": (1, 10)}
    outputs: dict[str, Sequence[int | str]] = {"sum": (1, 16), "aside": (1, 16)}
    data = {"left": pixels() * 50 + 127, "right": pixels(3, (10,))}
    return Network(model_bytes(nodes, weights, inputs, outputs), data)


def went_on(analyzed: Done) -> bool:
    """With what build has compiled."""
    return "as build has compiled it" in (analyzed.folder / "log.txt").read_text()


def test_what_was_built_otherwise_is_compiled_anew(bench: Bench, quantized: Done) -> None:
    """Another file, another network or other parameters than those of the process's build."""
    layers = {"layers": {"r1": "float16"}}
    other = bench.build(quantized, build=layers)
    renamed = Done(bench.build(quantized).folder, None)
    (renamed.out / "model.rknn").unlink()
    (renamed.out / "model.rknn").symlink_to(other.out / "model.rknn")
    analyzed = bench.analyze(renamed, quantized)
    assert analyzed.refusal is not None
    assert "made other layers than the file has" in analyzed.refusal[0]
    assert not went_on(analyzed)
    again = Done(quantized.folder.parent / "again", None)
    shutil.copytree(quantized.folder, again.folder, symlinks=True)
    config = again.out / "quantize" / "model.quantization.cfg"
    config.write_text(f"# other\n{config.read_text()}")
    for source, build in ((again, {}), (quantized, {"cpp_gen_cfg": True})):
        analyzed = bench.analyze(bench.build(quantized), source, build=build)
        assert analyzed.refusal is None
        assert not went_on(analyzed)


def test_inputs_and_outputs_are_bound_by_name(toolchain: Toolchain, tmp_path: Path) -> None:
    bench = Bench(toolchain, two_outputs(), tmp_path)
    inputs = {
        "right": {"shape": [1, 10], "mean": None, "std": None},
        "left": {"shape": list(SHAPE), "mean": [127] * 3, "std": [50] * 3},
    }
    quantized = bench.quantize(inputs=inputs)
    built = bench.build(quantized, inputs=inputs)
    analyzed = bench.analyze_both_ways(built, quantized, inputs=inputs)
    outputs = analyzed.read("report/metrics.json")["outputs"]
    assert {name: one["cosine"]["worst"] > 0.999 for name, one in outputs.items()} == {
        "sum": True,
        "aside": True,
    }


def test_float16_is_built_in_one_call(bench: Bench) -> None:
    half = {"dtype": "float16"}
    built = bench.build(quantize=half)
    analyzed = bench.analyze_both_ways(built, quantize=half)
    assert {layer["dtype"] for layer in built.read("build.json")["layers"]} == {"FLOAT16"}
    metrics = analyzed.read("report/metrics.json")
    assert metrics["float_layers"] == metrics["layers"] > 0
    assert metrics["outputs"]["scores"]["cosine"]["worst"] > 0.99999


def test_auto_hybrid_is_built_in_one_call(bench: Bench) -> None:
    built = bench.build(build={"auto_hybrid": True})
    analyzed = bench.analyze_both_ways(built, build={"auto_hybrid": True})
    assert "INT8" in {layer["dtype"] for layer in built.read("build.json")["layers"]}
    assert analyzed.read("report/metrics.json")["outputs"]["scores"]["cosine"]["worst"] > 0.99


def test_hybrid_layers(bench: Bench, quantized: Done) -> None:
    layers = {"r1": "float16", "input_int8": "float16"}
    built = bench.build(quantized, build={"layers": layers})
    report = built.read("build.json")
    made = {
        tensor: layer["dtype"]
        for layer, outputs in zip(report["layers"], report["outputs"], strict=True)
        for tensor in outputs
    }
    assert made["r1"] == "FLOAT16"
    assert made["r2"] == "INT8"
    assert report["hybrid"] == layers
    assert report["warnings"][0] == (
        "float16 for `input_int8` has no effect: no compiled layer makes that tensor"
    )
    analyzed = bench.analyze_both_ways(built, quantized, build={"layers": layers})
    assert analyzed.read("report/metrics.json")["float_layers"] == sum(
        layer["dtype"] == "FLOAT16" for layer in report["layers"]
    )


def test_layers_in_int16(bench: Bench, quantized: Done) -> None:
    layers = {"r1": "int16"}
    built = bench.build(quantized, build={"layers": layers})
    assert "INT16" in {layer["dtype"] for layer in built.read("build.json")["layers"]}
    analyzed = bench.analyze_both_ways(built, quantized, build={"layers": layers})
    assert analyzed.read("report/metrics.json")["outputs"]["scores"]["cosine"]["worst"] > 0.999


def test_an_output_that_stays_float(bench: Bench, quantized: Done) -> None:
    """By the layer table's name, and by that of the tensor before its conversion."""
    for name in ("scores", "scores_int8"):
        report = bench.build(quantized, build={"layers": {name: "float16"}}).read("build.json")
        assert report["layers"][-1]["dtype"] == "FLOAT16"
        assert not [one for one in report["warnings"] if f"for `{name}`" in one]


def test_float_layers_change_no_other_number(quantized: Done) -> None:
    # The SDK compares the file with its own copy, digit by digit.
    from pipelines.backends.rknn.sdk.hybrid import set_layers

    text = (quantized.out / "quantize/model.quantization.cfg").read_text()
    edited = set_layers(text, {"a: b": "int16", "247": "float16"})
    assert edited == text.replace(
        "custom_quantize_layers: {}",
        'custom_quantize_layers:\n    "a: b": int16\n    "247": float16',
    )


WRONG_LAYERS = {
    "r3": ("no such tensor", "did you mean `r2`?"),
    "conv1": ("`conv1`, which is a node, not a tensor", "it makes `c1`: write that"),
    "w1": ("no such tensor", "its tensors, column `tensor` of the layer table: "),
    "input": ("no such tensor", "column `tensor` of the layer table: "),
    "Conv:conv1": ("a layer's full name, not its tensor", "it makes `c1`: write that"),
    "pool": ("no such tensor", "the SDK made it part of `g`: write that"),
}


@pytest.mark.parametrize("name", WRONG_LAYERS)
def test_wrong_hybrid_layers(bench: Bench, quantized: Done, name: str) -> None:
    done = bench.build(quantized, build={"layers": {name: "float16"}})
    assert done.refusal is not None
    assert WRONG_LAYERS[name][0] in done.refusal[0]
    assert WRONG_LAYERS[name][1] in done.refusal[1]


def test_batch_of_the_file(bench: Bench) -> None:
    batch = {"rknn_batch_size": 2}
    quantized = bench.quantize(quantize=batch)
    built = bench.build(quantized, quantize=batch)
    analyzed = bench.analyze_both_ways(built, quantized, quantize=batch)
    outputs = analyzed.read("report/metrics.json")["outputs"]
    assert outputs["scores"]["cosine"]["worst"] > 0.99


def test_a_network_that_ends_earlier(bench: Bench) -> None:
    built, analyzed = bench.whole(rknn={"outputs": ["r2"]})
    assert built.read("build.json")["load"] == {"outputs": ["r2"]}
    outputs = analyzed.read("report/metrics.json")["outputs"]
    assert list(outputs) == ["r2"]
    assert outputs["r2"]["cosine"]["worst"] > 0.99


def fully_convolutional() -> Network:
    random = np.random.default_rng(2)
    weights = {"w": random.normal(size=(8, 3, 3, 3)).astype(np.float32)}
    nodes = [
        helper.make_node("Conv", ["input", "w"], ["a"], "conv", pads=[1] * 4),
        helper.make_node("Relu", ["a"], ["output"], "relu"),
    ]
    inputs: dict[str, Sequence[int | str]] = {"input": (1, 3, "height", "width")}
    outputs: dict[str, Sequence[int | str]] = {"output": (1, 8, "height", "width")}
    return Network(model_bytes(nodes, weights, inputs, outputs), {"input": pixels(2, (3, 64, 64))})


def test_dynamic_input(toolchain: Toolchain, tmp_path: Path) -> None:
    bench = Bench(toolchain, fully_convolutional(), tmp_path)
    options = {"rknn": {"dynamic_input": [[[1, 3, 32, 32]], [[1, 3, 64, 64]]]}}
    built, analyzed = bench.in_one_call(quantize=options)
    report = built.read("build.json")
    shapes = [one["layers"][0]["output_shapes"] for one in (report, *report["other_shapes"])]
    assert shapes == [[[1, 3, 64, 64]], [[1, 3, 32, 32]]]
    assert analyzed.read("report/metrics.json")["outputs"]["output"]["cosine"]["worst"] > 0.99
    refused = bench.quantize(quantize=options)
    assert refused.refusal is not None
    assert "forgets `dynamic_input`" in refused.refusal[0]


def pruned_net() -> Network:
    """Something for every option: dead channels, a depthwise layer, Swish and a last Reshape."""
    random = np.random.default_rng(5)
    weights = {
        "w1": random.normal(0, 0.2, (16, 3, 3, 3)).astype(np.float32),
        "w2": random.normal(0, 0.2, (16, 1, 3, 3)).astype(np.float32),
        "w3": random.normal(0, 0.2, (32, 16, 1, 1)).astype(np.float32),
        "shape": np.array([1, 32, -1]),
    }
    weights["w3"][5:9] = 0
    nodes = [
        helper.make_node("Conv", ["input", "w1"], ["a"], "a", pads=[1] * 4, strides=[2, 2]),
        helper.make_node("Relu", ["a"], ["b"], "b"),
        helper.make_node("Conv", ["b", "w2"], ["c"], "c", pads=[1] * 4, group=16),
        helper.make_node("Sigmoid", ["c"], ["d"], "d"),
        helper.make_node("Mul", ["c", "d"], ["e"], "e"),
        helper.make_node("Conv", ["e", "w3"], ["f"], "f"),
        helper.make_node("Reshape", ["f", "shape"], ["output"], "output"),
    ]
    shapes: dict[str, Sequence[int | str]] = {"output": (1, 32, 256)}
    return Network(model_bytes(nodes, weights, {"input": SHAPE}, shapes), {"input": pixels()})


# Those that change the file of pruned_net.
EFFECTIVE = {
    "custom_string": "x",
    "single_core_mode": True,
    "compress_weight": True,
    "model_pruning": True,
    "remove_reshape": True,
    "op_target": {"b": "cpu"},
}


def test_two_steps_make_what_one_build_makes(toolchain: Toolchain, tmp_path: Path) -> None:
    """Step 2 forgets some options without a word (dynamic_input, inputs_yuv_fmt); not these."""
    bench = Bench(toolchain, pruned_net(), tmp_path)
    options = {"algorithm": "kl_divergence", "method": "layer", "rknn": EFFECTIVE}
    first = bench.build(bench.quantize(quantize=options), quantize=options)
    second = bench.build(quantize=options)
    made = (first.out / "model.rknn").read_bytes()
    assert made == (second.out / "model.rknn").read_bytes()
    plain = bench.build(quantize={"rknn": {"custom_string": "x"}})
    assert len(made) < 0.9 * (plain.out / "model.rknn").stat().st_size


def color_net() -> Network:
    """RGB as it comes, so that a plane in the wrong place shows."""
    weights = {"w": np.eye(3, dtype=np.float32).reshape(3, 3, 1, 1)}
    nodes = [helper.make_node("Conv", ["input", "w"], ["output"], "conv")]
    model = model_bytes(nodes, weights, {"input": SHAPE}, {"output": SHAPE})
    return Network(model, {"input": frames()})


def frames() -> np.ndarray[Any, Any]:
    """Pictures of a few large fields of colour each."""
    fields = np.random.default_rng(3).integers(0, 256, (3, 3, 4, 4))
    return fields.repeat(8, axis=2).repeat(8, axis=3).astype(np.float32)


@pytest.mark.parametrize("form", ["nv12", "nv21"])
def test_yuv_frames(toolchain: Toolchain, tmp_path: Path, form: str) -> None:
    bench = Bench(toolchain, color_net(), tmp_path)
    options = {"rknn": {"inputs_yuv_fmt": [form]}}
    built, analyzed = bench.in_one_call(quantize=options)
    tensors = [outputs[0] for outputs in built.read("build.json")["outputs"] if outputs]
    assert tensors[:2] == ["input_y_channel", "input_uv_channel"]
    output = analyzed.read("report/metrics.json")["outputs"]["output"]
    assert output["relative_error"] < 0.012  # 3 of 255
    refused = bench.quantize(quantize=options)
    assert refused.refusal is not None
    assert "forgets `inputs_yuv_fmt`" in refused.refusal[0]


def test_demo_program(bench: Bench, quantized: Done) -> None:
    built = bench.build(quantized, build={"cpp_gen_cfg": True})
    assert (built.out / "cpp" / "src" / "main.cc").is_file()
    bench.analyze_both_ways(built, quantized, build={"cpp_gen_cfg": True})


def test_model_without_weights(bench: Bench, quantized: Done) -> None:
    whole = bench.build(quantized).read("build.json")["bytes"]
    without = bench.build(bench.quantize(quantize={"rknn": {"remove_weight": True}}))
    assert sorted(path.name for path in without.out.iterdir()) == ["build.json", "model.rknn"]
    assert without.read("build.json")["bytes"] < whole - 16 * 16 * 9  # the second convolution's


def test_weights_with_nan_are_found_in_float16(toolchain: Toolchain, tmp_path: Path) -> None:
    bench = Bench(toolchain, Network(conv_net(SHAPE, nan=True), {"input": pixels()}), tmp_path)
    _, analyzed = bench.in_one_call(quantize={"dtype": "float16"})
    metrics = analyzed.read("report/metrics.json")
    assert metrics["worst_cosine"] is None
    assert metrics["mean_cosine"] is None
    assert metrics["worst_layer"] is not None
    assert metrics["outputs"]["scores"]["finite"] is False
    layers = from_json((analyzed.out / "report/layers.json").read_text())
    (row,) = [row for row in layers.layers if row.tensor == "r2"]
    assert row.entire is not None
    assert (row.entire.finite, row.entire.cosine_worst) == (False, None)
    assert any("`r2` holds NaN" in sentence for sentence in layers.findings)


def test_weights_with_nan_are_refused_in_int8(toolchain: Toolchain, tmp_path: Path) -> None:
    bench = Bench(toolchain, Network(conv_net(SHAPE, nan=True), {"input": pixels()}), tmp_path)
    done = bench.quantize()
    assert done.refusal == (
        f"rknn-toolkit2 {toolchain.version} refused hybrid_quantization_step1: "
        "cannot convert float NaN to integer",
        "the model's weights hold NaN: export it from a sound checkpoint",
    )


# what the recipe asks for -> what the refusal says
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "option": ({"quantize": {"rknn": {"optimisation_level": 2}}}, "optimisation_level"),
    "platform": ({"platform": "rk3558"}, "rk3558"),
    "dtype": ({"quantize": {"dtype": "w4a16"}}, "'w4a16' not support in 'rk3588'"),
    "output": ({"rknn": {"outputs": ["nowhere"]}}, "nowhere"),
    "torch": ({"source_kind": "torchscript", "rknn": {"load": "direct"}}, "`torch.jit`"),
    "tensorflow": ({"source_kind": "tflite", "rknn": {"load": "direct"}}, "tensorflow"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refusals_quote_the_sdk(bench: Bench, name: str) -> None:
    changes, said = REFUSED[name]
    done = bench.quantize(**changes)
    assert done.refusal is not None
    assert done.refusal[0].startswith(f"rknn-toolkit2 {bench.toolchain.version} refused ")
    assert said in done.refusal[0]
    assert "Traceback" not in done.refusal[0]


def test_an_opset_that_is_too_new(toolchain: Toolchain, tmp_path: Path) -> None:
    network = Network(conv_net(SHAPE, opset=20), {"input": pixels()})
    done = Bench(toolchain, network, tmp_path).quantize()
    assert done.refusal is not None
    assert "opset 20" in done.refusal[0]
    assert "lower opset" in done.refusal[1]


def test_a_register_that_overflows_is_no_success(bench: Bench) -> None:
    # Without this rule a pooling window of 32x32 stays, whose field has 4 bits.
    options = {"rknn": {"disable_rules": ["convert_global_avgpool_to_conv"]}}
    done = bench.build(bench.quantize(quantize=options))
    assert done.refusal is not None
    assert "REGTASK: The bit width of field value exceeds the limit" in done.refusal[0]


def test_the_log_has_what_native_code_printed(bench: Bench, quantized: Done) -> None:
    built = bench.build(quantized)
    assert "Network Layer Information Table" in (built.folder / "log.txt").read_text()


def test_ultraface(toolchain: Toolchain, tmp_path: Path, realworld: Path) -> None:
    from PIL import Image

    files = sorted((realworld / "ultraface" / "faces").glob("*.jpg"))[:3]
    images = [
        np.asarray(Image.open(file).convert("RGB").resize((320, 240)), np.float32) for file in files
    ]
    model = (realworld / "ultraface" / "rfb320.onnx").read_bytes()
    network = Network(model, {"input": np.stack(images).transpose(0, 3, 1, 2)})
    inputs = {"input": {"shape": [1, 3, 240, 320], "mean": [127] * 3, "std": [128] * 3}}
    bench = Bench(toolchain, network, tmp_path)
    quantized = bench.quantize(inputs=inputs)
    built = bench.build(quantized, inputs=inputs)
    is_new = toolchain.version == "2.5.0"
    analyze = bench.analyze_both_ways if is_new else bench.analyze
    analyzed = analyze(built, quantized, inputs=inputs)
    # The SDK's own `build` makes 40,191,602 with 2.5.0; a dense identity convolution is most of it.
    # Here it has our digest as well, of 64 letters.
    size = {"2.5.0": 40_191_602 + 64, "2.3.2": 40_211_762}[toolchain.version]
    assert built.read("build.json")["bytes"] == size
    metrics = analyzed.read("report/metrics.json")
    assert metrics["layers"] == metrics["compared_layers"] == 84
    assert min(one["cosine"]["worst"] for one in metrics["outputs"].values()) > 0.999
    assert onnx.load_model_from_string(model).graph.output[0].name in metrics["outputs"]
