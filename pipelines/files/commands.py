"""Names of the commands of ./doit, which no model or target may have; none of them is imported."""

from __future__ import annotations

import re
from collections.abc import Mapping

from pipelines.files.engine import CODE

_TABLE = re.compile(r"^\[tool\.doit\.plugins\.command\]\n(.*?)^\[", re.MULTILINE | re.DOTALL)
_ENTRY = re.compile(r'^(\w+) = "([\w.]+):\w+"$', re.MULTILINE)
_IN_BRIEF = re.compile(r'^    in_brief = "(.*)"$', re.MULTILINE)
# doit's own, and one that was ours.
_OTHERS = frozenset(
    ("run", "list", "help", "dumpdb", "ignore", "reset-dep", "schema", "strace", "tabcompletion")
)


def _modules() -> dict[str, str]:
    """Name -> module of each that pyproject.toml tells doit of."""
    told = _TABLE.search((CODE / "pyproject.toml").read_text(encoding="utf-8"))
    return dict(_ENTRY.findall(told[1])) if told else {}


_MODULES = _modules()
OWN = frozenset(_MODULES) - _OTHERS
COMMANDS = OWN | _OTHERS


def purposes() -> Mapping[str, str]:
    """What ./doit --help says of each, in its order, as its class says it."""
    found = {name: _in_brief(module) for name, module in _MODULES.items() if name in OWN}
    return {
        **found,
        "list": "the models and targets; --all: the steps too",
        "help": "this, or what a command takes: ./doit help COMMAND",
    }


def _in_brief(module: str) -> str:
    file = CODE.joinpath(*module.split(".")).with_suffix(".py")
    (told,) = _IN_BRIEF.findall(file.read_text(encoding="utf-8"))
    return str(told)
