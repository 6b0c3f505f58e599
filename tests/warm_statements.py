"""Which statements of the project's modules give something else wherever and whenever they run.

Modules are imported in one process and used in another, in another folder (tests.warm_code). There,
a constant made of `__file__`, of the time or of the working folder is made anew, and so are those
made of it, and what other modules have imported of these. A module that makes more than constants
of them can't be used.

Standard library only.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

# What a module may know of where, when and for whom it was imported.
_OF_THE_IMPORT = {
    *("__file__", "argv", "cwd", "getcwd", "getenv", "getpid", "isatty"),
    *("monotonic", "time", "time_ns"),
}
# What gives the content of a file beside the code alone, or the names of files and the modules that
# they stand for, or holds functions: that is the same wherever code is lent (tests.warm_code).
_OF_CONTENT = {
    "pipelines.backends.fixed_point.backend.FIXED_POINT",
    "pipelines.backends.qdq.backend.QDQ",
    "pipelines.backends.rknn.backend.RKNN",
    "pipelines.backends.rknn.recipe.vendor.TOOLCHAINS",
    "pipelines.backends.rknn.recipe.vendor.rules",
    "pipelines.backends.table._backends",
    "pipelines.files.commands._modules",
    "quant.rewrites.names._names",
}
_Imported = tuple[str, str]  # a module, and a name there; empty: the module itself
_Import = ast.Import | ast.ImportFrom
_DEFINES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_HOLDS_STATEMENTS = (ast.stmt, ast.ExceptHandler, ast.match_case)
# What no name is in, and annotations, which are text.
_PASSED_OVER = {"annotation", "returns", "ctx", "op", "ops"}


@dataclass(frozen=True)
class _Part:
    """What a definition, or what runs of a statement, mentions.

    attributes: of what, where that is a name, and which. is_called: whether anything is.
    """

    names: set[str] = field(default_factory=set)
    attributes: set[tuple[str, str]] = field(default_factory=set)
    imports: list[ast.ImportFrom] = field(default_factory=list)
    is_called: bool = False


@dataclass
class _Module:
    """imports: name here -> what it is there. late: modules that it imports when it is used.

    values: names whose value is of the import. asking: functions and classes that give something of
    it when they are called. again: statements to run anew. is_fixed: can't be used elsewhere.
    """

    tree: ast.Module
    imports: dict[str, _Imported] = field(default_factory=dict)
    late: set[str] = field(default_factory=set)
    values: set[str] = field(default_factory=set)
    asking: set[str] = field(default_factory=set)
    again: list[ast.stmt] = field(default_factory=list)
    is_fixed: bool = False


class Code:
    """root: the folder that holds the packages `parts`."""

    def __init__(self, root: Path, parts: Sequence[str]) -> None:
        self._root = root
        self._parts = parts
        self._modules: dict[str, _Module] = {}  # each after those that it imports
        self._begun = set[str]()
        self._files: dict[str, Path | None] = {}

    def reached(self, start: Iterable[str], *, is_deep: bool) -> list[str]:
        """These modules and all that they import, each after what it imports.

        is_deep: also what functions import, but for jobs, which have packages of their own. Asked
        again, with those that it was asked for before.
        """
        todo = list(start)
        while todo:
            for name in todo:
                self._read(name)
            read = self._modules.values() if is_deep else ()
            found = {name for module in read for name in module.late}
            jobs = {name for name in found if ".jobs." in name and not name.endswith(".params")}
            todo = sorted(found - jobs - self._begun)
        return list(self._modules)

    def of_the_import(self, name: str) -> ast.Module | None:
        """What to run anew of a module; None where it can't be used."""
        found = self._modules[name]
        return None if found.is_fixed else ast.Module(found.again, [])

    def file(self, name: str) -> Path | None:
        """The module's; None where it is no module of the project."""
        if name not in self._files:
            self._files[name] = self._found(name)
        return self._files[name]

    def _found(self, name: str) -> Path | None:
        if name.partition(".")[0] not in self._parts:
            return None
        place = self._root.joinpath(*name.split("."))
        file = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
        return file if file.is_file() else None

    def _read(self, name: str) -> None:
        file = self.file(name)
        if file is None or name in self._begun:
            return
        self._begun.add(name)
        self._read(name.rpartition(".")[0])
        module = _Module(ast.parse(file.read_bytes()))
        for node, is_late in _imports(module.tree):
            for local, (there, attribute) in self._bound(node):
                if is_late:
                    module.late.add(there)
                else:
                    self._read(there)
                    module.imports[local] = there, attribute
        self._judge(module, name)
        self._modules[name] = module

    def _bound(self, node: _Import) -> Iterator[tuple[str, _Imported]]:
        """What a statement imports of the project."""
        if isinstance(node, ast.Import):
            assert not any(alias.name.partition(".")[0] in self._parts for alias in node.names)
        elif node.module and self.file(node.module):
            for alias in node.names:
                below = f"{node.module}.{alias.name}"
                found = (below, "") if self.file(below) else (node.module, alias.name)
                yield alias.asname or alias.name, found

    def _judge(self, module: _Module, name: str) -> None:
        for local, found in module.imports.items():
            if self._is_value(found):
                module.values.add(local)
            elif self._is_asking(found):
                module.asking.add(local)
        running = [
            (one, [*map(_part, _evaluated(one))])
            for one in module.tree.body
            if _OF_CONTENT.isdisjoint(f"{name}.{target}" for target in _constants(one))
        ]
        defined = [
            (one.name, _part(one))
            for one in module.tree.body
            if isinstance(one, _DEFINES) and f"{name}.{one.name}" not in _OF_CONTENT
        ]
        known = -1
        while known != (known := len(module.values) + len(module.asking)):
            module.asking.update(one for one, part in defined if self._asks(module, part))
            for statement, parts in running:
                if not isinstance(statement, _DEFINES) and self._is_of_the_import(module, parts):
                    module.values.update(_constants(statement))
        for statement, parts in running:
            if isinstance(statement, ast.ImportFrom):
                if any(local in module.values for local, _ in self._bound(statement)):
                    module.again.append(statement)
            elif self._is_of_the_import(module, parts):
                module.again.append(statement)
                module.is_fixed |= not _constants(statement)

    def _is_value(self, found: _Imported) -> bool:
        """Whether the import has to be made anew. So is one of a circle, which is not known yet."""
        name, attribute = found
        there = self._modules.get(name)
        return there is None or there.is_fixed or attribute in there.values

    def _is_asking(self, found: _Imported) -> bool:
        name, attribute = found
        return attribute in self._modules[name].asking

    def _asks(self, module: _Module, definition: _Part) -> bool:
        return self._mentions(module, definition, is_called=True) or any(
            [*self._bound(node)] for node in definition.imports
        )

    def _mentions(self, module: _Module, part: _Part, *, is_called: bool) -> bool:
        """Whether a value is named. is_called: or what gives one."""
        names = _OF_THE_IMPORT | module.values | (module.asking if is_called else set())
        if not names.isdisjoint(part.names):
            return True
        for base, attribute in part.attributes:
            if attribute in _OF_THE_IMPORT:
                return True
            there, of_it = module.imports.get(base, ("", ""))
            if there and not of_it:
                found = there, attribute
                if self._is_value(found) or (is_called and self._is_asking(found)):
                    return True
        return False

    def _is_of_the_import(self, module: _Module, parts: Iterable[_Part]) -> bool:
        """Whether running these parts gives something of the import."""
        return any(self._mentions(module, part, is_called=part.is_called) for part in parts)


def _constants(statement: ast.stmt) -> list[str]:
    """The names that an assignment gives a value; empty for any other statement."""
    targets: Sequence[ast.expr] = ()
    if isinstance(statement, ast.Assign):
        targets = statement.targets
    elif isinstance(statement, ast.AnnAssign) and statement.value:
        targets = [statement.target]
    parts = [
        part
        for target in targets
        for part in (target.elts if isinstance(target, ast.Tuple) else [target])
    ]
    names = [part.id for part in parts if isinstance(part, ast.Name)]
    return names if len(names) == len(parts) else []


def _evaluated(statement: ast.AST) -> Iterator[ast.AST]:
    """What runs as the module is imported; decorators as calls, which they are."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield from (ast.Call(one, [], []) for one in statement.decorator_list)
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
        yield from statement.args.defaults
        yield from (one for one in statement.args.kw_defaults if one)
    elif isinstance(statement, ast.ClassDef):
        yield from statement.bases
        yield from (keyword.value for keyword in statement.keywords)
        for one in statement.body:
            yield from _evaluated(one)
    elif not _is_for_others(statement):
        yield statement


def _imports(node: ast.AST, *, is_late: bool = False) -> Iterator[tuple[_Import, bool]]:
    """Statements that import. With each, whether only a function does, or what types alone need."""
    if isinstance(node, _Import):
        yield node, is_late
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or _is_for_others(node):
        is_late = True
    for name in node._fields:
        held = getattr(node, name)
        if isinstance(held, list):
            for child in held:
                if isinstance(child, _HOLDS_STATEMENTS):
                    yield from _imports(child, is_late=is_late)


def _is_for_others(node: ast.AST) -> bool:
    """Whether no import runs it: what types alone need, or what runs where this is no module."""
    return isinstance(node, ast.If) and ast.unparse(node.test) in (
        "TYPE_CHECKING",
        "__name__ == '__main__'",
    )


def _part(node: ast.AST) -> _Part:
    """What it and all in it mention, but for annotations."""
    found, is_called, todo = _Part(), False, [node]
    while todo:
        one = todo.pop()
        if isinstance(one, ast.Name):
            found.names.add(one.id)
        elif isinstance(one, ast.Attribute):
            base = one.value.id if isinstance(one.value, ast.Name) else ""
            found.attributes.add((base, one.attr))
            todo.append(one.value)
        elif not isinstance(one, ast.Constant):
            is_called |= isinstance(one, ast.Call)
            if isinstance(one, ast.ImportFrom):
                found.imports.append(one)
            for name in one._fields:
                if name not in _PASSED_OVER:
                    held = getattr(one, name, None)
                    for child in held if isinstance(held, list) else (held,):
                        if isinstance(child, ast.AST):
                            todo.append(child)
    return replace(found, is_called=is_called)
