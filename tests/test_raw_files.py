"""Files of plain numbers: dumps of a board's program and frames of a camera, as samples."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from quant.samples.images import yuv
from tests.test_samples import Work, load, work

__all__ = ["work"]

RANDOM = np.random.default_rng(5)
SHAPE = (1, 3, 4, 6)


def dump(work: Work, name: str, array: NDArray[Any]) -> NDArray[Any]:
    (work.data / name).write_bytes(array.tobytes())
    return array


def numbers(dtype: str, *shape: int) -> NDArray[Any]:
    return RANDOM.integers(0, 200, shape).astype(dtype)


@pytest.mark.parametrize("dtype", ["uint8", "<u2", "<f4", "<f2", "<i4"])
def test_samples_one_behind_the_other(work: Work, dtype: str) -> None:
    work.model({"x": SHAPE})
    made = dump(work, "x.bin", numbers(dtype, 3, *SHAPE[1:]))
    work.params["inputs"] = {"x": {"raw": {"dtype": np.dtype(dtype).name, "shape": None}}}
    work.use(raw=["x.bin"])
    record = work.run()
    assert record["count"] == 3
    assert record["files"] == [["x.bin[0]"], ["x.bin[1]"], ["x.bin[2]"]]
    for number in range(3):
        assert (load(f"000{number}_0.npy") == made[number][None].astype(np.float32)).all()


def test_channels_last_are_put_first(work: Work) -> None:
    work.model({"x": SHAPE})
    made = dump(work, "a.raw", numbers("uint8", 2, 4, 6, 3))
    work.params["inputs"] = {"x": {"raw": {"shape": [4, 6, 3]}}}
    work.use(raw=["a.raw"])
    work.run()
    assert (load("0001_0.npy")[0] == made[1].transpose(2, 0, 1)).all()


def test_batches(work: Work) -> None:
    work.model({"x": (2, 3, 4, 6)})
    made = dump(work, "a.bin", numbers("uint8", 4, 3, 4, 6))
    work.params["inputs"] = {"x": {"raw": {}}}
    work.use(raw=["a.bin"])
    assert work.run()["count"] == 2
    assert (load("0001_0.npy") == made[2:]).all()


@pytest.mark.parametrize("form", ["nv12", "nv21"])
@pytest.mark.parametrize("color", ["rgb", "bgr"])
def test_frames(work: Work, form: str, color: str) -> None:
    work.model({"x": SHAPE})
    made = dump(work, "camera.yuv", numbers("uint8", 2, 6, 6))
    work.params["inputs"] = {"x": {"color": color, "raw": {"frame": form}}}
    work.use(raw=["camera.yuv"])
    assert work.run()["count"] == 2
    luma, chroma = made[1:, :4].reshape(1, 1, 4, 6), made[1:, 4:].reshape(1, 1, 2, 6)
    rgb = yuv.decoded(luma, chroma, form)
    assert (load("0001_0.npy") == (rgb if color == "rgb" else rgb[:, ::-1])).all()


def test_a_list_of_dumps_and_npy(work: Work) -> None:
    work.model({"x": SHAPE, "y": (1, 2)})
    first = dump(work, "x0.bin", numbers("uint8", *SHAPE[1:]))
    dump(work, "x1.bin", numbers("uint8", *SHAPE[1:]))
    work.array("y.npy", 1, 2)
    work.params["inputs"] = {"x": {"raw": {"dtype": "uint8"}}}
    work.text("set.txt", "x0.bin y.npy\nx1.bin y.npy\n")
    work.use(list="set.txt")
    assert work.run()["files"] == [["x0.bin", "y.npy"], ["x1.bin", "y.npy"]]
    assert (load("0000_0.npy")[0] == first).all()


def test_a_file_an_input(work: Work) -> None:
    work.model({"x": SHAPE, "y": (1, 2)})
    dump(work, "x.bin", numbers("uint8", 3, *SHAPE[1:]))
    made = dump(work, "y.bin", numbers("<f4", 3, 2))
    work.params["inputs"] = {"x": {"raw": {}}, "y": {"raw": {"dtype": "float32"}}}
    work.use(raw={"x": "x.bin", "y": "y.bin"})
    work.run()
    assert (load("0002_1.npy")[0] == made[2]).all()


def test_a_long_file_of_frames_is_not_held(work: Work) -> None:
    """Only the first samples are decoded, one at a time."""
    work.model({"x": (1, 3, 64, 64)})
    path = work.data / "camera.yuv"
    frames = numbers("uint8", 2, 96, 64)
    with path.open("wb") as file:
        file.write(frames.tobytes())
        file.truncate(96 * 64 * 200_000)  # 1.2 GB, sparse
    work.params["inputs"] = {"x": {"raw": {"frame": "nv12"}}}
    work.use(raw=["camera.yuv"], samples=2)
    digest = hashlib.sha256()
    for one in frames:
        pixels = yuv.decoded(one[:64].reshape(1, 1, 64, 64), one[64:].reshape(1, 1, 32, 64), "nv12")
        digest.update(b"<f4(1, 3, 64, 64)" + pixels.astype(np.float32).tobytes())
    assert work.run()["digest"] == digest.hexdigest()


# name -> (bytes of x.bin, what the recipe says, what the error says, its advice)
REFUSED: dict[str, tuple[int, dict[str, Any] | None, str, str]] = {
    "nothing told": (72, None, "x.bin: plain numbers, and input `x` does not say", "raw: {dtype"),
    "cut short": (71, {}, "x.bin: 71 bytes are no whole number of samples of 72", "correct `raw`"),
    "empty": (0, {}, "x.bin: 0 bytes are no whole number", "no header"),
    "another type": (72, {"dtype": "float32"}, "samples of 288", "type or shape"),
    "another shape": (
        72,
        {"shape": [6, 4, 3]},
        "input `x`: its raw files hold [6, 4, 3], a sample of the network [3, 4, 6]",
        "without the batch",
    ),
    "a frame and a half": (54, {"frame": "nv12"}, "x.bin: 54 bytes are no whole", "correct"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str, work: Work) -> None:
    size, told, what, advice = REFUSED[name]
    work.model({"x": SHAPE})
    (work.data / "x.bin").write_bytes(bytes(size))
    work.params["inputs"] = {"x": {"raw": told}}
    work.use(raw=["x.bin"])
    fault = work.refusal()
    assert what in fault.what
    assert advice in fault.advice


def test_frames_for_a_gray_network(work: Work) -> None:
    work.model({"x": (1, 1, 4, 6)})
    (work.data / "x.bin").write_bytes(bytes(36))
    work.params["inputs"] = {"x": {"raw": {"frame": "nv12"}}}
    work.use(raw=["x.bin"])
    assert "takes no nv12 frames" in work.refusal().what


def test_a_missing_file(work: Work, tmp_path: Path) -> None:
    work.model({"x": SHAPE})
    work.params["inputs"] = {"x": {"raw": {}}}
    work.use(raw=["none.bin"])
    assert work.refusal().what == "none.bin: No such file or directory"
