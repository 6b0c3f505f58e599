"""./doit runtime: what the vendor's own runtime says of a file, under emulation."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import helper

from pipelines.backends.rknn.runtime import check, emulator, told
from pipelines.backends.rknn.runtime.processor import AARCH64, ARM
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
IN_SET = "the runtime died in rknn_inputs_set under emulation"
IN_NATIVE = (
    "the runtime died in rknn_query of native inputs and outputs, which a program had better not "
    "ask for, under emulation"
)


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
        (RAN.removesuffix("done\n"), "run", -6, "runs", f"{IN_NATIVE} (SIGABRT)"),
        (DIED.partition("inputs")[0], "run", -6, "loads", f"{IN_SET} (SIGABRT)"),
        (DIED.replace("set 0", "set -5"), "memory", 0, "loads", "rknn_set_io_mem gave -5"),
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


def test_what_is_known_of_an_operator_is_said_with_the_layers_name() -> None:
    layers = [{"op": "Conv", "name": "one"}, {"op": "exLSTM", "name": "two"}]
    assert "(`two`: an LSTM of SDK 2.5.0 has" in check.known(layers, "1.5.2")
    assert check.known(layers, "2.3.2") == check.known(layers[:1], "1.5.2") == ""


def test_what_lacks_is_told_with_one_command(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    lacking = replace(AARCH64, qemu="qemu-of-nobody")
    with pytest.raises(Fault, match=r"qemu-of-nobody .* not installed") as error:
        emulator.prepare(tmp_path, lacking)
    install = "apt install qemu-user-static libc6-arm64-cross libstdc++6-arm64-cross"
    assert error.value.advice == f"Debian, Ubuntu: {install}"


needs_emulator = pytest.mark.skipif(bool(AARCH64.lacking()), reason=AARCH64.lacking())


TARGETS: dict[str, Any] = {
    "good": {"rk3588": {}, "rk3576": {}, "rv1106": {"quantize": {"dtype": "w8a8"}}},
    "bad": {"rk3588": {}},
}


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
            "targets": TARGETS[name],
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
        "name": "librknnrt",
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
    assert "layers: 3: 3 NPU\n" in plain.out
    held = built.doit("inspect", str(built.built("good", "rk3588/model.rknn"))).out
    assert ["layers", "3:", "3", "NPU"] in [line.split() for line in held.splitlines()]


@pytest.mark.toolchain
@needs_emulator
def test_a_file_that_the_recipe_no_longer_makes(built: Workspace) -> None:
    """It is told, and not run beside a float network that is given what stands there now."""
    built.edit("good", "for the board", "for another")
    try:
        ran = built.doit("runtime", "good@rk3588")
        assert (ran.code, "good@rk3588: runs" in ran.out) == (0, True)
        assert "good:build@rk3588 is not up to date: this is of the file as it was" in ran.err
        ran = built.doit("infer", "good@rk3588", str(built.root / "models" / "good" / "x.npy"))
        assert (ran.code, ran.out) == (3, "")
        assert "good:build@rk3588 is not up to date\n  run: ./doit good@rk3588" in ran.err
    finally:
        built.edit("good", "for another", "for the board")
    assert built.doit("runtime", "good@rk3588").err == ""


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
    assert [ran.steps[f"{name}:runtime@rk3588"] for name in ("good", "bad")] == ["ran"] * 2, ran.err
    assert "good@rk3588" not in ran.err
    assert "bad@rk3588: librknnrt 1.5.2: refused, below the gate `runs`: ERROR: unsupp" in ran.err
    found = json.loads(built.built("good", "rk3588/runtime.json").read_text())
    assert found["runtime"] == {
        "name": "librknnrt",
        "version": "1.5.2",
        "file": "librknnrt.so",
        "is_pinned": False,
    }
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


BOARD = ROOT / "tests" / "data" / "board"


@pytest.fixture(params=["gnu", "zig"])
def compilers_home(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Path:
    """Where C is compiled with the distribution's compiler, or without one with Zig's."""
    home = ROOT / ".npumake" / "runtime"
    home.mkdir(exist_ok=True, parents=True)
    if request.param == "gnu":
        return home
    if not (home / "zig" / "ziglang").is_dir() and "NPUMAKE_ZIG" not in os.environ:
        pytest.skip("NPUMAKE_ZIG is not set, which fetches Zig's compiler, 340 MB")
    monkeypatch.setattr(emulator, "_has_headers", lambda _gnu: False)
    for name in ("zig", "zig-cache"):
        (home / name).mkdir(exist_ok=True)
        (tmp_path / name).symlink_to(home / name)
    return tmp_path


@needs_emulator
def test_copies_into_the_devices_memory_are_whole(compilers_home: Path, tmp_path: Path) -> None:
    machine = emulator.prepare(compilers_home)
    program = tmp_path / "copied"
    compiler = emulator.compiler(compilers_home, AARCH64, "cc")
    assert compiler[0].endswith("zig") or compilers_home != tmp_path
    subprocess.run(
        [*compiler, "-O0", "-o", str(program), str(BOARD / "copied.c")],
        check=True,
        env={"ZIG_GLOBAL_CACHE_DIR": str(compilers_home / "zig-cache"), "PATH": "/usr/bin:/bin"},
    )
    (tmp_path / "weights").write_bytes(np.random.default_rng(0).bytes(3 << 19))
    ran = machine.run_program([str(program), str(tmp_path / "weights")], {})
    assert ran.returncode == 0, ran.stdout


@pytest.mark.toolchain
@pytest.mark.parametrize(
    ("data", "told"),
    [
        (None, "rv1106 is run by librknnmrt, of which no package is public"),
        (b"not a library", "l.so is no library for a board's processor"),
    ],
)
def test_a_runtime_that_only_a_board_has(
    built: Workspace, tmp_path: Path, data: bytes | None, told: str
) -> None:
    given = []
    if data is not None:
        (tmp_path / "l.so").write_bytes(data)
        given = ["--librknnrt", str(tmp_path / "l.so")]
    ran = built.doit("runtime", "good@rv1106", *given)
    assert (ran.code, told in ran.err) == (3, True), ran.err


@pytest.mark.toolchain
@needs_emulator
def test_the_other_runtime(built: Workspace) -> None:
    library = ROOT / ".npumake" / "runtime" / "librknnrt-1.5.2.so"
    ran = built.doit("runtime", "good@rv1106", "--librknnrt", str(library))
    assert "rv1106 is run by librknnmrt, and librknnrt-1.5.2.so is librknnrt" in ran.err


@pytest.mark.toolchain
@pytest.mark.skipif(bool(ARM.lacking()), reason=ARM.lacking())
def test_what_a_32_bit_runtime_asks_is_answered(built: Workspace, tmp_path: Path) -> None:
    """A library of our own, which asks as librknnmrt does: of memory, of uClibc, of the driver."""
    library = tmp_path / "librknnmrt.so"
    home = ROOT / ".npumake" / "runtime"
    device = emulator.prepare(home, ARM).device  # stands for libc.so.0
    compiler = emulator.compiler(home, ARM, "cc")
    source = BOARD / "minimal_runtime.c"
    words = ["-shared", "-fPIC", "-O1", "-o", str(library), str(source), str(device)]
    subprocess.run(
        [*compiler, *words],
        check=True,
        env={"ZIG_GLOBAL_CACHE_DIR": str(home / "zig-cache"), "PATH": "/usr/bin:/bin"},
    )
    ran = built.doit("runtime", "good@rv1106", "--librknnrt", str(library), "--json")
    assert ran.code == 0, ran.err
    found = json.loads(ran.out)
    assert (found["verdict"], found["because"], found["layers"]) == ("runs", "", [])
    assert found["runtime"]["name"] == "librknnmrt"
    assert [(row["name"], row["shape"]) for row in found["outputs"]] == [("y", [1, 4])]


@pytest.mark.toolchain
@pytest.mark.skipif(
    "NPUMAKE_LIBRKNNMRT" not in os.environ, reason="NPUMAKE_LIBRKNNMRT names no librknnmrt.so"
)
def test_the_runtime_of_rv1106(built: Workspace) -> None:
    library = os.environ["NPUMAKE_LIBRKNNMRT"]
    ran = built.doit("runtime", "good@rv1106", "--librknnrt", library, "--json")
    assert ran.code == 0, ran.err
    found = json.loads(ran.out)
    build = json.loads(built.built("good", "rv1106/build.json").read_text())
    assert (found["verdict"], found["because"], found["differences"]) == ("runs", "", [])
    assert found["memory"]["internal_bytes"] == build["totals"]["internal_bytes"]
    assert found["custom_string"] == "for the board"
