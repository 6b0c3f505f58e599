"""Sources that only torch or tensorflow can make become .rknn files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests import warm_toolchains
from tests.small_models import npy, samples
from tests.vacuous import some
from tests.workspace import Workspace

pytestmark = pytest.mark.toolchain

MAKE = """
from pathlib import Path
from pipelines.run.jobs.job import Job
from tests.{module} import run
run(Job(None, {{}}, Path(), Path()))
"""


def make_files(toolchain: str, module: str, folder: Path) -> Path:
    """Run a file-making job of the tests in a toolchain."""
    warm_toolchains.run(toolchain, MAKE.format(module=module), folder)
    return folder


@pytest.fixture(scope="module")
def keras(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_files("tensorflow", "keras_files", tmp_path_factory.mktemp("keras"))


@pytest.fixture(scope="module")
def torch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_files("torch", "torch_files", tmp_path_factory.mktemp("torch"))


def two_inputs(kind: str, file: str) -> dict[str, Any]:
    """image is declared channels first, and so becomes an NCHW input."""
    return {
        "source": {kind: file},
        "inputs": {
            "image": {"shape": [1, 3, 16, 16], "mean": 127, "std": 128},
            "extra": {"shape": [1, 4]},
        },
        "quantize": {"calibration": {"npy": {"image": "image.npy", "extra": "extra.npy"}}},
        "targets": {"rk3588": {}},
    }


def extra() -> bytes:
    return npy(np.random.default_rng(1).normal(size=(4, 4)).astype(np.float32))


def test_keras_and_saved_model_with_two_inputs(keras: Path, tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    pixels = samples(4, (3, 16, 16))
    workspace.add(
        "keras",
        two_inputs("keras", "net.keras"),
        net__keras=keras / "two.keras",
        image__npy=pixels,
        extra__npy=extra(),
    )
    workspace.add(
        "saved",
        two_inputs("saved_model", "net"),
        net=keras / "two_exported",
        image__npy=pixels,
        extra__npy=extra(),
    )
    ran = workspace.doit()
    assert ran.code == 0, ran.err
    for model in ("keras", "saved"):
        export = json.loads(workspace.built(model, "export/export.json").read_text())
        assert set(export["inputs"]) == {"image", "extra"}
        metrics = json.loads(workspace.built(model, "rk3588/report/metrics.json").read_text())
        assert metrics["worst_cosine"] > 0.95
    # A SavedModel of Keras names its outputs by number.
    assert set(export["outputs"]) == {"output_0", "output_1"}


def test_torchscript_converted_and_loaded_directly(torch: Path, tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    given = {
        "source": {"torchscript": "net.pt"},
        "inputs": {"image": {"shape": [1, 3, 8, 8], "mean": 127, "std": 128}},
        "quantize": {"calibration": {"npy": "samples.npy"}},
        "targets": {
            "rk3588": {},
            "direct": {
                "platform": "rk3588",
                "toolchain": "rknn-2.5.0-torch",
                "rknn": {"load": "direct"},
            },
        },
    }
    pixels = samples(4, (3, 8, 8))
    workspace.add("net", given, net__pt=torch / "View_traced.pt", samples__npy=pixels)
    ran = workspace.doit()
    assert ran.code == 0, ran.err
    for target in ("rk3588", "direct"):
        metrics = json.loads(workspace.built("net", f"{target}/report/metrics.json").read_text())
        assert metrics["worst_cosine"] > 0.95


@pytest.mark.parametrize(
    ("changes", "files"),
    [
        ({"quantize": {"dtype": "float16"}}, ["model.rknn", "build.json"]),
        ({"build": {"cpp_gen_cfg": True}}, ["model.rknn", "cpp"]),
        ({"build": {"auto_hybrid": True}}, ["model.rknn"]),
        ({"quantize": {"rknn": {"remove_weight": True}}}, ["model.rknn"]),
        ({"quantize": {"rknn_batch_size": 2}}, ["model.rknn"]),
        ({"quantize": {"rknn": {"dynamic_input": [[[1, 3, 8, 8]]]}}}, ["model.rknn"]),
    ],
)
def test_options_that_change_the_plan(
    tmp_path: Path, changes: dict[str, Any], files: list[str]
) -> None:
    from tests.small_models import conv_net, recipe

    workspace = Workspace(tmp_path)
    given = recipe(targets={"rk3588": changes}, analyze={"npy": "other.npy"})
    shape = (3, 16, 16)
    if "dynamic_input" in str(changes):
        changes["quantize"]["rknn"]["dynamic_input"] = [[[1, 3, 16, 16]]]
    workspace.add(
        "m",
        given,
        net__onnx=conv_net(),
        samples__npy=samples(),
        other__npy=samples(2, shape, seed=7),
    )
    ran = workspace.doit()
    assert ran.code == 0, ran.err
    for file in some(files):
        assert workspace.built("m", f"rk3588/{file}").exists()
    assert workspace.doit().steps == {}
