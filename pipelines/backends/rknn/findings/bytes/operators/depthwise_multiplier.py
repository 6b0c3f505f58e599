"""A depthwise convolution with several outputs a channel is made dense.

Looks like: `group` equals the input channels, the outputs are two or more times as many, and the
weights are stored for every pair of channels.

Why: the NPU's depthwise unit gives one output for each channel; with a multiplier the convolution
is a grouped one with one channel a group.

Do: `simplify: {rewrite: [split_depthwise_multiplier]}` makes one depthwise convolution for each
multiple and permutes what reads them. Or train without a multiplier.
"""

from __future__ import annotations

from collections.abc import Iterator

from pipelines.backends.rknn.findings.bytes.operators.grouped import expanded, filled, is_multiplier
from pipelines.backends.rknn.findings.finding import Found, Report

PLACE = 30


def find(report: Report) -> Iterator[Found]:
    rows = [row for row in expanded(report) if is_multiplier(row)]
    if rows:
        yield filled(report, rows)
