"""Bad inputs: a clear error, or a right result; never a traceback, never a wrong success."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper
from PIL import Image

from tests.small_models import SHAPE, conv_net, model_bytes, recipe, samples
from tests.workspace import Workspace

pytestmark = pytest.mark.toolchain

GOOD = conv_net()
IMAGES = {"calibration": {"images": "images", "samples": 2}}
IMAGE_INPUT = {"input": {"shape": list(SHAPE), "mean": [127] * 3, "std": [128] * 3, "color": "rgb"}}


def picture(mode: str = "RGB", side: int = 16) -> bytes:
    stream = io.BytesIO()
    channels = {"RGB": 3, "L": 1}[mode]
    random = np.random.default_rng(0).integers(0, 256, (side, side, channels), np.uint8)
    Image.fromarray(random.squeeze(), mode).save(stream, "PNG")
    return stream.getvalue()


def with_images(*pictures: bytes) -> Callable[[Path], None]:
    def add(folder: Path) -> None:
        (folder / "images").mkdir()
        for i, data in enumerate(pictures):
            (folder / "images" / f"{i} of them.png").write_bytes(data)

    return add


def with_file(name: str, data: bytes) -> Callable[[Path], None]:
    def add(folder: Path) -> None:
        (folder / name).write_bytes(data)

    return add


def nothing(folder: Path) -> None:
    """The model's folder as it is."""


def opset_20() -> bytes:
    model = onnx.load_from_string(conv_net(opset=19))
    model.opset_import[0].version = 20
    return bytes(model.SerializeToString())


def opset_20_dft() -> bytes:
    """DFT takes its axis as an input since opset 20, and has no function body."""
    nodes = [
        helper.make_node("Conv", ["input", "w"], ["c"], "conv"),
        helper.make_node("Reshape", ["c", "signal"], ["s"], "reshape"),
        helper.make_node("DFT", ["s", "", "axis"], ["scores"], "dft"),
    ]
    weights: dict[str, Any] = {
        "w": np.ones((4, 3, 1, 1), np.float32),
        "signal": np.array([1, 4, 256, 1], np.int64),
        "axis": np.array(2, np.int64),
    }
    return model_bytes(nodes, weights, {"input": SHAPE}, {"scores": (1, 4, 256, 2)}, opset=20)


# name -> (recipe, net.onnx, what is added to the folder, lines of the error; none: it must work)
CASES: dict[str, tuple[dict[str, Any], bytes | None, Callable[[Path], None], list[str]]] = {
    "good": (recipe(), GOOD, nothing, []),
    "missing ONNX": (
        recipe(source={"onnx": "ner.onnx"}),
        GOOD,
        nothing,
        ["models/m/recipe.yaml:3:", "ner.onnx", "`net.onnx`"],
    ),
    "corrupt ONNX": (recipe(), b"\x00\xff" * 500, nothing, ["m:export", "net.onnx"]),
    "truncated ONNX": (recipe(), GOOD[: len(GOOD) // 2], nothing, ["m:export", "net.onnx"]),
    "empty ONNX": (recipe(), b"", nothing, ["m:export", "empty"]),
    "opset 20 that fits 19": (recipe(), opset_20(), nothing, []),
    "opset 20 that does not": (recipe(), opset_20_dft(), nothing, ["m:export", "20", "19"]),
    "dynamic shape, fixed by the recipe": (
        recipe(),
        conv_net(shape=("n", 3, "h", "w")),
        nothing,
        [],
    ),
    "dynamic shape, unknown": (
        recipe(inputs=None),
        conv_net(shape=("n", 3, "h", "w")),
        nothing,
        ["m:export", "`input`", "shape"],
    ),
    "unknown option": (
        recipe(quantize={**recipe()["quantize"], "rknn": {"optimisation_level": 3}}),
        GOOD,
        nothing,
        ["recipe.yaml:", "`optimisation_level`", "`optimization_level`"],
    ),
    "bad value of an option": (
        recipe(quantize={**recipe()["quantize"], "rknn": {"optimization_level": 9}}),
        GOOD,
        nothing,
        ["recipe.yaml:", "optimization_level"],
    ),
    "unknown platform": (
        recipe(targets={"rk3558": {}}),
        GOOD,
        nothing,
        ["recipe.yaml:", "`rk3558`", "`rk3588`"],
    ),
    "missing image folder": (
        recipe(quantize=IMAGES, inputs=IMAGE_INPUT),
        GOOD,
        nothing,
        ["recipe.yaml:", "images"],
    ),
    "empty image folder": (
        recipe(quantize=IMAGES, inputs=IMAGE_INPUT),
        GOOD,
        with_images(),
        ["images"],
    ),
    "too few images": (
        recipe(quantize=IMAGES, inputs=IMAGE_INPUT),
        GOOD,
        with_images(picture()),
        ["2", "1"],
    ),
    "names with spaces": (
        recipe(quantize=IMAGES, inputs=IMAGE_INPUT),
        GOOD,
        with_images(picture(), picture()),
        [],
    ),
    "image of the wrong size": (
        recipe(quantize=IMAGES, inputs=IMAGE_INPUT),
        GOOD,
        with_images(picture(), picture(side=20)),
        ["1 of them.png", "20", "16", "letterbox"],
    ),
    "grayscale image": (
        recipe(quantize=IMAGES, inputs=IMAGE_INPUT),
        GOOD,
        with_images(picture(), picture("L")),
        ["1 of them.png", "gray"],
    ),
    "truncated image": (
        recipe(quantize=IMAGES, inputs=IMAGE_INPUT),
        GOOD,
        with_images(picture(), picture()[:300]),
        ["1 of them.png"],
    ),
    "missing image in a list": (
        recipe(quantize={"calibration": {"list": "dataset.txt"}}, inputs=IMAGE_INPUT),
        GOOD,
        with_file("dataset.txt", b"a.png\n"),
        ["dataset.txt:1", "a.png"],
    ),
    "wrong npy shape": (
        recipe(),
        GOOD,
        with_file("samples.npy", samples(4, (3, 8, 16))),
        ["samples.npy", "16"],
    ),
    "NaN weights": (recipe(), conv_net(nan=True), nothing, ["m:export", "w2", "NaN"]),
    "NaN weights in float16": (
        recipe(quantize={"dtype": "float16"}, analyze={"npy": "samples.npy"}),
        conv_net(nan=True),
        nothing,
        ["m:export", "w2", "NaN"],
    ),
    "hybrid layer that does not exist": (
        recipe(build={"layers": {"score": "float16"}}),
        GOOD,
        nothing,
        ["m:build@rk3588", "`score`", "of the layer table: ", " scores,"],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_bad_input(name: str, tmp_path: Path) -> None:
    given, net, add, told = CASES[name]
    workspace = Workspace(tmp_path)
    files = {"samples__npy": samples(), **({"net__onnx": net} if net is not None else {})}
    add(workspace.add("m", given, **files))
    ran = workspace.doit()
    assert "Traceback" not in ran.err
    if told:
        assert ran.code != 0
        for words in told:
            assert words in ran.err, ran.err
        assert not workspace.built("m", "rk3588/model.rknn").exists()
    else:
        assert ran.code == 0, ran.err
        assert workspace.built("m", "rk3588/model.rknn").stat().st_size > 1000


def test_path_with_spaces(tmp_path: Path) -> None:
    root = tmp_path / "a path with spaces, ünïcode"
    root.mkdir()
    workspace = Workspace(root)
    workspace.add("m", recipe(), net__onnx=GOOD, samples__npy=samples())
    ran = workspace.doit()
    assert ran.code == 0, ran.err
