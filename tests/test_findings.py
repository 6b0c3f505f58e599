"""Known causes: what each says of a report, their documentation, and real builds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from pipelines.backends.rknn.findings.bytes.table import SUSPECTS, findings
from pipelines.backends.rknn.findings.finding import Report, listed, megabytes
from pipelines.backends.rknn.findings.suspect import Suspect, suspects
from quant.report.build_json import BuildReport
from quant.report.bytes_report import BytesReport
from quant.report.ledger import KINDS
from tests.conftest import ROOT
from tests.test_ledger import built_diseases, report
from tests.workspace import Workspace

__all__ = ["built_diseases"]

NO_BYTES = BytesReport(0, 0, "", 8, True, {}, 0, [])
USUAL = {"global_pooling", "missing_relu", "alignment"}
MODULES = {path.stem for path in (ROOT / "pipelines/backends/rknn/findings/bytes").rglob("*.py")}


def layer(node: str, op_type: str = "ConvRelu", **given: Any) -> dict[str, Any]:
    usual = {"dtype": "INT8", "target": "NPU", "cycles_total": 10}
    return {"node": node, "op_type": op_type, **usual, **given}


def node(name: str, op: str, **given: Any) -> dict[str, Any]:
    usual: dict[str, Any] = {"group": 1, "weights": [], "kinds": {}, "tensors": [], "layers": [0]}
    row = {"node": name, "op": op, **usual, **given}
    return {"bytes": sum(row["kinds"].values()), **row}


def tensor(name: str, node: str, dtype: str = "INT8", **kinds: int) -> dict[str, Any]:
    return {
        "name": name,
        "node": node,
        "dtype": dtype,
        "kinds": kinds,
        "bytes": sum(kinds.values()),
        "zero_bytes": 0,
        "shape": [8, 8, 1, 1],
        "is_hidden": name.endswith("_conv_weight"),
    }


def found(
    layers: list[dict[str, Any]],
    nodes: list[dict[str, Any]],
    tensors: list[dict[str, Any]] | None = None,
    build: dict[str, Any] | None = None,
    **given: Any,
) -> dict[str, dict[str, Any]]:
    """Findings by name. The file has 1000 bytes."""
    kinds = dict.fromkeys(KINDS, 0)
    for row in nodes:
        for kind, size in row["kinds"].items():
            kinds[kind] += size
    told = [{**one, "id": i} for i, one in enumerate(layers)]
    report = {
        **NO_BYTES._asdict(),
        "file_bytes": 1000,
        "kinds": kinds,
        "nodes": nodes,
        "tensors": tensors or [],
        "layers": [
            {"id": one["id"], "op": one["op_type"], "node": one["node"], "inputs": [[1, 6], [1, 2]]}
            for one in told
        ],
        "outputs": [{"name": "y", "nodes": 1, "bytes": 0}],
        "rules": [],
        **given,
    }
    outputs = [[f"t{i}"] for i in range(len(told))]
    given_build = {"layers": told, "outputs": outputs, **(build or {})}
    rows = findings(BytesReport(**report), BuildReport(**given_build))
    return {row["name"]: row for row in rows}


CONV = [layer("c")]
PLAIN = [node("c", "Conv")]


def test_nothing_but_the_suspects_in_a_plain_network() -> None:
    rows = found(CONV, PLAIN)
    assert set(rows) == USUAL
    assert not any(row["is_cause"] for row in rows.values())
    assert rows["global_pooling"]["message"].startswith("global pooling is not the cause")


def test_unaligned_concat() -> None:
    hidden = tensor("y-rs_conv_weight", "j", compiler_constant=64)
    hidden["zero_bytes"] = 56
    rows = found([layer("j", "Concat")], [node("j", "Concat")], [hidden])
    row = rows["unaligned_concat"]
    assert (row["is_cause"], row["bytes"], row["nodes"]) == (True, 64, ["j"])
    evidence = row["evidence"]["concats"][0]
    assert evidence["channels"] == [6, 2]
    assert evidence["weight_bytes_not_zero"] == 8
    assert "unaligned_concat" not in found([layer("j", "Concat")], [node("j", "Concat")])


@pytest.mark.parametrize(
    ("shape", "group", "name"),
    [
        ([640, 8, 3, 3], 80, "dense_grouped_convolution"),
        ([96, 1, 7, 7], 96, "dense_grouped_convolution"),  # one output a channel multiplies none
        ([192, 1, 7, 7], 96, "depthwise_multiplier"),
    ],
)
def test_filled_groups(shape: list[int], group: int, name: str) -> None:
    kinds = {"zero_fill": 300, "payload": 100, "widening": 400}
    conv = node("c", "Conv", group=group, weights=[shape], kinds=kinds)
    held = tensor("c#1_i1", "c", "FLOAT16", **kinds)
    rows = found([layer("c", dtype="FLOAT16")], [conv], [held])
    assert rows[name]["bytes"] == 300 + 400 * 3 // 4
    assert {"dense_grouped_convolution", "depthwise_multiplier"} & set(rows) == {name}
    assert rows["float_fallback"]["because"] == name
    assert rows["float_fallback"]["bytes"] == 400
    assert rows["missing_relu"]["bytes"] == 0


def test_split_groups() -> None:
    conv = node("c", "Conv", group=4, layers=[0, 1, 2, 3, 4, 5], kinds={"commands": 90})
    row = found(CONV * 6, [conv])["split_groups"]
    assert (row["bytes"], row["evidence"]["layers"]) == (90, 6)
    whole = node("c", "Conv", group=4, kinds={"commands": 90})
    assert "split_groups" not in found(CONV, [whole])
    each = node("c", "Conv", group=4, layers=[0, 1, 2, 3], kinds={"commands": 90})
    assert "split_groups" in found(CONV * 4, [each])
    some = node("c", "Conv", group=4, layers=[0, 1, 2], kinds={"commands": 90})
    assert "split_groups" not in found(CONV * 3, [some])


def test_float_fallback() -> None:
    layers = [layer("s", "exSoftmax13", dtype="FLOAT16"), layer("s", "exDataConvert")]
    held = [tensor("w", "s", "FLOAT16", payload=60, widening=60)]
    nodes = [node("s", "Softmax")]
    row = found(layers, nodes, held)["float_fallback"]
    assert (row["because"], row["bytes"], row["is_cause"]) == (None, 60, True)
    assert "float_fallback" not in found(layers, nodes, held, is_integer=False)
    asked = {"hybrid": {"t0": "float16"}}
    assert "float_fallback" not in found(layers, nodes, held, asked)


def test_missing_relu_that_is_a_cause() -> None:
    held = [tensor("w", "c", "FLOAT16", payload=60, widening=60)]
    layers = [layer("c", "Conv", dtype="FLOAT16"), layer("d", "ConvRelu", dtype="FLOAT16")]
    row = found(layers, [node("c", "Conv"), node("d", "Conv")], held)["missing_relu"]
    assert (row["is_cause"], row["bytes"], row["nodes"]) == (True, 60, ["c"])
    assert row["evidence"] == {"convolutions": 2, "without": 1, "in_float": 1}


@pytest.mark.parametrize(
    ("op", "each", "told"),
    [
        ("LSTM", 20, "a GRU would have 300 bytes of weights instead of 200 bytes"),
        ("GRU", 30, "one step a call would save at least 120 bytes"),
    ],
)
def test_recurrent_layers(op: str, each: int, told: str) -> None:
    """An LSTM's tasks grow with the time steps, a GRU's commands too."""
    kinds = {"commands": 50, "tasks": 100, "payload": 200}
    shapes = {"input_shapes": [[5, 1, 8], None]}
    row = found(
        [layer("r", f"ex{op}", **shapes)], [node("r", op, kinds=kinds)], weight_bits=8
    )["recurrent_layers"]  # fmt: skip
    assert row["evidence"]["steps"] == 5
    assert row["evidence"]["bytes_per_step"] == each
    assert (row["bytes"], row["is_cause"]) == (4 * each, True)
    assert f"`r`, {op} of 5 time steps: 150 bytes of commands and tasks" in row["message"]
    assert told in row["message"]


@pytest.mark.parametrize(("size", "is_there"), [(49, False), (50, True)])
def test_register_commands(size: int, is_there: bool) -> None:
    rows = found(CONV, [node("c", "Conv", kinds={"commands": size})])
    assert ("register_commands" in rows) == is_there


@pytest.mark.parametrize(("layers", "is_there"), [(3, False), (4, True)])
def test_large_pooling(layers: int, is_there: bool) -> None:
    pool = node("p", "AveragePool", layers=list(range(layers)), kinds={"commands": 200})
    assert ("large_pooling" in found([layer("p", "Conv")] * layers, [pool])) == is_there


def test_cpu_layers() -> None:
    layers = [layer("e", "Exp", target="CPU"), layer("x", "InputOperator", target="CPU")]
    row = found(layers, [node("e", "Exp")])["cpu_layers"]
    assert row["evidence"] == {"layers": 1, "operators": {"Exp": 1}}


def test_sdk_errors() -> None:
    line = "REGTASK: The bit width of field value exceeds the limit"
    row = found(CONV, PLAIN, build={"errors": ["other"], "warnings": [line]})["sdk_errors"]
    assert row["evidence"] == {"errors": [line, "other"], "fatal": 1}
    assert row["is_cause"]


def test_outputs() -> None:
    outputs = [{"name": "y", "nodes": 1, "bytes": 10}, {"name": "z", "nodes": 2, "bytes": 70}]
    row = found(CONV, PLAIN, outputs=outputs)["unused_outputs"]
    assert row["evidence"] == {"outputs": {"y": 10, "z": 70}}


def test_suspects_that_are_causes() -> None:
    pool = node("g", "GlobalAveragePool", kinds={"compiler_constant": 100, "alignment": 60})
    rows = found([layer("g", "Conv")], [pool])
    assert rows["global_pooling"]["message"].startswith("global pooling is a cause (`g`: 160 bytes")
    assert rows["alignment"]["message"].startswith("alignment is a cause: 60 bytes")
    assert rows["alignment"]["evidence"]["largest"] == {"g": 60}


def test_padding_between_the_parts_of_a_file_is_no_layer_s() -> None:
    own, rest = ({"alignment": size, "payload": 1000 - size} for size in (10, 60))
    row = found(CONV, [node("c", "Conv", kinds=own), {**node("", "", kinds=rest), "node": None}])[
        "alignment"
    ]
    assert not row["is_cause"]
    assert row["message"].startswith("alignment is not the cause: 70 bytes of padding")
    assert row["message"].endswith(
        "60 bytes lie between the file's parts, where no count of channels changes them"
    )
    assert row["evidence"]["largest"] == {"c": 10}


def test_pooling_that_a_rule_made_counts() -> None:
    rule = {"rule": "convert_global_avgpool_to_conv", "removed": [], "added": [], "nodes": ["m"]}
    mean = node("m", "ReduceMean", kinds={"compiler_constant": 40})
    row = found([layer("m", "Conv")], [mean], rules=[rule])["global_pooling"]
    assert (row["bytes"], row["is_cause"]) == (40, False)


def test_causes_come_first_then_by_bytes() -> None:
    pool = node("g", "GlobalAveragePool", kinds={"alignment": 60, "commands": 100})
    rows = list(found([layer("g", "Conv")], [pool]).values())
    order = [(not row["is_cause"], -row["bytes"]) for row in rows]
    assert order == sorted(order)


def test_words() -> None:
    assert [megabytes(n) for n in (39_214_240, 62_720, 12)] == ["39.2 MB", "62.7 KB", "12 bytes"]
    assert listed(["a", "b", "c"], 2) == "`a`, `b` and 1 more"
    assert Report(NO_BYTES._replace(file_bytes=1000), BuildReport()).is_notable(50)


def test_every_module_of_a_cause_is_in_the_table() -> None:
    named = {cause.name for cause in SUSPECTS}
    assert named == MODULES - {"__init__", "finding", "grouped", "table"}
    assert len(named) == len(SUSPECTS)


def documentation() -> str:
    """The generated part of docs/ledger.md."""
    kinds = "\n".join(f"| {kind} | {text} |" for kind, text in KINDS.items())
    return f"## Kinds\n\n| kind | what it is |\n|---|---|\n{kinds}\n\n{described(SUSPECTS)}"


NEW = '''"""Layers with a long name.

Looks like: a name of many letters.

Why: somebody wrote it.

Do: write a shorter one.
"""

PLACE = {place}


def find(report):
    return iter(())
'''


def test_a_new_one_is_one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """docs/contributing.md says so. Files without a `find` are none."""
    folder = tmp_path / "some_findings"
    folder.mkdir()
    for name, place in {"long_names": 20, "table": 5, "first": 10}.items():
        (folder / f"{name}.py").write_text(NEW.format(place=place))
    for name in ("__init__", "shared"):
        (folder / f"{name}.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    found = suspects("some_findings")
    assert [one.name for one in found] == ["first", "long_names"]
    assert found[1].remedy == "write a shorter one."


def described(causes: Sequence[Suspect]) -> str:
    """The chapter on findings, of a table of causes."""
    told = "\n".join(
        f"### {cause.name}\n\n{cause.title}.\n\n"
        f"- Looks like: {cause.looks}\n- Why: {cause.why}\n- Do: {cause.remedy}\n"
        for cause in causes
    )
    return f"## Findings\n\n{told}"


def test_the_documentation_is_current() -> None:
    assert (ROOT / "docs/ledger.md").read_text().endswith("\n" + documentation())


# Real builds.


def by_name(workspace: Workspace, name: str, target: str = "rk3588") -> dict[str, dict[str, Any]]:
    return {row["name"]: row for row in report(workspace, name, target)["findings"]}


@pytest.mark.toolchain
def test_pooling_is_not_the_cause_in_mobilenet(built_diseases: Workspace) -> None:
    row = by_name(built_diseases, "mobilenet_v2_like")["global_pooling"]
    assert not row["is_cause"]
    assert row["evidence"]["largest_constant"] == 62_720
    assert 62_720 < row["bytes"] < 80_000
    assert row["nodes"] == ["/97/GlobalAveragePool"]


@pytest.mark.toolchain
@pytest.mark.parametrize(
    ("model", "target", "cause", "share"),
    [
        ("grouped", "rk3588", "dense_grouped_convolution", 0.97),
        ("grouped", "rk3576", "dense_grouped_convolution", 0.97),
        ("depthwise_multiplier", "rk3588", "depthwise_multiplier", 0.93),
        ("ssd_head", "rk3588", "unaligned_concat", 0.8),
        ("large_pooling", "rk3588", "large_pooling", 0.5),
    ],
)
def test_the_cause_of_a_disease(
    built_diseases: Workspace, model: str, target: str, cause: str, share: float
) -> None:
    first = report(built_diseases, model, target)["findings"][0]
    assert (first["name"], first["is_cause"]) == (cause, True)
    assert first["share"] > share


@pytest.mark.toolchain
def test_float_is_a_consequence_of_groups(built_diseases: Workspace) -> None:
    rows = by_name(built_diseases, "grouped", "rk3576")
    assert rows["float_fallback"]["because"] == "dense_grouped_convolution"
    assert rows["float_fallback"]["bytes"] > 25_000_000
    assert not rows["missing_relu"]["is_cause"]
