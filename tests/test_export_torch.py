"""export of torch modules and TorchScript files, in the torch toolchain."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from pipelines.stages.export.jobs.torch_fold import fold_into_convolutions
from quant.graph.analysis.shape_chains import shape_chains
from quant.graph.check import check_graph
from quant.graph.graph import Graph
from quant.graph.types import input_types, output_types
from tests.conftest import ROOT
from tests.job_runner import Told, ToolchainJobs, Work, jobs_of, recipe_input, source

pytestmark = pytest.mark.toolchain

EXPORT, CHECK = "pipelines.stages.export.jobs.from_torch", "pipelines.stages.export.jobs.check_onnx"
NETS = ROOT / "tests" / "torch_nets.py"
IMAGE = {"image": recipe_input([1, 3, 8, 8])}
numbers = itertools.count()
jobs = jobs_of("torch")


@pytest.fixture(scope="module")
def made(jobs: ToolchainJobs, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of files that only torch can make."""
    work = Work.lay_out(tmp_path_factory.mktemp("made") / "work", {})
    assert jobs(work, "tests.torch_files", {}) == Told()
    return work.out


def export(
    jobs: ToolchainJobs,
    folder: Path,
    file: Path,
    given: dict[str, Any] | None = None,
    inputs: dict[str, Any] | None = None,
    outputs: tuple[str, ...] = (),
    files: Mapping[str, Path] | None = None,
) -> tuple[Told, Work]:
    """Export `file` and check the result. given: fields of the Source; files: further inputs."""
    kind = "torch" if file.suffix == ".py" else "torchscript"
    named = {"source": file, f"model/{file.name}": file, **(files or {})}
    work = Work.lay_out(folder / f"work{next(numbers)}", named)
    params = {
        "source": source(kind, file.name, **(given or {})),
        "inputs": IMAGE if inputs is None else inputs,
        "outputs": list(outputs),
    }
    told = jobs(work, EXPORT, params)
    return (told if told.what else jobs(work, CHECK, params)), work


def model_of(work: Work) -> onnx.ModelProto:
    return onnx.load(work.out / "model.onnx")


def chains(model: onnx.ModelProto) -> list[str]:
    return [
        "-".join(
            [
                *(node.rpartition("/")[2].split("_")[0] for node in chain.nodes),
                chain.consumer_operator,
            ]
        )
        for chain in shape_chains(Graph(model))
    ]


# network -> output shape, chains that the TorchScript exporter leaves
NETWORKS: dict[str, tuple[tuple[int, ...], list[str]]] = {
    "View": ((1, 5), []),
    "Interpolate": ((1, 4, 16, 16), ["Shape-Slice-Concat-Resize"]),
    "Pool1d": ((1, 4), ["Shape-Slice-Concat-Reshape"]),
}


@pytest.mark.parametrize("network", NETWORKS)
def test_torchscript_exporter(jobs: ToolchainJobs, tmp_path: Path, network: str) -> None:
    shape, expected = NETWORKS[network]
    told, work = export(jobs, tmp_path, NETS, {"function": network})
    assert told == Told()
    model, record = model_of(work), work.json("export.json")
    assert input_types(model)["image"].shape == (1, 3, 8, 8)
    assert {name: type_.shape for name, type_ in output_types(model).items()} == {"output": shape}
    assert record["opset"] == 15
    assert record["exporter"].startswith("torch 2.")
    assert record["exporter"].endswith(" torchscript")
    assert list(record["maximum_difference"]) == ["output"]
    assert record["maximum_difference"]["output"] <= 1e-5
    assert chains(model) == expected


# Three convolutions with one weight; the BatchNorm of the last is the output.
SHARED = """
<ir_version: 8, opset_import: ["" : 15]>
net (float[1, 2, 3, 3] x) => (float[1, 2, 3, 3] y)
    <float[2, 2, 1, 1] w = {0.3, -1.7, 2.9, 0.11}, float[2] k = {0.7, -0.9},
     float[2] g = {1.1, 0.9}, float[2] b = {0.2, -0.3}, float[2] m = {0.4, 0.6},
     float[2] v = {1.3, 0.7}>
{
    a = Conv(x, w, k)
    an = BatchNormalization<epsilon = 0.00001>(a, g, b, m, v)
    c = Conv(an, w)
    cn = BatchNormalization<epsilon = 0.1>(c, g, b, m, v)
    r = Relu(cn)
    d = Conv(r, w)
    y = BatchNormalization<epsilon = 0.00001>(d, g, b, m, v)
}
"""


def test_batch_norm_is_folded_in_float64_and_rounded_once() -> None:
    made = fold_into_convolutions(onnx.parser.parse_model(SHARED))
    assert [(node.op_type, *node.input, *node.output) for node in made.graph.node] == [
        ("Conv", "x", "w", "k", "a"),
        ("Conv", "a", "w_1", "w.bias", "c"),
        ("Relu", "c", "r"),
        ("Conv", "r", "w_2", "w.bias_1", "y"),
    ]
    check_graph(made, full=True)
    found = {tensor.name: numpy_helper.to_array(tensor) for tensor in made.graph.initializer}
    gamma, beta, mean, bias, variance = np.array(
        [[1.1, 0.9], [0.2, -0.3], [0.4, 0.6], [0.7, -0.9], [1.3, 0.7]], np.float32
    ).astype(np.float64)
    weight = np.array([[0.3, -1.7], [2.9, 0.11]], np.float32).astype(np.float64)
    for conv, epsilon, before in zip(
        [node for node in made.graph.node if node.op_type == "Conv"],
        [1e-5, 0.1, 1e-5],
        [bias, 0 * bias, 0 * bias],
        strict=True,
    ):
        scale = gamma / np.sqrt(variance + np.float64(np.float32(epsilon)))
        folded = (weight * scale[:, None]).astype(np.float32)
        assert (found[conv.input[1]][:, :, 0, 0] == folded).all()
        shifted = (before * scale + (beta - mean * scale)).astype(np.float32)
        assert (found[conv.input[2]] == shifted).all()


def test_the_folded_convolution_keeps_its_names(jobs: ToolchainJobs, tmp_path: Path) -> None:
    told, work = export(jobs, tmp_path, NETS, {"function": "View"})
    assert told == Told()
    first = model_of(work).graph.node[0]
    assert (first.op_type, first.name) == ("Conv", "/conv/Conv")
    assert list(first.input) == ["image", "conv.weight", "conv.bias"]
    assert list(first.output) == ["/conv/Conv_output_0"]


@pytest.mark.parametrize("way", ["traced", "scripted"])
@pytest.mark.parametrize("network", NETWORKS)
def test_torchscript_files(
    jobs: ToolchainJobs, made: Path, tmp_path: Path, network: str, way: str
) -> None:
    told, work = export(jobs, tmp_path, made / f"{network}_{way}.pt", {"function": None})
    assert told == Told()
    assert output_types(model_of(work))["output"].shape == NETWORKS[network][0]
    assert work.json("export.json")["maximum_difference"]["output"] <= 1e-5


def test_dynamo_exporter_tells_what_it_wrote(jobs: ToolchainJobs, tmp_path: Path) -> None:
    given = {"function": "View", "exporter": "dynamo"}
    told, work = export(jobs, tmp_path / "a", NETS, given)
    assert told == Told()
    record = work.json("export.json")
    assert record["opset"] == 18
    assert record["changes"] == ["opset 15 was asked for, the exporter wrote 18"]
    assert record["exporter"].endswith(" dynamo")
    assert chains(model_of(work)) == []
    _, other = export(jobs, tmp_path / "another, longer", NETS, given)
    for name in ("model.onnx", "export.json"):
        assert (work.out / name).read_bytes() == (other.out / name).read_bytes()
    assert str(tmp_path).encode() not in (work.out / "model.onnx").read_bytes()


@pytest.fixture(scope="module")
def anew(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ToolchainJobs]:
    """Jobs in a server of its own, with a seed of hashes of its own."""
    server = ToolchainJobs.start("torch", request, tmp_path_factory.mktemp("anew") / "log")
    yield server
    server.close()


@pytest.mark.parametrize("network", ["View", "Nested"])
def test_the_same_bytes_in_another_folder_and_process(
    jobs: ToolchainJobs, anew: ToolchainJobs, tmp_path: Path, network: str
) -> None:
    _, one = export(jobs, tmp_path / "a", NETS, {"function": network})
    _, other = export(anew, tmp_path / "another, longer", NETS, {"function": network})
    for name in ("model.onnx", "export.json"):
        assert (one.out / name).read_bytes() == (other.out / name).read_bytes()


@pytest.mark.parametrize(
    ("network", "outputs", "expected"),
    [
        ("Named", (), ["scores", "boxes"]),
        ("Named", ("a", "b"), ["a", "b"]),
        ("Nested", (), ["output_0", "output_1", "output_2"]),
        ("View", ("logits",), ["logits"]),
    ],
)
def test_names_of_outputs(
    jobs: ToolchainJobs, tmp_path: Path, network: str, outputs: tuple[str, ...], expected: list[str]
) -> None:
    told, work = export(jobs, tmp_path, NETS, {"function": network}, outputs=outputs)
    assert told == Told()
    assert list(output_types(model_of(work))) == expected


def test_two_inputs_in_the_recipes_order(jobs: ToolchainJobs, tmp_path: Path) -> None:
    inputs = {"z": recipe_input([2, 3, 8, 8]), "a": recipe_input([2, 4], "int64")}
    told, work = export(jobs, tmp_path, NETS, {"function": "TwoInputs"}, inputs)
    assert told == Told()
    assert [f"{n} {t}" for n, t in input_types(model_of(work)).items()] == [
        "z float32 [2, 3, 8, 8]",
        "a int64 [2, 4]",
    ]
    assert work.json("export.json")["maximum_difference"]["output_1"] == 0.0


def test_weights_and_arguments(jobs: ToolchainJobs, made: Path, tmp_path: Path) -> None:
    given: dict[str, Any] = {"function": "View", "weights": "view.safetensors"}
    told, work = export(jobs, tmp_path, NETS, given, files={"weights": made / "view.safetensors"})
    assert told == Told()
    assert work.json("export.json")["maximum_difference"]["output"] <= 1e-5
    given = {"function": "Tied", "weights": "tied.safetensors"}
    x = {"x": recipe_input([1, 4])}
    told, _ = export(jobs, tmp_path, NETS, given, x, files={"weights": made / "tied.safetensors"})
    assert told == Told()
    given = {"function": "Pool1d", "arguments": {"channels": 6}}
    told, _ = export(jobs, tmp_path, NETS, given)
    assert "TypeError" in told.what
    assert "channels" in told.what


def test_weights_reach_the_graph(jobs: ToolchainJobs, made: Path, tmp_path: Path) -> None:
    given = {"function": "View", "weights": "view.safetensors"}
    _, with_weights = export(
        jobs, tmp_path, NETS, given, files={"weights": made / "view.safetensors"}
    )
    _, without = export(jobs, tmp_path, NETS, {"function": "View"})
    one, other = (
        [numpy_helper.to_array(t) for t in model_of(w).graph.initializer]
        for w in (with_weights, without)
    )
    assert not all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def test_siblings_are_imported_where_declared(jobs: ToolchainJobs, tmp_path: Path) -> None:
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "head.py").write_text("from torch import nn\nhead = nn.Flatten\n")
    (tmp_path / "body.py").write_text("from torch import nn\nbody = nn.ReLU\n")
    net = tmp_path / "net.py"
    net.write_text(
        "from torch import nn\nfrom body import body\nfrom parts.head import head\n"
        "def build():\n    return nn.Sequential(body(), head())\n"
    )
    files = {name: tmp_path / name for name in ("body.py", "parts/head.py")}
    given = {"function": "build"}
    below = {f"model/{name}": path for name, path in files.items()}
    told, _ = export(jobs, tmp_path / "a", net, given, files=below)
    assert told == Told()
    told, _ = export(jobs, tmp_path / "b", net, given, files={"model/body.py": files["body.py"]})
    assert told.what == (
        "importing `net.py` failed at net.py:3 in <module>: from parts.head import head\n"
        "ModuleNotFoundError: No module named 'parts'"
    )
    assert "add it to `source.dependencies`" in told.advice
    assert not list(tmp_path.rglob("__pycache__"))


# network, inputs, what, advice
BAD_NETWORKS: dict[str, tuple[str, dict[str, Any], str, str]] = {
    "no such function": ("Veiw", IMAGE, "`torch_nets.py` has no function `Veiw`", "`View`"),
    "returns no module": (
        "no_module",
        IMAGE,
        "`torch_nets.py:no_module` returned a int, not a torch.nn.Module",
        "return the network",
    ),
    "wrong inside": (
        "wrong_inside",
        IMAGE,
        "`torch_nets.py:wrong_inside` failed at torch_nets.py:{line} in wrong_inside: "
        "return nn.Conv2d(3, 4, kernel=3)\nTypeError: ",
        "",
    ),
    "leaves": (
        "leaves",
        IMAGE,
        "`torch_nets.py:leaves` failed at torch_nets.py:{line} in leaves: raise SystemExit",
        "",
    ),
    "wrong input shape": (
        "View",
        {"image": recipe_input([1, 3, 9, 9])},
        "running the network on image float32 [1, 3, 9, 9] failed at torch_nets.py:{line} in "
        "forward: return self.linear(x.view(x.size(0), -1))\nRuntimeError: mat1 and mat2 shapes "
        "cannot be multiplied",
        "",
    ),
    "too many inputs": (
        "View",
        {**IMAGE, "more": recipe_input([1])},
        "running the network on image float32 [1, 3, 8, 8], more float32 [1] failed\n"
        "TypeError: View.forward() takes 2 positional arguments but 3 were given",
        "",
    ),
    "an input it does not use": (
        "Unused",
        {**IMAGE, "extra": recipe_input([1])},
        "the network does not use its input `extra`",
        "remove it",
    ),
    "no shape": ("View", {"image": recipe_input()}, "input `image` has no `shape`", ""),
    "no inputs": ("View", {}, "the recipe has no `inputs`", "`shape`"),
    "dropout": (
        "Dropout",
        IMAGE,
        "output `output` differs between two runs on the same input",
        "training=self.training",
    ),
    "a branch on values": (
        "Branch",
        {"image": recipe_input([1, 3, 16, 16])},
        "the exported graph does not compute what the network does: output `output` differs by ",
        "`exporter: dynamo`",
    ),
    "no operator for it": (
        "Inverse",
        IMAGE,
        "torch's torchscript exporter failed: UnsupportedOperatorError: Exporting the operator "
        "'aten::linalg_inv' to ONNX opset version 15 is not supported",
        "`exporter: dynamo`",
    ),
    "bfloat16": ("Bfloat", IMAGE, "the network returns torch.bfloat16", ".float()"),
    "nothing": ("Nothing", IMAGE, "the network returns no tensor", ""),
}


@pytest.mark.parametrize("name", BAD_NETWORKS)
def test_bad_networks_are_refused(jobs: ToolchainJobs, tmp_path: Path, name: str) -> None:
    network, inputs, what, advice = BAD_NETWORKS[name]
    told, work = export(jobs, tmp_path, NETS, {"function": network}, inputs)
    lines = NETS.read_text().splitlines()
    places = [n for n, line in enumerate(lines, 1) if line.strip() and line.strip() in told.what]
    assert told.what.startswith(what.replace("{line}", str(places[-1] if places else 0)))
    assert advice in told.advice
    assert not (work.out / "model.onnx").exists()
    assert str(tmp_path) not in told.what


def test_a_network_that_writes_into_its_input(jobs: ToolchainJobs, tmp_path: Path) -> None:
    told, _ = export(jobs, tmp_path, NETS, {"function": "WritesIntoItsInput"})
    assert told == Told()


@pytest.mark.parametrize(
    ("outputs", "what"),
    [(("a", "b"), "the recipe names 2 outputs, the network returns 1")],
)
def test_another_number_of_outputs(
    jobs: ToolchainJobs, tmp_path: Path, outputs: tuple[str, ...], what: str
) -> None:
    told, _ = export(jobs, tmp_path, NETS, {"function": "View"}, outputs=outputs)
    assert told.what == what


@pytest.mark.parametrize(
    ("file", "what", "advice"),
    [
        (
            "renamed.safetensors",
            "the keys of `renamed.safetensors` are not those of the network\n"
            "missing: linear.bias (nearest of the others: linaer.bias)\n"
            "missing: linear.weight (nearest of the others: linaer.weight)\n"
            "unexpected: linaer.bias (nearest of the others: linear.bias)\n"
            "unexpected: linaer.weight (nearest of the others: linear.weight)",
            "rename the keys",
        ),
        ("prefixed.safetensors", "the keys of `prefixed.safetensors` are not those", ""),
        (
            "misshapen.safetensors",
            "`linear.weight` has the shape [5, 99] in `misshapen.safetensors`, [5, 256] in the",
            "`source.arguments`",
        ),
        ("cut.safetensors", "`cut.safetensors` is no safetensors file, or is cut short", "again"),
        ("checkpoint.pt", "`checkpoint.pt` is a pickle (torch.save), which runs code", "save_file"),
    ],
)
def test_bad_weights_are_refused(
    jobs: ToolchainJobs, made: Path, tmp_path: Path, file: str, what: str, advice: str
) -> None:
    given = {"function": "View", "weights": file}
    told, _ = export(jobs, tmp_path, NETS, given, files={"weights": made / file})
    assert told.what.startswith(what)
    assert advice in told.advice


def test_bad_torchscript_files_are_refused(jobs: ToolchainJobs, made: Path, tmp_path: Path) -> None:
    whole = (made / "View_traced.pt").read_bytes()
    bad = {
        "empty.pt": (b"", "`empty.pt` is empty"),
        "text.pt": (b"hello", "`text.pt` is no TorchScript file, or is cut short"),
        "cut.pt": (whole[: len(whole) // 2], "`cut.pt` is no TorchScript file, or is cut short"),
        "checkpoint.pt": (
            (made / "checkpoint.pt").read_bytes(),
            "`checkpoint.pt` is a checkpoint of torch.save, not TorchScript",
        ),
    }
    for name, (data, what) in bad.items():
        (tmp_path / name).write_bytes(data)
        assert export(jobs, tmp_path, tmp_path / name)[0].what == what
    told, _ = export(jobs, tmp_path, made / "View_traced.pt", {"exporter": "dynamo"})
    assert told.what == "the dynamo exporter cannot read TorchScript"
    told, _ = export(jobs, tmp_path, made / "Boxed_traced.pt")
    assert told.what.startswith("torch's torchscript exporter failed: UnsupportedOperatorError")
    told, _ = export(jobs, tmp_path, made / "gone.pt")
    assert told.what == "`gone.pt` does not exist"


def test_a_syntax_error_is_quoted(jobs: ToolchainJobs, tmp_path: Path) -> None:
    net = tmp_path / "net.py"
    net.write_text("import torch\ndef build(:\n    pass\n")
    told, _ = export(jobs, tmp_path, net, {"function": "build"})
    assert told.what.startswith("importing `net.py` failed at net.py:2\nSyntaxError: ")
