"""JSON data as the classes that jobs name: every key known, every value of its type."""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from typing import Any, Union, get_args, get_origin, get_type_hints


@cache
def params_type(run: Callable[..., None]) -> Any:
    """Of `run(job: Job[Params])`: Params. Any where it names none."""
    given = get_args(get_type_hints(run).get("job", Any))
    return given[0] if given else Any


def decoded(kind: Any, value: Any, where: str = "params") -> Any:
    """`value`, of the type `kind`; a list becomes a tuple, a whole number stays one.

    Raises TypeError that says where: on a key that a class does not have, on one that is missing
    and has no default, on a value of another type.
    """
    if kind in (Any, object):
        return value
    if is_dataclass(kind) and isinstance(kind, type):
        return _instance(kind, value, where)
    origin, arguments = get_origin(kind) or kind, get_args(kind)
    if origin in (Union, types.UnionType):
        return _one_of(arguments, value, where)
    if origin is tuple and isinstance(value, list | tuple):
        return tuple(decoded(arguments[0], one, f"{where}[{i}]") for i, one in enumerate(value))
    if origin is Mapping and isinstance(value, Mapping):
        return {key: decoded(arguments[1], one, f"{where}.{key}") for key, one in value.items()}
    is_flag = isinstance(value, bool) and kind is not bool
    plain: Any = (int, float) if kind is float else kind  # a recipe's 1 is a number like any
    is_class = isinstance(kind, type) and origin is kind  # `list[int]` is one for Python 3.10
    if is_class and isinstance(value, plain) and not is_flag:
        return value
    raise TypeError(f"{where} is {value!r}, and no {getattr(kind, '__name__', kind)}")


def prepare(kind: Any) -> None:
    """Read the annotations of a class, and of all that are named in them, before `decoded` asks."""
    if is_dataclass(kind) and isinstance(kind, type):
        for named in _hints(kind).values():
            prepare(named)
    for argument in get_args(kind):
        prepare(argument)


@cache
def _hints(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind)


def _instance(kind: Any, value: Any, where: str) -> Any:
    if not isinstance(value, Mapping):
        raise TypeError(f"{where} is {value!r}, and no {kind.__name__}")
    known, hints = {field.name: field for field in fields(kind)}, _hints(kind)
    for name in value:
        if name not in known:
            raise TypeError(f"{where}: {kind.__name__} has no `{name}`")
    for name, field in known.items():
        if name not in value and field.default is field.default_factory is MISSING:
            raise TypeError(f"{where}: {kind.__name__} wants a `{name}`")
    return kind(**{n: decoded(hints[n], one, f"{where}.{n}") for n, one in value.items()})


def _one_of(kinds: Sequence[Any], value: Any, where: str) -> Any:
    if value is None and type(None) in kinds:
        return None
    left = [kind for kind in kinds if kind is not type(None)]
    for kind in left[:-1]:
        try:
            return decoded(kind, value, where)
        except TypeError:
            continue
    return decoded(left[-1], value, where)
