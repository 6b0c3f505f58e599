"""./doit handoff: the sheet says what the runtime says, and its programs tell right from wrong."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

from pipelines.backends.rknn.file.platforms import VERSIONS
from pipelines.backends.rknn.handoff import ends, page, references
from pipelines.backends.rknn.runtime import emulator
from quant.execution.cut_run import CutRun
from quant.execution.run import FloatRun
from tests.conftest import ROOT
from tests.graph_builder import Builder
from tests.small_models import SHAPE, conv_net, recipe, samples
from tests.test_runtime import needs_emulator
from tests.vacuous import some
from tests.workspace import Workspace

KEYS = ("name", "shape", "layout", "dtype", "zero_point", "bytes")
BOARD = ROOT / "tests" / "data" / "board"


@pytest.mark.parametrize(
    ("value", "row", "expected"),
    [
        ([0, 0.5, -64.5, 99], {"dtype": "INT8", "scale": 0.5, "zero_point": 1}, [1, 2, -128, 127]),
        ([0, 3], {"dtype": "INT16", "scale": 0.001, "zero_point": 0}, [0, 3000]),
        ([0.25], {"dtype": "FLOAT16", "scale": None, "zero_point": None}, None),
    ],
)  # fmt: skip
def test_codes(value: list[float], row: dict[str, Any], expected: list[int] | None) -> None:
    found = references.codes(np.array(value, np.float32), row)
    assert (None if found is None else found.tolist()) == expected


def test_a_tolerance_is_twice_what_a_step_moves_and_at_least_one() -> None:
    row = {"dtype": "INT8", "scale": 0.5, "zero_point": 0}
    one, other = np.array([1.0, 2.0]), np.array([2.5, 2.0])
    assert references.tolerance([(one, one), (one, other)], row) == 6
    assert references.tolerance([(one, one)], row) == 1
    assert references.tolerance([(one, one)], {"dtype": "FLOAT16", "scale": None}) == 2 * 2 / 1024


def two_ended() -> onnx.ModelProto:
    """An image and a vector; what follows the layers is for the CPU."""
    b = Builder(0)
    x = b.op("Relu", b.op("Conv", "image", b.weight(8, 3, 3, 3), pads=[1] * 4))
    y = b.op("Gemm", "vector", b.weight(12, 8))
    b.nodes.append(helper.make_node("Sigmoid", [x], ["map"], "sigmoid"))
    b.nodes.append(helper.make_node("Softmax", [y], ["share"], "softmax"))
    return b.model({"image": SHAPE, "vector": (1, 12)}, ["map", "share"], 13)


# Of one network. Platforms that the runtime knows by other numbers, and rk3588.
OTHER_BUILDS = {
    "half": {"platform": "rk3562", "quantize": {"dtype": "float16"}},
    "auto": {"platform": "rk3588", "build": {"auto_hybrid": True}},
    "batch": {"platform": "rk3566", "quantize": {"rknn_batch_size": 2}},
    "shapes": {
        "platform": "rk3588",
        "quantize": {"rknn": {"dynamic_input": [[list(SHAPE)], [[*SHAPE[:2], 8, 8]]]}},
    },
}
NAMES = ("plain@rk3588", *(f"plain@{name}" for name in OTHER_BUILDS), "two@rk3588", "frame@rk3588")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    workspace = Workspace(tmp_path_factory.mktemp("handoff"))
    (ROOT / ".npumake" / "runtime").mkdir(exist_ok=True, parents=True)
    (workspace.root / ".npumake" / "runtime").symlink_to(ROOT / ".npumake" / "runtime")
    given = {"shape": list(SHAPE), "mean": [120, 110, 100], "std": [60, 50, 40], "color": "bgr"}
    plain = recipe(
        inputs={"input": given},
        quantize={
            "calibration": {"npy": "samples.npy", "samples": 4},
            "rknn": {"custom_string": "for the board"},
        },
        targets={"rk3588": {}, **OTHER_BUILDS},
    )
    workspace.add("plain", plain, net__onnx=conv_net(), samples__npy=samples())
    workspace.add(
        "two",
        {
            "source": {"onnx": "net.onnx"},
            "inputs": {
                "image": {"shape": list(SHAPE)},
                "vector": {"shape": [1, 12], "mean": [1.0] * 12, "std": [2.0] * 12},
            },
            "simplify": {"rewrite": ["cut_postprocessing"]},
            "quantize": {"calibration": {"npy": {"image": "image.npy", "vector": "vector.npy"}}},
            "targets": {"rk3588": {}},
        },
        net__onnx=two_ended().SerializeToString(),
        image__npy=samples(2),
        vector__npy=samples(2, [12]),
    )
    workspace.add(
        "frame",
        recipe(
            inputs={"input": {"shape": list(SHAPE), "mean": [1, 2, 3], "color": "rgb"}},
            quantize={
                "calibration": {"npy": "samples.npy", "samples": 2},
                "rknn": {"inputs_yuv_fmt": ["nv21"]},
            },
        ),
        net__onnx=conv_net(),
        samples__npy=samples(),
    )
    ran = workspace.doit("*:build@*")
    assert ran.code == 0, ran.err
    for name in NAMES:
        ran = workspace.doit("handoff", name, "-o", name)
        assert ran.code == 0, ran.err
    return workspace


def _single(scale: float | None) -> Any:
    """The runtime's C prints nine digits of a float32."""
    return None if scale is None else np.float32(scale)


def sheet_of(workspace: Workspace, name: str) -> Any:
    return json.loads((workspace.root / name / "handoff.json").read_text())


@pytest.mark.toolchain
@needs_emulator
@pytest.mark.parametrize("name", NAMES)
def test_inputs_and_outputs_are_the_runtimes(built: Workspace, name: str) -> None:
    told = json.loads(built.doit("runtime", name, "--json").out)
    sheet = sheet_of(built, name)
    assert (told["verdict"], told["differences"]) == ("runs", [])
    given = OTHER_BUILDS.get(name.partition("@")[2], {"platform": "rk3588"})
    assert told["platform"] == given["platform"]
    for side in ("inputs", "outputs"):
        for row, theirs in some(zip(sheet[side], told[side], strict=True)):
            assert {key: row[key] for key in KEYS} == {key: theirs[key] for key in KEYS}
            assert _single(row["scale"]) == _single(theirs["scale"])
    assert sheet["memory"]["internal_bytes"] == told["memory"]["internal_bytes"]
    assert sheet["custom_string"] == told["custom_string"]
    page = (built.root / name / "HANDOFF.md").read_text()
    assert ("rknn_set_input_shapes" in page) == (name == "plain@shapes")


@pytest.mark.toolchain
def test_a_frame_is_given_in_its_two_planes(built: Workspace) -> None:
    luma, chroma = sheet_of(built, "frame@rk3588")["inputs"]
    height, width = SHAPE[2:]
    assert (luma["name"], luma["shape"]) == ("input_y_channel", [1, height, width, 1])
    assert (chroma["name"], chroma["shape"]) == ("input_uv_channel", [1, height // 2, width, 1])
    assert {key: chroma["give"][key] for key in ("dtype", "mean", "color", "frame")} == {
        "dtype": "UINT8",
        "mean": [1, 2, 3],
        "color": None,
        "frame": "nv21",
    }
    assert "V and U in turn" in chroma["give"]["values"]
    references = built.root / "frame@rk3588" / "references" / "0"
    given = [np.load(references / f"input_{number}.npy") for number in (0, 1)]
    assert [(one.dtype, list(one.shape)) for one in given] == [
        (np.uint8, luma["shape"]),
        (np.uint8, chroma["shape"]),
    ]


@pytest.mark.toolchain
def test_what_is_given_and_what_comes_out(built: Workspace) -> None:
    sheet = sheet_of(built, "plain@rk3588")
    place = built.root / "plain@rk3588" / "references" / "1"
    given = np.load(place / "input_0.npy")
    source = np.load(built.root / "models" / "plain" / "samples.npy")[1:2]
    assert (given.dtype, given.tolist()) == (np.uint8, source.transpose(0, 2, 3, 1).tolist())
    out = sheet["outputs"][0]
    integers, floats = (np.load(place / f"output_0{end}.npy") for end in ("", "_float"))
    assert integers.dtype == np.int8
    again = (integers.astype(np.float32) - out["zero_point"]) * out["scale"]
    np.testing.assert_allclose(again, floats, atol=1e-5)
    real = FloatRun(onnx.load_from_string(conv_net()))
    mean, std = (
        np.float32(sheet["inputs"][0]["give"][key]).reshape(3, 1, 1) for key in ("mean", "std")
    )
    expected = real({"input": ((source - mean) / std).astype(np.float32)})["scores"]
    largest = np.abs(expected - floats).max() / np.ptp(expected)
    assert largest < 0.1
    text = (built.root / "plain@rk3588" / "HANDOFF.md").read_text()
    assert "mean and std are inside: give plain pixels 0..255; mean 120, 110, 100;" in text
    assert "colour order bgr" in text
    assert len(text.splitlines()) < 60


@pytest.mark.toolchain
def test_floats_where_the_file_has_floats(built: Workspace) -> None:
    out = sheet_of(built, "plain@half")["outputs"][0]
    assert (out["dtype"], out["scale"], out["unit"]) == ("FLOAT16", None, "value")
    place = built.root / "plain@half" / "references" / "0"
    assert [file.name for file in sorted(place.glob("output*"))] == ["output_0_float.npy"]


@pytest.mark.toolchain
def test_the_tail_makes_the_former_outputs(built: Workspace) -> None:
    sheet = sheet_of(built, "two@rk3588")
    folder = built.root / "two@rk3588"
    names = [row["name"] for row in sheet["outputs"]]
    assert sorted(sheet["tail"]["inputs"]) == sorted(names)
    assert sheet["tail"]["outputs"] == ["map", "share"]
    found = {
        name: np.load(folder / "references" / "0" / f"output_{i}_float.npy")
        for i, name in enumerate(names)
    }
    made = FloatRun(onnx.load(folder / "tail.onnx"))(found)
    source = {
        "image": np.load(folder / "references/0/input_0.npy").transpose(0, 3, 1, 2),
        "vector": (np.load(folder / "references/0/input_1.npy") - 1) / 2,  # mean and std
    }
    cut = onnx.load(built.built("two", "simplify/model.onnx"))
    whole = CutRun(cut, onnx.load(folder / "tail.onnx"))(
        {name: array.astype(np.float32) for name, array in source.items()}
    )
    one, other = (np.asarray(each["share"], np.float64) for each in (made, whole))
    assert np.abs(one - other).max() < 0.1
    text = (folder / "HANDOFF.md").read_text()
    assert "- `image`: no mean and std are inside" in text
    assert "- `vector`: mean and std are inside: give the values before them; mean 1, 1" in text


BOARD_GIVES = """\
import numpy as np
class RKNNLite:
    def load_rknn(self, path):
        return 0 if path.endswith("model.rknn") else -1
    def init_runtime(self):
        return 0
    def inference(self, inputs):
        self.number = getattr(self, "number", -1) + 1
        assert inputs[0].shape[-1] == 3
        wanted = np.load(f"references/{self.number}/output_0_float.npy")
        return [wanted + np.float32(MORE)]
    def release(self):
        pass
"""


@pytest.mark.toolchain
@pytest.mark.parametrize(("steps", "code"), [(0.0, 0), (1.0, 0), (200.0, 1), (float("nan"), 1)])
def test_the_python_program(built: Workspace, tmp_path: Path, steps: float, code: int) -> None:
    """A board that gives the simulator's numbers, or others; no board is here."""
    scale = sheet_of(built, "plain@rk3588")["outputs"][0]["scale"]
    (tmp_path / "rknnlite").mkdir()
    text = f"nan = float('nan')\n{BOARD_GIVES.replace('MORE', repr(steps * scale))}"
    (tmp_path / "rknnlite" / "api.py").write_text(text)
    ran = subprocess.run(
        [sys.executable, "run_references.py"],
        cwd=built.root / "plain@rk3588",
        env={"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == code, ran.stdout + ran.stderr
    assert ran.stdout.count("output 0: largest difference") == 3


@pytest.mark.toolchain
def test_the_python_program_where_no_board_is(built: Workspace) -> None:
    """1 would say that the numbers are apart."""
    ran = subprocess.run(
        [sys.executable, "run_references.py"],
        cwd=built.root / "plain@rk3588",
        env={},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ran.returncode, ran.stdout) == (2, "")
    told = "No module named 'rknnlite': on the board, pip install rknn-toolkit-lite2 numpy\n"
    assert ran.stderr == told


@pytest.fixture(scope="module")
def program(built: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The C++ program of every hand-off, compiled."""
    home = ROOT / ".npumake" / "runtime"
    source, *others = (built.root / name / "run_references.cc" for name in NAMES)
    assert {other.read_bytes() for other in others} == {source.read_bytes()}
    library = emulator.pinned_runtime(home)
    program = compiled(home, source, library, tmp_path_factory.mktemp("compiled"))
    # The library's own name for itself.
    name = program.parent / "librknnrt-db603b2a.so"
    name.unlink(missing_ok=True)
    name.symlink_to(library)
    return program


def compiled(home: Path, source: Path, library: Path, made: Path) -> Path:
    """Kept in `home`, as the probes are, by all that it is made of: it takes a minute."""
    flags = ["-O1", "-std=c++17", "-Wall", "-Wextra", "-Werror", "-I", str(BOARD)]
    compiler = emulator.cpp_compiler(home)
    environment = {"ZIG_GLOBAL_CACHE_DIR": str(home / "zig-cache"), "PATH": "/usr/bin:/bin"}
    told = subprocess.check_output([*compiler, "--version"], env=environment)
    files = (source, library, *sorted(file for file in BOARD.rglob("*") if file.is_file()))
    parts = (repr([compiler, flags]).encode(), told, *(file.read_bytes() for file in files))
    digests = [hashlib.sha256(part).hexdigest() for part in parts]
    folder = home / f"references-{hashlib.sha256(repr(digests).encode()).hexdigest()[:12]}"
    if not folder.is_dir():
        program = made / "run_references"
        command = [*compiler, *flags, "-o", str(program), str(source), str(library)]
        subprocess.run(command, check=True, env=environment)
        part = folder.with_name(f"{folder.name}.{os.getpid()}")
        shutil.copytree(made, part)
        part.rename(folder)
    return folder / "run_references"


@pytest.mark.toolchain
@needs_emulator
@pytest.mark.parametrize("name", ["plain@rk3588", "plain@half", "plain@shapes", "two@rk3588"])
def test_the_cpp_program_up_to_rknn_run(built: Workspace, program: Path, name: str) -> None:
    """Compiled, and run with the vendor's runtime: nothing is computed, and that is noticed."""
    sheet = sheet_of(built, name)
    ran = emulator.prepare(ROOT / ".npumake" / "runtime").run_program(
        [str(program), str(built.root / name)],
        {
            "LD_LIBRARY_PATH": str(program.parent),
            "NPUMAKE_CHIP": sheet["platform"],
            "NPUMAKE_NPU_VERSION": str(VERSIONS[sheet["platform"]]),
        },
    )
    count = sheet["references"]["samples"]
    assert ran.stdout.count("rknn_run 0") == count, ran.stdout
    assert ran.returncode == 1
    assert "NOT within tolerance" in ran.stdout


@pytest.mark.toolchain
def test_a_port_that_swaps_colours_is_beyond_the_tolerance(built: Workspace) -> None:
    """By the simulator, which stands for the board: `infer` with the channels turned round."""
    sheet = sheet_of(built, "plain@rk3588")
    pixels = np.load(built.root / "models" / "plain" / "samples.npy")[0:1]
    np.save(built.root / "swapped.npy", pixels[:, ::-1])
    ran = built.doit("infer", "plain@rk3588", "swapped.npy", "--output", "swapped")
    assert ran.code == 0, ran.err
    with np.load(built.root / "swapped" / "simulator.npz") as found:
        floats = found["scores"][0]
    wanted = np.load(built.root / "plain@rk3588" / "references" / "0" / "output_0_float.npy")
    out = sheet["outputs"][0]
    assert np.abs(floats - wanted).max() / out["scale"] > out["tolerance"]


@pytest.mark.toolchain
def test_refusals(built: Workspace) -> None:
    (built.root / "mine").mkdir(exist_ok=True)
    (built.root / "mine" / "thesis.txt").write_text("")
    ran = built.doit("handoff", "plain@rk3588", "-o", "mine")
    assert (ran.code, "holds other files" in ran.err) == (3, True), ran.err
    assert "did you mean `plain@rk3588`?" in built.doit("handoff", "plan@rk3588").err
    built.edit("two", "rk3588: {}", "rk3588: {build: {layers: {vector: float16}}}")
    ran = built.doit("handoff", "two@rk3588")
    assert (ran.code, "run: ./doit two@rk3588" in ran.err) == (3, True), ran.err
    built.edit("two", "rk3588: {build: {layers: {vector: float16}}}", "rk3588: {}")


def test_a_runtime_that_the_programs_do_not_run_with_is_said() -> None:
    assert "Neither runs with librknnmrt" in "".join(page.programs("librknnmrt 1.6.0 or later"))
    assert "librknnmrt" not in "".join(page.programs("librknnrt 1.5.2 or later"))


def test_ends_of_other_axes() -> None:
    row = {"name": "x", "dtype": "INT64", "scale": None, "zero_point": None}
    assert ends.of_input({**row, "shape": [1, 2, 3, 4]})["shape"] == [1, 3, 4, 2]
    assert ends.of_output({**row, "shape": [1, 3]})["bytes"] == 24
