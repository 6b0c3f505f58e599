"""A grouped convolution is made dense: the weights between groups are stored as zeros.

Looks like: the rule `convert_group_conv2d_to_conv2d` fires, and the weights grow by about a quarter
of the number of groups or more; on some platforms (rk3576) in FLOAT16, twice that.

Why: a group that is no whole number of the NPU's blocks (16 channels of int8, 8 of float16; 24 or
40 channels a group go dense too) would leave part of them idle, so that the compiler computes all
groups at once.

Do: merge groups to 16 or 32 channels: `simplify: {rewrite: [merge_groups]}`, exact to 1e-7, with
`quantize: {rknn: {single_core_mode: true}}` for the split convolutions that follow. Or train with
fewer groups, or with a true depthwise convolution.
"""

from __future__ import annotations

from collections.abc import Iterator

from pipelines.backends.rknn.findings.bytes.operators.grouped import expanded, filled, is_multiplier
from pipelines.backends.rknn.findings.finding import Found, Report

PLACE = 20


def find(report: Report) -> Iterator[Found]:
    rows = [row for row in expanded(report) if not is_multiplier(row)]
    if rows:
        yield filled(report, rows)
