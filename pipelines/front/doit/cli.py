"""What `./doit ARGUMENTS` means: a command of ours or doit's, or steps to bring up to date."""

from __future__ import annotations

import errno
import fnmatch
import getopt
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from importlib.metadata import EntryPoints
from pathlib import Path
from typing import Any

from doit import plugin
from doit.cmd_base import Command, DoitCmdBase, ModuleTaskLoader
from doit.cmdparse import CmdParseError
from doit.dependency import Dependency
from doit.doit_cmd import DoitConfig, DoitMain, get_loader
from doit.exceptions import InvalidCommand, InvalidDodoFile, InvalidTask
from doit.loader import generate_tasks
from doit.plugin import PluginDict
from doit.task import Task

from pipelines.building import dry_run
from pipelines.building import pull as dvc_pull
from pipelines.building.done import Invocation
from pipelines.building.dry_run import DryRun
from pipelines.building.dvc_files import write_all
from pipelines.building.project import Project
from pipelines.dvc.lock import Locks
from pipelines.dvc.repo import has_remote
from pipelines.files import console, pulse
from pipelines.files.commands import OWN
from pipelines.files.engine import CODE, IS_PINNED
from pipelines.files.where import Problems, did_you_mean
from pipelines.front.doit import (
    engine_files,
    on_cluster,
    overview,
    reporter,
    runtime_parts,
    sparing,
    turns,
    words,
)
from pipelines.front.doit.lock_backend import ContentChecker, LockBackend
from pipelines.front.doit.run_lock import RunLock
from pipelines.front.doit.tasks import tasks
from pipelines.record import seal
from pipelines.run.toolchain.toolchain import Environments
from quant.fault import Fault

STARTED_IN = Path.cwd()  # names of files on the command line count from here
FAILURE, ERROR, USAGE = 1, 2, 3  # doit's exit codes; the last: wrong before any task runs
_NEEDS_NO_RECIPES = {
    *("new", "test", "help", "toolchains", "tabcompletion", "schema", "quantize"),
    *("inspect", "which", "release", "worker"),
}
# A build of the vendor's SDK takes up to 1.5 GB (facts: time and memory, 100 images).
_ON_CLUSTER = (None, "run", "doctor", "tune", "upgrade", "release")
_BYTES_A_JOB = 2_000_000_000


_NO_DATABASE = "dvc.lock is the database: see ./doit why, ./doit forget"
_WITHOUT_USE = {
    "dumpdb": _NO_DATABASE,
    "reset-dep": _NO_DATABASE,
    "strace": "jobs run in the toolchains' servers; each has a log in .npumake/logs",
}
_FULL = ("the disk is full", "free some space")
_REFUSED = ("a file can't be read or written", "mend its rights, or use a checkout of your own")
_TOLD = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT), _FULL),
    **dict.fromkeys((errno.EROFS, errno.EACCES, errno.EPERM), _REFUSED),
}


class UsageError(Fault):
    """The command line can't be understood."""


def unknown(kind: str, name: str, known: Iterable[str], noun: str) -> UsageError:
    """No such name. noun: of the known ones, in the plural."""
    return UsageError(f"no {kind} `{name}`", did_you_mean(name, known, noun))


def main(project: Project, arguments: list[str]) -> int:
    """Run one command line. Returns the process's exit code."""
    os.chdir(project.root)
    project.invocation = Invocation()
    with pulse.phase("./doit"):
        code = guarded(project, lambda: dispatch(project, arguments))
    return code or (USAGE if project.invocation.left_out else 0)


def guarded(project: Project, act: Callable[[], int]) -> int:
    """Run a command; what the user can mend is told without a traceback."""
    try:
        return act()
    except Problems as error:
        console.say(str(error), "red")
        return USAGE
    except Fault as fault:
        console.say(f"npumake: {fault}", "red")
        return USAGE
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 141
    except OSError as error:
        if error.errno not in _TOLD:
            raise
        what, advice = _TOLD[error.errno]
        console.say(f"npumake: {what} ({error})", "red")
        console.say(f"  {advice}, then run the same command again", "red")
        return USAGE
    except KeyboardInterrupt:
        running = "".join(f"\n  {name}" for name in reporter.running(project))
        console.say(f"\ninterrupted; nothing half-made was kept{running}", "yellow")
        return 130
    finally:
        if "builder" in vars(project):
            project.builder.close()


def dispatch(project: Project, arguments: list[str]) -> int:
    if IS_PINNED:
        engine_files.require_unchanged(CODE)
    if "" in arguments:  # doit looks at each word's first letter
        place = arguments.index("")
        after = f" after {arguments[place - 1]}" if place else ""
        raise UsageError(f"an empty word{after}", "give a value, or leave it out")
    arguments, cluster = on_cluster.without(arguments)
    doit = _doit()
    doit.BIN_NAME = "./doit"
    commands = doit.get_cmds()
    if arguments == ["--version"]:
        return _tell(overview.version_lines())
    name, rest = _split(arguments, set(commands))
    if name == "help" and not rest:
        return _tell(overview.help_lines(commands))
    is_pulling = name in (None, "run") and "--pull" in rest
    if is_pulling:
        rest = [word for word in rest if word != "--pull"]
        with RunLock(project.root), pulse.of_others("fetching by DVC"):
            dvc_pull.pull_sources_for(project, rest)
    if cluster is not None:
        if name not in _ON_CLUSTER:
            advice = "it is for runs, doctor, tune, upgrade and release"
            raise UsageError(f"--cluster is not for `{name}`", advice)
        on_cluster.use(project, cluster)
    if name in (None, "run") and "--rehash" in rest:
        rest = [word for word in rest if word != "--rehash"]
        project.builder.contents.distrust()
    if name in (None, "run") and seal.names_among(arguments) in ([], ["run"]):
        with pulse.phase("looking for models with nothing to do"):
            sparing.spare_whole_models(project)
    elif project.spared:
        project.spare({}, None)
    if name not in _NEEDS_NO_RECIPES:
        with pulse.phase("reading the recipes"):
            _tell_broken(project, rest)
    if name in _WITHOUT_USE:
        raise UsageError(f"doit's `{name}` has no use here", _WITHOUT_USE[name])
    if name in OWN:
        with pulse.phase(f"./doit {name}"):
            return _execute(project, doit, [name, *_joined(rest)])
    if name is None or name == "run":
        project.invocation.asked = arguments
        return _run(project, doit, commands, rest, is_pulling)
    options, names = _permuted(commands, name, rest)
    if name in ("list", "ignore"):
        steps_named(project, names)  # names the nearest to an unknown one
    return _execute(project, doit, [name, *options, *names])


def _plugins() -> Callable[..., EntryPoints]:
    """For doit, which asks all installed packages six times a run: .venv's pins have no plugin."""
    return EntryPoints().select


plugin.entry_points_impl = _plugins


def _doit() -> DoitMain:
    """doit reads pyproject.toml where it runs, and ours tells of our commands."""
    if not IS_PINNED:
        return DoitMain()
    ours = DoitConfig().load_config_toml(str(CODE / "pyproject.toml"), "tool.doit")
    return DoitMain(extra_config=ours)


def namespace(project: Project) -> dict[str, Any]:
    """What a dodo.py of the project holds."""

    def task_models() -> Iterator[dict[str, Any]]:
        yield from tasks(project)

    settings = {
        "backend": "dvc.lock",
        "dep_file": "dvc.lock",
        "check_file_uptodate": ContentChecker,
        "reporter": reporter.StepReporter(project),
        "par_type": "thread",  # doit's processes hang for ever when a worker dies hard
        "num_process": jobs_at_once(),
        "verbosity": 0,
        "continue": True,  # a step that fails stops those that need it, and no other model
    }
    return {"DOIT_CONFIG": settings, "task_models": task_models}


class _Tasks(ModuleTaskLoader):  # type: ignore[misc]
    """doit sorts what makes tasks by the line that it is defined in: for one, it reads a file."""

    def load_tasks(self, cmd: Command, pos_args: list[str]) -> list[Task]:
        return list(generate_tasks("models", self.namespace["task_models"]()))


def _execute(project: Project, doit: DoitMain, words: list[str]) -> int:
    """One command of doit's or ours. `DoitMain.run` would print a traceback of every error."""
    commands = doit.get_cmds()
    command = commands.get_plugin(words[0])(
        task_loader=get_loader(doit.config, _Tasks(namespace(project)), commands),
        config=doit.config,
        bin_name=doit.BIN_NAME,
        cmds=commands,
        opt_vals={},
    )
    command.project = project
    if isinstance(command, DoitCmdBase):
        command.dep_manager = Dependency(partial(LockBackend, project), "", ContentChecker)
    try:
        return int(command.parse_execute(words[1:]) or 0)
    except (CmdParseError, InvalidCommand, InvalidDodoFile, InvalidTask) as error:
        raise UsageError(str(error)) from error


def _tell_broken(project: Project, words: Sequence[str]) -> None:
    """Say every error of every recipe, before anything else; the other models go on.

    Raises Problems where a word names such a model, or no other is there.
    """
    broken = project.broken
    names = [word.removeprefix("models/") for word in words if not word.startswith("-")]
    asked = {re.split("[:@/]", name)[0] for name in names}
    if wanted := [broken[name] for name in broken if name in asked or not project.models]:
        raise Problems(problem for each in wanted for problem in each.problems)
    for name, problems in broken.items():
        console.say(str(problems), "red")
        if not names or any(fnmatch.fnmatchcase(name, pattern) for pattern in asked):
            project.invocation.left_out.append(name)
    if left_out := project.invocation.left_out:
        console.say(f"left out: {', '.join(left_out)}", "red")


def _tell(lines: Iterable[str]) -> int:
    for line in lines:
        console.tell(line)
    return 0


def _joined(words: Sequence[str]) -> list[str]:
    """`--option a=b` as `--option=a=b`: doit takes a word with `=` in it for a variable."""
    joined: list[str] = []
    for word in words:
        before = joined[-1] if joined else ""
        if "=" in word and not word.startswith("-") and before.startswith("--"):
            joined[-1] = f"{before}={word}"
        else:
            joined.append(word)
    return joined


def _split(arguments: list[str], commands: set[str]) -> tuple[str | None, list[str]]:
    """The command, wherever it stands, and the other arguments."""
    plain = [word for word in arguments if not word.startswith("-")]
    name = plain[0] if plain and plain[0] in commands else None
    if name not in OWN and {"--help", "-h"} & set(arguments):
        return "help", [name] if name and name != "help" else []
    if name is not None:
        at = arguments.index(name)
        return name, arguments[:at] + arguments[at + 1 :]
    return None, arguments


def _run(
    project: Project, doit: DoitMain, commands: PluginDict, arguments: list[str], is_pulling: bool
) -> int:
    options, names = _permuted(commands, "run", arguments)
    project.builder.is_forced = bool({"-a", "--always-execute"} & set(options))
    selected = project.plan.with_dependencies(steps_named(project, names))
    with RunLock(project.root):
        write_all(project.root, project.plan, is_whole=not (project.broken or project.spared))
        if not project.models:
            return _tell(["no models yet: ./doit new NAME FILE makes one of a network's file"])
        if is_pulling:
            with pulse.of_others("fetching by DVC"):
                dvc_pull.pull_outputs(project, selected)
        with pulse.phase("looking for what is stale"):
            expected = dry_run.make(project.plan, project.builder, selected)
        _make_toolchains(project, expected, is_pulling)
        if selected or not project.spared:
            project.invocation.settled = expected.settled
            project.invocation.turns = turns.of_run(project, expected)
            options = _at_once(project, expected, options)
            if expected.settled.keys() == expected.steps.keys():
                options = [*options, "-n", "0"]  # no threads: none of the turns does anything
            with pulse.phase("looking for what to do next"):
                code = _execute(project, doit, ["run", *options, *names])
            project.invocation.settled = None
        else:
            code = reporter.tell_nothing_to_do(project)
    runs = project.invocation.runs
    if code == ERROR and not any(each.has_errors for each in runs):
        code = FAILURE  # doit calls it an error that others need a step that failed
    failed_gates = any(each.has_gate_failures for each in runs)
    return code or (1 if failed_gates else 0)


def _permuted(commands: PluginDict, name: str, arguments: list[str]) -> tuple[list[str], list[str]]:
    """Options, then names. doit's own getopt drops an option that stands after a name."""
    command = commands.get_plugin(name)(cmds=commands, config={}, task_loader=_Loader())
    parser = command.cmdparser
    try:
        options, names = getopt.gnu_getopt(arguments, parser.get_short(), parser.get_long())
    except getopt.GetoptError as error:
        known = [f"--{name.rstrip('=')}" for name in (*parser.get_long(), "pull", "rehash")]
        dashes = "--" if len(error.opt) > 1 else "-"
        advice = words.of_option(dashes + error.opt, known, f"./doit help {name}")
        raise UsageError(str(error), advice) from error
    flat = [word for option, value in options for word in (option, value) if word]
    return flat, names


def _at_once(project: Project, expected: DryRun, options: list[str]) -> list[str]:
    """For a cluster: as many steps as it has slots, and as many that are being sent or fetched."""
    worker = on_cluster.of(project)
    if worker is None or not expected.runs:
        return options
    worker.turns = project.invocation.turns
    slots = worker.connect(project.plan.toolchains(expected.runs))
    return options if {"-n", "--process"} & {*options} else [*options, "-n", str(2 * slots)]


class _Loader:
    """Stands in for a task loader where only a command's options are wanted."""

    cmd_options = ()


def steps_named(project: Project, names: Sequence[str]) -> set[str]:
    """The steps that models, targets, steps, artifacts or wildcards stand for; all for none."""
    if not names:
        return set(project.plan.steps)
    groups = _groups(project)
    return {step for name in names for step in _matching(project, name, groups)}


def _groups(project: Project) -> dict[str, list[str]]:
    """All that can be named -> the steps that it stands for."""
    plan = project.plan
    return {
        **{model: [s.name for s in plan.of(model)] for model in plan.recipes},
        **{
            f"{model}@{target}": [step.name for step in steps]
            for model, recipe in plan.recipes.items()
            for target, steps in plan.groups(recipe).items()
        },
        **{name: [name] for name in plan.steps},
        **{path: [step.name] for path, step in plan.makers().items()},
    }


def _matching(project: Project, name: str, groups: dict[str, list[str]]) -> list[str]:
    if name in groups:
        return groups[name]
    found = [step for key in fnmatch.filter(groups, name) for step in groups[key]]
    if not found:
        raise _unknown(project, name)
    return found


def _unknown(project: Project, name: str) -> UsageError:
    advice = words.of_name(name, _doit().get_cmds(), _groups(project), project.plan.recipes)
    return UsageError(f"no command, model, target or step `{name}`", advice)


def _make_toolchains(project: Project, expected: DryRun, is_pulling: bool) -> None:
    """Make what the steps that may run will need, all that it downloads said first."""
    _tell_damaged(project.builder.locks)
    if expected.lacking and not is_pulling and has_remote(project.root):
        names = sorted(set(expected.lacking.values()))
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        what = f"{', '.join(names[:3])}{more}: built before, but not in this cache"
        console.say(f"{what}\n  ./doit --pull fetches them instead of running them", "yellow")
    here = on_cluster.run_here(project, expected.runs)
    Environments(project.root).make(project.plan.toolchains(here))
    runtime_parts.fetch(project.root, [project.plan.steps[name] for name in expected.runs])


def _tell_damaged(locks: Locks) -> None:
    for file, what in locks.damaged.items():
        if file in locks.refused:
            told = f"{file} is not used for {what}"
            advice = "that step is restored from the cache or run, and what stands there replaced"
        else:
            told = f"{file} is damaged ({what})"
            advice = "its steps are restored from the cache or run, and it is written anew"
        console.say(f"{told}\n  {advice}", "yellow")


def steps_at_once(project: Project) -> int:
    """Steps to run side by side: of this machine, or of all workers. Raises ClusterError."""
    worker = on_cluster.of(project)
    return jobs_at_once() if worker is None else worker.connect(())


def jobs_at_once() -> int:
    """Steps to run side by side: one a core, as far as memory goes."""
    cores = len(os.sched_getaffinity(0))
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return max(1, min(cores, memory // _BYTES_A_JOB))
