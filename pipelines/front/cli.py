"""What `./doit ARGUMENTS` means: a command of ours or doit's, or steps to bring up to date."""

from __future__ import annotations

import errno
import fnmatch
import getopt
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from doit.doit_cmd import DoitMain
from doit.plugin import PluginDict

from pipelines import console, dvc_pull, forecast
from pipelines.dvc_files import write_all
from pipelines.dvc_pull import PullError
from pipelines.dvc_repo import RepositoryLocked, has_remote
from pipelines.front import reporter
from pipelines.front.run_lock import RunLock
from pipelines.project import CURRENT
from pipelines.toolchain import Environments, ToolchainError
from pipelines.where import Problems, did_you_mean

STARTED_IN = Path.cwd()  # names of files on the command line count from here
USAGE = 3  # doit's exit code for what is wrong before any task runs
_NEEDS_NO_RECIPES = {"test", "help", "toolchains", "tabcompletion", "schema", "quantize"}
# A build of the vendor's SDK takes up to 1.5 GB (facts: time and memory, 100 images).
_BYTES_A_JOB = 2_000_000_000


_FULL = ("the disk is full", "free some space")
_REFUSED = ("a file can't be read or written", "mend its rights, or use a checkout of your own")
_TOLD = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT), _FULL),
    **dict.fromkeys((errno.EROFS, errno.EACCES, errno.EPERM), _REFUSED),
}


class UsageError(Exception):
    """The command line can't be understood; the message says what to type."""


def main(arguments: list[str]) -> int:
    """Run one command line. Returns the process's exit code."""
    os.chdir(CURRENT.root)
    return guarded(lambda: dispatch(arguments))


def guarded(act: Callable[[], int]) -> int:
    """Run a command; what the user can mend is told without a traceback."""
    try:
        return act()
    except Problems as error:
        console.say(str(error), "red")
        return USAGE
    except (UsageError, ToolchainError, PullError, RepositoryLocked) as error:
        console.say(f"npumake: {error}", "red")
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
        running = "".join(f"\n  {name}" for name in reporter.running())
        console.say(f"\ninterrupted; nothing half-made was kept{running}", "yellow")
        return 130
    finally:
        if "builder" in vars(CURRENT):
            CURRENT.builder.close()


def dispatch(arguments: list[str]) -> int:
    if "" in arguments:  # doit looks at each word's first letter
        place = arguments.index("")
        after = f" after {arguments[place - 1]}" if place else ""
        raise UsageError(f"an empty word{after}\n  give a value, or leave it out")
    doit = DoitMain()
    commands = doit.get_cmds()
    name, rest = _split(arguments, set(commands))
    is_pulling = name in (None, "run") and "--pull" in rest
    if is_pulling:
        rest = [word for word in rest if word != "--pull"]
        dvc_pull.pull_sources_for(CURRENT, rest)
    if name not in _NEEDS_NO_RECIPES:
        CURRENT.plan  # noqa: B018 - every error of every recipe, before anything else
    if name in OWN:
        return int(doit.run([name, *_joined(rest)]) or 0)
    if name is None or name == "run":
        reporter.ASKED[:] = arguments
        return _run(doit, commands, rest, is_pulling)
    options, names = _permuted(commands, name, rest)
    return int(doit.run([name, *options, *names]) or 0)


OWN = {
    *("test", "why", "infer", "doctor", "step", "plan", "toolchains", "forget"),
    *("quantize", "table"),
}


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
    if arguments and arguments[0] in ("--help", "-h"):
        return "help", arguments[1:]
    words = [word for word in arguments if not word.startswith("-")]
    if words and words[0] in commands:
        at = arguments.index(words[0])
        return words[0], arguments[:at] + arguments[at + 1 :]
    return None, arguments


def _run(doit: DoitMain, commands: PluginDict, arguments: list[str], is_pulling: bool) -> int:
    options, names = _permuted(commands, "run", arguments)
    CURRENT.builder.is_forced = bool({"-a", "--always-execute"} & set(options))
    selected = with_dependencies(steps_named(names))
    with RunLock(CURRENT.root):
        write_all(CURRENT.root, CURRENT.plan)
        if is_pulling:
            dvc_pull.pull_outputs(CURRENT, selected)
        _make_toolchains(selected, is_pulling)
        code = int(doit.run(["run", *options, *names]) or 0)
    failed_gates = any(each.has_gate_failures for each in reporter.LAST)
    return code or (1 if failed_gates else 0)


def _permuted(commands: PluginDict, name: str, arguments: list[str]) -> tuple[list[str], list[str]]:
    """Options, then names. doit's own getopt drops an option that stands after a name."""
    command = commands.get_plugin(name)(cmds=commands, config={}, task_loader=_Loader())
    parser = command.cmdparser
    try:
        options, names = getopt.gnu_getopt(arguments, parser.get_short(), parser.get_long())
    except getopt.GetoptError as error:
        known = [f"--{name.rstrip('=')}" for name in parser.get_long()]
        raise UsageError(f"{error}\n  {did_you_mean('--' + error.opt, known)}") from error
    flat = [word for option, value in options for word in (option, value) if word]
    return flat, names


class _Loader:
    """Stands in for a task loader where only a command's options are wanted."""

    cmd_options = ()


def steps_named(names: Sequence[str]) -> set[str]:
    """The steps that models, targets, steps, artifacts or wildcards stand for; all for none."""
    plan = CURRENT.plan
    groups = {
        **{model: [s.name for s in plan.of(model)] for model in plan.recipes},
        **{
            f"{model}@{target}": [step.name for step in steps]
            for model, recipe in plan.recipes.items()
            for target, steps in plan.groups(recipe).items()
        },
        **{name: [name] for name in plan.steps},
        **{path: [step.name] for path, step in plan.makers().items()},
    }
    if not names:
        return set(plan.steps)
    return {step for name in names for step in _matching(name, groups)}


def with_dependencies(names: set[str]) -> set[str]:
    plan = CURRENT.plan
    chosen, todo = set[str](), list(names)
    while todo:
        name = todo.pop()
        if name not in chosen:
            chosen.add(name)
            todo += [step.name for step in plan.before(plan.steps[name])]
    return chosen


def _matching(name: str, groups: dict[str, list[str]]) -> list[str]:
    if name in groups:
        return groups[name]
    found = [step for key in fnmatch.filter(groups, name) for step in groups[key]]
    if not found:
        known = [*groups, *DoitMain().get_cmds()]
        raise UsageError(
            f"no command, model, target or step `{name}`\n  "
            + did_you_mean(name, known, "there are")
        )
    return found


def _make_toolchains(selected: set[str], is_pulling: bool) -> None:
    """Make what the steps that may run will need, all that it downloads said first."""
    expected = forecast.make(CURRENT.plan, CURRENT.builder, selected)
    for file, what in CURRENT.builder.locks.damaged.items():
        console.say(f"{file} is damaged ({what})", "yellow")
        console.say(
            "  its steps are restored from the cache or run, and it is written anew", "yellow"
        )
    if expected.lacking and not is_pulling and has_remote(CURRENT.root):
        names = sorted(set(expected.lacking.values()))
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        what = f"{', '.join(names[:3])}{more}: built before, but not in this cache"
        console.say(f"{what}\n  ./doit --pull fetches them instead of running them", "yellow")
    Environments(CURRENT.root).make(CURRENT.plan.toolchains(expected.runs))


def jobs_at_once() -> int:
    """Steps to run side by side: one a core, as far as memory goes."""
    cores = len(os.sched_getaffinity(0))
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return max(1, min(cores, memory // _BYTES_A_JOB))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
