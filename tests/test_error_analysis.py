"""error_analysis.txt, with rows as rknn-toolkit2 2.5.0 and 2.3.2 wrote them."""

from __future__ import annotations

import math
import re

import pytest

from pipelines.backends.rknn.analysis import error_analysis, layer_report
from pipelines.backends.rknn.analysis.error_analysis import Distance, Row, Unreadable
from quant.report.build_json import BuildReport

HEAD = """
# simulator_error: calculate the output error of each layer of the simulator (compared to the 'golden' value).
#              entire: output error of each layer between 'golden' and 'simulator', these errors will accumulate layer by layer.
#              single: single-layer output error between 'golden' and 'simulator', can better reflect the single-layer accuracy of the simulator.

layer_name                              simulator_error                    
                                    entire              single             
                                 cos      euc        cos      euc          
-----------------------------------------------------------------------
"""  # noqa: E501, W291 - as the SDK writes it


def row(op: str, tensor: str, *numbers: float) -> Row:
    entire_cosine, entire_euclidean, single_cosine, single_euclidean = numbers
    return Row(
        op,
        tensor,
        Distance(entire_cosine, entire_euclidean),
        Distance(single_cosine, single_euclidean),
    )


ROWS = {
    # 2.5.0: five decimals; distances of 10000 and more run into the next cosine
    "[Input] input                  1.00000 | 0.00000   1.00000 | 0.00000       ": row(
        "Input", "input", 1, 0, 1, 0
    ),
    "[Conv] output_int8             0.99437 | 18219.865230.99999 | 780.30804     ": row(
        "Conv", "output_int8", 0.99437, 18219.86523, 0.99999, 780.30804
    ),
    "[Conv] b                       0.99992 | 13266.805660.99992 | 13266.80566   ": row(
        "Conv", "b", 0.99992, 13266.80566, 0.99992, 13266.80566
    ),
    "[Conv] a                       0.48658 | 26367.71094-0.48658 | 26367.71094  ": row(
        "Conv", "a", 0.48658, 26367.71094, -0.48658, 26367.71094
    ),
    "[Conv] output_int8             0.00000 | 9999999   0.00000 | 9999999       ": row(
        "Conv", "output_int8", 0, 9999999, 0, 9999999
    ),
    # 2.3.2: six characters
    "[exDataConvert] input_int8     0.99996 | 0.4690    0.99996 | 0.4690        ": row(
        "exDataConvert", "input_int8", 0.99996, 0.469, 0.99996, 0.469
    ),
    "[Input] input                  1.00000 | 0.0       1.00000 | 0.0           ": row(
        "Input", "input", 1, 0, 1, 0
    ),
    "[Conv] output_int8             0.99437 | 18219.    0.99999 | 780.30        ": row(
        "Conv", "output_int8", 0.99437, 18219, 0.99999, 780.3
    ),
    "[Conv] output_int8             0.00000 | 999999    0.00000 | 999999        ": row(
        "Conv", "output_int8", 0, 999999, 0, 999999
    ),
    # names with slashes, spaces and digits
    "[Sigmoid] b  c                 0.99594 | 3.50528   0.99594 | 3.50528       ": row(
        "Sigmoid", "b  c", 0.99594, 3.50528, 0.99594, 3.50528
    ),
    "[Reshape] 459-rs               0.99990 | 0.54805   0.99994 | 0.42243       ": row(
        "Reshape", "459-rs", 0.9999, 0.54805, 0.99994, 0.42243
    ),
    "[Conv] /GlobalAveragePool_2conv0        0.99999 | 0.02765   1.00000 | 0.01671       ": row(
        "Conv", "/GlobalAveragePool_2conv0", 0.99999, 0.02765, 1, 0.01671
    ),
    # colours, where the cosine is low
    "[Conv] a     \x1b[31m0.41523\x1b[0m | \x1b[31m3.10000\x1b[0m   0.99990 | 0.10000   ": row(
        "Conv", "a", 0.41523, 3.1, 0.9999, 0.1
    ),
    # further columns, with a board
    "[Conv] a     0.99990 | 0.54805   0.99994 | 0.42243   0.99989 | 0.60000   1.00000 | 0.1": row(
        "Conv", "a", 0.9999, 0.54805, 0.99994, 0.42243
    ),
    # all 0 in float, and in int8 alone
    "[Input] x                   f_zero |  f_zero    f_zero |  f_zero       ": Row(
        "Input", "x", None, None, is_zero=True
    ),
    "[Conv] c_int8               q_zero |  q_zero   0.99994 | 0.42243       ": Row(
        "Conv", "c_int8", Distance(0, None), Distance(0.99994, 0.42243)
    ),
    # fused away
    "[Conv] /m.1/Conv_output_0              ": Row("Conv", "/m.1/Conv_output_0", None, None),
    "[Conv] out put a               ": Row("Conv", "out put a", None, None),
    "[Add] 0.5": Row("Add", "0.5", None, None),
}


@pytest.mark.parametrize("printed", ROWS)
def test_rows(printed: str) -> None:
    assert error_analysis.read(HEAD + printed + "\n") == [ROWS[printed]]


@pytest.mark.parametrize(
    "printed",
    [
        "[Conv] a           f_nan  |  f_nan     f_nan  |  f_nan        ",
        "[Conv] b           q_inf  | q_inf      q_inf  | q_inf         ",
    ],
)
def test_values_that_are_not_finite(printed: str) -> None:
    (found,) = error_analysis.read(HEAD + printed + "\n")
    assert found.entire is not None
    assert found.single is not None
    assert all(
        value is not None and math.isnan(value)
        for one in (found.entire, found.single)
        for value in (one.cosine, one.euclidean)
    )


def test_rows_keep_their_order() -> None:
    text = HEAD + "\n".join(ROWS) + "\n\n"
    assert error_analysis.read(text) == list(ROWS.values())


BAD = {
    "half a row": "[Conv] a    0.99990 | 0.54805",
    "no type": "a    0.99990 | 0.54805   0.99994 | 0.42243",
    "a word": "[Conv] a    0.99990 | big   0.99994 | 0.42243",
}


@pytest.mark.parametrize("name", BAD)
def test_a_row_that_cannot_be_read_is_quoted(name: str) -> None:
    with pytest.raises(Unreadable, match=re.escape(BAD[name])):
        error_analysis.read(HEAD + BAD[name] + "\n")


@pytest.mark.parametrize("text", ["", "something else\n", HEAD])
def test_a_text_without_rows_is_refused(text: str) -> None:
    with pytest.raises(Unreadable):
        error_analysis.read(text)


def test_a_tensor_that_int8_makes_all_0_is_told_and_has_cosine_0() -> None:
    text = HEAD + "[Sigmoid] scores   q_zero |  q_zero   q_zero |  q_zero  \n"
    layer = {
        "id": 0,
        "op_type": "Sigmoid",
        "full_name": "Sigmoid:s",
        "dtype": "INT8",
        "target": "NPU",
        "cycles_total": 1,
    }
    build = BuildReport(toolkit="2.5.0", platform="rk3588", layers=[layer], outputs=[["scores"]])
    report = layer_report.make(build, [error_analysis.read(text)])
    assert report.findings == (
        "the quantized network is all 0 at `scores`, the float one is not: its steps are too "
        "coarse for such small values",
    )
    (row,) = report.rows
    assert row.entire is not None
    assert (row.entire.cosine_worst, row.entire.euclidean_worst) == (0.0, None)
