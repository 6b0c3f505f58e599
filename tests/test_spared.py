"""What is left out of the SDK's work changes no file of any stage, in each toolchain.

Nor does it that analyze goes on in the process of build.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.small_models import conv_net, recipe, samples
from tests.test_sources import make_files
from tests.tflite_builder import Network, options
from tests.vacuous import some
from tests.workspace import Workspace

pytestmark = pytest.mark.toolchain

WAYS: dict[str, dict[str, Any]] = {
    "normal": {},
    "kl": {"quantize": {"algorithm": "kl_divergence"}},
    "layer": {"quantize": {"method": "layer"}},
    "hybrid": {"build": {"layers": {"r1": "float16"}}},
}
TARGETS = {
    f"{way}{suffix}": {"platform": "rk3588", "toolchain": f"rknn-{version}", **changes}
    for suffix, version in (("", "2.5.0"), ("-old", "2.3.2"))
    for way, changes in WAYS.items()
}
# What is spared must not be done after all: a setting of the SDK's that is not known here hides it.
SPARED = (
    (
        "backends/rknn/sdk/spared.py",
        "return dump(yaml, data, stream, **named)",
        'raise AssertionError("ruamel writes")',
    ),
    ("backends/rknn/sdk/spared.py", "made = infer(", 'print("without weights"); made = infer('),
    ("backends/rknn/sdk/instead/quicker.py", "    low, high", '    print("by rows"); low, high'),
    (
        "backends/rknn/sdk/instead/quicker.py",
        "            held.con",
        '            print("by shape"); held.con',
    ),
)
NOT_SPARED = (
    ("backends/rknn/sdk/instead/replaced.py", 'COMPARED = ("2.3.2", "2.5.0")', "COMPARED = ()"),
    ("run/jobs/memory.py", "if _MALLOPT is not None:", "if False:"),
    ("backends/rknn/steps.py", "is_kept=True", "is_kept=False"),
)


def direct(source: dict[str, str], toolchain: str, name: str, shape: list[int]) -> dict[str, Any]:
    target = {"platform": "rk3588", "toolchain": toolchain, "rknn": {"load": "direct"}}
    inputs = {name: {"shape": shape, "mean": 127, "std": 128}}
    return recipe(source=source, inputs=inputs, targets={"rk3588": target})


def lite() -> bytes:
    network = Network()
    weights = network.weights(8, 3, 3, 3)
    bias = network.constant([0.1] * 8, "float32", name="bias")  # the SDK knows tensors by name
    given = options("Conv2D", strideH=1, strideW=1, dilationHFactor=1, dilationWFactor=1)
    image = network.input(1, 16, 16, 3)
    return network.pack(network.op("CONV_2D", image, weights, bias, given=given))


def built(root: Path, torch_files: Path, *, is_spared: bool) -> dict[str, str]:
    """Path -> MD5 of every output of every step."""
    root.mkdir()
    workspace = Workspace(root)
    for file, old, new in SPARED if is_spared else NOT_SPARED:
        code = root / "pipelines" / file
        text = code.read_text()
        assert old in text
        code.write_text(text.replace(old, new))
    data = samples()
    net = conv_net(width=64)  # 147 kB in one weight: shape inference goes without
    workspace.add("net", recipe(targets=TARGETS), net__onnx=net, samples__npy=data)
    script = direct({"torchscript": "net.pt"}, "rknn-2.5.0-torch", "image", [1, 3, 8, 8])
    pixels = samples(4, (3, 8, 8))
    workspace.add("script", script, net__pt=torch_files / "View_traced.pt", samples__npy=pixels)
    tflite = direct({"tflite": "net.tflite"}, "rknn-2.5.0-tensorflow", "x", [1, 16, 16, 3])
    pixels = samples(4, (16, 16, 3))
    workspace.add("lite", tflite, net__tflite=lite(), samples__npy=pixels)
    ran = workspace.doit("-n", "2")
    assert ran.code == 0, ran.err
    logs = [log.read_text() for log in root.glob(".npumake/logs/*/analyze-*.log")]
    assert len(logs) == len(TARGETS) + 2
    assert {"as build has compiled it" in log for log in logs} == {is_spared}
    logs = [log.read_text() for log in root.glob(".npumake/logs/net/build-*.log")]
    assert {"without weights" in log for log in some(logs)} == {is_spared}
    logs = [log.read_text() for log in root.glob(".npumake/logs/net/quantize-*.log")]
    assert any("by rows" in log for log in some(logs)) == is_spared
    assert any("by shape" in log for log in some(logs)) == is_spared
    stages = [
        stage
        for lock in root.glob("models/*/dvc.lock")
        for stage in yaml.safe_load(lock.read_text())["stages"].values()
    ]
    return {out["path"]: out["md5"] for stage in stages for out in stage["outs"]}


def test_the_same_files(tmp_path: Path) -> None:
    folder = tmp_path / "torch"
    folder.mkdir()
    files = make_files("torch", "torch_files", folder)
    found = built(tmp_path / "a", files, is_spared=True)
    expected = built(tmp_path / "b", files, is_spared=False)
    assert len(expected) > 8 * len(TARGETS)
    assert found == expected
