"""The models in the repository: small files, sound data, the networks that the recipes describe."""

from __future__ import annotations

import importlib.util
import json
import struct
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests import warm_toolchains

MODELS = Path(__file__).resolve().parent.parent / "models"
MOBILENET = MODELS / "mobilenet_v1"
SAMPLE = MODELS / "sample_reshape"
DETECTOR = MODELS / "ssd_detector"
MMOE = MODELS / "mmoe"
TWINS = [MODELS / "mobilenet_v1_tflite", MODELS / "mmoe_tflite"]
OURS = [SAMPLE, MOBILENET, DETECTOR, MMOE, *TWINS]

SAMPLE_LAYERS = [
    "Conv2d 3x16 k3",
    "BatchNorm2d",
    "ReLU",
    "Conv2d 16x64 k5",
    "BatchNorm2d",
    "ReLU",
    "Flatten",
    "AdaptiveAvgPool1d",
    "Flatten",
    "Linear 64x10",
]

# Prints each layer, innermost first named, then what the script after it asks for.
LISTING = """
import importlib.util, json, sys
import numpy as np, torch
from torch import nn

spec = importlib.util.spec_from_file_location("net", folder + "/net.py")
net = importlib.util.module_from_spec(spec)
spec.loader.exec_module(net)
network = net.build()

def told(layer):
    name = type(layer).__name__
    if isinstance(layer, nn.Conv2d):
        return f"{name} {layer.in_channels}x{layer.out_channels} k{layer.kernel_size[0]}"
    if isinstance(layer, nn.Linear):
        return f"{name} {layer.in_features}x{layer.out_features}"
    return name

layers = [told(x) for x in network.modules() if not isinstance(x, nn.Sequential)]
told = {"training": network.training, "layers": layers}
"""

DIGEST = """
import hashlib
state = b"".join(x.numpy().tobytes() for x in network.state_dict().values())
told["digest"] = hashlib.sha256(state).hexdigest()
print(json.dumps(told))
"""

ACCURACY = """
from safetensors.torch import load_file
network.load_state_dict(load_file(folder + "/weights.safetensors"))
pixels = torch.from_numpy(np.load(folder + "/data/test_inputs.npy")).float()
labels = torch.from_numpy(np.load(folder + "/data/test_labels.npy"))
with torch.no_grad():
    told["right"] = int((network((pixels - 128) / 64).argmax(dim=1) == labels).sum())
print(json.dumps(told))
"""


def told(folder: Path, script: str) -> dict[str, object]:
    """What a network of the repository says of itself in the torch toolchain."""
    where = f"folder = {str(folder)!r}\n"
    printed = warm_toolchains.run("torch", where + LISTING + script, folder)
    result: dict[str, object] = json.loads(printed)
    return result


@pytest.mark.parametrize("folder", OURS, ids=lambda folder: folder.name)
def test_recipe_names_the_schema_first(folder: Path) -> None:
    first = (folder / "recipe.yaml").read_text(encoding="utf-8").splitlines()[0]
    assert first == "# yaml-language-server: $schema=../recipe.schema.json"


@pytest.mark.parametrize("folder", OURS, ids=lambda folder: folder.name)
def test_files_for_git_are_small(folder: Path) -> None:
    files = [x for x in folder.rglob("*") if x.is_file() and "build" not in x.parts]
    large = {x.name: x.stat().st_size for x in files if x.stat().st_size >= 1_000_000}
    assert large == {}


def test_sample_reshape_has_eight_different_pictures() -> None:
    pictures = [Image.open(x) for x in sorted((SAMPLE / "data" / "images").glob("*.png"))]
    assert [(x.mode, x.size) for x in pictures] == [("RGB", (64, 64))] * 8
    assert len({x.tobytes() for x in pictures}) == 8


def test_ssd_detector_has_four_different_pictures() -> None:
    pictures = [Image.open(x) for x in sorted((DETECTOR / "data" / "images").glob("*.png"))]
    assert [(x.mode, x.size) for x in pictures] == [("RGB", (80, 80))] * 4
    assert len({x.tobytes() for x in pictures}) == 4


@pytest.mark.parametrize(("file", "count"), [("calibration", 100), ("test_inputs", 360)])
def test_digits_are_pixels_with_contrast(file: str, count: int) -> None:
    pixels = np.load(MOBILENET / "data" / f"{file}.npy")
    assert (pixels.shape, pixels.dtype) == ((count, 1, 32, 32), np.uint8)
    assert pixels.min() == 0
    assert pixels.max() == 255
    assert pixels.reshape(count, -1).std(axis=1).min() > 30  # no blank picture


def test_labels_cover_the_ten_digits_evenly() -> None:
    labels = np.load(MOBILENET / "data" / "test_labels.npy")
    assert (labels.shape, labels.dtype) == ((360,), np.int64)
    counts = np.bincount(labels)
    assert len(counts) == 10
    assert counts.min() >= 30


def test_no_test_picture_is_a_calibration_picture() -> None:
    test, calibration = (
        {x.tobytes() for x in np.load(MOBILENET / "data" / f"{file}.npy")}
        for file in ("test_inputs", "calibration")
    )
    assert not test & calibration


def test_mobilenet_weights_are_those_of_width_a_quarter() -> None:
    """Read as the safetensors format is defined: u64 header length, JSON header, data."""
    data = (MOBILENET / "weights.safetensors").read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    shapes = {name: x["shape"] for name, x in header.items() if name.endswith("conv.weight")}
    assert len(shapes) == 1 + 2 * 13
    assert shapes["conv.conv.weight"] == [8, 1, 3, 3]
    assert shapes["depthwise12.conv.weight"] == [128, 1, 3, 3]
    assert shapes["pointwise13.conv.weight"] == [256, 256, 1, 1]
    assert header["linear.weight"] == header["linear.weight"] | {"dtype": "F32", "shape": [10, 256]}


def test_visits_are_what_the_script_draws() -> None:
    specification = importlib.util.spec_from_file_location("make_data", MMOE / "make_data.py")
    assert specification is not None
    assert specification.loader is not None
    script: Any = importlib.util.module_from_spec(specification)
    sys.modules["make_data"] = script  # dataclasses look their module up
    specification.loader.exec_module(script)
    known, unknown = script.training(), script.test()
    drawn = {
        "calibration_user": known.user[:200],
        "calibration_item": known.item[:200],
        "test_user": unknown.user,
        "test_item": unknown.item,
        "test_task1": unknown.clicked,
        "test_task2": unknown.bought,
    }
    assert {path.stem for path in (MMOE / "data").iterdir()} == set(drawn)
    for name, array in drawn.items():
        stored = np.load(MMOE / "data" / f"{name}.npy")
        assert stored.dtype == array.dtype
        np.testing.assert_array_equal(stored, array)


def test_visits_ask_two_balanced_and_different_questions() -> None:
    labels = [np.load(MMOE / "data" / f"test_task{number}.npy") for number in (1, 2)]
    assert [(x.shape, x.dtype) for x in labels] == [((2000,), np.int64)] * 2
    assert all(0.45 < x.mean() < 0.55 for x in labels)
    assert 0.2 < (labels[0] != labels[1]).mean() < 0.5
    item = np.load(MMOE / "data" / "test_item.npy")
    assert [(int(x.min()), int(x.max())) for x in item.T] == [(0, 159), (160, 175), (176, 183)]


def test_each_training_has_weights_of_its_own() -> None:
    for folder in (MOBILENET, MMOE):
        files = [folder / "weights.safetensors", *sorted((folder / "seeds").iterdir())]
        assert [file.stem for file in files] == ["weights", "1", "2"]
        contents = [file.read_bytes() for file in files]
        assert len(set(contents)) == 3
        assert len({len(content) for content in contents}) == 1


@pytest.mark.toolchain
def test_sample_reshape_is_the_described_network() -> None:
    assert told(SAMPLE, DIGEST) == {
        "training": False,
        "layers": SAMPLE_LAYERS,
        # The weights of every machine: tried with torch's plain, AVX2 and AVX-512 kernels.
        "digest": "aefe79855a048dc98581c347f737bb81a219e5a80050eac0a62fa8ce254edf77",
    }


@pytest.mark.toolchain
def test_mobilenet_reaches_its_accuracy() -> None:
    result = told(MOBILENET, ACCURACY)
    layers = result["layers"]
    assert isinstance(layers, list)
    assert [x.split()[0] for x in layers[-3:]] == ["AdaptiveAvgPool2d", "Flatten", "Linear"]
    assert [x.split()[0] for x in layers[:-3]] == ["Conv2d", "BatchNorm2d", "ReLU"] * 27
    assert result["training"] is False
    assert abs(int(str(result["right"])) - 351) <= 1  # float sums differ between processors
