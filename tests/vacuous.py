"""Finds tests that may pass without having checked anything: by their syntax, nothing is run.

A check is an assert, `pytest.raises`, or a call of a function here that surely checks. A test must
have one that no condition and no loop can skip, and a loop around checks must go over something
that is seen to hold something: by its text, by another assert of it, or by `some`.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")
TESTS = Path(__file__).parent
Scope = Mapping[str, ast.expr]
_FAILS = frozenset({"fail", "raises", "warns"})  # of pytest
_NUMPY = "assert_"  # numpy.testing's begin so
_SAME = frozenset({"sorted", "list", "tuple", "set", "enumerate", "reversed", "dict", "islice"})
_VIEWS = frozenset({"items", "values", "keys", "split", "splitlines"})


def some(found: Iterable[T]) -> list[T]:
    """All of them, and there is one: a loop over nothing checks nothing."""
    held = list(found)
    assert held, "nothing to check"
    return held


def name_of(call: ast.Call) -> str:
    """`raises` of `pytest.raises(...)`."""
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


def assigned(body: Iterable[ast.stmt]) -> dict[str, ast.expr]:
    """Name -> what it is made of, of those that are assigned once."""
    found: dict[str, list[ast.expr]] = {}
    for node in (each for one in body for each in ast.walk(one)):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                for name in ast.walk(target):
                    if isinstance(name, ast.Name):
                        found.setdefault(name.id, []).append(
                            node.value if name is target else ast.Constant(None)
                        )
        elif isinstance(node, ast.AnnAssign | ast.AugAssign) and isinstance(node.target, ast.Name):
            found.setdefault(node.target.id, []).append(node.value or ast.Constant(None))
    return {name: values[0] for name, values in found.items() if len(values) == 1}


def is_full(node: ast.expr, scope: Scope) -> bool:
    """Whether what is gone through is seen to hold something."""
    match node:
        case ast.Constant():
            return bool(node.value)
        case ast.Tuple() | ast.List() | ast.Set():
            return any(
                is_full(one.value, scope) if isinstance(one, ast.Starred) else True
                for one in node.elts
            )
        case ast.Dict():
            return bool(node.keys)
        case ast.Name():
            return node.id in scope and is_full(scope[node.id], _without(scope, node.id))
        case ast.BinOp(op=ast.Add() | ast.BitOr()):
            return is_full(node.left, scope) or is_full(node.right, scope)
        case ast.IfExp():
            return is_full(node.body, scope) and is_full(node.orelse, scope)
        case ast.ListComp() | ast.SetComp() | ast.GeneratorExp() | ast.DictComp():
            return all(not one.ifs and is_full(one.iter, scope) for one in node.generators)
        case ast.Subscript(slice=ast.Slice(lower=None, upper=ast.Constant())):
            return is_full(node.value, scope)
        case ast.Subscript(value=ast.Name(id=name)) if name in scope:
            table = scope[name]  # each row of it
            return isinstance(table, ast.Dict) and all(is_full(row, scope) for row in table.values)
        case ast.Call():
            return _is_full_call(node, scope)
    return False


def _without(scope: Scope, name: str) -> Scope:
    return {known: value for known, value in scope.items() if known != name}


def _is_full_call(call: ast.Call, scope: Scope) -> bool:
    name, given = name_of(call), call.args
    if name == "some":
        return True
    if isinstance(call.func, ast.Attribute) and name in _VIEWS:
        return is_full(call.func.value, scope)
    if name == "range":
        return _is_full_range(given, scope)
    if name == "zip":
        is_strict = any(
            one.arg == "strict" and getattr(one.value, "value", False) for one in call.keywords
        )
        return (any if is_strict else all)(is_full(one, scope) for one in given)
    if name == "product":
        return all(is_full(one, scope) for one in given)
    return name in _SAME and bool(given) and is_full(given[0], scope)


def _is_full_range(given: list[ast.expr], scope: Scope) -> bool:
    match given:
        case [one]:
            return is_full(one, scope)
        case [low, ast.BinOp(op=ast.Add(), left=left, right=right), *_]:
            return ast.dump(low) == ast.dump(left) and is_full(right, scope)
        case [ast.Constant(value=int(low)), ast.Constant(value=int(high)), *_]:
            return low < high
        case [ast.Constant(value=0), high, *_]:
            return is_full(high, scope)
    return False


@dataclass(frozen=True)
class File:
    """A module of tests. shared: constants and functions of the others, which it may import."""

    name: str
    tree: ast.Module
    checkers: set[str] = field(default_factory=set)
    shared: dict[str, ast.expr] = field(default_factory=dict)

    @cached_property
    def scope(self) -> Scope:
        return assigned(node for node in self.tree.body if isinstance(node, ast.stmt))

    def functions(self) -> Iterator[ast.FunctionDef]:
        return (node for node in self.tree.body if isinstance(node, ast.FunctionDef))

    def scope_of(self, function: ast.FunctionDef) -> Scope:
        return {**self.shared, **self.scope, **assigned(function.body)}

    def is_check(self, node: ast.AST) -> bool:
        """A statement or call that fails a test."""
        if isinstance(node, ast.Call):
            name = name_of(node)
            return (
                name in _FAILS
                or name in self.checkers
                or name.startswith(_NUMPY)
                or any(one.arg == "check" for one in node.keywords)  # of subprocess.run
            )
        return isinstance(node, ast.Assert | ast.Raise)

    def surely(self, body: Iterable[ast.stmt]) -> bool:
        """Whether some check of the statements is skipped by no condition."""
        return any(map(self._surely, body))

    def _surely(self, node: ast.stmt) -> bool:
        match node:
            case ast.With():
                calls = (item.context_expr for item in node.items)
                return any(map(self.is_check, calls)) or self.surely(node.body)
            case ast.For():  # what it goes through is a matter of its own
                return self.surely(node.body)
            case ast.If():
                return self.surely(node.body) and self.surely(node.orelse)
            case ast.Try():
                return self.surely((*node.body, *node.finalbody))
            case ast.Expr() | ast.Assign() | ast.AnnAssign() | ast.Return():
                return any(map(self.is_check, ast.walk(node)))
        return self.is_check(node)

    def empty_of(self, node: ast.stmt, scope: Scope) -> Iterator[ast.expr]:
        """What a loop around checks, or `all` in an assert, goes through, if it may be nothing."""
        if isinstance(node, ast.For):
            inside = (each for one in node.body for each in ast.walk(one))
            if any(map(self.is_check, inside)) and not is_full(node.iter, scope):
                yield node.iter
        elif isinstance(node, ast.Assert):
            test, word = node.test, "all"
            if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
                test, word = test.operand, "any"
            match test:
                case ast.Call(func=ast.Name(id=name), args=[given]) if name == word:
                    if isinstance(given, ast.GeneratorExp):
                        given = given.generators[0].iter
                    if not is_full(given, scope):
                        yield given


def _roots(node: ast.expr) -> list[str]:
    """What another assert may have looked at: `found` of `sorted(found.items())`."""
    while isinstance(node, ast.Call):
        if isinstance(node.func, ast.Attribute) and not node.args:
            node = node.func.value
        elif name_of(node) in ("zip", "range", "len"):
            return [root for one in node.args for root in _roots(one)]
        elif name_of(node) in _SAME and node.args:
            node = node.args[0]
        else:
            break
    return [ast.dump(node)]


def _is_vouched(over: ast.expr, node: ast.stmt, function: ast.FunctionDef) -> bool:
    """Whether another assert, or the condition around it, is about what is gone through, or about
    what the loop counts."""
    inside = {*ast.walk(node)}
    roots = {*_roots(over), *_counted(inside)}
    told = (
        ast.dump(one.test)
        for one in ast.walk(function)
        if (isinstance(one, ast.Assert) and one not in inside)
        or (isinstance(one, ast.If) and node in one.body)
    )
    return any(root in text for text in told for root in roots)


def _counted(inside: Iterable[ast.AST]) -> Iterator[str]:
    """`refused` of `refused += 1` and `refused.append(...)`."""
    for one in inside:
        match one:
            case ast.AugAssign(target=ast.Name(id=name)):
                yield ast.dump(ast.Name(name, ast.Load()))
            case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr="append")):
                yield ast.dump(ast.Name(name, ast.Load()))


def files(sources: Mapping[str, str]) -> list[File]:
    """Name -> source. What one of them defines, the others may import."""
    made = [File(name, ast.parse(text)) for name, text in sources.items()]
    constants = {name: value for file in made for name, value in file.scope.items()}
    functions: dict[str, list[tuple[File, ast.FunctionDef]]] = {}
    for file in made:
        file.shared.update({name: it for name, it in constants.items() if name.isupper()})
        for function in file.functions():
            functions.setdefault(function.name, []).append((file, function))
    while found := {
        name
        for name, all_so_called in functions.items()
        if name not in made[0].checkers
        and all(file.surely(function.body) for file, function in all_so_called)
    }:
        for file in made:
            file.checkers.update(found)
    return made


def without_a_check(made: Iterable[File]) -> set[str]:
    """`test_file::test_name` of those that check nothing, or only under a condition."""
    return {
        f"{file.name}::{function.name}"
        for file in made
        for function in file.functions()
        if function.name.startswith("test_") and not file.surely(function.body)
    }


def loops(made: Iterable[File]) -> list[tuple[str, int, ast.expr]]:
    """Where a loop around checks may go through nothing: `test_file::function`, its line, what."""
    found = []
    for file in made:
        for function in file.functions():
            scope, place = file.scope_of(function), f"{file.name}::{function.name}"
            found += [
                (place, over.lineno, over)
                for node in ast.walk(function)
                if isinstance(node, ast.stmt)
                for over in file.empty_of(node, scope)
                if not _is_vouched(over, node, function)
            ]
    return found


def read() -> list[File]:
    """The project's own."""
    return files({file.stem: file.read_text() for file in sorted(TESTS.glob("*.py"))})
