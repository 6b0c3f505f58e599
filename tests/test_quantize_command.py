"""./doit quantize: what is refused before any work, and that no half of a result is left."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest

from tests.graph_builder import parsed
from tests.workspace import Workspace

LONG = "a" * 300


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    made = Workspace(tmp_path_factory.mktemp("quantize"))
    weight = np.random.default_rng(0).standard_normal((4, 3)).astype(np.float32)
    text = "g (float[1,4] x) => (float[1,3] y) { y=MatMul(x,w) }"
    onnx.save(parsed(text, {"w": weight}), made.root / "net.onnx")
    np.save(made.root / "x.npy", np.ones((3, 4), np.float32))
    return made


# Name -> (options that replace or follow the sound ones, what is said)
REFUSED = {
    "a number of samples without data": (
        ["--samples", "3"],
        "--samples has no effect without --calibration\n  give --calibration, or delete it",
    ),
    "a mean without data": (
        ["--mean", "127"],
        "--mean has no effect without --calibration\n  give --calibration, or delete it",
    ),
    "channels without data": (
        ["--color", "bgr"],
        "--color has no effect without --calibration\n  give --calibration, or delete it",
    ),
    "a mean that is no number": (
        ["--calibration", "x.npy", "--mean", "nan"],
        "--mean can't be `nan`\n  give one number, or one a channel: 127,127,127",
    ),
    "a deviation without end": (
        ["--calibration", "x.npy", "--std", "1,inf,1"],
        "--std can't be `1,inf,1`\n  give one number, or one a channel: 127,127,127",
    ),
    "an output too long": (["--output", LONG], f"{LONG}: File name too long\n  name another path"),
    "an input too long": (
        ["--input", f"{LONG}.onnx"],
        f"{LONG}.onnx: File name too long\n  name another path",
    ),
    "data too long": (
        ["--calibration", LONG],
        f"{LONG}: File name too long\n  name another path",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refuses_with_this_text(name: str, workspace: Workspace) -> None:
    options, said = REFUSED[name]
    ran = workspace.doit(
        *("quantize", "--input", "net.onnx", "--output", "out", "--input_scale", "16"), *options
    )
    assert (ran.code, ran.out) == (3, "")
    assert ran.err.replace(f"{workspace.root}/", "") == f"npumake: {said}\n"
    assert not (workspace.root / "out").exists()


def test_a_folder_in_the_place_of_a_file_leaves_the_other_unwritten(workspace: Workspace) -> None:
    taken: Path = workspace.root / "taken" / "net_quant.tflite"
    taken.mkdir(parents=True)
    ran = workspace.doit(
        *("quantize", "--input", "net.onnx", "--output", "taken", "--input_scale", "16")
    )
    assert (ran.code, ran.out) == (3, "")
    assert "net_quant.tflite is a folder\n" in ran.err
    assert [path.name for path in taken.parent.iterdir()] == ["net_quant.tflite"]


def test_an_input_scale_that_clips_the_data_is_told(workspace: Workspace) -> None:
    np.save(workspace.root / "far.npy", np.array([[1, 2, 3, 40]] * 4, np.float32))
    told = {}
    for scale in ("2", "16"):
        ran = workspace.doit(
            *("quantize", "--input", "net.onnx", "--output", f"out{scale}"),
            *("--input_scale", scale, "--calibration", "far.npy"),
        )
        assert ran.code == 0, ran.err
        told[scale] = [line for line in ran.out.splitlines() if line.startswith("note: input")]
    assert told == {
        "2": [],
        "16": [
            "note: input `x`: 25.0% of the data lies beyond 7.9375, the most at input_scale 16; "
            "a smaller one keeps it"
        ],
    }


@pytest.mark.parametrize("side", ["beside the link", "beside the file"])
def test_a_link_keeps_its_name(side: str, workspace: Workspace, tmp_path: Path) -> None:
    """Caches keep files under their digest; the link alone says what they are."""
    model = onnx.load(workspace.root / "net.onnx")
    (tmp_path / "blobs").mkdir()
    blob = tmp_path / "blobs" / "0123abcd"
    onnx.save(model, blob, save_as_external_data=True, location="w.bin", size_threshold=0)
    (tmp_path / "net.v1.onnx").symlink_to(blob)
    if side == "beside the link":
        blob.with_name("w.bin").rename(blob.with_name("4567"))
        (tmp_path / "w.bin").symlink_to(blob.with_name("4567"))
    ran = workspace.doit(
        *("quantize", "--input", str(tmp_path / "net.v1.onnx"), "--input_scale", "16"),
        *("--output", str(tmp_path / "out")),
    )
    assert ran.code == 0, ran.err
    made = tmp_path / "out" / "net.v1_quant.tflite"
    assert made.is_file()


def test_a_link_to_a_tflite_file_is_known_by_its_own_ending(
    workspace: Workspace, tmp_path: Path
) -> None:
    blob = tmp_path / "0123abcd"
    blob.write_bytes(b"nothing")
    (tmp_path / "net.tflite").symlink_to(blob)
    ran = workspace.doit(
        *("quantize", "--input", str(tmp_path / "net.tflite"), "--input_scale", "16"),
        *("--output", str(tmp_path / "out")),
    )
    assert ran.code == 1
    assert "net.tflite: this is not a TFLite file" in ran.err


def test_a_name_too_long_for_what_is_made_of_it(workspace: Workspace) -> None:
    long = "n" * 246
    shutil.copyfile(workspace.root / "net.onnx", workspace.root / f"{long}.onnx")
    ran = workspace.doit(
        *("quantize", "--input", f"{long}.onnx", "--output", "out", "--input_scale", "16")
    )
    assert (ran.code, ran.out) == (3, "")
    assert ran.err == (
        f"npumake: {long}.onnx: its name is too long for {'n' * 20}..._quant.tflite\n  rename it\n"
    )


def test_a_tflite_file_of_an_earlier_run_is_told(workspace: Workspace) -> None:
    onnx.save(
        parsed("g (float[1,4] x) => (float[1,4] y) { y=Sin(x) }"), workspace.root / "wave.onnx"
    )
    old = workspace.root / "earlier" / "wave_quant.tflite"
    old.parent.mkdir()
    old.write_bytes(b"old")
    ran = workspace.doit(
        *("quantize", "--input", "wave.onnx", "--output", "earlier", "--input_scale", "16"),
        *("--unsupported", "float"),
    )
    assert ran.code == 0, ran.err
    assert ran.out.splitlines()[-1] == (
        "note: wave_quant.tflite was there before; it is not of this network"
    )
    assert old.read_bytes() == b"old"
