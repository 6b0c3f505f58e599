"""Calibration and labelled data: read, checked and written for the SDK."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import helper
from PIL import Image

from pipelines.run.jobs.decode import decoded
from pipelines.run.jobs.job import Job
from pipelines.stages.samples.jobs import prepared_samples, samples
from pipelines.stages.samples.jobs.params import DataParams
from quant.fault import Fault
from quant.samples.dataset import list_entries
from tests.conftest import ROOT

Shapes = Mapping[str, tuple[int, ...]]
RANDOM = np.random.default_rng(0)


def write_model(path: Path, shapes: Shapes, dtypes: Mapping[str, str]) -> None:
    """An ONNX file that hands its inputs on."""

    def values(suffix: str) -> list[onnx.ValueInfoProto]:
        return [
            helper.make_tensor_value_info(
                name + suffix,
                helper.np_dtype_to_tensor_dtype(np.dtype(dtypes.get(name, "float32"))),
                shape,
            )
            for name, shape in shapes.items()
        ]

    nodes = [helper.make_node("Identity", [name], [f"{name}_out"]) for name in shapes]
    onnx.save(helper.make_model(helper.make_graph(nodes, "net", values(""), values("_out"))), path)


class Work:
    """A working folder with a model, and links to data elsewhere, as a worker makes it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data = folder / "model" / "data"
        self.data.mkdir(parents=True)
        (folder / "in").mkdir()
        self.inputs = {"model": Path("in/model.onnx")}
        self.params: dict[str, Any] = {"samples": None, "inputs": {}, "evaluate": None}

    def model(self, shapes: Shapes, **dtypes: str) -> None:
        write_model(self.folder / "in/model.onnx", shapes, dtypes)

    def link(self, key: str, name: str) -> None:
        self.inputs[key] = Path("in") / key
        (self.folder / "in" / key).symlink_to(self.data / name)

    def use(self, **given: Any) -> None:
        """Set `samples`, with a link to each file."""
        source = {"images": None, "list": None, "npy": None, "raw": None, "samples": None}
        self.params["samples"] = source | given
        for key in ("images", "list"):
            if given.get(key):
                self.link("data", given[key])
        files = given.get("npy") or given.get("raw") or ()
        for i, name in enumerate(files.values() if isinstance(files, Mapping) else files):
            self.link(f"data_{i}", name)

    def image(self, name: str, width: int = 5, height: int = 4) -> NDArray[np.uint8]:
        pixels = RANDOM.integers(0, 256, (height, width, 3), np.uint8)
        (self.data / name).parent.mkdir(exist_ok=True)
        Image.fromarray(pixels).save(self.data / name)
        return pixels

    def array(self, name: str, *shape: int, dtype: str = "float32") -> NDArray[Any]:
        made = RANDOM.integers(0, 100, shape).astype(dtype)
        (self.data / name).parent.mkdir(exist_ok=True)
        np.save(self.data / name, made)
        return made

    def text(self, name: str, text: str) -> None:
        (self.data / name).write_bytes(text.encode())

    def job(self) -> Job[DataParams]:
        return Job(decoded(DataParams, self.params), self.inputs, Path("out"), Path())

    def run(self) -> dict[str, Any]:
        samples.run(self.job())
        record: dict[str, Any] = json.loads(Path("samples/samples.json").read_text())
        return record

    def refusal(self) -> Fault:
        with pytest.raises(Fault) as caught:
            self.run()
        assert not Path("samples/dataset.txt").exists()
        return caught.value


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Work:
    monkeypatch.chdir(tmp_path)
    return Work(tmp_path)


def load(name: str) -> NDArray[Any]:
    array: NDArray[Any] = np.load(Path("samples", name))
    return array


def test_images(work: Work) -> None:
    work.model({"x": (1, 3, 4, 5)})
    pixels = [work.image(f"faces/{name}.png") for name in ("b", "a", "c")]
    work.image("faces/d.jpg", 9, 9)  # beyond the two that are wanted
    work.params["inputs"] = {"x": {"color": "bgr", "mean": [127] * 3, "std": [128] * 3}}
    work.use(images="faces", samples=2)
    record = work.run()
    digest = hashlib.sha256()
    for number, image in enumerate((pixels[1], pixels[0])):
        expected = image[:, :, ::-1].transpose(2, 0, 1)[None].astype(np.float32)
        found = load(f"000{number}_0.npy")
        assert found.dtype == np.float32 and (found == expected).all()
        digest.update(b"<f4(1, 3, 4, 5)" + expected.tobytes())
    assert Path("samples/dataset.txt").read_text() == "0000_0.npy\n0001_0.npy\n"
    assert record == {
        "count": 2,
        "inputs": ["x"],
        "files": [["a.png"], ["b.png"]],
        "resized": 0,
        "digest": digest.hexdigest(),
        "warnings": [],
        "statistics": {
            "x": {
                "low": float(min(pixels[0].min(), pixels[1].min())),
                "high": float(max(pixels[0].max(), pixels[1].max())),
                "is_whole": True,
                "constant": [],
                "distinct": 2,
            }
        },
        "evaluate": None,
    }


def test_random_where_there_is_no_data(work: Work) -> None:
    """As large as the network is used to, whatever mean and std are; the same every time."""
    work.model({"x": (1, 3, 40, 50), "i": (1, 4)}, i="int64")
    work.params["inputs"] = {"x": {"mean": [100, 110, 120], "std": [50]}}
    work.params |= {"samples": None, "random": 2}
    record = work.run()
    assert (record["count"], record["random"]) == (2, True)
    x = load("0000_0.npy")
    assert x.dtype == np.float32 and x.shape == (1, 3, 40, 50)
    np.testing.assert_allclose(x.mean(axis=(0, 2, 3)), [100, 110, 120], atol=5)
    np.testing.assert_allclose(x.std(axis=(0, 2, 3)), [50] * 3, atol=3)
    assert set(load("0000_1.npy").ravel().tolist()) <= {0, 1}
    assert (load("0001_0.npy") != x).any()
    assert prepared_samples.read(work.job(), ("x", "i")).is_random
    assert work.run()["digest"] == record["digest"]


def test_channels_last_input(work: Work) -> None:
    work.model({"x": (1, 4, 5, 3)})
    pixels = work.image("faces/a.png")
    work.use(images="faces")
    work.run()
    assert (load("0000_0.npy") == pixels[None]).all()


def test_resized(work: Work) -> None:
    work.model({"x": (1, 3, 4, 5)})
    work.image("faces/a.png"), work.image("faces/b.png", 10, 8), work.image("faces/c.png", 8, 8)
    work.params["inputs"] = {"x": {"color": "rgb", "resize": "letterbox", "pad": 9}}
    work.use(images="faces")
    record = work.run()
    assert (record["count"], record["resized"]) == (3, 2)
    assert (load("0002_0.npy")[..., 4] == 9).all()  # 8x8 into 5x4: one column is left over


def test_batches_of_images(work: Work) -> None:
    work.model({"x": (2, 3, 4, 5)})
    pixels = [work.image(f"faces/{i}.png") for i in range(4)]
    work.use(images="faces")
    record = work.run()
    assert record["files"] == [["0.png", "1.png"], ["2.png", "3.png"]]
    assert (load("0001_0.npy") == np.stack(pixels[2:]).transpose(0, 3, 1, 2)).all()


def test_list_of_several_inputs(work: Work) -> None:
    """Comments, blank lines, Windows's line ends, a mark in front, spaces in names."""
    work.model({"x": (1, 3, 4, 5), "y": (1, 7)})
    pixels = work.image("more/my photo.png")
    y = [work.array("a.npy", 7), work.array("b.npy", 1, 7)]
    x = work.array("x.npy", 1, 3, 4, 5)
    work.text(
        "set.txt",
        '\ufeff# image, numbers\r\n\r\n"more/my photo.png"\ta.npy\r\n  x.npy   "b.npy"\r\n',
    )
    work.use(list="set.txt")
    record = work.run()
    assert record["files"] == [["more/my photo.png", "a.npy"], ["x.npy", "b.npy"]]
    assert Path("samples/dataset.txt").read_text() == (
        "0000_0.npy 0000_1.npy\n0001_0.npy 0001_1.npy\n"
    )
    assert (load("0000_0.npy") == pixels.transpose(2, 0, 1)).all()
    assert (load("0000_1.npy") == y[0]).all() and load("0000_1.npy").shape == (1, 7)
    assert (load("0001_0.npy") == x).all() and (load("0001_1.npy") == y[1]).all()


@pytest.mark.parametrize(
    ("shape", "count"),
    [((3, 4, 5), 1), ((1, 3, 4, 5), 1), ((6, 3, 4, 5), 6), ((6, 1, 3, 4, 5), 6)],
)
def test_npy_shapes(shape: tuple[int, ...], count: int, work: Work) -> None:
    work.model({"x": (1, 3, 4, 5)})
    array = work.array("x.npy", *shape, dtype="uint8")
    work.use(npy=["x.npy"])
    assert work.run()["count"] == count
    found = np.concatenate([load(f"{i:04d}_0.npy") for i in range(count)])
    assert found.dtype == np.float32 and (found == array.reshape(count, 3, 4, 5)).all()


def test_npy_batches(work: Work) -> None:
    work.model({"x": (2, 3)})
    array = work.array("x.npy", 6, 3)
    work.use(npy=["x.npy"], samples=2)
    record = work.run()
    assert record["files"] == [["x.npy[0]"], ["x.npy[1]"]]
    assert (load("0001_0.npy") == array[2:4]).all()


def test_npy_files_of_one_input(work: Work) -> None:
    work.model({"x": (1, 3)})
    arrays = [work.array("a.npy", 2, 3), work.array("b.npy", 3)]
    work.use(npy=["a.npy", "b.npy"])
    assert work.run()["files"] == [["a.npy[0]"], ["a.npy[1]"], ["b.npy[0]"]]
    assert (load("0002_0.npy") == arrays[1]).all()


def test_npy_by_input(work: Work) -> None:
    """In the network's order, whatever the recipe's; integers stay integers."""
    work.model({"x": (1, 3), "ids": (1, 2)}, ids="int64")
    ids, x = work.array("i.npy", 4, 2, dtype="int32"), work.array("x.npy", 4, 3)
    work.use(npy={"ids": "i.npy", "x": "x.npy"})
    assert work.run()["files"][3] == ["x.npy[3]", "i.npy[3]"]
    assert (load("0003_0.npy") == x[3]).all()
    assert (load("0003_1.npy") == ids[3]).all() and load("0003_1.npy").dtype == np.int64


def test_data_that_is_normalised_already_is_noticed(work: Work) -> None:
    work.model({"x": (1, 3, 4, 5)})
    np.save(work.data / "x.npy", RANDOM.normal(size=(3, 3, 4, 5)))
    work.params["inputs"] = {"x": {"mean": [127], "std": [128]}}
    work.use(npy=["x.npy"])
    (warning,) = work.run()["warnings"]
    assert "normalised already" in warning


TORCHVISION = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}


@pytest.mark.parametrize(
    ("told", "low", "high", "is_refused"),
    [
        (TORCHVISION, 0, 255, True),
        ({"mean": None, "std": [0.5]}, 0, 255, True),
        ({"mean": [0.5], "std": None}, 0, 255, True),
        (TORCHVISION, 0, 1, False),  # as meant
        (TORCHVISION, -40, 40, False),  # no pixels
        (TORCHVISION, 0, 4000, False),
        ({"mean": [127], "std": [128]}, 0, 255, False),
        ({"mean": [0], "std": [1]}, 0, 255, False),
        ({"mean": None, "std": None}, 0, 255, False),
    ],
)
def test_mean_and_std_of_data_in_0_to_1_on_pixels(
    work: Work, told: dict[str, Any], low: int, high: int, is_refused: bool
) -> None:
    work.model({"x": (1, 3, 4, 5)})
    np.save(work.data / "x.npy", np.linspace(low, high, 120).reshape(2, 3, 4, 5))
    work.params["inputs"] = {"x": told}
    work.use(npy=["x.npy"])
    if not is_refused:
        assert work.run()["count"] == 2
        return
    fault = work.refusal()
    assert "the samples go from 0 to 255" in fault.what
    if told is TORCHVISION:
        assert "mean: [123.675, 116.28, 103.53], std: [58.395, 57.12, 57.375]" in fault.advice


def test_what_samples_hold(work: Work) -> None:
    work.model({"x": (1, 4)})
    np.save(work.data / "x.npy", np.array([[0.5, 1, 2, 3], [7, 7, 7, 7], [7, 7, 7, 7]]))
    work.use(npy=["x.npy"])
    assert work.run()["statistics"]["x"] == {
        "low": 0.5,
        "high": 7.0,
        "is_whole": False,
        "constant": [1, 2],
        "distinct": 2,
    }


def test_without_samples(work: Work) -> None:
    work.model({"x": (1, 3)})
    assert work.run()["count"] == 0
    assert not Path("samples/dataset.txt").exists()


def test_float_model_where_the_step_has_no_other(work: Work) -> None:
    work.model({"x": (1, 3)})
    work.inputs = {"float": work.inputs["model"]}
    work.array("x.npy", 2, 3)
    work.use(npy=["x.npy"])
    assert work.run()["count"] == 2


def test_inputs_of_a_source_that_is_not_onnx(work: Work) -> None:
    (work.folder / "in/model.onnx").write_bytes(b"TorchScript")
    work.params |= {"source_kind": "torchscript"}
    work.params["inputs"] = {"x": {"shape": [1, 3], "dtype": "float32"}}
    work.array("x.npy", 2, 3)
    work.use(npy=["x.npy"])
    assert work.run()["count"] == 2
    work.params["inputs"]["x"]["shape"] = None
    with pytest.raises(Fault, match="input `x` has the shape of unknown rank"):
        work.run()


def test_memory(work: Work) -> None:
    """Samples are held one at a time, and read from the disk as they are used."""
    work.model({"x": (1, 3, 400, 500)})
    work.array("x.npy", 20, 3, 400, 500, dtype="uint8")
    work.use(npy=["x.npy"])
    tracemalloc.start()
    work.run()
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < 4 * (3 * 400 * 500 * 4)  # of 20 as float32


def small(work: Work) -> None:
    work.model({"x": (1, 3, 4, 5)})


def images(*sizes: tuple[int, int], **given: Any) -> Callable[[Work], None]:
    def prepare(work: Work) -> None:
        small(work)
        for number, (width, height) in enumerate(sizes):
            work.image(f"faces/{number}.png", width, height)
        (work.data / "faces").mkdir(exist_ok=True)
        work.use(images="faces", **given)

    return prepare


def listed(text: str, shapes: Shapes | None = None) -> Callable[[Work], None]:
    def prepare(work: Work) -> None:
        work.model(shapes or {"x": (1, 3, 4, 5)})
        work.image("photos/a.png"), work.image("b c.png"), work.array("n.npy", 7)
        work.array("many.npy", 2, 3, 4, 5)
        work.text("set.txt", text)
        work.use(list="set.txt")

    return prepare


def npy(value: Any, **dtypes: str) -> Callable[[Work], None]:
    def prepare(work: Work) -> None:
        work.model({"x": (1, 3, 4, 5)}, **dtypes)
        if isinstance(value, bytes):
            (work.data / "x.npy").write_bytes(value)
        else:
            np.save(work.data / "x.npy", value, allow_pickle=True)
        work.use(npy=["x.npy"])

    return prepare


def npy_bytes(*shape: int) -> bytes:
    from io import BytesIO

    buffer = BytesIO()
    np.save(buffer, np.zeros(shape, np.float32))
    return buffer.getvalue()


def with_nan(value: float) -> NDArray[np.float32]:
    array = np.zeros((3, 3, 4, 5), np.float32)
    array[1, 2, 3, 4] = value
    return array


def unequal(work: Work) -> None:
    work.model({"x": (1, 3), "y": (1, 2)})
    work.array("x.npy", 4, 3), work.array("y.npy", 5, 2)
    work.use(npy={"x": "x.npy", "y": "y.npy"})


def wrong_input(work: Work) -> None:
    work.model({"x": (1, 3), "y": (1, 2)})
    work.array("x.npy", 4, 3)
    work.use(npy={"x": "x.npy", "z": "x.npy"})


def several_inputs(work: Work) -> None:
    work.model({"x": (1, 3, 4, 5), "y": (1, 2)})
    work.image("faces/a.png")
    work.use(images="faces")


def odd_batch(work: Work) -> None:
    work.model({"x": (2, 3, 4, 5)})
    for number in range(3):
        work.image(f"faces/{number}.png")
    work.use(images="faces")


def mixed_batch(work: Work) -> None:
    work.model({"x": (2, 3)})
    work.array("a.npy", 2, 3), work.array("b.npy", 3)
    work.text("set.txt", "a.npy\nb.npy")
    work.use(list="set.txt")


def many_channels(work: Work) -> None:
    work.model({"x": (1, 4, 5, 6)})
    work.image("faces/a.png")
    work.use(images="faces")


def contradiction(work: Work) -> None:
    small(work)
    work.image("faces/a.png")
    work.params["inputs"] = {"x": {"color": "gray"}}
    work.use(images="faces")


def means(work: Work) -> None:
    work.model({"x": (1, 4, 5, 3)})
    work.image("faces/a.png")
    work.params["inputs"] = {"x": {"mean": [1, 2, 3]}}
    work.use(images="faces")


SIZES = "the image is 6x4 (width x height), the network takes 5x4"
# what is wrong -> (preparation, what the error says, what its advice says)
REFUSED: dict[str, tuple[Callable[[Work], None], str, str]] = {
    "one wrong size": (images((5, 4), (6, 4)), f"1.png: {SIZES}", "`resize: crop`"),
    "two wrong sizes": (
        images((6, 4), (5, 4), (6, 4)),
        f"2 samples: 0.png: {SIZES}; 2.png: {SIZES}",
        "`resize: stretch`",
    ),
    "all wrong sizes": (
        images(*[(6, 4)] * 12),
        "10 samples (and perhaps more): 0.png: ",
        "`resize: letterbox`",
    ),
    "too few images": (
        images((5, 4), (5, 4), samples=3),
        "the recipe wants 3 samples; there are 2 images in `faces`",
        "`samples: 2`",
    ),
    "no images": (images(), "`faces` has no images", ".jpg, .jpeg, .png"),
    "images for two inputs": (
        several_inputs,
        "images feed one input, the network has 2: `x`, `y`",
        "`npy:`",
    ),
    "images for four channels": (many_channels, "input `x` [1, 4, 5, 6] takes no images", "npy"),
    "images that do not fill a batch": (
        odd_batch,
        "3 images in `faces` do not fill batches of 2",
        "a multiple of 2",
    ),
    "colour against channels": (
        contradiction,
        "input `x` has 3 channels, and `color: gray`",
        "`rgb` or `bgr` for 3",
    ),
    "means of another axis": (
        means,
        "input `x` [1, 4, 5, 3] has 3 values of `mean`, and 4 channels",
        "channels first",
    ),
    "a missing file": (
        listed("# photos\nphotos/a.png\n\nphotos/b.png\n"),
        "set.txt:4: no file `photos/b.png`",
        "did you mean `photos/a.png`?",
    ),
    "seven missing files": (
        listed("photos/b.png\n" * 7),
        "set.txt:5: no file `photos/b.png`; and 2 more",
        "did you mean",
    ),
    "a missing folder": (listed("foto/a.png"), "set.txt:1: no file", "its folder does not exist"),
    "a folder in a list": (listed("photos"), "set.txt:1: no file `photos`", "is a folder"),
    "Windows's separator": (
        listed("photos\\a.png"),
        "set.txt:1: no file `photos\\a.png`",
        "`photos/a.png`",
    ),
    "spaces without quotes": (
        listed("b c.png"),
        "set.txt:1: `b c.png` would be 2 files",
        'double quotes: "b c.png"',
    ),
    "half a quote": (listed('"b c.png'), "set.txt:1: `\"b c.png` can't be split", "both double"),
    "unequal lines": (
        listed("photos/a.png\nphotos/a.png n.npy"),
        "set.txt:2 names 2 files, line 1 names 1",
        "one file for each input",
    ),
    "an empty list": (listed("# nothing\n \n"), "set.txt names no files", "one sample a line"),
    "too few columns": (
        listed("photos/a.png", {"x": (1, 3, 4, 5), "y": (1, 7)}),
        "lines of `set.txt`: 1 file(s) a sample for a network with 2 inputs (`x`, `y`)",
        "one file an input on each line",
    ),
    "columns in the wrong order": (
        listed("n.npy photos/a.png", {"x": (1, 3, 4, 5), "y": (1, 7)}),
        "input `y` [1, 7] takes no images",
        "npy",
    ),
    "many samples in a listed file": (
        listed("many.npy"),
        "many.npy: holds 2 samples, a file in a list holds one",
        "`npy:`",
    ),
    "another kind of file in a list": (
        listed("set.txt"),
        "set.txt: is no image, npy or raw file",
        ".png",
    ),
    "a list that mixes batches": (
        mixed_batch,
        "b.npy: gives a batch of 1, input `x` takes 2",
        "whole batch",
    ),
    "channels last": (
        npy(np.zeros((6, 4, 5, 3))),
        "x.npy: has the shape [6, 4, 5, 3], a sample of input `x` has [1, 3, 4, 5]",
        "the channels are last; put them first with numpy.moveaxis(array, -1, -3)",
    ),
    "another shape": (
        npy(np.zeros((6, 3, 4, 6))),
        "x.npy: has the shape [6, 3, 4, 6]",
        "save N samples as [N, 3, 4, 5]",
    ),
    "a number": (npy(np.float32(3)), "x.npy: has the shape []", "save N samples as"),
    "NaN": (npy(with_nan(np.nan)), "x.npy[1]: holds NaN", "finite"),
    "infinity": (npy(with_nan(-np.inf)), "x.npy[1]: holds infinity", "finite"),
    "beyond float32": (
        npy(np.full((3, 4, 5), 1e300)),
        "x.npy[0]: holds infinity",
        "finite",
    ),
    "floats for integers": (
        npy(np.zeros((3, 4, 5)), x="int32"),
        "x.npy: holds float64, input `x` takes int32",
        "save it as int32",
    ),
    "integers out of range": (
        npy(np.full((3, 4, 5), 2**31), x="int32"),
        "x.npy[0]: holds numbers out of the range of int32",
        "between -2147483648 and 2147483647",
    ),
    "objects": (
        npy(np.array([{"a": 1}, None], dtype=object)),
        "x.npy: can't be read as npy",
        "objects",
    ),
    "words": (npy(np.array(["a", "b"])), "x.npy: holds <U1, not numbers", "float32"),
    "complex numbers": (npy(np.zeros((3, 4, 5), complex)), "x.npy: holds complex128", "float32"),
    "an npy file cut short": (
        npy(npy_bytes(9, 3, 4, 5)[:500]),
        "x.npy: can't be read as npy",
        "numpy.save",
    ),
    "an empty file": (npy(b""), "x.npy: is no npy file", "numpy.save"),
    "a text file": (npy(b"1 2 3\n"), "x.npy: is no npy file", "numpy.save"),
    "an npz archive": (npy(b"PK\x03\x04 and so on"), "x.npy: is an npz archive", "each array"),
    "unequal numbers": (
        unequal,
        "the files hold unequal numbers of samples: 4 for `x`, 5 for `y`",
        "equal",
    ),
    "another input": (wrong_input, "`z` is no input of the network", "`x`, `y`"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str, work: Work) -> None:
    prepare, what, advice = REFUSED[name]
    prepare(work)
    fault = work.refusal()
    assert what in fault.what
    assert advice in fault.advice


def test_channels_first_for_an_input_with_channels_last(work: Work) -> None:
    work.model({"x": (1, 4, 5, 3)})
    work.array("x.npy", 6, 3, 4, 5)
    work.use(npy=["x.npy"])
    assert "the channels are first; put them last" in work.refusal().advice


def test_list_that_is_not_text(work: Work) -> None:
    small(work)
    (work.data / "set.txt").write_bytes(b"\xff\xfe\x00a")
    work.use(list="set.txt")
    assert work.refusal().what == "set.txt is not UTF-8 text"


def test_list_entries_start_at_the_real_list(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    for name in ("a.png", "b.png", "c d.npy"):
        (tmp_path / "data" / name).touch()
    (tmp_path / "data/set.txt").write_text('a.png "c d.npy"\n../data/b.png a.png\n')
    (tmp_path / "in").symlink_to(tmp_path / "data/set.txt")
    data = tmp_path / "data"
    assert list_entries(tmp_path / "in") == [
        (data / "a.png", data / "c d.npy"),
        (data / "../data/b.png", data / "a.png"),
    ]


def test_dataset_needs_the_standard_library_only() -> None:
    """The plan imports it in an environment without numpy and Pillow."""
    code = (
        "import sys; sys.modules.update(dict.fromkeys(('numpy', 'PIL', 'onnx')));"
        "from quant.samples.dataset import list_entries"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def labelled(work: Work, **given: Any) -> None:
    always = {"inputs": "x.npy", "labels": "y.npy", "metric": "top1", "samples": None}
    work.params["evaluate"] = always | given
    inputs = work.params["evaluate"]["inputs"]
    for i, name in enumerate(inputs.values() if isinstance(inputs, Mapping) else [inputs]):
        work.link(f"evaluate_inputs_{i}", name)
    work.link("evaluate_labels", "y.npy")


def test_labelled_data(work: Work) -> None:
    work.model({"x": (1, 3), "ids": (1, 2)}, ids="int64")
    x, ids = work.array("x.npy", 5, 3, dtype="float64"), work.array("i.npy", 5, 2, dtype="int16")
    labels = work.array("y.npy", 5, 1, dtype="uint8")
    labelled(work, inputs={"ids": "i.npy", "x": "x.npy"}, samples=4)
    record = work.run()
    assert (load("evaluate_0.npy") == x[:4]).all() and load("evaluate_0.npy").dtype == np.float32
    assert (load("evaluate_1.npy") == ids[:4]).all() and load("evaluate_1.npy").dtype == np.int64
    assert (load("evaluate_labels.npy") == labels[:4, 0]).all()
    assert load("evaluate_labels.npy").dtype == np.int64
    assert record["evaluate"]["count"] == 4 and len(record["evaluate"]["digest"]) == 64


def test_labelled_data_for_a_batch(work: Work) -> None:
    """One row a sample, whatever the network's batch."""
    work.model({"x": (4, 3)})
    x = work.array("x.npy", 6, 3)
    work.array("y.npy", 6, dtype="int64")
    labelled(work)
    work.run()
    assert (load("evaluate_0.npy") == x).all()


# labels -> what the error says
LABELS: dict[str, tuple[NDArray[Any], str]] = {
    "too few": (np.zeros(4, int), "y.npy: 4 labels for 5 samples"),
    "reals": (np.zeros(5), "y.npy: holds float64, not class indices"),
    "one-hot": (np.zeros((5, 10), int), "y.npy: has the shape [5, 10]"),
    "negative": (np.array([0, 1, -1, 2, 3]), "y.npy: holds -1"),
}


@pytest.mark.parametrize("name", LABELS)
def test_refused_labels(name: str, work: Work) -> None:
    labels, what = LABELS[name]
    work.model({"x": (1, 3)})
    work.array("x.npy", 5, 3)
    np.save(work.data / "y.npy", labels)
    labelled(work)
    assert work.refusal().what == what


def test_more_labelled_samples_wanted_than_there_are(work: Work) -> None:
    work.model({"x": (1, 3)})
    work.array("x.npy", 5, 3)
    work.array("y.npy", 5, dtype="int64")
    labelled(work, samples=6)
    assert work.refusal().what == ("the recipe wants 6 samples; there are 5 labelled samples")
