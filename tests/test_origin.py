"""Every .rknn says where it comes from: the SDK's own files, both versions."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipelines.backends.rknn.file import origin_text
from pipelines.backends.rknn.file.inspection import inspect
from quant.fault import Fault
from quant.rknn import texts as rknn_texts
from tests.job_runner import ToolchainJobs
from tests.small_models import conv_net
from tests.test_rknn_jobs import SHAPE, Bench, Done, Network, Toolchain, pixels

HALF = {"quantize": {"dtype": "float16"}}


@pytest.mark.parametrize(
    ("text", "digest"),
    [
        ("npumake:" + "0a" * 32, "0a" * 32),
        ("npumake:" + "0A" * 32, None),
        ("npumake:" + "0a" * 31, None),
        ("npumake:" + "0a" * 32 + "\n", None),
        (origin_text.PLACEHOLDER, None),
        ("made by us", None),
        ("", None),
    ],
)
def test_a_digest_in_a_text(text: str, digest: str | None) -> None:
    assert origin_text.digest_in(text) == digest
    assert digest is None or origin_text.text_of(digest) == text


def test_what_is_no_rknn_gets_no_text() -> None:
    with pytest.raises(Fault, match=r"is no .rknn file"):
        rknn_texts.with_custom_string(b"ONNX" + bytes(100), "x")


@pytest.fixture(scope="module", params=["2.5.0", "2.3.2"])
def bench(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Bench]:
    place = tmp_path_factory.mktemp(f"origin-{request.param}")
    name = f"rknn-{request.param}"
    server = ToolchainJobs.start(name, request, place / "log", is_new=False)
    (place / "jobs").mkdir()
    yield Bench(
        Toolchain(request.param, server),
        Network(conv_net(SHAPE), {"input": pixels()}),
        place / "jobs",
    )
    server.close()


def made(bench: Bench, **changes: Any) -> Done:
    is_half = changes.get("quantize", {}).get("dtype") == "float16"
    return bench.build(None if is_half else bench.quantize(**changes), **changes)


def custom(digest: str) -> dict[str, Any]:
    return {"rknn": {"custom_string": f"npumake:{digest}"}}


@pytest.mark.toolchain
@pytest.mark.parametrize(
    "changes", [{}, {"platform": "rv1126b"}, HALF], ids=["rk3588", "rv1126b", "half"]
)
def test_the_digest_is_of_what_went_in(bench: Bench, changes: dict[str, Any]) -> None:
    """Other names and folders give the same; the file is the one that the SDK makes with it."""
    first, again = made(bench, **changes), made(bench, target="another", **changes)
    origin = first.read("build.json")["origin"]
    text = json.dumps(origin["of"], sort_keys=True, separators=(",", ":"))
    assert origin["digest"] == hashlib.sha256(text.encode()).hexdigest()
    assert origin["of"]["calibration"] == (None if changes == HALF else "d" * 64)
    assert origin["of"]["network"] == hashlib.sha256(bench.network.model).hexdigest()
    assert origin["of"]["toolkit"] == bench.toolchain.version
    data = (first.out / "model.rknn").read_bytes()
    assert (again.out / "model.rknn").read_bytes() == data
    assert inspect(first.out / "model.rknn")["digest"] == origin["digest"]
    assert data.count(origin["digest"].encode()) == 1
    told = {"quantize": {**changes.get("quantize", {}), **custom(origin["digest"])}}
    theirs = made(bench, **{**changes, **told})
    assert theirs.read("build.json")["origin"] is None
    assert (theirs.out / "model.rknn").read_bytes() == data


@pytest.mark.toolchain
def test_any_other_input_gives_another_digest(bench: Bench, tmp_path: Path) -> None:
    quantized = bench.quantize()
    other = Network(conv_net(SHAPE, seed=1), bench.network.samples)
    (tmp_path / "jobs").mkdir()
    files = [
        bench.build(quantized),
        bench.build(quantized, build={"layers": {"c2": "float16"}}),
        made(bench, platform="rk3576"),
        made(bench, quantize={"rknn": {"optimization_level": 2}}),
        made(bench, **HALF),
        made(Bench(bench.toolchain, other, tmp_path / "jobs")),
    ]
    calibration = quantized.out / "quantize" / "calibration.json"
    calibration.write_text(calibration.read_text().replace("d" * 64, "e" * 64))
    files.append(bench.build(quantized))
    digests = {file.read("build.json")["origin"]["digest"] for file in files}
    assert len(digests) == len(files)


@pytest.mark.toolchain
def test_a_text_of_the_recipe_stays(bench: Bench) -> None:
    built = made(bench, quantize={"dtype": "float16", "rknn": {"custom_string": "ours"}})
    told = inspect(built.out / "model.rknn")
    assert (told["custom_string"], told["digest"]) == ("ours", None)
    assert built.read("build.json")["origin"] is None
