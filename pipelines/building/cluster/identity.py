"""What front and worker have to share, so that a step gives the same there as here."""

from __future__ import annotations

import hashlib
import os
import platform
import sys
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path

from pipelines.files.engine import CODE, version
from pipelines.run.toolchain.installed import Installed
from pipelines.run.toolchain.toolchain import Environments

_PARTS = ("pipelines", "quant", "toolchains")
_ADVICE = {
    "npumake": "give it the same version of npumake, and start it again",
    "engine": "bring its checkout to the same commit (git pull), and start it again",
    "python": "run both by the same Python",
    "machine": "use machines of one architecture",
    "distributed": "./doit toolchains cluster, where it is another",
}


def own(distributed: str) -> dict[str, str]:
    """distributed: version of the package."""
    return {
        "npumake": version(),
        "engine": engine_digest(CODE),
        "python": f"{sys.version_info[0]}.{sys.version_info[1]}",
        "machine": platform.machine(),
        "distributed": distributed,
    }


def difference(own: Mapping[str, str], other: Mapping[str, object]) -> str | None:
    """What of another is not as here, with what to do; None where all is."""
    for name, value in own.items():
        if other.get(name) != value:
            told = str(other.get(name, "(none)"))
            shown = (each[:12] if name == "engine" else each for each in (told, value))
            return "its {} is {}, here it is {}\n  {}".format(name, *shown, _ADVICE[name])
    return None


def other_toolchain(here: Mapping[str, str], there: Mapping[str, str]) -> str | None:
    """Which toolchain of a worker holds other files than the front's, and what to do.

    Name -> digest; "" or none where it is not made.
    """
    for name, digest in here.items():
        if digest and there.get(name) not in (None, "", digest):
            return (
                f"its toolchain {name} holds other files ({there[name][:12]}, "
                f"here {digest[:12]})\n  run there: ./doit toolchains --remake {name}"
            )
    return None


def made(environments: Environments, names: Iterable[str]) -> dict[str, str]:
    """Toolchain -> digest; "" where it is not made. Raises ToolchainError."""
    missing = {each.name for each in environments.missing(names)}
    return {name: "" if name in missing else manifest(environments, name) for name in names}


def engine_digest(code: Path) -> str:
    """SHA-256 over names and bytes of npumake's own files."""
    digest = hashlib.sha256()
    for name in sorted(_files(code)):
        data = (code / name).read_bytes()
        digest.update(f"{name}\0{len(data)}\0".encode() + data)
    return digest.hexdigest()


class Engine:
    """npumake's own files as they are now, and whether one was written since."""

    def __init__(self, code: Path) -> None:
        self._files = [f"{code}/{name}" for name in _files(code)]
        self._stamp = self._now()

    @property
    def is_unchanged(self) -> bool:
        """A step asks for it: a stat a file, two milliseconds for all."""
        return self._now() == self._stamp

    def _now(self) -> list[tuple[int, int]] | None:
        try:
            stats = [os.stat(file) for file in self._files]
        except FileNotFoundError:
            return None
        return [(stat.st_mtime_ns, stat.st_size) for stat in stats]


def _files(code: Path) -> Iterator[str]:
    for part in _PARTS:
        for parent, folders, names in os.walk(code / part):
            folders[:] = [name for name in folders if name != "__pycache__"]
            yield from (os.path.relpath(f"{parent}/{name}", code) for name in names)


def manifest(environments: Environments, name: str) -> str:
    """Digest of what is installed in a toolchain. Raises ToolchainError where it is not made."""
    return _manifest(environments.python(name).parent.parent)


@cache
def _manifest(folder: Path) -> str:
    return Installed(folder).digest()
