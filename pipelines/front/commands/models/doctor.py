"""./doit doctor MODEL: where the bytes of the build are, what makes it smaller, what to write."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace

from pipelines.backends.table import BACKENDS
from pipelines.building.project import Project
from pipelines.doctor import accuracy, count, explanation, factors, search, trial
from pipelines.doctor.applicable import applicable
from pipelines.doctor.remedy import Remedy
from pipelines.doctor.search import KNOWN, PRUNING, Search, options_for, plainer_for, pruning_for
from pipelines.doctor.treatment import treat
from pipelines.doctor.trial import Foretold, Result, builder_of_trials
from pipelines.files import atomic, console
from pipelines.front.commands import accuracy_table
from pipelines.front.commands.command import OwnCommand
from pipelines.front.commands.targets import build, find
from pipelines.front.doit.cli import steps_at_once, unknown
from pipelines.front.doit.run_lock import RunLock
from pipelines.recipe.define.model import Recipe, Target
from quant.rewrites.names import CUTS, REWRITES

_HEAD = ("artifact", "ratio", "Mcycles", "layer", "output", "exact", "remedy")
_RIGHT = range(len(_HEAD) - 1)
_MEANINGS = (
    "Mcycles: the SDK's estimate; ?: it printed negative ones",
    "layer, output: lowest cosine of float against int8, of any layer and in the simulator",
    "exact: yes: the float outputs are the same bit for bit, and options compile the same "
    "quantized network; a number: rounding of the float outputs, as a share of their largest; no: "
    "an option changed the quantized network; same: what the SDK pruned changes no figure of the "
    "outputs; cut: other outputs",
    "best: the smallest that is exact and lowers no cosine by more than "
    f"{search.COSINE_SLACK}, or a simpler one within a tenth of it; what costs cores or time has "
    f"to save {search.TRADE:.0%}",
)


class Doctor(OwnCommand):
    name = "doctor"
    in_brief = "where a build's bytes are, and what makes it smaller"
    doc_purpose = "explain where a build's bytes are, and try what makes it smaller"
    doc_usage = "MODEL [--target T] [--for accuracy] [--interface NAME] [--without NAME] [--apply]"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("model", metavar="MODEL", help="or MODEL@TARGET")
        parser.add_argument("--target", metavar="T", help="default: each target of the model")
        parser.add_argument(
            "--without",
            metavar="NAME",
            action="append",
            default=[],
            help="a rewrite or option not to try, such as single_core_mode; may be repeated",
        )
        parser.add_argument(
            "--for",
            choices=("bytes", "accuracy"),
            default="bytes",
            dest="aim",
            help="what remedies are tried and judged for; default: bytes",
        )
        parser.add_argument(
            "--interface",
            metavar="NAME",
            action="append",
            default=[],
            choices=CUTS,
            help="with --for accuracy: a rewrite that gives the program other outputs, and may be "
            "the best all the same; may be repeated",
        )
        parser.add_argument(
            "--apply", action="store_true", help="write the best exact remedy into the recipe"
        )

    def act(self, arguments: argparse.Namespace) -> int:
        recipe, targets = find(self.project, arguments.model, arguments.target)
        _require_known(arguments.without)
        best: dict[str, Remedy] = {}
        failed = 0
        for target in targets:
            code, is_stale = build(self.project, recipe, target)
            if BACKENDS[target.backend].trials is None:
                if is_stale:
                    failed = code or 1
                else:
                    _explain(self.project, recipe, target)
                continue
            if is_stale and _is_shared_stale(self.project, recipe):
                return code or 1
            with RunLock(self.project.root):
                if arguments.aim == "accuracy" and not is_stale:
                    found = _improve(
                        self.project, recipe, target, arguments.without, arguments.interface
                    )
                else:
                    look = _treat if is_stale else _examine
                    found = look(self.project, recipe, target, arguments.without)
            if is_stale and (found is None or not arguments.apply):
                failed = code or 1
            if found is not None:
                best[target.name] = found.remedy
        if arguments.apply and best:
            _apply(self.project, recipe, best)
        return failed


def _require_known(left_out: Sequence[str]) -> None:
    known = (*REWRITES, *KNOWN, *accuracy.ALGORITHMS, *accuracy.METHODS, "samples", "layers")
    for name in left_out:
        if name not in known:
            raise unknown("rewrite or option", name, known, "there are")


def _apply(project: Project, recipe: Recipe, best: Mapping[str, Remedy]) -> None:
    """Write the targets' remedies into the recipe, which has one list of rewrites for them all."""
    rewrites = tuple(dict.fromkeys(name for remedy in best.values() for name in remedy.rewrites))
    divide = {tensor: by for remedy in best.values() for tensor, by in remedy.divide.items()}
    place = project.root / recipe.file
    with RunLock(project.root):
        text = place.read_text(encoding="utf-8")
        for name, remedy in best.items():
            together = replace(remedy, rewrites=rewrites, divide=divide)
            text = together.applied_to(text, recipe, recipe.targets[name])
        atomic.write(place, text.encode())
    console.say(f"wrote {recipe.file}; ./doit {recipe.model} takes what was tried from the cache")


def _explain(project: Project, recipe: Recipe, target: Target) -> None:
    """Where the bytes of a build are; all there is to tell of a backend without remedies."""
    for line in explanation.lines(project.root, recipe, target):
        console.tell(line)
    console.tell()


def _examine(
    project: Project, recipe: Recipe, target: Target, left_out: Collection[str]
) -> Result | None:
    """Explain the build, try remedies, and tell the best."""
    _explain(project, recipe, target)
    found = applicable(project.root, recipe, left_out).for_bytes()
    trials = Search(
        project.root,
        builder_of_trials(project.builder),
        steps_at_once(project),
        options_for(target.platform or "", left_out),
        pruning_for(target, left_out),
        _tell_progress,
    )
    results = trials.try_all(recipe, target, found)
    for line in _table(results, found.cuts):
        console.tell(line)
    best = search.best(results, found.cuts)
    if best is None:
        console.tell("\nnothing that was tried makes the file smaller without changing it")
    else:
        _tell_best(best, results[0], recipe, target)
    console.tell()
    return best


def _runner(project: Project, recipe: Recipe, target: Target) -> Callable[[Remedy], Result]:
    """Tries a remedy, and tells what came of it."""
    builder = builder_of_trials(project.builder)

    def run(remedy: Remedy) -> Result:
        result = trial.run(project.root, builder, recipe, target, remedy)
        _tell_progress(result)
        return result

    return run


def _foreteller(
    project: Project, recipe: Recipe, target: Target
) -> Callable[[Remedy, bool], Foretold]:
    """Simulates a remedy, and tells what came of it."""
    builder = builder_of_trials(project.builder)

    def foretell(remedy: Remedy, is_searched: bool) -> Foretold:
        found = trial.foretell(
            project.root, builder, recipe, target, remedy, is_searched=is_searched
        )
        what = found.unknown or accuracy_table.share(found.error)
        if not is_searched:
            console.say(f"  simulated {what:>7}  {remedy.name}")
        return found

    return foretell


def _improve(
    project: Project,
    recipe: Recipe,
    target: Target,
    left_out: Collection[str],
    named: Collection[str],
) -> Result | None:
    """Tell what costs accuracy, try remedies, and tell the best."""
    for line in explanation.accuracy(project.root, recipe, target):
        console.tell(line)
    console.tell()
    found = applicable(project.root, recipe, left_out).dividing(
        factors.proposed(project.root, recipe, target, left_out)
    )
    run = _runner(project, recipe, target)
    as_it_is = trial.as_it_is(project.builder, recipe, target)
    available = count.available(project.root, recipe, target)
    alone = accuracy.remedies(found, target, left_out, available)
    bench = accuracy.Bench(
        _foreteller(project, recipe, target),
        run,
        steps_at_once(project),
        accuracy.wide_types(target),
    )
    has_layers = accuracy.are_layers_open(target, left_out)
    tried = accuracy.try_all(bench, as_it_is, alone, found.cuts, named, has_layers)
    results = tried.results
    for line in accuracy_table.lines(results, found.cuts, tried.foretold):
        console.tell(line)
    best = accuracy.best(results, found.cuts, named)
    if best is None:
        console.tell(f"\nnothing that was tried takes {accuracy.WORTH:.0%} of the error away")
    else:
        before, after = (accuracy_table.share(one.error) for one in (as_it_is, best))
        console.tell(f"\nbest: an error of {after} instead of {before}; in {recipe.file}:")
        _tell_lines(best, recipe, target)
    _tell_cut(accuracy.best(results), best, as_it_is, found.cuts)
    console.tell()
    return best


def _tell_cut(
    cut: Result | None, best: Result | None, as_it_is: Result, cuts: Collection[str]
) -> None:
    """What another interface would give, where that is the better remedy."""
    names = [] if cut is None else [name for name in cut.remedy.rewrites if name in cuts]
    if cut is None or cut is best or not names:
        return
    after, before = (accuracy_table.share(one.error) for one in (cut, as_it_is))
    _wrapped(
        f"but {names[0]}, with which the program gets other outputs: {after} instead of {before}; "
        f"`--interface {names[0]}` takes it"
    )


def _is_shared_stale(project: Project, recipe: Recipe) -> bool:
    """Whether the network did not get as far as a target of its own."""
    shared = list(project.plan.of(recipe.model))
    return not all(project.builder.is_up_to_date(step) for step in shared if step.target is None)


def _treat(
    project: Project, recipe: Recipe, target: Target, left_out: Collection[str]
) -> Result | None:
    """Of a target that fails to build: find what builds, and tell what it costs.

    Returns it unless it is a cut, which is for the user to choose.
    """
    console.tell(f"{recipe.model}@{target.name} does not build; tried until one does:")
    found = applicable(project.root, recipe, left_out)
    run = _runner(project, recipe, target)
    options = options_for(target.platform or "", left_out)
    treated = treat(run, found, [*options, *plainer_for(target, left_out)])
    for result in treated.tried:
        if result.failure:
            _wrapped(f"failed: {result.remedy.name}: {result.failure}")
    builds = treated.result
    if builds is None:
        console.tell("\nnothing that was tried makes it build: see the failures above")
        return None
    _tell_builds(builds, recipe, target, is_cut=bool(set(builds.remedy.rewrites) & set(found.cuts)))
    return None if set(builds.remedy.rewrites) & set(found.cuts) else builds


def _tell_builds(result: Result, recipe: Recipe, target: Target, *, is_cut: bool) -> None:
    size = console.quantity(result.artifact_bytes)
    console.tell(f"\nbuilds with {result.remedy.name}; in {recipe.file}:")
    for line in result.remedy.lines(recipe, target):
        console.tell(f"  {line}")
    cycles = "?" if result.cycles is None else f"{result.cycles / 1e6:.2f}"
    _wrapped(
        f"it has {size} ({result.size_ratio:.2f} of the ONNX file), {cycles} Mcycles; lowest "
        f"cosine of a layer {accuracy_table.cosine(result.worst_cosine)}, of an output "
        f"{accuracy_table.cosine(result.worst_output_cosine)}"
    )
    if is_cut:
        _wrapped(
            "the network then ends earlier, with other outputs: what was cut off has to be "
            "computed after it, in float; --apply leaves a cut to you"
        )
    for sentence in result.remedy.side_effects:
        _wrapped(sentence)


def _tell_progress(result: Result) -> None:
    what = "failed" if result.failure else console.quantity(result.artifact_bytes)
    console.say(f"  tried {what:>8}  {result.remedy.name}")


def _tell_best(best: Result, as_it_is: Result, recipe: Recipe, target: Target) -> None:
    before, after = (console.quantity(r.artifact_bytes) for r in (as_it_is, best))
    console.tell(f"\nbest: {after} instead of {before}; in {recipe.file}:")
    _tell_lines(best, recipe, target)


def _tell_lines(best: Result, recipe: Recipe, target: Target) -> None:
    """What to write, and what else that does."""
    for line in best.remedy.lines(recipe, target):
        console.tell(f"  {line}")
    others = [name for name in recipe.targets if name != target.name]
    if best.remedy.rewrites and others:
        _wrapped(f"rewrites are for all targets of the model, {', '.join(others)} too")
    for sentence in best.remedy.side_effects:
        _wrapped(sentence)


def _wrapped(sentence: str) -> None:
    for line in console.wrap(sentence, "  "):
        console.tell(line)


def _table(results: Sequence[Result], cuts: Sequence[str]) -> Iterator[str]:
    """The remedies by size, what the columns mean, and which failed."""
    tried = sorted((r for r in results if not r.failure), key=lambda r: r.artifact_bytes)
    rows: list[Sequence[str]] = [_HEAD]
    for result in tried:
        first, *more = _remedy(result, results[0], cuts)
        rows.append((*_numbers(result, results, cuts), first))
        rows += [(*[""] * len(_RIGHT), line) for line in more]
    yield from console.table(rows, right=_RIGHT)
    yield ""
    yield from accuracy_table.below(_MEANINGS, results)


def _numbers(result: Result, results: Sequence[Result], cuts: Sequence[str]) -> Sequence[str]:
    return (
        console.quantity(result.artifact_bytes),
        f"{result.size_ratio:.2f}",
        "?" if result.cycles is None else f"{result.cycles / 1e6:.2f}",
        accuracy_table.cosine(result.worst_cosine),
        accuracy_table.cosine(result.worst_output_cosine),
        _exactness(result, results, cuts),
    )


def _exactness(result: Result, results: Sequence[Result], cuts: Sequence[str]) -> str:
    if set(result.remedy.rewrites) & set(cuts):
        return "cut"
    if not search.is_exact(result, results, cuts):
        return "no"
    if PRUNING in result.remedy.options:
        return "same"
    return f"{result.difference:.0e}" if result.difference else "yes"


def _remedy(result: Result, as_it_is: Result, cuts: Sequence[str]) -> list[str]:
    """Its name on lines that leave room for the numbers, and how many cosines it lowers."""
    parts = result.remedy.name.split(" + ")
    is_cut = bool(set(result.remedy.rewrites) & set(cuts))
    lowered = [] if is_cut else search.lowered(result, as_it_is)
    note = [f"lowers {len(lowered)} cosines"] if lowered else []
    return [parts[0], *(f"+ {part}" for part in parts[1:]), *note]
