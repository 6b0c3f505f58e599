"""The project's own modules in a warm interpreter: lent to a fork whose folder holds the same code.

A test's workspace is a copy of this checkout. Importing it takes as long as a step on a small
network, so it is imported once, and a fork of the interpreter has it as if from its own folder:
what a module keeps of where and when it was imported is made anew, see tests.warm_statements.
Where a single file that was imported, or one that is no code, differs, the fork imports all of it
anew.

Standard library only: runs in the interpreters that tests.warm starts.
"""

from __future__ import annotations

import importlib
import marshal
import os
import struct
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

Code = importlib.import_module("warm_statements").Code  # beside this file

PARTS = ("pipelines", "quant")
# Modules, and what they read beside the code: a file, and the names in a folder.
COMMANDS = ("pipelines.files.commands", "pyproject.toml")
PINS = ("pipelines.backends.rknn.recipe.vendor", "toolchains")
_SIZE, _OF_SIZE = 16, 8  # bytes of a stamp, and those of the file's size
_pack = struct.Struct("<2q").pack


class OwnCode:
    """root: the folder that its code was imported from."""

    def __init__(self, root: str, modules: Sequence[str], *, is_deep: bool = False) -> None:
        """Import these and what they import, but for what can't be as in another process.

        is_deep: also what functions of theirs import, where that is there.
        """
        self._root = root
        stamps = dict(_stamps(root))
        sys.path.insert(0, root)
        judged = _in_a_fork(lambda: _judged(root, modules, is_deep=is_deep))
        for name in judged["names"]:
            _import(name, is_needed=not is_deep)
        sys.path.remove(root)
        self._again: dict[str, CodeType] = judged["again"]
        for name in _imported():
            if name not in judged["names"] or name in judged["fixed"]:
                _forget(name)
        # Held, and listed before a fork: of what that touches or ends, the kernel copies each page.
        self._modules = _imported()
        self._asking = [
            one for name, one in self._modules.items() if name in judged["asking for their file"]
        ]
        imported = {one.__file__ for one in self._modules.values()}
        kept = {
            path: stamp
            for path, stamp in stamps.items()
            if not path.endswith(".py") or f"{root}/{path}" in imported
        }
        if COMMANDS[0] in self._modules:
            kept |= {path: stamp for path in COMMANDS[1:] if (stamp := _stamp(f"{root}/{path}"))}
        self._paths = "\n".join(kept)
        self._stamps = b"".join(kept.values())
        self._pins = _pins(root) if PINS[0] in self._modules else None
        _Lent.root = _Lent.new_root = root
        for module in self._modules.values():
            if "__path__" in vars(module):
                module.__path__ = _Path(module)  # type: ignore[assignment]
            if module not in self._asking:
                module.__class__ = _Lent

    def lend(self, root: str) -> None:
        """Make it the code of `root`, or forget it where that holds other code."""
        if root and self._is_same(root):
            _Lent.new_root = root
            for module in self._asking:
                file = vars(module)["__file__"]
                module.__file__ = file.replace(self._root, root, 1)
            return
        for name in self._modules:
            del sys.modules[name]

    def _is_same(self, root: str) -> bool:
        """By size and time; where the time is another, as in a clone or an engine, by content."""
        try:
            folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
        except OSError:
            return False
        try:
            for number, path in enumerate(self._paths.split("\n")):
                held = self._stamps[number * _SIZE : (number + 1) * _SIZE]
                found = _stamp(path, folder)
                if found != held and (
                    found is None
                    or found[:_OF_SIZE] != held[:_OF_SIZE]
                    or _stamp(f"{self._root}/{path}") != held
                    or _bytes(f"{root}/{path}") != _bytes(f"{self._root}/{path}")
                ):
                    return False
        finally:
            os.close(folder)
        return self._pins in (None, _pins(root))

    def settle(self) -> None:
        """In a fork that has its folder and its words: what the code keeps of those."""
        for name, statements in self._again.items():
            if name in sys.modules:
                exec(statements, vars(sys.modules[name]))


class _Path(Sequence[str]):
    """Where a package's modules are looked for: below the folder that the code is lent to."""

    def __init__(self, package: ModuleType) -> None:
        self._below = str(vars(package)["__file__"]).rpartition("/")[0].removeprefix(_Lent.root)

    def __getitem__(self, number: Any) -> Any:
        return [f"{_Lent.new_root}{self._below}"][number]

    def __len__(self) -> int:
        return 1


class _Lent(ModuleType):
    """A module that does not ask for its own file; who else does is told of the new one."""

    root = new_root = ""

    @property
    def __file__(self) -> str:  # type: ignore[override]
        return str(vars(self)["__file__"]).replace(self.root, self.new_root, 1)


def _in_a_fork(act: Callable[[], Any]) -> Any:
    """What it gives, of what marshal knows. What it needs meanwhile is no other fork's: the trees
    of all code take half as much as the code, and a fork takes as long as its process is large.
    """
    reading, writing = os.pipe()
    process = os.fork()
    if process == 0:
        try:
            with os.fdopen(writing, "wb") as told:
                marshal.dump(act(), told)
            os._exit(0)
        finally:
            os._exit(1)
    os.close(writing)
    with os.fdopen(reading, "rb") as told:
        data = told.read()
    os.waitpid(process, 0)
    return marshal.loads(data)


def _judged(root: str, modules: Sequence[str], *, is_deep: bool) -> dict[str, Any]:
    """The names of what to import, and what of it is of the import. All of it is imported."""
    code = Code(Path(root), PARTS)
    names = code.reached(modules, is_deep=is_deep)
    for name in names:
        _import(name, is_needed=not is_deep)
    if named := [name for name in _imported() if name not in names]:  # by text, in a function
        names = code.reached(named, is_deep=is_deep)
    found = {name: code.of_the_import(name) for name in names}
    return {
        "names": names,
        "fixed": [name for name, statements in found.items() if statements is None],
        "again": {
            name: compile(statements, str(code.file(name)), "exec", annotations.compiler_flag)
            for name, statements in found.items()
            if statements and statements.body and name in sys.modules
        },
        "asking for their file": [name for name in names if _asks_for_its_file(name, code)],
    }


def _asks_for_its_file(name: str, code: Any) -> bool:
    file = code.file(name)
    return file is None or b"__file__" in file.read_bytes()


def _import(name: str, *, is_needed: bool) -> None:
    try:
        importlib.import_module(name)
    except ImportError:
        if is_needed:
            raise


def _forget(name: str) -> None:
    module, (package, _, last) = sys.modules.pop(name), name.rpartition(".")
    if getattr(sys.modules.get(package), last, None) is module:
        delattr(sys.modules[package], last)


def _imported() -> dict[str, ModuleType]:
    return {name: one for name, one in sys.modules.items() if name.partition(".")[0] in PARTS}


def _stamps(root: str) -> Iterator[tuple[str, bytes]]:
    """Path below root -> size and time of each file that is no bytecode."""
    todo = list(PARTS)
    while todo:
        below = todo.pop()
        with os.scandir(f"{root}/{below}") as entries:
            for entry in entries:
                if entry.name == "__pycache__":
                    continue
                path = f"{below}/{entry.name}"
                if entry.is_dir():
                    todo.append(path)
                elif found := _stamp(entry.path):
                    yield path, found


def _pins(root: str) -> list[str]:
    """The names of the toolchains' pins, by which rknn's are known."""
    try:
        with os.scandir(f"{root}/{PINS[1]}") as entries:
            return sorted(entry.name for entry in entries if entry.name.endswith(".txt"))
    except OSError:
        return []


def _bytes(place: str) -> bytes:
    return Path(place).read_bytes()


def _stamp(path: str, folder: int | None = None) -> bytes | None:
    """Size and time; None where there is no such file."""
    try:
        found = os.stat(path, dir_fd=folder)
    except OSError:
        return None
    return _pack(found.st_size, found.st_mtime_ns)
