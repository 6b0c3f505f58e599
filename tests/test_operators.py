"""Where operators run: the measured table, its page, who reads it, and the SDK itself."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import operators_page
from benchmarks.operator_cases import CASES
from benchmarks.operators import lay_out
from pipelines.backends.rknn.measured import operators
from pipelines.backends.rknn.recipe import vendor
from tests import warm_toolchains
from tests.test_findings import found, layer, node
from tests.vacuous import some

BUILD = {
    "toolkit": "2.5.0",
    "platform": "rk3588",
    "config": {"target_platform": "rk3588", "quantized_dtype": "w8a8"},
}


def test_the_page_is_current() -> None:
    written = operators_page.FILE.read_text(encoding="utf-8")
    assert written == operators_page.text(), "run: python -m benchmarks.operators_page"


def test_every_row_is_of_a_case_and_there_once() -> None:
    rows = operators.rows()
    keys = [(row.version, row.dtype, row.platform, row.case) for row in rows]
    assert len(set(keys)) == len(keys) > 1000
    for row in some(rows):
        assert row.operator == CASES[row.case].operator
        assert row.platform in vendor.DTYPES[row.version][row.dtype]
        assert row.where in (operators.NPU, operators.CPU, operators.BOTH, operators.REFUSED)
        assert (row.where == operators.REFUSED) == (row.size_bytes == "")


@pytest.mark.parametrize(
    ("operator", "platform", "sentence"),
    [
        ("GridSample", "rk3588", "GridSample runs on the CPU on every platform"),
        ("NonZero", "rk3566", "NonZero is refused on every platform"),
        ("Sin", "rk3588", "Sin runs on the CPU on rk3588"),
        ("LogSoftmax", "rk3576", "LogSoftmax runs on the CPU on every platform"),
    ],
)
def test_what_is_told(operator: str, platform: str, sentence: str) -> None:
    told = operators.told(operator, platform, "2.5.0", "w8a8")
    assert told is not None
    assert told.partition(" (")[0] == sentence
    assert told.endswith("measured, with 2.5.0)")


@pytest.mark.parametrize(
    ("operator", "platform", "version"),
    [("Sin", "rk3576", "2.5.0"), ("Relu", "rk3588", "2.5.0"), ("NoSuch", "rk3588", "2.5.0")],
)
def test_nothing_is_told_of_what_the_npu_has(operator: str, platform: str, version: str) -> None:
    assert operators.told(operator, platform, version, "w8a8") is None


def test_the_cpu_layers_of_a_build_are_explained() -> None:
    build = {**BUILD}
    row = found([layer("g", "GridSample", target="CPU")], [node("g", "GridSample")], build=build)
    message = row["cpu_layers"]["message"]
    assert "1 layer on the CPU (1 GridSample): `g`; GridSample runs on the CPU on every" in message
    assert "measured_elsewhere" not in row


CONTRARY = {
    "on the CPU": (layer("r", "Relu", target="CPU"), "Relu", "CPU"),
    "on the NPU": (layer("e", "GridSample", target="NPU"), "GridSample", "NPU"),
}


@pytest.mark.parametrize("name", CONTRARY)
def test_a_build_that_contradicts_the_table_says_so(name: str) -> None:
    compiled, op, here = CONTRARY[name]
    row = found([compiled], [node(compiled["node"], op)], build=BUILD)["measured_elsewhere"]
    assert (row["evidence"]["operator"], row["evidence"]["here"]) == (op, here)
    assert not row["is_cause"]
    assert (
        f"measured on the {'NPU' if here == 'CPU' else 'CPU'} of rk3588 with 2.5.0"
        in (row["message"])
    )


def test_a_version_that_was_not_measured_is_contradicted_by_nothing() -> None:
    build = {**BUILD, "toolkit": "9.9.9"}
    told = found([layer("r", "Relu", target="CPU")], [node("r", "Relu")], build=build)
    assert "measured_elsewhere" not in told


def test_the_rows_of_a_kind_are_those_of_the_whole_file() -> None:
    rows = operators.rows()
    kinds = {(row.version, row.dtype) for row in rows}
    assert len(kinds) == 12
    for kind in kinds:
        found = operators.of_kind(*kind)
        assert found == tuple(row for row in rows if (row.version, row.dtype) == kind)


WORKER = """
from benchmarks import operator_worker
sys.argv, sys.stdin = ["operator_worker", {folder!r}], {lines!r}
operator_worker.main()
"""
ASKED = ("Relu", "GridSample", "Softmax(axis 2)", "NonZero")


@pytest.mark.toolchain
def test_the_sdk_does_what_the_table_says(tmp_path: Path) -> None:
    """Four cases, built again."""
    lay_out(tmp_path)
    orders = [
        {"name": str(list(CASES).index(name)), "platform": platform, "dtype": "w8a8"}
        for name in ASKED
        for platform in ("rk3588", "rk3566")
    ]
    script = WORKER.format(folder=str(tmp_path), lines=[json.dumps(order) for order in orders])
    printed = warm_toolchains.run("rknn-2.5.0", script, tmp_path)
    held = {(row.case, row.platform): row for row in operators.rows() if _is_int8(row)}
    for line in printed.splitlines():
        answer = json.loads(line)
        row = held[list(CASES)[int(answer["name"])], answer["platform"]]
        assert ("refused" in answer) == (row.where == operators.REFUSED)
        if "refused" not in answer:
            assert " ".join(answer["types"]) == row.types
            assert (answer["cpu"] > 0) == (operators.CPU in row.where)
            assert (str(answer["cycles"]), str(answer["bytes"])) == (row.cycles, row.size_bytes)
    assert len(printed.splitlines()) == len(orders)


def _is_int8(row: operators.Row) -> bool:
    return (row.version, row.dtype) == ("2.5.0", "w8a8")
