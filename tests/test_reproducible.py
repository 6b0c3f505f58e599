"""The same inputs give the same bytes: every output of every stage, wherever it is built."""

from __future__ import annotations

import random
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from quant.fault import Fault
from quant.rknn.file import parse
from quant.rknn.leaks import cleared
from tests import warm_toolchains
from tests.conftest import ROOT
from tests.vacuous import some
from tests.workspace import Workspace

MODELS = ("ssd_detector", "sample_reshape")
TARGETS: dict[str, Any] = {
    **{platform: {} for platform in ("rk3588", "rk3566", "rk3562", "rk3576", "rv1126b")},
    **{platform: {} for platform in ("rv1106", "rv1103b")},
    "half": {"platform": "rk3588", "quantize": {"dtype": "float16"}},
    "single": {"platform": "rk3588", "quantize": {"rknn": {"single_core_mode": True}}},
    "old": {"platform": "rk3588", "toolchain": "rknn-2.3.2"},
    "whole": {"backend": "fixed_point", "input_scale": 32},
}
# For sample_reshape alone.
OWN: dict[str, Any] = {"old_rv": {"platform": "rv1106", "toolchain": "rknn-2.3.2"}}


def targets_of(name: str) -> dict[str, Any]:
    return TARGETS | (OWN if name == "sample_reshape" else {})


def built(root: Path, toolchains: Path) -> Workspace:
    """Both models for every target, in a project of its own."""
    workspace = Workspace(root, toolchains)
    for name in MODELS:
        ignored = shutil.ignore_patterns("build", "dvc.*", "__pycache__")
        folder = shutil.copytree(ROOT / "models" / name, root / "models" / name, ignore=ignored)
        recipe = yaml.safe_load((folder / "recipe.yaml").read_text())
        recipe |= {"targets": targets_of(name), "gates": {}}
        (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe, sort_keys=False))
    ran = workspace.doit()
    assert ran.code == 0, ran.err
    return workspace


@pytest.fixture(scope="module")
def twice(tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, Workspace]:
    """The paths' lengths differ, and with them what lies where in memory.

    So does what toolchains' processes are: started for it, and forks of others that had started.
    """
    short = tmp_path_factory.mktemp("a")
    long = tmp_path_factory.mktemp("b") / ("folder" * 12)
    long.mkdir()
    return built(short, warm_toolchains.MADE), built(long, warm_toolchains.home())


@pytest.mark.toolchain
@pytest.mark.parametrize("name", MODELS)
def test_every_output_has_the_same_bytes(twice: tuple[Workspace, Workspace], name: str) -> None:
    """dvc.lock holds the MD5 of each."""
    locks = [(w.root / "models" / name / "dvc.lock").read_text() for w in twice]
    one, other = (yaml.safe_load(lock)["stages"] for lock in locks)
    assert sum(stage.startswith("build-") for stage in one) == len(targets_of(name))
    outputs = [
        {out["path"]: out["md5"] for stage in stages.values() for out in stage["outs"]}
        for stages in (one, other)
    ]
    assert {path for path, md5 in outputs[0].items() if outputs[1].get(path) != md5} == set()
    assert one == other


@pytest.mark.toolchain
@pytest.mark.parametrize("name", MODELS)
def test_what_is_cleared_is_little_and_stays_cleared(
    twice: tuple[Workspace, Workspace], name: str
) -> None:
    for target in some(targets_of(name)):
        if target == "whole":
            continue
        data = twice[0].built(name, f"{target}/model.rknn").read_bytes()
        platform = targets_of(name)[target].get("platform", target)
        assert cleared(data, platform) == data
        dirty = bytearray(data)
        file = parse(data, "model.rknn")
        for tensor in (tensor for tensors in file.tensors for tensor in tensors):
            if tensor.name.endswith("BScfgTensor"):
                end = tensor.offset + tensor.size_bytes
                dirty[end - 16 : end] = random.Random(0).randbytes(16)
        assert cleared(bytes(dirty), platform) == data


def test_no_rknn_is_told() -> None:
    with pytest.raises(Fault, match=r"`model.rknn` is no .rknn file"):
        cleared(b"ONNX" + bytes(100), "rk3588")
