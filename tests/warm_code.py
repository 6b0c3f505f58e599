"""The project's own modules in a warm interpreter: lent to a fork whose folder holds the same code.

A test's workspace is a copy of this checkout. Importing it takes as long as a step on a small
network, so it is imported once, and a fork of the interpreter has it as if from its own folder.
Where a single file that was imported, or one that is no code, differs by size or time, the fork
imports all of it anew.

Standard library only: runs in the interpreters that tests.warm starts.
"""

from __future__ import annotations

import ast
import importlib
import os
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from types import ModuleType

PARTS = ("pipelines", "quant")
# What a module may know of where, when and for whom it was imported.
_OF_THIS_IMPORT = {
    *("__file__", "argv", "cwd", "getcwd", "getenv", "getpid", "isatty"),
    *("monotonic", "time", "time_ns"),
}


class OwnCode:
    """root: the folder that its code was imported from."""

    def __init__(self, root: str, modules: Iterable[str]) -> None:
        """Import these and what they import, but for what would be otherwise in another process."""
        self._root = root
        stamps = dict(_stamps(root))
        sys.path.insert(0, root)
        for name in _movable(root, modules):
            importlib.import_module(name)
        sys.path.remove(root)
        imported = {one.__file__ for one in _imported().values()}
        self._stamps = {
            path: stamp
            for path, stamp in stamps.items()
            if not path.endswith(".py") or f"{root}/{path}" in imported
        }

    def lend(self, root: str) -> None:
        """Make it the code of `root`, or forget it where that holds other code."""
        found = {
            path: stamp
            for path, stamp in _stamps(root)
            if not path.endswith(".py") or path in self._stamps
        }
        for name, module in _imported().items():
            if found == self._stamps:
                self._move(module, root)
            else:
                del sys.modules[name]

    def _move(self, module: ModuleType, root: str) -> None:
        spec = module.__spec__
        assert spec is not None
        assert spec.origin is not None
        spec.origin = module.__file__ = spec.origin.replace(self._root, root, 1)
        if spec.submodule_search_locations is not None:
            module.__path__ = [spec.origin.rpartition("/")[0]]
            spec.submodule_search_locations = module.__path__


def _imported() -> dict[str, ModuleType]:
    return {name: one for name, one in sys.modules.items() if name.partition(".")[0] in PARTS}


def _stamps(root: str) -> Iterator[tuple[str, tuple[int, int]]]:
    """Path below root -> size and time of each file that is no bytecode."""
    todo = [part for part in PARTS if root and Path(root, part).is_dir()]
    while todo:
        below = todo.pop()
        with os.scandir(f"{root}/{below}") as entries:
            for entry in entries:
                if entry.name == "__pycache__":
                    continue
                path = f"{below}/{entry.name}"
                if entry.is_dir():
                    todo.append(path)
                else:
                    found = entry.stat()
                    yield path, (found.st_size, found.st_mtime_ns)


def _movable(root: str, start: Iterable[str]) -> list[str]:
    """Of these modules and all that they import: those that are the same whoever imports them.

    They keep nothing of _OF_THIS_IMPORT as they are imported, and import nothing that does.
    """
    imports: dict[str, set[str]] = {}
    fixed, todo = set[str](), list(start)
    while todo:
        name = todo.pop()
        if name not in imports:
            imports[name], is_own = _look(Path(root), name)
            todo += imports[name]
            if is_own:
                fixed.add(name)
    while more := {name for name in imports.keys() - fixed if imports[name] & fixed}:
        fixed |= more
    return sorted(imports.keys() - fixed)


def _look(root: Path, name: str) -> tuple[set[str], bool]:
    """The project's modules that one imports, and whether it keeps something of its import."""
    parts = name.split(".")
    found = {".".join(parts[:count]) for count in range(1, len(parts))}
    file = _file(root, name)
    assert file is not None
    is_own = False
    for node in _outside_functions(ast.parse(file.read_bytes())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Name):
            is_own |= node.id in _OF_THIS_IMPORT
        elif isinstance(node, ast.Attribute):
            is_own |= node.attr in _OF_THIS_IMPORT
    return {one for one in found if one.partition(".")[0] in PARTS and _file(root, one)}, is_own


def _outside_functions(node: ast.AST) -> Iterator[ast.AST]:
    yield node
    if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
        for child in ast.iter_child_nodes(node):
            yield from _outside_functions(child)


@cache
def _file(root: Path, name: str) -> Path | None:
    place = root.joinpath(*name.split("."))
    file = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
    return file if file.is_file() else None
