"""`npumake`, as pip, uv tool or pipx install it: makes repositories; all else is their ./doit."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from pipelines.files.commands import COMMANDS
from pipelines.files.engine import CODE
from pipelines.front.init import pin, repository

_ABOUT = """\
Make for neural networks on NPUs: YAML recipes to ONNX, .rknn and int8.

  npumake init DIR    a repository of your own for models, in a new or present
                      folder; no file that is there is changed

In that repository, ./doit does the rest: see its README.md."""


def main(arguments: Sequence[str]) -> int:
    """Run one command line. Returns the exit code."""
    parser = argparse.ArgumentParser(
        "npumake", description=_ABOUT, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--version", action="version", version=f"npumake {version()}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    init = commands.add_parser("init", help="make a repository")
    init.add_argument("folder", metavar="DIR", type=Path)
    init.add_argument(
        "--engine",
        metavar="WHEEL|URL|LINE",
        help="what npumake.txt pins: a wheel, which is copied; a wheel's URL with "
        "--hash=sha256:...; or git+URL@COMMIT (default: what this npumake was installed from)",
    )
    words = list(arguments)
    if words and words[0] in COMMANDS:
        print(
            f"npumake: `{words[0]}` is a command of a repository's ./doit\n"
            f"  in one that `npumake init DIR` made: ./doit {' '.join(words)}",
            file=sys.stderr,
        )
        return 2
    given = parser.parse_args(words)
    try:
        source = pin.told(given.engine) if given.engine else pin.installed()
        made = repository.make(given.folder, source)
    except pin.PinError as error:
        print(f"npumake: {error}", file=sys.stderr)
        return 3
    except OSError as error:
        place = error.filename or given.folder
        print(f"npumake: {place}: {error.strerror or error}", file=sys.stderr)
        return 3
    print("\n".join(made))
    return 0


def version() -> str:
    """Of the engine beside this file."""
    found = re.search(r'^version = "(.+)"$', (CODE / "pyproject.toml").read_text("utf-8"), re.M)
    assert found is not None, "pyproject.toml has a version"
    return found[1]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
