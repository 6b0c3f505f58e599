"""Toolchains: named, pinned, isolated Python environments, made on first use."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from pipelines.files import console, pulse
from pipelines.files.engine import TOOLCHAINS
from pipelines.files.only_one import only_one
from pipelines.files.where import did_you_mean
from pipelines.run.toolchain import users as toolchain_users
from pipelines.run.toolchain.installed import Change, Installed
from pipelines.run.toolchain.pip_config import install_environment, read, uv_environment
from pipelines.run.toolchain.versions import relative
from quant.fault import Fault

PYTHONS = ("3.11", "3.12", "3.10")


_TORCH = (
    "torch's CPU build is on an index of its own: pip's extra-index-url or find-links must name "
    "PyTorch's index for CPUs, or a folder with the wheel"
)


class ToolchainError(Fault):
    """An environment can't be made."""


_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True)
class Toolchain:
    """`toolchains/NAME.txt` holds exact pins; `toolchains.yaml` the rest of what is known.

    Another version of what stands there needs pins alone: it is taken for what the nearest is.
    """

    name: str
    file: Path
    download: str
    disk: str
    preload: tuple[str, ...]
    paths: tuple[str, ...]  # folders of npumake's put first on sys.path
    crashed: str  # who, where a process of it dies


def known(root: Path) -> list[str]:
    names = (file.stem for file in (root / TOOLCHAINS).glob("*.txt"))
    return sorted(name for name in names if name != "npumake")


@cache
def _table(text: str) -> dict[str, Any]:
    """toolchains.yaml, which a run asks for again and again."""
    return dict(yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)))


def load(root: Path, name: str) -> Toolchain:
    if name not in known(root):
        advice = did_you_mean(name, known(root), "toolchains")
        raise ToolchainError(f"no toolchain `{name}`", advice)
    told = _told_of(root, name)
    return Toolchain(
        name,
        root / TOOLCHAINS / f"{name}.txt",
        told["download"],
        told["disk"],
        tuple(told["preload"]),
        tuple(told.get("path", ())),  # most toolchains need none
        told.get("crashed", f"a library of toolchain {name}"),
    )


def _told_of(root: Path, name: str) -> dict[str, Any]:
    table = _table((root / TOOLCHAINS / "toolchains.yaml").read_text(encoding="utf-8"))
    like = name if name in table else relative(name, table)
    if like is None:
        what = f"{TOOLCHAINS}/toolchains.yaml does not say what {TOOLCHAINS}/{name}.txt is for"
        raise ToolchainError(what, f"add an entry `{name}:`, copied from another's")
    return dict(table[like])


_HOME = "NPUMAKE_HOME"
_ENVIRONMENT = re.compile(r"[A-Za-z0-9._-]+-[0-9a-f]{12}-py\d+")


def shared_home() -> Path | None:
    """NPUMAKE_HOME: a folder whose environments several checkouts use. Raises ToolchainError."""
    told = os.environ.get(_HOME)
    if not told:
        return None
    home = Path(told).expanduser()
    if not home.is_absolute():
        raise ToolchainError(f"{_HOME} is `{told}`", "give a whole path, such as ~/.cache/npumake")
    return home


class Environments:
    """Where the toolchains' environments are, and how they are made."""

    def __init__(self, root: Path) -> None:
        self._root = root
        shared = shared_home()
        self._is_shared = shared is not None
        self._home = (shared or root / ".npumake") / "toolchains"

    def python(self, name: str) -> Path:
        """Its interpreter. Raises ToolchainError where it isn't made, or was changed since."""
        folder = self._made(load(self._root, name))
        if folder is None:
            raise ToolchainError(f"toolchain {name} is not made", f"run: ./doit toolchains {name}")
        if changes := Installed(folder).changes(wholly=False):
            raise ToolchainError(_told(name, changes), f"run: ./doit toolchains --remake {name}")
        if self._is_shared:
            toolchain_users.note(folder, self._root)
        return folder / "bin" / "python"

    def prune(self) -> list[str]:
        """Remove environments whose pins no checkout has that used them. Returns their names."""
        present = {
            (name, toolchain_users.pins_of(load(self._root, name).file))
            for name in known(self._root)
        }
        with only_one(self._home / "lock"):
            old = [
                folder
                for folder in sorted(self._home.iterdir())
                if _ENVIRONMENT.fullmatch(folder.name)
                and tuple(folder.name.rsplit("-", 2)[:2]) not in present
                and not toolchain_users.users(folder)
            ]
            for folder in old:
                shutil.rmtree(folder)
                toolchain_users.notes(folder).unlink(missing_ok=True)
        return [folder.name for folder in old]

    def missing(self, names: Iterable[str]) -> list[Toolchain]:
        """Those of `names` that would have to be made."""
        toolchains = (load(self._root, name) for name in sorted(set(names)))
        return [toolchain for toolchain in toolchains if self._made(toolchain) is None]

    def make(self, names: Iterable[str]) -> None:
        """Make what is missing or changed, after saying what that downloads."""
        self.check(names, wholly=False)
        missing = self.missing(names)
        if not missing:
            return
        console.say("making toolchains (once; later runs work offline):")
        for toolchain in missing:
            console.say(
                f"  {toolchain.name:<22} {toolchain.download:>7} to download, "
                f"{toolchain.disk:>7} on disk"
            )
        if len(missing) > 1:
            console.say("  (less on disk together: environments share the files of equal packages)")
        settings, left_out = install_environment()
        for sentence in left_out:
            console.say(sentence)
        environment = {**settings, **uv_environment(read(sys.executable))}
        for toolchain in missing:
            with only_one(self._home / "lock"):
                if self._made(toolchain) is None:
                    self._make(toolchain, environment)

    def check(self, names: Iterable[str], *, wholly: bool) -> list[str]:
        """Throw away what is not as it was installed, and say so. Returns which toolchains.

        wholly: read every file, not only those whose size or time changed.
        """
        found = []
        for name in sorted(set(names)):
            folder = self._made(load(self._root, name))
            changes = Installed(folder).changes(wholly=wholly) if folder else []
            if changes:
                console.say(f"{_told(name, changes)}\n  it is thrown away", "yellow")
                self._forget_downloads(changes)
                self.remove(name)
                found.append(name)
        return found

    def _forget_downloads(self, changes: Iterable[Change]) -> None:
        """uv's cache shares its files with the environments: an edit is in both."""
        packages = {change.package.partition(" ")[0] for change in changes if change.package}
        for package in sorted(packages):
            command = [_uv(), "cache", "clean", "--quiet", package]
            subprocess.run(command, capture_output=True, check=False)

    def remove(self, name: str) -> None:
        """Throw away every environment of that name; of a shared folder's, the present pins'."""
        pins = toolchain_users.pins_of(load(self._root, name).file)
        if not self._is_shared:
            self._remove_others(name, None)
            return
        for python in PYTHONS:
            shutil.rmtree(self._home / _folder_name(name, pins, python), ignore_errors=True)

    def _remove_others(self, name: str, kept: Path | None) -> None:
        """Remove the environments of other pins or Pythons."""
        own = re.compile(re.escape(name) + r"-[0-9a-f]{12}-py\d+")
        for folder in self._home.glob(f"{name}-*"):
            if own.fullmatch(folder.name) and folder != kept:
                shutil.rmtree(folder)

    def _folder(self, toolchain: Toolchain, python: str) -> Path:
        pins = toolchain_users.pins_of(toolchain.file)
        return self._home / _folder_name(toolchain.name, pins, python)

    def _made(self, toolchain: Toolchain) -> Path | None:
        """The whole, working environment of the present pins, if there is one."""
        for python in _pythons():
            folder = self._folder(toolchain, python)
            interpreter = folder / "bin" / "python"
            if (folder / "made").is_file() and os.access(interpreter, os.X_OK):
                return folder
        return None

    def _make(self, toolchain: Toolchain, environment: dict[str, str]) -> None:
        """environment: for uv."""
        failures: list[str] = []
        for python in _pythons():
            for options in ([], ["--torch-backend", "cpu"]) if _has_torch(toolchain) else ([],):
                what = f"making toolchain {toolchain.name} (Python {python})"
                console.say(what)
                with pulse.of_others(what):
                    failure = self._try(toolchain, python, options, environment)
                if failure is None:
                    return
                failures.append(f"Python {python}{' '.join(['', *options])}: {failure}")
        tried = "\n  ".join(failures)
        if _has_torch(toolchain):
            tried += f"\n  {_TORCH}"
        raise ToolchainError(
            f"toolchain {toolchain.name} could not be made\n  {tried}\n"
            "  check the network and pip's configuration (pip config list), "
            "then run the same command again: it starts over"
        )

    def _try(
        self, toolchain: Toolchain, python: str, options: list[str], environment: dict[str, str]
    ) -> str | None:
        """Make the environment; None, or what went wrong."""
        folder = self._folder(toolchain, python)
        shutil.rmtree(folder, ignore_errors=True)
        is_own = python == _pythons()[0]  # which need not be on PATH, nor the first of its version
        base = sys.executable if is_own else python
        make = [_uv(), "venv", "--quiet", "--no-python-downloads", "--python", base, str(folder)]
        fill = [_uv(), "pip", "install", "--no-deps", "--require-hashes"]
        fill += ["--python", str(folder / "bin" / "python")]
        for command in (make, [*fill, *options, "-r", str(toolchain.file)]):
            # On a terminal uv draws its own progress; elsewhere its words are kept for a failure.
            kept = None if sys.stderr.isatty() else subprocess.PIPE
            done = subprocess.run(
                command, env=environment, stdout=sys.stderr, stderr=kept, text=True, check=False
            )
            if done.returncode != 0:
                shutil.rmtree(folder, ignore_errors=True)
                return _last_lines(done.stderr or "see uv's message above")
        # Written last: an environment without it is not used, but made again.
        Installed(folder).note(toolchain.file.read_bytes())
        if changes := Installed(folder).changes(wholly=True):  # uv's cache was edited
            self._forget_downloads(changes)
            shutil.rmtree(folder, ignore_errors=True)
            return f"uv's cache held a changed file, and forgot it: {changes[0]}"
        if self._is_shared:  # another checkout may have the other pins
            toolchain_users.note(folder, self._root)
        else:
            self._remove_others(toolchain.name, folder)
        return None


def _folder_name(name: str, pins: str, python: str) -> str:
    return f"{name}-{pins}-py{python.replace('.', '')}"


def own_changes() -> list[Change]:
    """Files of .venv, which runs this, that are not as they were installed."""
    return Installed(Path(sys.prefix)).changes(wholly=True)


def forget_own() -> None:
    """Have the next ./doit make .venv again: it can't be thrown away while it runs."""
    Path(sys.prefix, "made-from").unlink(missing_ok=True)


def _pythons() -> list[str]:
    """Versions to try, the one that runs npumake first."""
    own = f"{sys.version_info[0]}.{sys.version_info[1]}"
    return [own, *(version for version in PYTHONS if version != own)]


def _uv() -> str:
    return str(Path(sys.prefix) / "bin" / "uv")


def _told(name: str, changes: list[Change]) -> str:
    """What was changed in a toolchain, in a few lines."""
    lines = [f"toolchain {name} is not as it was installed:", *map(str, changes[:3])]
    if len(changes) > 3:
        lines.append(f"and {len(changes) - 3} more files")
    return "\n  ".join(lines)


def _has_torch(toolchain: Toolchain) -> bool:
    return any(
        line.startswith("torch==")
        for line in toolchain.file.read_text(encoding="utf-8").splitlines()
    )


def _last_lines(text: str, count: int = 3) -> str:
    """uv's own words: from its error on, or the last lines where it names none."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [place for place, line in enumerate(lines) if line.startswith("error:")]
    return " / ".join(lines[errors[-1] :] if errors else lines[-count:])[:400]
