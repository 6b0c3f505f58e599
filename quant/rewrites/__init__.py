"""The rewrite rules that a recipe can name. To add one: a file here, and a line in this table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from quant.rewrites.concat_on_spatial_axis import ConcatOnSpatialAxis
from quant.rewrites.cut_postprocessing import CutPostprocessing
from quant.rewrites.fold_batch_norm import FoldBatchNorm
from quant.rewrites.merge_groups import MergeGroups
from quant.rewrites.rule import Rule
from quant.rewrites.slice_before_concat import SliceBeforeConcat
from quant.rewrites.split_average_pool import SplitAveragePool
from quant.rewrites.split_depthwise_multiplier import SplitDepthwiseMultiplier

RULES: Mapping[str, Rule[Any]] = {
    rule.name: rule
    for rule in (
        FoldBatchNorm(),
        SliceBeforeConcat(),
        ConcatOnSpatialAxis(),
        MergeGroups(),
        SplitDepthwiseMultiplier(),
        SplitAveragePool(),
        CutPostprocessing(),
    )
}  # fmt: skip
