"""The SDK's log, cut from builds of 2.5.0 and 2.3.2 for several platforms."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pipelines.backends.rknn.sdk.refusals import log
from pipelines.backends.rknn.sdk.refusals.log import (
    Constant,
    Feature,
    Layer,
    Rule,
    Totals,
    Unreadable,
)
from quant.report.sums import total
from tests.vacuous import some

LOGS = Path(__file__).parent / "data" / "rknn_logs"
ALL = sorted(LOGS.glob("*.log"))


def text(name: str) -> str:
    return (LOGS / f"{name}.log").read_bytes().decode()


# log -> layers, features and constants of each run of the compiler, and rewrites that fired;
# counted with grep and awk
COUNTS = {
    "rk2118_pixshuf_float_2_5_0": ([(4, 5, 3)], 1),
    "rk3566_split_2_5_0": ([(6, 9, 6)], 1),
    "rk3576_resnet_2_5_0": ([(10, 10, 13)], 8),
    "rk3576_w4a16_2_5_0": ([(11, 11, 14)], 0),
    "rk3588_concat_2_5_0": ([(13, 17, 14)], 9),
    "rk3588_dynamic_2_5_0": ([(5, 4, 6), (5, 4, 6)], 0),
    "rk3588_regtask_2_5_0": ([(7, 7, 6)], 0),
    "rk3588_resnet_2_3_2": ([(10, 10, 13)], 8),
    "rk3588_spaces_float_2_5_0": ([(4, 3, 2)], 0),
    "rk3588_wide_float_2_3_2": ([(7, 9, 3)], 9),
    "rv1106_resnet_2_3_2": ([(10, 10, 13)], 8),
    "rv1126b_two_2_3_2": ([(11, 10, 13)], 8),
}


@pytest.mark.parametrize("file", ALL, ids=lambda file: file.stem)
def test_every_row_is_read(file: Path) -> None:
    found = log.compilations(text(file.stem))
    counts = [(len(one.layers), len(one.features), len(one.constants)) for one in found]
    assert (counts, len(log.rules(text(file.stem)))) == COUNTS[file.stem]
    # The same number, found another way: rows are the only lines that start with a number.
    numbered = re.findall(r"^D RKNN: \[[\d:.]+\] \d+ ", text(file.stem), re.MULTILINE)
    assert sum(map(sum, counts)) == len(numbered)
    assert text(file.stem).count("remove node = ") == COUNTS[file.stem][1]
    for one in some(found):
        assert [layer.id for layer in one.layers] == list(range(len(one.layers)))
        assert one.totals is not None


LAYERS = {
    ("rk3588_concat_2_5_0", 0): Layer(
        0, "InputOperator", "INT8", "CPU", (), ((1, 3, 32, 32),), 0, 0, 0, None, 0,
        "InputOperator:input",
    ),
    ("rk3588_concat_2_5_0", 1): Layer(
        1, "Conv", "INT8", "NPU", ((1, 3, 32, 32), (5, 3, 3, 3), (5,)), ((1, 5, 32, 32),),
        870, 9216, 9216, None, 4, "Conv:input_conv",
    ),
    ("rk3588_concat_2_5_0", 10): Layer(
        10, "Concat", "INT8", "NPU", ((1, 1024, 1, 5), (1, 1024, 1, 5), None),
        ((1, 2560, 1, 5),), 0, 0, 0, None, 12, "Concat:/Concat",
    ),
    ("rk3588_concat_2_5_0", 12): Layer(
        12, "OutputOperator", "INT8", "CPU", ((1, 2560, 5),), (), 0, 0, 0, None, 12,
        "OutputOperator:47",
    ),
    ("rk3576_resnet_2_5_0", 5): Layer(  # with a SparseRatio
        5, "Conv", "INT8", "NPU", ((1, 16, 32, 32), (1, 16, 7, 7), (16,)), ((1, 16, 5, 5),),
        2405, 1568, 2405, "0%", 17, "Conv:/GlobalAveragePool_2conv0",
    ),
    ("rk3576_resnet_2_5_0", 2): Layer(  # the column is there, the cell is blank
        2, "Relu", "INT8", "NPU", ((1, 16, 32, 32),), ((1, 16, 32, 32),), 0, 0, 0, None, 16,
        "Relu:/Relu",
    ),
    ("rk3576_w4a16_2_5_0", 1): Layer(  # made by the compiler: it has no name
        1, "Conv", "FLOAT16", "NPU", ((1, 3, 32, 32), (3, 3, 1, 1)), ((1, 3, 32, 32),),
        3027, 2048, 3027, "0%", 6, "",
    ),
    ("rk3588_spaces_float_2_5_0", 1): Layer(
        1, "ConvSigmoid", "FLOAT16", "NPU", ((1, 3, 32, 32), (3, 3, 1, 1)),
        ((1, 3, 32, 32),), 955, 2048, 2048, None, 6, "Conv:conv  two spaces",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("name", "row"), LAYERS)
def test_layers(name: str, row: int) -> None:
    assert log.compilations(text(name))[0].layers[row] == LAYERS[name, row]


def test_traffic_that_the_sdk_prints_as_negative() -> None:
    """It does so with compress_weight."""
    plain = text("rk3588_concat_2_5_0")
    printed = re.sub(r" 870/9216/9216( +)4( +Conv:input_conv)", r"-87/9216/9216\1-4\2", plain)
    assert printed != plain
    layer = log.compilations(printed)[0].layers[1]
    assert (layer.cycles_ddr, layer.cycles_npu, layer.read_write_kb) == (-87, 9216, -4)
    assert layer.cycles_total is None
    assert total(one.cycles_total for one in log.compilations(printed)[0].layers) is None
    known = [one.cycles_total for one in log.compilations(plain)[0].layers]
    assert total(known) == sum(count or 0 for count in known) > 9216


def test_a_sparse_ratio_that_is_missing() -> None:
    """With compress_weight the SDK prints a backslash for it."""
    plain = text("rk3576_resnet_2_5_0")
    printed = re.sub(r"( +)0%( +17 +Conv:/GlobalAveragePool_2conv0)", r"\1 \\\2", plain)
    assert printed != plain
    layer = log.compilations(printed)[0].layers[5]
    assert (layer.sparse_ratio, layer.read_write_kb) == (None, 17)


def test_a_layer_is_named_without_its_type() -> None:
    layer = log.compilations(text("rk3588_concat_2_5_0"))[0].layers[1]
    assert layer.name == "input_conv"


def test_constants() -> None:
    one = log.compilations(text("rk3588_concat_2_5_0"))[0]
    assert one.constants[0] == Constant(
        id=1, user="Conv", tensor="input_conv_i1", dtype="INT8", shape=(5, 3, 3, 3),
        start=0x7C0, end=0xB20, size_bytes=0x360,
    )  # fmt: skip
    assert one.constants[-1].size_bytes == 0x18


def test_features_with_a_star_between_start_and_end() -> None:
    one = log.compilations(text("rk3588_concat_2_5_0"))[0]
    assert one.features[8] == Feature(
        id=7, user="Reshape", tensor="/Slice_1_output_0_exSecondary", dtype="INT8",
        data_format="NC1HWC2", shape=(1, 7, 32, 32), native_shape=(1, 2, 32, 32, 16),
        start=0x14C00, end=0x1CC00, size_bytes=0x8000,
    )  # fmt: skip


def test_names_with_spaces_in_a_column_that_is_overrun() -> None:
    features = log.compilations(text("rk3588_spaces_float_2_5_0"))[0].features
    assert [(one.tensor, one.native_shape) for one in features][1] == ("b  c", (1, 16, 32, 32, 8))


def test_totals_are_in_bytes() -> None:
    # 115KB and 6.6875KB in the log
    assert log.compilations(text("rk3588_concat_2_5_0"))[0].totals == Totals(117760, 6848)


def test_dynamic_shapes_compile_once_each() -> None:
    shapes = [one.layers[0].output_shapes for one in log.compilations(text("rk3588_dynamic_2_5_0"))]
    assert shapes == [((1, 3, 64, 64),), ((1, 3, 32, 32),)]


def test_rules() -> None:
    found = log.rules(text("rk3588_concat_2_5_0"))
    assert found[2] == Rule(
        "seperate_conv_split", ("/m.0/Conv", "/Slice_2sp"), ("input_conv", "input_conv#1")
    )
    assert found[4].removed == ()
    assert found[7] == Rule("fuse_two_reshape", ("/Reshape", "/Reshape_2", "/Reshape_1"), ())


def test_warnings_are_joined_and_said_once() -> None:
    found = log.warnings(text("rk3588_regtask_2_5_0"))
    assert found[0] == (
        "hybrid_quantization_step2: The default input dtype of 'input' is changed from 'float32' "
        "to 'int8' in rknn model for performance! Please take care of this change when deploy rknn "
        "model with Runtime API!"
    )
    assert len(found) == len(set(found))


def test_errors() -> None:
    assert log.errors(text("rk3588_regtask_2_5_0"))[0] == (
        "REGTASK: The bit width of field value exceeds the limit, target: v2, offset: 0x6034, "
        "shift = 0, limit: 0xf, value: 0x1f"
    )
    assert log.errors(text("rk3588_concat_2_5_0")) == ["Unkown op target: 0"]


def test_progress_bars_leave_their_last_state() -> None:
    assert log.lines("\rI Loading :   0%|  | 0/4\rI Loading : 100%|##| 4/4\n")[0] == log.Line(
        "I", "Loading : 100%|##| 4/4"
    )


BROKEN = {
    "target": ("1    Conv               INT8     NPU", "1    Conv               INT8     DSP"),
    "cycles": ("870/9216/9216", "870/9216"),
    "shape": ("(1,3,32,32),(5,3,3,3),(5)", "(1,3,32,32),(5,3,3,?),(5)"),
    "constant": ("0x000007c0 0x00000b20 0x00000360", "0x000007c0 0x00000360"),
    "feature": ("NC1HWC2      (1,3,32,32)  (1,1,32,32,3)", "NC1HWC2      (1,1,32,32,3)"),
    "rule": ("['/Slice', '/Slice_1']", "['/Slice', /Slice_1]"),
}


@pytest.mark.parametrize("change", BROKEN)
def test_a_row_that_cannot_be_read_is_quoted(change: str) -> None:
    whole, broken = BROKEN[change]
    printed = text("rk3588_concat_2_5_0")
    assert whole in printed
    with pytest.raises(Unreadable, match=re.escape(broken)):
        log.compilations(printed.replace(whole, broken))
        log.rules(printed.replace(whole, broken))


def test_a_missing_row_is_noticed() -> None:
    kept = [line for line in text("rk3588_concat_2_5_0").split("\n") if "] 3    Conv " not in line]
    with pytest.raises(Unreadable, match="not numbered in order"):
        log.compilations("\n".join(kept))
