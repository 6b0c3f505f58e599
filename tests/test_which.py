"""./doit which: the model, commit and release of a built file, on the SDK's own."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from pipelines.release.versions import versions
from tests.checkout import Checkout
from tests.small_models import conv_net, recipe, samples

pytestmark = pytest.mark.toolchain


def test_which(tmp_path: Path) -> None:
    owner = Checkout(tmp_path / "owner")
    owner.add("net", recipe(), net__onnx=conv_net(), samples__npy=samples())
    owner.commit("recipe")
    ran = owner.doit("net:build@*")
    assert ran.code == 0, ran.err
    first = tmp_path / "first.rknn"
    shutil.copyfile(owner.built("net", "rk3588/model.rknn"), first)
    digest = json.loads(owner.built("net", "rk3588/build.json").read_text())["origin"]["digest"]
    ran = owner.doit("which", str(first))
    assert (ran.code, ran.out) == (
        0,
        f"{first}: {digest}\n"
        "net@rk3588\n"
        "  here      as the present dvc.lock has it\n"
        "  revision  none yet: not committed\n",
    )
    owner.commit("build")
    commit = owner.git("rev-parse", "HEAD")[:12]
    for tag in ("net@v1.0.0", "net/rk3588@v0.9.0", "net#prod#1", "other@v1.0.0"):
        owner.git("tag", "-a", tag, "-m", tag)
    assert [(one.tag, one.stages) for one in versions(owner.root)] == [
        ("net@v1.0.0", ("prod",)),
        ("net/rk3588@v0.9.0", ()),
        ("other@v1.0.0", ()),
    ]
    owner.edit("net", "samples: 4", "samples: 3")
    ran = owner.doit("net:build@*")
    assert ran.code == 0, ran.err
    owner.commit("another")
    told = owner.doit("which", digest[:8]).out.splitlines()
    assert told[1:] == [
        "net@rk3588",
        *(line for line in told if line.startswith("  revision")),
        "  release   net@v1.0.0 (prod)",
        "  release   net/rk3588@v0.9.0",
    ]
    assert told[2].startswith(f"  revision  {commit} ") and told[2].endswith(" build")
    damaged = tmp_path / "damaged.rknn"
    damaged.write_bytes(first.read_bytes().replace(digest.encode(), b"0" * 63 + b"1"))
    ran = owner.doit("which", str(damaged))
    assert (ran.code, "no build that this repository tells of" in ran.err) == (1, True)
    ran = owner.doit("which", "nothing")
    assert (ran.code, "`nothing` is no file, and no digest" in ran.err) == (3, True)
