"""The rewrite rules. To add one: a file here, and a line in one of the two tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from quant.rewrites.cell_state import CellState
from quant.rewrites.concat_on_spatial_axis import ConcatOnSpatialAxis
from quant.rewrites.cut_postprocessing import CutPostprocessing
from quant.rewrites.drop_dead_channels import DropDeadChannels
from quant.rewrites.fold_batch_norm import FoldBatchNorm
from quant.rewrites.last_state import LastState
from quant.rewrites.layer_norm_last_axis import LayerNormLastAxis
from quant.rewrites.merge_groups import MergeGroups
from quant.rewrites.named_states import NamedStates
from quant.rewrites.pool_as_convolution import PoolAsConvolution
from quant.rewrites.resize_as_convolution import ResizeAsConvolution
from quant.rewrites.rule import Rule
from quant.rewrites.slice_before_concat import SliceBeforeConcat
from quant.rewrites.split_average_pool import SplitAveragePool
from quant.rewrites.split_concat import SplitConcat
from quant.rewrites.split_depthwise_multiplier import SplitDepthwiseMultiplier
from quant.rewrites.split_transposed_groups import SplitTransposedGroups
from quant.rewrites.written_bias import WrittenBias

# A recipe names these.
RULES: Mapping[str, Rule[Any]] = {
    rule.name: rule
    for rule in (
        FoldBatchNorm(),
        DropDeadChannels(),
        SliceBeforeConcat(),
        ConcatOnSpatialAxis(),
        MergeGroups(),
        SplitDepthwiseMultiplier(),
        SplitAveragePool(),
        ResizeAsConvolution(),
        PoolAsConvolution(),
        CutPostprocessing(),
        SplitConcat(),
    )
}  # fmt: skip

# These apply by themselves, before a recipe's: without them the SDK refuses the network.
ADAPTATIONS: Mapping[str, Rule[Any]] = {
    rule.name: rule
    for rule in (
        LastState(),
        CellState(),
        NamedStates(),
        WrittenBias(),
        LayerNormLastAxis(),
        SplitTransposedGroups(),
    )
}  # fmt: skip
