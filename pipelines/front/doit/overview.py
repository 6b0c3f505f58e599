"""What `./doit --help` and `./doit --version` print."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from pipelines.files.commands import purposes
from pipelines.files.engine import CODE, IS_PINNED, PREFIX, version

_HEAD = """\
npumake: YAML recipes to ONNX, .rknn and int8, rebuilding only what is stale

  ./doit [NAME ...]       bring everything, or what is named, up to date: models
                          (m), targets (m@rk3588), steps (m:build@rk3588),
                          files, or wildcards of them
    -n N                  N steps at once
    --continue            go on after a failure
    -a                    run even what is up to date
    --pull                fetch from the DVC remote first
    --rehash              hash every file again, whatever its times say
"""
_HIDDEN = ("run", "dumpdb", "reset-dep", "strace")
_TAIL = """
  ./doit --version

Other commands of doit: {others}.
Every key of a recipe: {docs}docs/recipe.md."""


def help_lines(commands: Mapping[str, Any]) -> Iterator[str]:
    yield from _HEAD.splitlines()
    yield ""
    told = purposes()
    yield from (f"  ./doit {name:<16} {purpose}" for name, purpose in told.items())
    others = ", ".join(f"`{name}`" for name in sorted(set(commands) - set(told) - {*_HIDDEN}))
    yield from _TAIL.format(others=others, docs=PREFIX).splitlines()


def version_lines() -> Iterator[str]:
    """npumake's own, its commit where this is a checkout, and what it stands on."""
    commit = "" if IS_PINNED else _commit(CODE)
    yield f"npumake {version()}" + (f" ({commit})" if commit else "")
    yield f"doit {metadata.version('doit')}, dvc {metadata.version('dvc')}"


def _commit(root: Path) -> str:
    command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--tags"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:  # no git here
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
