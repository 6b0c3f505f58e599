"""The examples of docs/data.md, as they stand there."""

from __future__ import annotations

import re
import subprocess
import sys
import wave
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.conftest import ROOT
from tests.graph_builder import Builder
from tests.workspace import Workspace

TEXT = (ROOT / "docs" / "data.md").read_text()
RANDOM = np.random.default_rng(0)


def blocks(heading: str) -> tuple[str, str]:
    """The program and the recipe below a heading."""
    section = TEXT.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    program, recipe = (
        re.search(rf"```{language}\n(.*?)```", section, re.DOTALL)
        for language in ("python", "yaml")
    )
    assert program and recipe
    return program[1], recipe[1]


def sound_net() -> onnx.ModelProto:
    b = Builder(0)
    x = b.op("Relu", b.op("Conv", "mel", b.weight(8, 1, 5, 5), strides=[2, 2]))
    y = b.op("Flatten", b.op("GlobalAveragePool", x))
    b.nodes.append(helper.make_node("Gemm", [y, b.weight(8, 4)], ["words"], "words"))
    return b.model({"mel": (1, 1, 40, 98)}, ["words"], 13)


def text_net() -> onnx.ModelProto:
    nodes = [
        helper.make_node("Gather", ["table", "ids"], ["e"]),
        helper.make_node("Unsqueeze", ["mask", "axes"], ["m"]),
        helper.make_node("Mul", ["e", "m"], ["kept"]),
        helper.make_node("ReduceMean", ["kept"], ["mean"], axes=[1], keepdims=0),
        helper.make_node("Gemm", ["mean", "w"], ["topic"]),
    ]
    inputs = [
        helper.make_tensor_value_info("ids", TensorProto.INT64, [1, 16]),
        helper.make_tensor_value_info("mask", TensorProto.FLOAT, [1, 16]),
    ]
    output = helper.make_tensor_value_info("topic", TensorProto.FLOAT, [1, 3])
    weights = {
        "table": RANDOM.normal(size=(5, 8)).astype(np.float32),
        "w": RANDOM.normal(size=(8, 3)).astype(np.float32),
        "axes": np.array([2]),
    }
    constants = [numpy_helper.from_array(array, name) for name, array in weights.items()]
    graph = helper.make_graph(nodes, "net", inputs, [output], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


def write_clips(folder: Path) -> None:
    (folder / "clips").mkdir()
    for number, hertz in enumerate((440, 3000)):
        tone = np.sin(2 * np.pi * hertz * np.arange(16000) / 16000) * 20000
        with wave.open(str(folder / "clips" / f"{number}.wav"), "wb") as clip:
            clip.setnchannels(1)
            clip.setsampwidth(2)
            clip.setframerate(16000)
            clip.writeframes(tone.astype("<i2").tobytes())


def write_texts(folder: Path) -> None:
    (folder / "vocabulary.txt").write_text("<pad>\nturn\nthe\nlight\non\n")
    (folder / "texts.txt").write_text("Turn the light on\nthe radio on\n")


def run_program(program: str, folder: Path) -> None:
    (folder / "program.py").write_text(program)
    subprocess.run([sys.executable, "program.py"], cwd=folder, check=True)


def test_sound_shows_its_tone(tmp_path: Path) -> None:
    write_clips(tmp_path)
    run_program(blocks("Sound")[0], tmp_path)
    mel = np.load(tmp_path / "mel.npy")
    assert (mel.dtype.name, mel.shape) == ("float32", (2, 1, 40, 98))
    low, high = mel.mean(axis=(1, 3)).argmax(axis=1)
    # 2595 log10(1 + f / 700): 440 Hz is 549.6 mel, 3,000 Hz 1,876.5, of 31.7 to 2,840 in 41 steps.
    assert (low, high) == (7, 26)


def test_text_is_ids_and_a_mask(tmp_path: Path) -> None:
    write_texts(tmp_path)
    run_program(blocks("Text")[0], tmp_path)
    ids, mask = np.load(tmp_path / "ids.npy"), np.load(tmp_path / "mask.npy")
    assert ids.tolist() == [[1, 2, 3, 4] + [0] * 12, [2, 4] + [0] * 14]
    assert mask.tolist() == [[1] * 4 + [0] * 12, [1] * 2 + [0] * 14]


@pytest.mark.toolchain
def test_both_are_built(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    for name, heading, network in (
        ("sound", "Sound", sound_net()),
        ("text", "Text", text_net()),
    ):
        program, recipe = blocks(heading)
        folder = workspace.root / "models" / name
        folder.mkdir(parents=True)
        (write_clips if name == "sound" else write_texts)(folder)
        run_program(program, folder)
        (folder / "net.onnx").write_bytes(network.SerializeToString())
        (folder / "recipe.yaml").write_text(f"model: {name}\n{recipe}")
    ran = workspace.doit("*:build@*")
    assert ran.code == 0, ran.err
    for name in ("sound", "text"):
        assert (workspace.root / f"models/{name}/build/rk3588/model.rknn").is_file()
