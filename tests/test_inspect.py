"""./doit inspect: what an .rknn tells by itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pipelines.backends.rknn.file.inspection import inspect
from pipelines.report import inspection_text
from quant.fault import Fault
from tests import warm
from tests.conftest import ROOT
from tests.test_ledger import built_diseases as built_diseases
from tests.test_ledger import file_bytes, report
from tests.workspace import Workspace


def run(*words: str, cwd: Path) -> warm.Said:
    return warm.capture([str(ROOT / "dodo.py"), "inspect", *words], cwd, os.environ, timeout_s=60)


def test_every_byte_of_a_small_file(tmp_path: Path) -> None:
    (tmp_path / "m.rknn").write_bytes(file_bytes())
    ran = run("m.rknn", "--json", cwd=tmp_path)
    assert ran.code == 0, ran.err
    told = json.loads(ran.out)
    assert told["file_bytes"] == sum(told["kinds"].values()) == len(file_bytes())
    assert [end["name"] for end in told["inputs"]] == ["x"]
    assert told["inputs"][0]["shape"] == [1, 3, 8, 8]
    assert [(one["op"], one["name"]) for one in told["layers"]] == [("Conv", "conv")]
    plain = run("m.rknn", cwd=tmp_path)
    assert "[1, 3, 8, 8]" in plain.out
    assert "m.rknn" in run("m.rknn", "m.rknn", cwd=tmp_path).out.splitlines()[0]


def test_no_large_package_is_imported(tmp_path: Path) -> None:
    """numpy alone takes twice as long as all that inspect does."""
    (tmp_path / "m.rknn").write_bytes(file_bytes())
    command = [sys.executable, "-s", "-X", "importtime", str(ROOT / "dodo.py"), "inspect", "m.rknn"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "pipelines.report.inspecting" in imported
    assert not {"numpy", "onnx", "yaml", "ruamel.yaml", "doit", "dvc", "sqlite3"} & imported


def test_what_is_told_fits_a_terminal_of_80_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    """As of a detector of ten quantized outputs, whose rows took 86 columns, and of two files."""
    monkeypatch.setenv("COLUMNS", "80")
    end = {"name": "score", "shape": [1, 9, 48, 80], "dtype": "INT8", "layout": "NC1HWC2"}
    scale = {"scale": 0.00389151857, "zero_point": -128}
    long = "/backbone/bottom_up/res5/res5.0/shortcut/Conv_ConvAddRelu/and/more"
    told = {
        "file": "m.rknn",
        "file_bytes": 100,
        "container": "rknn 6",
        "source": "ONNX",
        "toolkit": "2.3.1-source_code",
        "compiler": "compiler version: 2.3.2 (c978047055)",
        "platform": "rk3588",
        "custom_string": "",
        "findings": [],
        "kinds": {"payload": 100},
        "digest": "b4" * 32,
        "layers": [{"op": "Conv", "target": "NPU"}],
        "runtime": "librknnrt 1.5.2 or later; 1.3.0 to 1.5.0 refuse container version 6",
        "inputs": [{**end, **scale}],
        "outputs": [{**end, **scale, "name": f"score_{i}"} for i in range(9)]
        + [{**end, **scale, "name": long}],
        "nodes": [{"node": long, "op": "ConvAddRelu", "bytes": 100}],
    }
    lines = [*inspection_text.lines(told, "m.rknn"), *inspection_text.beside([told] * 2, ["m"] * 2)]
    assert max(map(len, lines)) <= 80
    text = " ".join(" ".join(lines).split())
    assert f"output {long} [1, 9, 48, 80] INT8 NC1HWC2 0.00389151857 -128" in text
    assert "see ./doit which m.rknn" in text


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"", "is no .rknn file: it does not start with `RKNN`"),
        (b"ONNX" + bytes(100), "an encrypted one does not either"),
        (b"RKNX" + bytes(100), "is for RKNPU3"),
        (b"RKNN" + bytes(4) + b"\7" + bytes(100), "version 0x7, which is not known"),
        (b"RKNN" + bytes(4) + b"\2" + bytes(100), "version 0x2, which an SDK before 1.5 wrote"),
        (file_bytes()[:900], "is truncated or damaged"),
        (b"RKNN" + bytes(4) + b"\4\x10" + bytes(70), "is truncated or damaged"),
    ],
)
def test_files_that_are_none(tmp_path: Path, data: bytes, told: str) -> None:
    (tmp_path / "m.rknn").write_bytes(data)
    with pytest.raises(Fault) as error:
        inspect(tmp_path / "m.rknn")
    assert told in str(error.value)
    (tmp_path / "good.rknn").write_bytes(file_bytes())
    ran = run("m.rknn", "good.rknn", cwd=tmp_path)
    assert ran.code == 3
    assert told in ran.err
    assert "Traceback" not in ran.err
    assert "good.rknn" in ran.out  # the others are told


def test_a_damaged_file_is_never_a_traceback(tmp_path: Path) -> None:
    """A third of the bytes of a small file, each turned over."""
    whole, read = file_bytes(), 0
    for place in range(0, len(whole), 3):
        data = bytearray(whole)
        data[place] ^= 255
        (tmp_path / "m.rknn").write_bytes(data)
        try:
            told = inspect(tmp_path / "m.rknn")
        except Fault:
            continue
        read += 1
        assert sum(told["kinds"].values()) == len(whole)
    assert 0 < read < len(whole) / 3


def test_what_is_not_there(tmp_path: Path) -> None:
    ran = run("no.rknn", cwd=tmp_path)
    assert (ran.code, ran.err) == (3, "no.rknn: No such file or directory\n")
    assert run("--jsn", "no.rknn", cwd=tmp_path).code == 3


@pytest.mark.toolchain
@pytest.mark.parametrize("target", ["rk3588", "rk3566", "rv1106", "rv1103b", "half"])
def test_real_files(built_diseases: Workspace, target: str) -> None:
    """Against what the build's own log and the ledger with the source say."""
    told = inspect(built_diseases.built("ssd_head", f"{target}/model.rknn"))
    build: Any = json.loads(built_diseases.built("ssd_head", f"{target}/build.json").read_text())
    held = report(built_diseases, "ssd_head", target)
    assert (told["platform"], told["toolkit"]) == (build["platform"], "2.5.0")
    keys = ("op_type", "full_name", "target")
    logged = [tuple(row[key] for key in keys) for row in build["layers"]]
    assert [row["op"] for row in told["layers"]] == [row[0] for row in logged]
    assert [row["target"] for row in told["layers"][1:]] == [row[2] for row in logged[1:]]
    for kind in ("commands", "tasks", "metadata", "unexplained"):
        assert told["kinds"][kind] == held["kinds"][kind]
    assert [end["name"] for end in told["outputs"]] == ["boxes", "scores"]
    causes = [one["name"] for one in told["findings"] if one["is_cause"]]
    assert causes[0] == "unaligned_concat"
    if target != "half":
        scale = told["inputs"][0]["scale"]
        assert scale == pytest.approx(1 / 128, rel=0.05)
