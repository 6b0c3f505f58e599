"""What somebody meant who typed a word or an option that npumake does not know."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable

from pipelines.files.engine import PREFIX
from quant.nearest import nearest

_WIDTH, _LINES = 78, 3  # of a list of what there is
_LIKE = 0.6  # how alike two words are that one was meant for the other

# Words of other tools, and of people -> what does that here.
_MEANT = {
    **dict.fromkeys(
        ("build", "make", "compile", "update", "all", "start", "repro", "reproduce"),
        "to build what is stale: ./doit [MODEL|MODEL@TARGET ...]",
    ),
    **dict.fromkeys(
        ("status", "stale", "check", "diff", "state"),
        "what is stale, and why: ./doit why [NAME ...]",
    ),
    **dict.fromkeys(
        ("convert", "quantise", "int8"),
        "one file: ./doit quantize --input FILE --output FOLDER --input_scale N\n"
        "for an .rknn: a recipe in models/NAME/recipe.yaml, then ./doit NAME",
    ),
    **dict.fromkeys(
        ("version", "about"), "./doit --version",
    ),
    **dict.fromkeys(
        ("models", "targets", "show", "tasks"), "./doit list (--all tells the steps too)"
    ),
    **dict.fromkeys(
        ("init", "create", "add"),
        "a recipe of a network's file, built at once: ./doit new NAME FILE",
    ),
    **dict.fromkeys(
        ("remove", "delete", "rm", "purge"), "what was built: ./doit clean [NAME ...]"
    ),
    **dict.fromkeys(("pull", "fetch", "checkout"), "./doit --pull [NAME ...]"),
    **dict.fromkeys(("push", "gc", "commit"), f".venv/bin/dvc does that: see {PREFIX}docs/dvc.md"),
    **dict.fromkeys(
        ("analyse", "analyze", "explain", "inspect", "size", "optimize", "debug"),
        "./doit doctor MODEL",
    ),
    **dict.fromkeys(("accuracy", "eval", "evaluate", "metrics"), "./doit table [MODEL ...]"),
    **dict.fromkeys(
        ("predict", "simulate", "inference", "run_model"), "./doit infer MODEL@TARGET FILE ..."
    ),
    **dict.fromkeys(
        ("install", "setup", "bootstrap", "upgrade"),
        "./doit does it by itself; ./doit toolchains lists them"
    ),
    **dict.fromkeys(("export", "simplify"), "a step of a model: ./doit MODEL:{0}"),
    **dict.fromkeys(("logs", "log"), "each step's log is .npumake/logs/MODEL/STEP.log"),
}  # fmt: skip
_MEANT_OPTIONS = {
    "--target": "./doit MODEL@TARGET",
    "--platform": "./doit MODEL@TARGET; a recipe's `targets` name the platforms",
    "--model": "./doit MODEL",
    "--build": "./doit [MODEL|MODEL@TARGET ...]",
    "--force": "-a runs even what is up to date",
    "--rebuild": "-a runs even what is up to date",
    "--jobs": "-n N runs N steps at once",
    "--threads": "-n N runs N steps at once",
    "--keep-going": "--continue goes on after a failure",
    "--dry-run": "./doit why [NAME ...] tells what would run",
    "--dry": "./doit why [NAME ...] tells what would run",
    "--status": "./doit why [NAME ...]",
    "--verbose": "each step's log is .npumake/logs/MODEL/STEP.log",
    "--list": "./doit list",
    "--clean": "./doit clean [NAME ...]",
    "--input": "./doit quantize --input FILE, or ./doit infer MODEL@TARGET FILE",
    "--output": "./doit quantize --output FOLDER",
}
# doit's own, that have no use here.
_ODD = {
    *("--reporter", "--backend", "--codec", "--db-file", "--dep-file", "--check_file_uptodate"),
    *("--dir", "--file", "--pdb", "--seek-file", "--par-type", "--failure-verbosity"),
    *("--output-file", "--auto-delayed-regex", "--verbosity", "--single", "--no-continue"),
}  # fmt: skip
_ODD_COMMANDS = {"strace", "dumpdb", "reset-dep", "tabcompletion", "ignore"}


def of_name(word: str, commands: Iterable[str], names: Iterable[str], most: Iterable[str]) -> str:
    """Advice for an unknown word.

    names: models, targets and steps. most: the names that are told where nothing is alike.
    """
    known = {*names, *(set(commands) - _ODD_COMMANDS)}
    if (meant := _meant(word, _MEANT, known)) is not None:
        return meant
    return f"models: {shortened(most)}\nsee ./doit list and ./doit help"


def of_option(option: str, known: Iterable[str], where: str) -> str:
    """Advice for an unknown option. where: what tells them all."""
    meant = _meant(option, _MEANT_OPTIONS, set(known) - _ODD)
    return meant if meant is not None else f"see {where}"


def _meant(word: str, meant: dict[str, str], known: set[str]) -> str | None:
    lower = word.lower()
    if lower in meant:
        return meant[lower].format(lower)
    near = nearest(word, {*known, *meant}, _LIKE)
    if near is None:
        return None
    return f"did you mean `{near}`?" if near in known else meant[near].format(near)


def shortened(names: Iterable[str]) -> str:
    """As many names as three lines hold."""
    told = sorted(names)
    lines = textwrap.wrap(", ".join(told), _WIDTH, break_long_words=False, break_on_hyphens=False)
    if len(lines) <= _LINES:
        return ", ".join(told) or "none"
    shown = " ".join(lines[: _LINES - 1]).rstrip(",").split(", ")
    return f"{', '.join(shown)} and {len(told) - len(shown)} more"
