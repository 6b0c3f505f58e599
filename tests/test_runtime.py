"""./doit runtime: what the vendor's own runtime says of a file, under emulation."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from onnx import helper

from pipelines.backends.rknn.runtime import check, emulator, told
from quant.fault import Fault
from tests.conftest import ROOT
from tests.small_models import model_bytes, samples
from tests.workspace import Workspace

RAN = """\
init 0
version 1.5.2 (c6b7b351a@2023-08-23T15:28:22)
driver 0.9.8
memory 265664 97280
counts 1 1
input 1 2 2 -128 0.5 768 8 768 4 1 8 8 12 my input
output 3 1 2 0 1 20 0 20 2 1 10 scores
custom made by us
inputs_set 0
run 0
layers
ID   OpType           DataType Target InputShape
1    InputOperator    INT8     CPU    \\
2    ConvRelu         INT8     NPU    (1,12,8,8)
Total Operator Elapsed Time(us): 2343

end of layers
done
"""
REFUSED = "E RKNN: [21:22:25.521] ERROR: unsupport Atan op in current\n"
DIED = RAN.partition("run 0")[0]


def test_what_the_probe_prints() -> None:
    said = told.read(RAN)
    assert (said.version, said.init, said.run, said.is_done) == ("1.5.2", 0, 0, True)
    assert (said.weights_bytes, said.internal_bytes) == (265664, 97280)
    assert said.custom_string == "made by us"
    assert said.tensors["input"] == [
        {
            "name": "my input",
            "shape": [1, 8, 8, 12],
            "layout": "NHWC",
            "dtype": "INT8",
            "scale": 0.5,
            "zero_point": -128,
            "bytes": 768,
            "width_stride": 8,
            "bytes_with_stride": 768,
        }
    ]
    assert said.tensors["output"][0]["scale"] is None  # of a float
    layers = [(one.op, one.dtype, one.target) for one in said.layers]
    assert layers == [("InputOperator", "INT8", "CPU"), ("ConvRelu", "INT8", "NPU")]


@pytest.mark.parametrize(
    ("text", "mode", "code", "verdict", "because"),
    [
        (RAN, "run", 0, "runs", ""),
        (RAN.replace("run 0", "run -1"), "run", 0, "loads", "rknn_run gave -1"),
        (DIED, "run", -11, "loads", "the runtime died in rknn_run under emulation (SIGSEGV)"),
        (
            DIED,
            "info",
            0,
            "information only",
            "the version of this platform's hardware is not known",
        ),
        (REFUSED, "run", -6, "refused", "ERROR: unsupport Atan op in current"),
        ("init -6\n", "run", 0, "refused", "rknn_init gave -6"),
        ("", "run", -9, "refused", "the runtime died in rknn_init under emulation (SIGKILL)"),
    ],
)
def test_verdicts(text: str, mode: str, code: int, verdict: str, because: str) -> None:
    assert check.verdict_of(told.read(text), mode, code) == (verdict, because)


def test_what_lacks_is_told_with_one_command(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(emulator, "_QEMU", "qemu-of-nobody")
    with pytest.raises(Fault, match=r"qemu-of-nobody .* not installed") as error:
        emulator.prepare(tmp_path)
    assert error.value.advice == f"Debian, Ubuntu: {emulator.INSTALL}"


needs_emulator = pytest.mark.skipif(bool(emulator.lacking()), reason=emulator.lacking())


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Models `good` and `bad`; bad has an operator that the runtime refuses."""
    workspace = Workspace(tmp_path_factory.mktemp("runtime"))
    (workspace.root / ".npumake" / "runtime").symlink_to(ROOT / ".npumake" / "runtime")
    (ROOT / ".npumake" / "runtime").mkdir(exist_ok=True, parents=True)
    for name, operator in (("good", "Sigmoid"), ("bad", "Atan")):
        nodes = [
            helper.make_node("Relu", ["x"], ["r"], "first"),
            helper.make_node(operator, ["r"], ["y"], "angle"),
        ]
        net = model_bytes(nodes, {}, {"x": (1, 4, 8, 8)}, {"y": (1, 4, 8, 8)})
        recipe = {
            "source": {"onnx": "net.onnx"},
            "inputs": {"x": {"shape": [1, 4, 8, 8]}},
            "quantize": {
                "dtype": "float16",
                "calibration": {"npy": "x.npy", "samples": 1},
                "rknn": {"custom_string": "for the board"},
            },
            "targets": {"rk3588": {}, "rk3576": {}},
        }
        workspace.add(name, recipe, net__onnx=net, x__npy=samples(1, [4, 8, 8]))
    ran = workspace.doit("*:build@*")
    assert ran.code == 0, ran.err
    return workspace


@pytest.mark.toolchain
@needs_emulator
def test_a_network_that_runs(built: Workspace) -> None:
    ran = built.doit("runtime", "good@rk3588", "--json")
    assert ran.code == 0, ran.err
    found: Any = json.loads(ran.out)
    build = json.loads(built.built("good", "rk3588/build.json").read_text())
    assert (found["verdict"], found["because"], found["differences"]) == ("runs", "", [])
    assert found["runtime"] == {
        "version": "1.5.2",
        "file": "librknnrt-1.5.2.so",
        "is_pinned": True,
    }
    logged = [(row["op_type"], row["dtype"], row["target"]) for row in build["layers"]]
    assert [(row["op"], row["dtype"], row["target"]) for row in found["layers"]] == logged
    assert found["memory"]["internal_bytes"] == build["totals"]["internal_bytes"]
    assert found["custom_string"] == "for the board"
    assert [(row["name"], row["dtype"]) for row in found["inputs"]] == [("x", "FLOAT16")]
    plain = built.doit("runtime", "good@rk3588")
    assert plain.out.startswith("good@rk3588: runs (librknnrt 1.5.2")
    assert "results and times can't be told" in plain.out


@pytest.mark.toolchain
@needs_emulator
def test_an_operator_that_boards_refuse_is_named(built: Workspace) -> None:
    ran = built.doit("runtime", "bad@rk3588")
    assert ran.code == 1
    assert "bad@rk3588: refused (librknnrt 1.5.2" in ran.out
    assert "unsupport Atan op in current (`angle`)" in ran.out


@pytest.mark.toolchain
@needs_emulator
def test_a_platform_of_unknown_number(built: Workspace) -> None:
    ran = built.doit("runtime", "good@rk3576", "--json")
    assert json.loads(ran.out)["verdict"] == "information only"


@pytest.mark.toolchain
@needs_emulator
def test_a_step_of_the_plan_and_a_gate(built: Workspace) -> None:
    """The user's own copy: the pinned one under another name."""
    library = ROOT / ".npumake" / "runtime" / "librknnrt-1.5.2.so"
    for name in ("good", "bad"):
        built.put(built.root / "models" / name / "librknnrt.so", library)
        added = "runtime: {librknnrt: librknnrt.so}\ngates: {runtime: runs}\ntargets:"
        built.edit(name, "targets:", added)
    ran = built.doit("good:runtime@rk3588", "bad:runtime@rk3588")
    assert ran.code == 1
    assert ran.steps["good:runtime@rk3588"] == ran.steps["bad:runtime@rk3588"] == "ran"
    assert "good@rk3588" not in ran.err
    assert "bad@rk3588: librknnrt 1.5.2: refused, below the gate `runs`: ERROR: unsupp" in ran.err
    found = json.loads(built.built("good", "rk3588/runtime.json").read_text())
    assert found["runtime"] == {"version": "1.5.2", "file": "librknnrt.so", "is_pinned": False}
    lock = (built.root / "models/good/dvc.lock").read_text()
    assert "build/rk3588/runtime.json" in lock
    again = built.doit("good:runtime@rk3588")
    assert (again.code, again.steps) == (0, {})


@pytest.mark.toolchain
def test_names_that_are_none(built: Workspace) -> None:
    ran = built.doit("runtime", "god@rk3588")
    assert ran.code == 3
    assert "did you mean `good@rk3588`?" in ran.err
    assert "no file" in built.doit("runtime", "no.rknn").err
