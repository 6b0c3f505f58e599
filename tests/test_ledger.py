"""The byte ledger: files of our own making, and real ones of the SDK."""

from __future__ import annotations

import functools
import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import flatbuffers  # type: ignore[import-untyped]
import numpy as np
import pytest

from pipelines.backends.rknn.file import ledger as rknn_ledger
from pipelines.backends.rknn.file.provenance import Provenance
from pipelines.backends.rknn.findings.bytes.table import findings
from quant.fault import Fault
from quant.report import build_json, bytes_report, source_network_onnx
from quant.report.ledger import KINDS, Ledger, LedgerEntry, LedgerError, split
from quant.rknn import commands as rknn_commands
from quant.rknn import file as rknn_file
from quant.rknn import layout as rknn_layout
from quant.rknn import parts as rknn_parts
from quant.rknn.file import Operator
from tests import diseases
from tests.graph_builder import parsed
from tests.small_models import samples
from tests.test_realworld import ULTRAFACE
from tests.vacuous import some
from tests.workspace import Workspace

# A file of our own: one convolution with weight, bias, commands and tasks.

TOLD = {
    "norm_tensor": [{"tensor_id": 0, "url": "x"}, {"tensor_id": 1, "url": "y"}],
    "graph": [
        {"left": "input", "left_tensor_id": 0, "right_tensor_id": 0},
        {"left": "output", "left_tensor_id": 0, "right_tensor_id": 1},
    ],
}
WEIGHT, BIAS = b"\1" * 32, struct.pack("<16i", *range(1, 17))
COMMANDS = bytes(range(1, 129))
TASKS = rknn_commands.TASK.pack(0, 0, 29, 768, 1, 0, 8, 0, 0) + rknn_commands.TASK.pack(
    0, 0, 29, 768, 1, 0, 8, 0, 64
)


def ints(builder: flatbuffers.Builder, values: tuple[int, ...]) -> int:
    builder.StartVector(4, len(values), 4)
    for value in reversed(values):
        builder.PrependInt32(value)
    return int(builder.EndVector())


def tables(builder: flatbuffers.Builder, places: list[int]) -> int:
    builder.StartVector(4, len(places), 4)
    for place in reversed(places):
        builder.PrependUOffsetTRelative(place)
    return int(builder.EndVector())


def tensor(
    builder: flatbuffers.Builder,
    name: str,
    dtype: int,
    kind: int,
    shape: tuple[int, ...] = (),
    blob: int = 0,
) -> int:
    name_at, shape_at = builder.CreateString(name), ints(builder, shape)
    builder.StartObject(19)
    builder.PrependByteSlot(0, dtype, 0)
    builder.PrependByteSlot(2, kind, 0)
    builder.PrependUOffsetTRelativeSlot(4, shape_at, 0)
    builder.PrependUOffsetTRelativeSlot(5, name_at, 0)
    builder.PrependUint32Slot(18, blob, 0)
    return int(builder.EndObject())


def file_bytes(told: Mapping[str, Any] = TOLD) -> bytes:
    builder = flatbuffers.Builder(0)
    data = [builder.CreateByteVector(one) for one in (WEIGHT, BIAS, COMMANDS, TASKS)]
    blobs = []
    for place in (None, *data):
        builder.StartObject(1)
        if place is not None:
            builder.PrependUOffsetTRelativeSlot(0, place, 0)
        blobs.append(int(builder.EndObject()))
    held = [
        tensor(builder, "x", 3, rknn_parts.INPUT, (1, 3, 8, 8)),
        tensor(builder, "w", 3, rknn_parts.CONSTANT, (2, 3, 1, 1), 1),
        tensor(builder, "b", 6, rknn_parts.CONSTANT, (2,), 2),
        tensor(builder, "y", 3, rknn_parts.OUTPUT, (1, 2, 8, 8)),
        tensor(builder, "regcmd", 13, rknn_parts.COMMANDS, (), 3),
        tensor(builder, "task", 13, rknn_parts.TASKS, (), 4),
    ]
    kind_at, name_at = builder.CreateString("Conv"), builder.CreateString("Conv:conv")
    in_at, out_at = ints(builder, (0, 1, 2)), ints(builder, (3,))
    builder.StartObject(6)
    for slot, place in ((1, kind_at), (2, name_at), (4, in_at), (5, out_at)):
        builder.PrependUOffsetTRelativeSlot(slot, place, 0)
    operator = int(builder.EndObject())
    tensors_at, operators_at = tables(builder, held), tables(builder, [operator])
    builder.StartObject(2)
    builder.PrependUOffsetTRelativeSlot(0, tensors_at, 0)
    builder.PrependUOffsetTRelativeSlot(1, operators_at, 0)
    subgraphs_at, blobs_at = tables(builder, [int(builder.EndObject())]), tables(builder, blobs)
    builder.StartObject(21)
    builder.PrependUOffsetTRelativeSlot(2, subgraphs_at, 0)
    builder.PrependUOffsetTRelativeSlot(20, blobs_at, 0)
    builder.Finish(builder.EndObject(), file_identifier=b"RKNN")
    body, text = bytes(builder.Output()), json.dumps(told).encode()
    header = struct.pack("<4sIQQ", b"RKNN", 0, 6, len(body)).ljust(64, b"\0")
    return header + body + struct.pack("<Q", len(text)) + text


NETWORK = source_network_onnx.read(
    parsed(
        """g (float[1,3,8,8] x) => (float[1,2,8,8] y)
        <float[2,3,1,1] w = {1,1,1,1,1,1}, float[2] b = {1,2}> { y = Conv(x, w, b) }"""
    )
)
BUILD = rknn_ledger.Build(source_bytes=100, dtype="w8a8", rules=[])


def ledger_of(data: bytes) -> dict[str, Any]:
    found = rknn_ledger.make(rknn_file.parse(data, "m.rknn"), NETWORK, BUILD)
    return dict(json.loads(bytes_report.to_json(found)))


def test_a_file_of_another_form_is_refused() -> None:
    data = bytes_report.to_json(
        rknn_ledger.make(rknn_file.parse(file_bytes(), "m"), NETWORK, BUILD)
    )
    assert bytes_report.to_json(bytes_report.from_json(data)) == data
    for changed in ('{"container": "x"}', data.replace('"container"', '"vessel"')):
        with pytest.raises(Fault, match="another npumake wrote it"):
            bytes_report.from_json(changed)


def test_every_byte_of_a_small_file() -> None:
    data = file_bytes()
    found = ledger_of(data)
    kinds = found["kinds"]
    assert list(kinds) == list(KINDS)
    assert sum(kinds.values()) == found["file_bytes"] == len(data)
    assert kinds["unexplained"] == 0
    expected = {"payload": 6 + 2, "widening": 6, "channel_scales": 8, "commands": 128, "tasks": 80}
    assert {kind: kinds[kind] for kind in expected} == expected
    assert found["layers"][0]["node"] == found["nodes"][0]["node"] == "Conv(y)"
    rows = {row["name"]: row for row in found["tensors"]}
    assert rows["w"]["kinds"] == {"payload": 6, "alignment": 26}
    assert rows["b"]["kinds"] == {
        "payload": 2, "widening": 6, "channel_scales": 8, "alignment": 48,
    }  # fmt: skip
    for row in some(found["tensors"]):
        assert sum(row["kinds"].values()) == row["bytes"]
    weight = rows["w"]
    assert data[weight["offset"] : weight["offset"] + weight["bytes"]] == WEIGHT


@pytest.mark.parametrize(
    ("dtype", "bits", "is_integer"),
    [
        ("w8a8", 8, True),
        ("w8a16", 8, False),
        ("w4a16", 4, False),
        ("w16a16i_dfp", 16, True),
        ("float16", 16, False),
        ("prequantized", 8, True),
    ],
)
def test_what_a_build_asks_for(dtype: str, bits: int, is_integer: bool) -> None:
    build = rknn_ledger.Build(0, dtype, [])
    assert (build.weight_bits, build.is_integer) == (bits, is_integer)


def test_a_source_that_is_no_onnx() -> None:
    found = rknn_ledger.make(rknn_file.parse(file_bytes(), "m.rknn"), None, BUILD)
    assert found.kinds["payload"] == 6 + 2
    assert found.nodes[0]["node"] == "conv"


def test_one_byte_behind_the_end_is_unexplained() -> None:
    data = file_bytes()
    assert ledger_of(data + b"\1")["kinds"]["unexplained"] == 1
    assert ledger_of(data + b"\1")["file_bytes"] == len(data) + 1


@pytest.mark.parametrize("difference", [-1, 1])
def test_a_ledger_off_by_one_byte_fails(difference: int) -> None:
    entries = [LedgerEntry("payload", 60, "conv"), LedgerEntry("metadata", 40 + difference)]
    with pytest.raises(LedgerError, match="the ledger adds up to"):
        Ledger(100, entries)


def test_a_ledger_refuses_kinds_that_nobody_explains() -> None:
    with pytest.raises(LedgerError, match="magic"):
        Ledger(1, [LedgerEntry("magic", 1)])
    with pytest.raises(LedgerError, match="less than nothing"):
        Ledger(0, [LedgerEntry("payload", 1), LedgerEntry("metadata", -1)])


@pytest.mark.parametrize(
    ("room", "expected"),
    [
        (10, {"payload": 4, "widening": 3, "alignment": 3}),
        (7, {"payload": 4, "widening": 3}),
        (5, {"payload": 4, "widening": 1}),  # compressed
    ],
)
def test_split(room: int, expected: dict[str, int]) -> None:
    assert split({"payload": 4, "widening": 3}, room, "alignment") == expected


def test_every_truncation_is_told() -> None:
    data = file_bytes()
    for length in (*range(0, len(data), 37), len(data) - 1):
        with pytest.raises(Fault) as fault:
            rknn_file.parse(data[:length], "m.rknn")
        assert "`m.rknn`" in fault.value.what
        assert fault.value.advice


def test_damage_is_a_fault_or_a_ledger_that_adds_up() -> None:
    data, read, refused = file_bytes(), 0, 0
    for place in range(0, len(data), 3):
        for value in (0, 0x7F, 0xFF):
            broken = data[:place] + bytes([value]) + data[place + 1 :]
            try:
                found = ledger_of(broken)
            except Fault as fault:
                refused += 1
                assert "m.rknn" in fault.what
            else:
                read += 1
                assert sum(found["kinds"].values()) == len(data)
    assert read and refused


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda data: b"ONNX" + data[4:], "is no .rknn file: it does not start with `RKNN`"),
        (lambda data: data[:8] + b"\7" + data[9:], "of version 0x7, which is not known"),
        (lambda data: data[:-2] + b"}}", "are no JSON object"),
        (lambda data: data.replace(b"RKNN", b"RKNX").replace(b"RKNX", b"RKNN", 1), "no FlatBuffer"),
    ],
)
def test_what_a_fault_says(change: Any, told: str) -> None:
    with pytest.raises(Fault, match=told):
        rknn_file.parse(change(file_bytes()), "m.rknn")


def test_json_without_the_outputs_names() -> None:
    with pytest.raises(Fault, match="does not name the inputs"):
        rknn_file.parse(file_bytes({"graph": []}), "m.rknn")


def test_spans_and_data_tile_the_file() -> None:
    file = rknn_file.parse(file_bytes(), "m.rknn")
    data = [(t.offset, t.offset + t.size_bytes) for t in file.tensors[0] if t.size_bytes]
    parts = sorted([*data, *((one.start, one.end) for one in rknn_layout.spans(file))])
    assert [start for start, _ in parts] == [0, *(end for _, end in parts[:-1])]
    assert parts[-1][1] == len(file.data)


def test_commands_by_layer() -> None:
    def task(layer: int, place: int) -> bytes:
        return rknn_commands.TASK.pack(0, layer, 0, 0, 0, 0, 2, 0, place)

    tasks = task(1, 64) + task(2, 128) + task(1, 64) + task(9, 200) + b"rest"
    found = rknn_commands.by_layer(tasks, 300, layers=3)
    assert found.commands == {None: 64 + 100, 1: 64, 2: 72}
    assert found.tasks == {1: 80, 2: 40, None: 44}
    assert rknn_commands.by_layer(b"", 8, 1).commands == {None: 8}


PROVENANCE = source_network_onnx.read(
    parsed(
        """g (float[1,640,16,16] x) => (float[1,1280,16,16] boxes) {
            [conv] y = Conv<group = 80>(x, w)
            z = Relu(y)
            [join] boxes = Concat<axis = 1>(z, z)
        }""",
        {"w": np.zeros((640, 8, 3, 3), np.float32)},
    )
)
RULES = [
    {"rule": "convert_group_conv2d_to_conv2d", "removed": ["conv"], "added": ["conv#1"]},
    {"rule": "tiling", "removed": ["conv#1"], "added": ["x_split", "conv#1_tile0"]},
    {"rule": "unsqueeze_to_4d_concat", "removed": [], "added": ["z_rs", "boxes-rs"]},
    {"rule": "itself", "removed": ["loop"], "added": ["loop"]},
]


@pytest.mark.parametrize(
    ("name", "node"),
    [
        ("conv", "conv"),
        ("conv#1", "conv"),
        ("conv#1_tile0", "conv"),
        ("x_split", "conv"),
        ("conv#1_i1_tile0", "conv"),
        ("conv_group_79", "conv"),
        ("w_branch3", "conv"),
        ("y", "conv"),
        ("z", "Relu(z)"),
        ("z_rs", "join"),  # made for the Concat that reads it
        ("boxes-rs", "join"),
        ("boxes-rs_conv_weight_bias", "join"),
        ("loop", None),
        ("tempMC11_input", None),
    ],
)
def test_provenance(name: str, node: str | None) -> None:
    found = Provenance(PROVENANCE, RULES, []).of_name(name)
    assert (found.name if found else None) == node


def test_provenance_of_layers_without_a_name() -> None:
    graph = [Operator("exDataConvert", "", ("z",), ("z__float16",))]
    origin = Provenance(PROVENANCE, [], [graph])
    layer = origin.of_operator(0, 0)
    assert layer
    assert layer.name == "Relu(z)"


# Real files, made here.

SIDES = {
    "grouped": 32,
    "depthwise_multiplier": 32,
    "mobilenet_v2_like": 224,
    "ssd_head": 80,
    "large_pooling": 112,
}
HALF = {"platform": "rk3588", "quantize": {"dtype": "float16"}}
COMPRESSED = {
    "platform": "rk3588",
    "quantize": {"rknn": {"single_core_mode": True, "compress_weight": True}},
}
TARGETS: dict[str, dict[str, Any]] = {
    "grouped": {"rk3588": {}, "rk3576": {}},
    "depthwise_multiplier": {"rk3588": {}},
    "mobilenet_v2_like": {"rk3588": {}},
    "ssd_head": {"rk3588": {}, "rk3566": {}, "rv1106": {}, "rv1103b": {}, "half": HALF},
    "large_pooling": {"rk3588": {}, "compressed": COMPRESSED},
    "lstm": {"rk3588": {}, "rv1106": {}},
}
BUILDS = [(name, target) for name, targets in TARGETS.items() for target in targets]


@pytest.fixture(scope="session")
def built_diseases(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """All of them, built once a session, though two test files have this fixture."""
    return build_all(tmp_path_factory.getbasetemp() / "diseases")


@functools.cache
def build_all(folder: Path) -> Workspace:
    folder.mkdir()
    workspace = Workspace(folder)
    for name, side in SIDES.items():
        shape = [1, 3, side, side]
        recipe = {
            "source": {"onnx": "net.onnx"},
            "inputs": {"input": {"shape": shape, "mean": [127] * 3, "std": [128] * 3}},
            "quantize": {"calibration": {"npy": "samples.npy", "samples": 2}},
            "analyze": {"samples": 1},
            "targets": TARGETS[name],
        }
        net, data = getattr(diseases, name)(), samples(2, shape[1:])
        workspace.add(name, recipe, net__onnx=net, samples__npy=data)
    recipe = {
        "source": {"onnx": "net.onnx"},
        "inputs": {"x": {"shape": [4, 1, 8]}},
        "quantize": {"calibration": {"npy": "samples.npy", "samples": 2}},
        "analyze": {"samples": 1},
        "targets": TARGETS["lstm"],
    }
    data = samples(2, [4, 1, 8])
    workspace.add("lstm", recipe, net__onnx=diseases.lstm(), samples__npy=data)
    ran = workspace.doit()
    assert ran.code == 0, ran.err
    return workspace


@pytest.fixture(scope="session")
def built_ultraface(realworld: Path, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Once a session too."""
    return build_ultraface(tmp_path_factory.getbasetemp() / "ultraface", realworld / "ultraface")


@functools.cache
def build_ultraface(root: Path, source: Path) -> Workspace:
    root.mkdir()
    workspace = Workspace(root)
    recipe = {**ULTRAFACE, "targets": {"rk3588": {}}}
    files = {"rfb320__onnx": source / "rfb320.onnx", "faces": source / "faces"}
    workspace.add("ultraface", recipe, **files)
    ran = workspace.doit()
    assert ran.code == 0, ran.err
    return workspace


def report(workspace: Workspace, name: str, target: str) -> dict[str, Any]:
    place = workspace.built(name, f"{target}/report/bytes.json")
    found: dict[str, Any] = json.loads(place.read_text())
    return found


def check(workspace: Workspace, name: str, target: str) -> dict[str, Any]:
    """What must hold of every ledger."""
    found = report(workspace, name, target)
    file = workspace.built(name, f"{target}/model.rknn")
    size = file.stat().st_size
    assert found["file_bytes"] == size
    assert sum(found["kinds"].values()) == size
    assert sum(row["bytes"] for row in found["nodes"]) == size
    assert found["unexplained"] == found["kinds"]["unexplained"]
    for row in some((*found["nodes"], *found["tensors"])):
        assert sum(row["kinds"].values()) == row["bytes"]
    metrics = json.loads(workspace.built(name, f"{target}/report/metrics.json").read_text())
    assert found["source_bytes"] == metrics["bytes"]["onnx"]
    build = json.loads(workspace.built(name, f"{target}/build.json").read_text())
    # Names only: the log's sizes are those before the last passes of the compiler.
    logged = {row["tensor"] for row in build["constants"]}
    assert logged <= {row["name"] for row in found["tensors"]}
    held = bytes_report.from_json(json.dumps(found))
    told = build_json.from_json(json.dumps(build))
    assert findings(held, told) == found["findings"]
    return found


def row(found: Mapping[str, Any], node: str) -> Any:
    return next(one for one in found["nodes"] if one["node"] == node)


@pytest.mark.toolchain
@pytest.mark.parametrize(("name", "target"), BUILDS)
def test_real_files_add_up(built_diseases: Workspace, name: str, target: str) -> None:
    found = check(built_diseases, name, target)
    assert found["unexplained"] <= found["file_bytes"] // 100
    named = sum(one["bytes"] for one in found["nodes"] if one["node"])
    least = 0.75 if name == "lstm" else 0.8  # an LSTM's tables of tanh and sigmoid are no node's
    assert named > least * found["file_bytes"]


@pytest.mark.toolchain
def test_grouped(built_diseases: Workspace) -> None:
    found = report(built_diseases, "grouped", "rk3588")
    assert found["file_bytes"] == 26_237_191
    conv = row(found, "/2/Conv")
    own, dense = 640 * 8 * 9, 640 * 640 * 9
    assert conv["kinds"]["payload"] == own + 640  # and the bias
    assert conv["kinds"]["zero_fill"] == dense - own
    # The shapes say so; so do the numbers, where each output channel has a code for 0 of its own.
    halves = [
        one for one in found["tensors"] if one["node"] == "/2/Conv" and one["dtype"] == "INT8"
    ]
    file = built_diseases.built("grouped", "rk3588/model.rknn").read_bytes()
    assert sum(one["bytes"] for one in halves) == dense
    for half in halves:
        stored = np.frombuffer(file, np.uint8, half["bytes"], half["offset"])
        blocks = stored.reshape(20, 10, 3, 3, 32, 32)  # output and input channels by 32
        channels = blocks.transpose(0, 4, 1, 2, 3, 5).reshape(640, -1)
        filled = sum(int(np.bincount(channel).max()) for channel in channels)
        expected = half["kinds"]["zero_fill"]
        assert expected <= filled <= expected + 0.05 * half["kinds"]["payload"]


@pytest.mark.toolchain
def test_grouped_in_float(built_diseases: Workspace) -> None:
    found = report(built_diseases, "grouped", "rk3576")
    assert found["file_bytes"] == 52_055_239
    tensors = [one for one in found["tensors"] if one["dtype"] == "FLOAT16"]
    weights = [one for one in tensors if one["kinds"].get("zero_fill")]
    assert len(weights) == 14
    for one in weights:  # two bytes a number; what is not filled has hardly a byte that is 0
        kinds = one["kinds"]
        assert kinds["widening"] == kinds["zero_fill"] + kinds["payload"]
        filled = 2 * kinds["zero_fill"]
        assert filled <= one["zero_bytes"] <= filled + 0.02 * 2 * kinds["payload"]


@pytest.mark.toolchain
def test_depthwise_multiplier(built_diseases: Workspace) -> None:
    found = report(built_diseases, "depthwise_multiplier", "rk3588")
    assert found["file_bytes"] == 9_607_687
    own, dense = 192 * 49, 192 * 96 * 49
    assert row(found, "/2/Conv")["kinds"]["zero_fill"] == dense - own


@pytest.mark.toolchain
def test_mobilenet(built_diseases: Workspace) -> None:
    found = report(built_diseases, "mobilenet_v2_like", "rk3588")
    assert found["file_bytes"] == 4_167_947
    constants = found["kinds"]["payload"] + found["kinds"]["compiler_constant"]
    assert constants > 0.8 * found["file_bytes"]
    pooling = [one for one in found["tensors"] if one["node"] == "/97/GlobalAveragePool"]
    assert max(one["bytes"] for one in pooling) == 1280 * 7 * 7


@pytest.mark.toolchain
@pytest.mark.parametrize("target", ["rv1106", "rv1103b"])
def test_constants_of_container_1004_stand_where_they_are_said_to(
    built_diseases: Workspace, target: str
) -> None:
    found = report(built_diseases, "ssd_head", target)
    assert found["container"] == "rknn 0x1004"
    rows = {one["name"]: one for one in found["tensors"]}
    # The dense Concats: an identity matrix has as many numbers that are not 0 as rows.
    for name in ("scores-rs_conv_weight", "boxes-rs_conv_weight"):
        assert rows[name]["is_hidden"]
        assert rows[name]["bytes"] - rows[name]["zero_bytes"] == rows[name]["shape"][0] == 1577
    file = built_diseases.built("ssd_head", f"{target}/model.rknn").read_bytes()
    shapes = {
        name: list(struct.unpack_from(f"<{one['shape'][0]}q", file, one["offset"]))
        for name, one in rows.items()
        if one["dtype"] == "INT64"
    }
    assert shapes["boxes-rs_i1"] == [1, 1577, 4]
    assert shapes["scores-rs_i1"] == [1, 1577, 2]
    assert found["kinds"]["commands"] > 40_000
    assert found["kinds"]["tasks"] % 40 == 0


@pytest.mark.toolchain
@pytest.mark.parametrize("target", ["rk3588", "rv1106"])
def test_weights_of_a_recurrent_layer(built_diseases: Workspace, target: str) -> None:
    """Four gates of 16 units that read 8 numbers and themselves; two biases."""
    rows = {one["name"]: one["kinds"] for one in report(built_diseases, "lstm", target)["tensors"]}
    assert {name: rows[name]["payload"] for name in "wrb"} == {"w": 512, "r": 1024, "b": 128}
    told = {one["name"]: one for one in report(built_diseases, "lstm", target)["findings"]}
    assert told["recurrent_layers"]["evidence"]["steps"] == 4


@pytest.mark.toolchain
def test_ultraface(built_ultraface: Workspace) -> None:
    found = check(built_ultraface, "ultraface", "rk3588")
    assert found["unexplained"] <= found["file_bytes"] // 100
    hidden = {
        (one["name"], one["node"], one["bytes"]) for one in found["tensors"] if one["bytes"] > 10**7
    }
    assert hidden == {
        ("459-rs_conv_weight", "Concat_142", 19_589_440),
        ("460-rs_conv_weight", "Concat_143", 19_589_440),
    }
    assert [one["node"] for one in found["nodes"][:2]] == ["Concat_142", "Concat_143"]
    first = found["findings"][0]
    assert (first["name"], first["nodes"]) == ("unaligned_concat", ["Concat_142", "Concat_143"])
    assert first["evidence"]["concats"][0]["channels"] == [3600, 600, 160, 60]
