"""The project's own modules in a warm interpreter: lent to a fork whose folder holds the same code.

A test's workspace is a copy of this checkout. Importing it takes as long as a step on a small
network, so it is imported once, and a fork of the interpreter has it as if from its own folder:
what a module keeps of where and when it was imported is made anew, see tests.warm_statements.
Where a single file that was imported, or one that is no code, differs by size or time, the fork
imports all of it anew.

Standard library only: runs in the interpreters that tests.warm starts.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

Code = importlib.import_module("warm_statements").Code  # beside this file

PARTS = ("pipelines", "quant")


class OwnCode:
    """root: the folder that its code was imported from."""

    def __init__(self, root: str, modules: Sequence[str], *, is_deep: bool = False) -> None:
        """Import these and what they import, but for what can't be as in another process.

        is_deep: also what functions of theirs import, where that is there.
        """
        self._root = root
        stamps = dict(_stamps(root))
        sys.path.insert(0, root)
        code = Code(Path(root), PARTS)
        names = code.reached(modules, is_deep=is_deep)
        for name in names:
            _import(name, is_needed=not is_deep)
        if named := [name for name in _imported() if name not in names]:  # by text, in a function
            names = code.reached(named, is_deep=is_deep)
        sys.path.remove(root)
        self._again = {
            name: compile(found, str(code.file(name)), "exec", annotations.compiler_flag)
            for name in names
            if name in sys.modules and (found := code.of_the_import(name)) and found.body
        }
        for name in _imported():
            if name not in names or code.of_the_import(name) is None:
                _forget(name)
        # Held, and listed before a fork: of what that touches or ends, the kernel copies each page.
        self._modules = _imported()
        self._known = [one for name, one in self._modules.items() if _knows_its_place(name, code)]
        imported = {one.__file__ for one in self._modules.values()}
        self._stamps = {
            path: stamp
            for path, stamp in stamps.items()
            if not path.endswith(".py") or f"{root}/{path}" in imported
        }
        for module in self._modules.values():
            if module not in self._known:
                module.__class__ = _Lent

    def lend(self, root: str) -> None:
        """Make it the code of `root`, or forget it where that holds other code."""
        is_same = bool(root) and all(
            self._is_same(f"{root}/{path}", path, stamp) for path, stamp in self._stamps.items()
        )
        if is_same:
            for module in self._known:
                self._move(module, root)
            _Lent.root, _Lent.new_root = self._root, root
            return
        for name in self._modules:
            del sys.modules[name]

    def _is_same(self, place: str, path: str, stamp: tuple[int, int]) -> bool:
        """By size and time; an engine's files are others, and their content counts."""
        found = _stamp(place)
        if found is None or found[0] != stamp[0]:
            return False
        if found == stamp:
            return True
        return "/.npumake/engine/" in place and _bytes(place) == _bytes(f"{self._root}/{path}")

    def settle(self) -> None:
        """In a fork that has its folder and its words: what the code keeps of those."""
        for name, statements in self._again.items():
            if name in sys.modules:
                exec(statements, vars(sys.modules[name]))

    def _move(self, module: ModuleType, root: str) -> None:
        spec = module.__spec__
        assert spec is not None
        assert spec.origin is not None
        spec.origin = module.__file__ = spec.origin.replace(self._root, root, 1)
        if spec.submodule_search_locations is not None:
            module.__path__ = [spec.origin.rpartition("/")[0]]
            spec.submodule_search_locations = module.__path__


class _Lent(ModuleType):
    """A module that does not ask for its own file; who else does is told of the new one."""

    root = new_root = ""

    @property
    def __file__(self) -> str:  # type: ignore[override]
        return str(vars(self)["__file__"]).replace(self.root, self.new_root, 1)


def _knows_its_place(name: str, code: Any) -> bool:
    """A package's modules are looked for there."""
    file = code.file(name)
    return file is None or file.stem == "__init__" or b"__file__" in file.read_bytes()


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


def _stamps(root: str) -> Iterator[tuple[str, tuple[int, int]]]:
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


def _bytes(place: str) -> bytes:
    return Path(place).read_bytes()


def _stamp(path: str) -> tuple[int, int] | None:
    """Size and time; None where there is no such file."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns
