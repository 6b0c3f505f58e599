"""Which remedies to try for a model and target, and trying them side by side."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from pipelines.backends.rknn.recipe.options import options
from pipelines.backends.rknn.recipe.vendor import MULTI_CORE, PLATFORM_ALIASES
from pipelines.building.builder import Builder
from pipelines.doctor import trial
from pipelines.doctor.applicable import Applicable
from pipelines.doctor.remedy import Remedy
from pipelines.doctor.trial import Result
from pipelines.recipe.define.model import Recipe, Target

# A cosine may be lower by this much, which is what calibrating anew gives and takes.
COSINE_SLACK = 0.0005
_AS_GOOD = 1.1  # a further rewrite or option has to save a tenth
# What costs cores of the NPU or time has to save this share of the best build that costs neither.
TRADE = 0.05
# Of the SDK: tried alone, and each with those before it. compress_weight by itself saves little.
TRADES = ("single_core_mode", "compress_weight")
# Drops channels without a word on what it takes for dead: for networks that have such channels.
PRUNING, _DEAD_CHANNELS = "model_pruning", "drop_dead_channels"
# For what does not build: fewer of the SDK's rewrites, and the arithmetic with the fewest limits.
_LEVEL, _DTYPE = "optimization_level", "dtype"
KNOWN = (PRUNING, *TRADES, _LEVEL, _DTYPE)


@dataclass(frozen=True)
class Search:
    """options: remedies of options only. pruning: those for a network with dead channels.

    tell: called with each result as it comes.
    """

    root: Path
    builder: Builder
    jobs: int
    options: Sequence[Remedy]
    pruning: Sequence[Remedy]
    tell: Callable[[Result], None]

    def try_all(self, recipe: Recipe, target: Target, found: Applicable) -> list[Result]:
        """Each remedy alone, rewrites together, and the SDK's options with the best of these.

        A cut changes the outputs, which is the user's choice: it is tried alone. The first result
        is the build as it is.
        """

        def one(remedy: Remedy) -> Result:
            result = trial.run(self.root, self.builder, recipe, target, remedy)
            self.tell(result)
            return result

        with ThreadPoolExecutor(self.jobs) as pool:

            def start(remedies: Iterable[Remedy]) -> list[Future[Result]]:
                return [pool.submit(one, remedy) for remedy in remedies]

            alone = start(Remedy((name,)) for name in (*found.rewrites, *found.cuts))
            alone += start(self.pruning if found.has(_DEAD_CHANNELS) else ())
            optional = start(self.options)
            rewritten = [trial.as_it_is(self.builder, recipe, target), *_ended(alone)]
            rewritten += _ended(start(_together(rewritten, found)))
            base = best(rewritten, found.cuts)
            both = start(base.remedy + option for option in self.options) if base else []
            return [*rewritten, *_ended(optional), *_ended(both)]


def options_for(platform: str, left_out: Collection[str]) -> list[Remedy]:
    """The SDK's options to try."""
    chip = PLATFORM_ALIASES.get(platform, platform)
    useless = () if chip in MULTI_CORE else ("single_core_mode",)
    names = [name for name in TRADES if name not in (*left_out, *useless)]
    return [Remedy(options=dict.fromkeys(names[: i + 1], True)) for i in range(len(names))]


def pruning_for(target: Target, left_out: Collection[str]) -> list[Remedy]:
    """The SDK's own cure of dead channels, where the recipe does not ask for it yet."""
    is_tried = PRUNING not in left_out and not options(target).quantize.rknn.get(PRUNING)
    return [Remedy(options={PRUNING: True})] if is_tried else []


def plainer_for(target: Target, left_out: Collection[str]) -> list[Remedy]:
    """What makes more networks build, at a cost: last of what keeps the outputs."""
    remedies = []
    if _LEVEL not in left_out and options(target).quantize.rknn.get(_LEVEL) != 0:
        remedies.append(Remedy(options={_LEVEL: 0}))
    if _DTYPE not in left_out and options(target).quantize.is_done_here:
        remedies.append(Remedy(dtype="float16"))
    return remedies


def _ended(running: Iterable[Future[Result]]) -> list[Result]:
    return [each.result() for each in running]


def _together(results: Sequence[Result], found: Applicable) -> list[Remedy]:
    """Stacks of rewrites: those that made the file smaller, most effective first, and all.

    One may only help beside another: slice_before_concat keeps the SDK from undoing what
    concat_on_spatial_axis does.
    """
    as_it_is, *others = results
    helped = sorted(
        (result for result in others if _is_better(result, as_it_is)),
        key=lambda result: result.artifact_bytes,
    )
    by_effect = tuple(name for result in helped for name in result.remedy.rewrites)
    orders = (tuple(name for name in by_effect if name in found.rewrites), found.rewrites)
    # To apply them takes a second on a large network.
    stacks = [found.firing(names) for names in dict.fromkeys(orders) if len(names) > 1]
    return [Remedy(names) for names in dict.fromkeys(stacks) if len(names) > 1]


def best(results: Sequence[Result], cuts: Sequence[str] = ()) -> Result | None:
    """The smallest build that is exact and lowers no cosine, or a simpler one nearly as small.

    None where none is smaller. results: the first is the build as it is. cuts: rewrites that
    change the outputs.
    """
    as_it_is = results[0]
    better = [
        result
        for result in results[1:]
        if _is_better(result, as_it_is)
        and is_exact(result, results, cuts)
        and not lowered(result, as_it_is)
    ]
    free = [result for result in better if not _is_trade(result)]
    least = min((result.artifact_bytes for result in (as_it_is, *free)), default=0)
    worth = [r for r in better if _is_trade(r) and r.artifact_bytes <= (1 - TRADE) * least]
    return _simplest([*free, *worth])


def _simplest(better: Sequence[Result]) -> Result | None:
    """Of those about as small as the smallest, the one of the fewest parts; rather not pruned."""
    least = min((result.artifact_bytes for result in better), default=0)
    near = [result for result in better if result.artifact_bytes <= least * _AS_GOOD]
    order = [(r.remedy.parts, PRUNING in r.remedy.options, r.artifact_bytes) for r in near]
    return near[order.index(min(order))] if near else None


def _is_trade(result: Result) -> bool:
    return any(name in result.remedy.options for name in TRADES)


def is_exact(result: Result, results: Sequence[Result], cuts: Sequence[str] = ()) -> bool:
    """Whether the float network is the same but for rounding, and options change no number of it.

    simplify holds each rewrite to its bound. Options are held to compile the very network that the
    same rewrites gave without them; pruning, which drops parts of it, to change no figure of the
    outputs of the samples that were analyzed.
    """
    if set(result.remedy.rewrites) & set(cuts):
        return False
    pruned = {name: value for name, value in result.remedy.options.items() if name == PRUNING}
    kept, whole = (
        next((r for r in results if r.remedy == Remedy(result.remedy.rewrites, options)), None)
        for options in (pruned, {})
    )
    is_same = kept is not None and result.network == kept.network
    return is_same and (not pruned or (whole is not None and result.outputs == whole.outputs))


def lowered(result: Result, as_it_is: Result) -> list[str]:
    """Tensors of both builds, and outputs, whose cosine is lower by more than the slack.

    A tensor of another length is another one: without the channels that are the same number for
    every input, the cosine of the others is what it always was, and lower.
    """
    return [
        tensor
        for tensor, old in as_it_is.cosines.items()
        if old is not None
        and (tensor.startswith("output ") or _is_of_both(tensor, result, as_it_is))
        and not _is_as_high(result.cosines.get(tensor), old)
    ]


def _is_of_both(tensor: str, result: Result, as_it_is: Result) -> bool:
    name = tensor.partition(" ")[2]
    return tensor in result.cosines and result.lengths.get(name) == as_it_is.lengths.get(name)


def _is_as_high(new: float | None, old: float) -> bool:
    return new is not None and new >= old - COSINE_SLACK


def _is_better(result: Result, than: Result) -> bool:
    return not result.failure and result.artifact_bytes < than.artifact_bytes
