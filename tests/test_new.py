"""./doit new: what recipes it writes of which files, and what it refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import yaml
from PIL import Image

from benchmarks.operator_cases import network
from pipelines.backends.rknn.recipe import vendor
from pipelines.recipe.new import vendor_config
from tests import warm_toolchains
from tests.small_models import conv_net, npy, samples
from tests.workspace import Ran, Workspace

pytestmark = pytest.mark.toolchain  # each file is looked at in its toolchain


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return Workspace(tmp_path_factory.mktemp("new"))


def new(workspace: Workspace, name: str, file: Path | str, *options: str) -> Ran:
    return workspace.doit("new", name, str(file), "--no-build", *options)


def written(workspace: Workspace, name: str) -> tuple[str, dict[str, Any]]:
    text = (workspace.root / "models" / name / "recipe.yaml").read_text()
    return text, yaml.safe_load(text)


def pictures(folder: Path, count: int = 3) -> Path:
    folder.mkdir(parents=True)
    for number in range(count):
        Image.new("RGB", (20, 30), (number, 5, 9)).save(folder / f"{number}.png")
    return folder


def test_an_onnx_file_with_pictures_beside_it(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "net.onnx").write_bytes(conv_net(("batch", 3, 16, 16)))
    pictures(tmp_path / "photos")
    pictures(tmp_path / "zebras", 9)
    ran = new(workspace, "pictures", tmp_path / "net.onnx")
    assert ran.code == 0, ran.err
    text, recipe = written(workspace, "pictures")
    assert recipe["source"] == {"onnx": "net.onnx"}
    assert recipe["inputs"]["input"] == {
        "shape": [1, 3, 16, 16],
        "mean": 0,
        "std": 255,
        "color": "rgb",
        "resize": "stretch",
    }
    assert recipe["quantize"] == {"calibration": {"images": "data"}}
    assert recipe["targets"] == {"rk3588": {}}
    assert "which leaves the batch open: 1" in text
    assert text.count("GUESS:") == ran.out.count("GUESS:") == 3
    folder = workspace.root / "models/pictures"
    assert (folder / "net.onnx").read_bytes() == (tmp_path / "net.onnx").read_bytes()
    assert sorted(file.name for file in (folder / "data").iterdir()) == ["0.png", "1.png", "2.png"]
    assert max(map(len, ran.out.splitlines())) <= 80


def test_operators_that_the_npu_lacks_are_named(workspace: Workspace, tmp_path: Path) -> None:
    """By what was measured (docs/operators.md); nothing is said of those that it has."""
    file = tmp_path / "grid.onnx"
    file.write_bytes(network("GridSample").SerializeToString())
    np.save(tmp_path / "x.npy", np.zeros((2, 8, 16, 16), np.float32))
    ran = new(workspace, "grid", file, "--data", str(tmp_path / "x.npy"))
    assert ran.code == 0, ran.err
    told = "GridSample runs on the CPU on every platform"
    assert told in ran.out
    text, _ = written(workspace, "grid")
    assert f"# {told}" in text
    assert "Conv runs" not in ran.out


def test_the_recipe_is_never_overwritten(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "net.onnx").write_bytes(conv_net())
    assert new(workspace, "once", tmp_path / "net.onnx").code == 0
    place = workspace.root / "models/once/recipe.yaml"
    place.write_text(place.read_text() + "# mine\n")
    before = place.read_bytes()
    ran = new(workspace, "once", tmp_path / "net.onnx")
    assert ran.code == 3
    assert "models/once/recipe.yaml is there already" in ran.err
    assert place.read_bytes() == before


def test_a_network_in_its_models_folder_is_not_copied(workspace: Workspace) -> None:
    folder = workspace.root / "models/there"
    folder.mkdir()
    (folder / "net.onnx").write_bytes(conv_net())
    assert new(workspace, "there", folder / "net.onnx").code == 0
    assert sorted(file.name for file in folder.iterdir()) == ["net.onnx", "recipe.yaml"]


def test_without_data_it_is_float16_and_says_so(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "net.onnx").write_bytes(conv_net())
    ran = new(workspace, "alone", tmp_path / "net.onnx", "--platform", "rk3566")
    text, recipe = written(workspace, "alone")
    assert recipe["quantize"] == {"dtype": "float16"}
    assert recipe["targets"] == {"rk3566": {}}
    assert "MISSING: data to calibrate on" in text
    assert "MISSING: data to calibrate on" in ran.out


def test_samples_that_are_no_pixels_leave_out_mean_and_std(
    workspace: Workspace, tmp_path: Path
) -> None:
    """Guessed ones would scale twice what is scaled already."""
    (tmp_path / "net.onnx").write_bytes(conv_net())
    (tmp_path / "pixels.npy").write_bytes(samples())
    assert new(workspace, "pixels", tmp_path / "net.onnx").code == 0
    assert written(workspace, "pixels")[1]["inputs"]["input"]["std"] == 255
    (tmp_path / "pixels.npy").write_bytes(npy(np.linspace(-1, 1, 3072).reshape(4, 3, 16, 16)))
    assert new(workspace, "scaled", tmp_path / "net.onnx").code == 0
    text, recipe = written(workspace, "scaled")
    assert recipe["quantize"]["calibration"] == {"npy": "data/pixels.npy"}
    assert recipe["inputs"]["input"].keys().isdisjoint({"mean", "std"})
    assert "pixels.npy holds -1 to 1, no pixels" in text


LARGEST = np.array(255, np.float32)


def test_a_network_that_scales_itself_gets_no_mean(workspace: Workspace, tmp_path: Path) -> None:
    model = onnx.load_model_from_string(conv_net())
    model.graph.initializer.append(onnx.numpy_helper.from_array(LARGEST, "largest"))
    model.graph.node.insert(0, onnx.helper.make_node("Div", ["input", "largest"], ["scaled"]))
    model.graph.node[1].input[0] = "scaled"
    onnx.save(model, tmp_path / "net.onnx")
    assert new(workspace, "itself", tmp_path / "net.onnx").code == 0
    text, recipe = written(workspace, "itself")
    assert recipe["inputs"]["input"].keys().isdisjoint({"mean", "std"})
    assert "the network begins with Div by constants" in text


def test_what_ultralytics_wrote_into_its_file_is_no_guess(
    workspace: Workspace, tmp_path: Path
) -> None:
    model = onnx.load_model_from_string(conv_net((1, 3, "height", "width")))
    told = {"author": "Ultralytics", "stride": "32", "task": "detect", "names": "{0: 'x'}"}
    for key, value in {**told, "imgsz": "[32, 64]"}.items():
        model.metadata_props.add(key=key, value=value)
    onnx.save(model, tmp_path / "net.onnx")
    assert new(workspace, "ultralytics", tmp_path / "net.onnx").code == 0
    text, recipe = written(workspace, "ultralytics")
    assert "GUESS" not in text
    assert recipe["inputs"]["input"] == {
        "shape": [1, 3, 32, 64],
        "mean": [0],
        "std": [255],
        "color": "rgb",
        "resize": "letterbox",
    }


def test_an_open_length_is_asked_for(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "net.onnx").write_bytes(conv_net((1, 3, "height", "width")))
    ran = new(workspace, "open", tmp_path / "net.onnx")
    assert ran.code == 3
    assert "lengths open that an NPU must know: input [1, 3, ?, ?]" in ran.err
    assert "--shape NAME=1,3,HEIGHT,WIDTH" in ran.err
    assert not (workspace.root / "models/open").exists()
    assert new(workspace, "open", tmp_path / "net.onnx", "--shape", "1,3,24,32").code == 0
    text, recipe = written(workspace, "open")
    assert recipe["inputs"]["input"]["shape"] == [1, 3, 24, 32]
    assert "as you gave it; the file has [1, 3, ?, ?]" in text


CONFIG = """\
models:
    name: net
    platform: onnx
    model_file_path: ./net.onnx
    quantize: true
    dataset: ./dataset.txt
    subgraphs:
        input_size_list:
            - 3,16,16
        outputs: [scores]
    configs:
        quantized_dtype: asymmetric_quantized-8
        mean_values: [123.675, 116.28, 103.53]
        std_values: [58.395, 57.12, 57.375]
        quant_img_RGB2BGR: 'true'
        quantized_algorithm: mmse
        optimization_level: 2
"""


def test_the_vendors_config(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "net.onnx").write_bytes(conv_net(("batch", 3, 16, 16)))
    pictures(tmp_path / "images")
    (tmp_path / "dataset.txt").write_text("images/0.png\nimages/2.png\n")
    (tmp_path / "model_config.yml").write_text(CONFIG)
    ran = new(workspace, "vendors", tmp_path / "model_config.yml")
    assert ran.code == 0, ran.err
    text, recipe = written(workspace, "vendors")
    assert "# input_size_list of model_config.yml; the file has [?, 3, 16, 16]" in text
    assert recipe["inputs"]["input"] == {
        "shape": [1, 3, 16, 16],
        "mean": [123.675, 116.28, 103.53],
        "std": [58.395, 57.12, 57.375],
        "color": "bgr",
        "resize": "stretch",
    }
    assert recipe["outputs"] == ["scores"]
    assert recipe["quantize"] == {
        "algorithm": "mmse",
        "rknn": {"optimization_level": 2},
        "calibration": {"list": "dataset.txt"},
    }
    listed = (workspace.root / "models/vendors/dataset.txt").read_text()
    assert listed == "data/000_0.png\ndata/001_2.png\n"


def test_a_list_and_the_one_network_beside_it(workspace: Workspace, tmp_path: Path) -> None:
    pictures(tmp_path / "images")
    (tmp_path / "dataset.txt").write_text("images/0.png\n")
    ran = new(workspace, "listed", tmp_path / "dataset.txt")
    assert (ran.code, "stands beside 0 networks (none)" in ran.err) == (3, True)
    (tmp_path / "net.onnx").write_bytes(conv_net())
    assert new(workspace, "listed", tmp_path / "dataset.txt").code == 0
    assert written(workspace, "listed")[1]["quantize"]["calibration"] == {"list": "dataset.txt"}


NET = """\
import torch
from layers import Head

def build():
    torch.manual_seed(0)
    body = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3, 2), torch.nn.ReLU())
    return torch.nn.Sequential(body, torch.nn.Flatten(), Head({features}))
"""
HEAD = """\
import torch

def Head(features):
    return torch.nn.Linear(features, 5)
"""


def test_a_torch_network_is_run_to_find_its_size(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(NET.format(features=4 * 23 * 23))
    (tmp_path / "layers.py").write_text(HEAD)
    ran = new(workspace, "sized", f"{tmp_path}/net.py:build")
    assert ran.code == 0, ran.err
    text, recipe = written(workspace, "sized")
    assert recipe["source"] == {"torch": "net.py:build", "dependencies": ["layers.py"]}
    assert recipe["inputs"]["input"]["shape"] == [1, 3, 48, 48]
    assert "of 10 sizes tried, the only one it runs on" in text
    (tmp_path / "net.py").write_text(NET.format(features=7))
    ran = new(workspace, "none", f"{tmp_path}/net.py:build")
    assert ran.code == 1
    assert "runs on no square picture of 224, 320" in ran.err
    assert not (workspace.root / "models/none").exists()


TORCHSCRIPT = """
import torch
network = torch.nn.Sequential(torch.nn.Conv2d(1, 4, 3), torch.nn.AdaptiveAvgPool2d(1))
torch.jit.trace(network, torch.zeros(1, 1, 9, 9)).save("net.pt")
torch.save(network.state_dict(), "weights.pt")
"""
KERAS = """
import tensorflow as tf
layers = tf.keras.layers
x = tf.keras.Input((16, 24, 3), name="photo")
net = tf.keras.Model(x, layers.Conv2D(4, 3)(layers.Rescaling(1 / 255)(x)))
net.save("net.keras")
net.save("net.h5")
net.export("saved")
"""


def test_torchscript(workspace: Workspace, tmp_path: Path) -> None:
    warm_toolchains.run("torch", TORCHSCRIPT, tmp_path)
    ran = new(workspace, "script", tmp_path / "net.pt")
    assert ran.code == 0, ran.err
    text, recipe = written(workspace, "script")
    assert recipe["inputs"]["input"]["shape"] == [1, 1, 224, 224]
    assert recipe["inputs"]["input"]["color"] == "gray"
    assert "GUESS: it runs on 320, 256" in text
    ran = new(workspace, "weights", tmp_path / "weights.pt")
    assert (ran.code, "a checkpoint of torch.save" in ran.err) == (3, True)


def test_keras_and_saved_models(workspace: Workspace, tmp_path: Path) -> None:
    warm_toolchains.run("tensorflow", KERAS, tmp_path)
    for name, file in (("keras", "net.keras"), ("h5", "net.h5"), ("saved", "saved")):
        ran = new(workspace, name, tmp_path / file)
        assert ran.code == 0, ran.err
        text, recipe = written(workspace, name)
        assert recipe["inputs"]["photo"]["shape"] == [1, 3, 16, 24], name
        is_told = "the network has a layer Rescaling" in text
        assert is_told == (name != "saved")
        assert is_told != ("std" in recipe["inputs"]["photo"])


WRONG = {
    "no such file": ("m", "none.onnx", "no file none.onnx"),
    "not a network": ("m", "dodo.py", "dodo.py names no function"),
    "a folder": ("m", "models", "models is a folder, and no SavedModel"),
    "a command's name": ("why", "none.onnx", "`why` is a command"),
    "no name": ("My_Net", "none.onnx", "`My_Net` can't be the name of a model"),
}


@pytest.mark.parametrize(("name", "file", "told"), WRONG.values(), ids=WRONG)
def test_wrong_words(workspace: Workspace, name: str, file: str, told: str) -> None:
    ran = new(workspace, name, file)
    assert ran.code == 3
    assert told in ran.err
    assert "Traceback" not in ran.err


def test_a_damaged_network_leaves_nothing(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "net.onnx").write_bytes(conv_net()[:-40])
    ran = new(workspace, "damaged", tmp_path / "net.onnx")
    assert ran.code == 1
    assert "`net.onnx` is no ONNX file, or is cut short or damaged" in ran.err
    assert not (workspace.root / "models/damaged").exists()


@pytest.mark.parametrize(
    ("old", "new_", "told"),
    [
        ("platform: onnx", "platform: caffe", "no way from `platform: caffe`"),
        ("./net.onnx", "./other.onnx", "model_file_path: no file ./other.onnx"),
        ("optimization_level", "sparse_magic", "configs has `sparse_magic`"),
        ("models:", "model:", "has no mapping `models`"),
    ],
)
def test_a_vendors_config_that_no_recipe_can_say(
    tmp_path: Path, old: str, new_: str, told: str
) -> None:
    from quant.fault import Fault

    (tmp_path / "net.onnx").write_bytes(b"")
    (tmp_path / "c.yml").write_text(CONFIG.replace(old, new_))
    known = {name: option.default for name, option in vendor.CONFIG.items()}
    with pytest.raises(Fault, match=told):
        vendor_config.read(tmp_path / "c.yml", "c.yml", known)


@pytest.mark.parametrize(
    ("told", "means", "stds"),
    [
        ("123.7 116.3 103.5 58.4", [[123.7, 116.3, 103.5]], [[58.4, 58.4, 58.4]]),
        ("0 255", [[0]], [[255]]),
        ("-1 -1", None, None),
    ],
)
def test_the_older_way_to_scale_pixels(
    tmp_path: Path, told: str, means: object, stds: object
) -> None:
    (tmp_path / "net.onnx").write_bytes(b"")
    lines = ["models:", "  platform: onnx", "  model_file_path: ./net.onnx", "  configs:"]
    text = "\n".join([*lines, f"    channel_mean_value: '{told}'", ""])
    (tmp_path / "c.yml").write_text(text)
    read = vendor_config.read(tmp_path / "c.yml", "c.yml", {})
    assert (read.means, read.stds) == (means, stds)
