"""Every command of docs/dvc.md, in order, in a checkout of its own."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from tests.checkout import Checkout
from tests.conftest import ROOT
from tests.dvc_runner import dvc, run
from tests.small_models import conv_net, recipe, samples

pytestmark = pytest.mark.toolchain


def commands() -> list[str]:
    text = (ROOT / "docs/dvc.md").read_text()
    blocks = re.findall(r"^```sh\n(.*?)^```", text, re.M | re.S)
    return [line for block in blocks for line in block.splitlines()]


def test_every_command_works(tmp_path: Path) -> None:
    owner = Checkout(tmp_path / "owner")
    given = recipe(targets={"rk3588": {}, "rk3566": {}})
    owner.add("sample_reshape", given, net__onnx=conv_net(), samples__npy=samples())
    owner.git("config", "user.name", "t")
    owner.git("config", "user.email", "t@t")
    owner.commit("recipe")
    place, said = owner.root, {}
    for line in commands():
        if line.startswith("git clone"):
            Checkout.of(owner.root)
            owner.clone(tmp_path / "npumake")
        elif line.startswith("cd "):
            place = tmp_path / line.removeprefix("cd ")
            run(["git", "config", "user.name", "t"], place)
            run(["git", "config", "user.email", "t@t"], place)
        else:
            if line.startswith("dvc metrics diff"):
                edit(place)
            words = line.replace("/srv/npumake-store", str(tmp_path / "store"))
            said[line] = typed(words.replace("URL", "."), place)
    assert said["./doit --pull"].count(" restored ") == 8
    assert "restored" in said["./doit"]  # the last: back on main
    assert "size_ratio" in said["dvc metrics show"]
    assert "worst_cosine" in said["dvc metrics show"]
    assert "float_layers" in said["dvc metrics diff HEAD~1"]
    assert "build.layers.scores" in said["dvc params diff HEAD~1"]
    assert "v1.0.0" in said["gto show"]
    assert (place / "model.rknn").read_bytes()[:4] == b"RKNN"
    assert (place / "prod.rknn").read_bytes()[:4] == b"RKNN"


def typed(line: str, place: Path) -> str:
    """What a command line said on stdout and stderr."""
    program, *arguments = shlex.split(line)
    return dvc(place, *arguments) if program == "dvc" else run(["sh", "-c", line], place)


def edit(place: Path) -> None:
    """A recipe change, built and committed: `Compare` is about one."""
    checkout = Checkout.of(place)
    checkout.edit("sample_reshape", "targets:", "build: {layers: {scores: float16}}\ntargets:")
    assert checkout.doit().code == 0
    checkout.commit("float16 for the last layer")
