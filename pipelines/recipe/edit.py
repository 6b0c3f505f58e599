"""Set a value in a recipe's text, leaving every comment and all other text as it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import yaml


def set_value(text: str, path: Sequence[str], value: Any) -> str:
    """The text with `value` at the path, such as ("simplify", "rewrite"), in flow style.

    Mappings that are not there yet are made. Raises ValueError where the path runs through
    something that is no mapping.
    """
    root = yaml.compose(text, yaml.SafeLoader)
    if not isinstance(root, yaml.MappingNode):
        raise ValueError("the recipe is no mapping")
    return _set(text, root, list(path), value)


def _set(text: str, parent: yaml.MappingNode, path: list[str], value: Any) -> str:
    key, *rest = path
    node = _child(parent, key)
    if node is None:
        for name in reversed(rest):
            value = {name: value}
        return _insert(text, parent, f"{key}: {_flow(value)}")
    if rest and isinstance(node, yaml.MappingNode):
        return _set(text, node, rest, value)
    if rest and not _is_null(node):
        raise ValueError(f"`{key}` is no mapping, so it can't have `{rest[0]}`")
    for name in reversed(rest):
        value = {name: value}
    if isinstance(node, yaml.SequenceNode):
        added = _added(text, node, value)
        if added is not None:
            return _append(text, node, added)
    return _replace(text, node, _flow(value))


def _child(parent: yaml.MappingNode, key: str) -> yaml.Node | None:
    return next((node for name, node in parent.value if name.value == key), None)


def _added(text: str, node: yaml.SequenceNode, value: Any) -> list[Any] | None:
    """What a list gains at its end; None where more changes, or a comment stands at its end."""
    if not isinstance(value, list) or not node.value:
        return None
    held = [yaml.safe_load(yaml.serialize(item)) for item in node.value]
    at_end = text[_end(text, node.value[-1]) : node.end_mark.index]
    if value[: len(held)] != held or (node.flow_style and "#" in at_end):
        return None
    return value[len(held) :]


def _append(text: str, node: yaml.SequenceNode, values: Sequence[Any]) -> str:
    last = _end(text, node.value[-1])
    if not node.flow_style:
        line_end = text.find("\n", last)
        at = len(text) if line_end < 0 else line_end
        indent = " " * node.start_mark.column
        return text[:at] + "".join(f"\n{indent}- {_flow(one)}" for one in values) + text[at:]
    return text[:last] + "".join(f", {_flow(one)}" for one in values) + text[last:]


def _is_null(node: yaml.Node) -> bool:
    return bool(node.tag == "tag:yaml.org,2002:null")


def _flow(value: Any) -> str:
    """One line of YAML. 10,000 columns: no value of a recipe is longer."""
    dumped = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=10_000)
    return dumped.removesuffix("...\n").strip()


def _replace(text: str, node: yaml.Node, flow: str) -> str:
    start, end = node.start_mark.index, _end(text, node)
    if start == end:  # a null that is not written: `key:`
        return f"{text[:start].rstrip(' ')} {flow}{text[end:]}"
    before = text[:start]
    if isinstance(node, yaml.CollectionNode) and not node.flow_style:
        before = before.rstrip(" \n") + " "  # a block goes up behind its key
    return before + flow + text[end:]


def _insert(text: str, parent: yaml.MappingNode, entry: str) -> str:
    if parent.flow_style:
        close = parent.end_mark.index - 1
        head = text[:close].rstrip()
        return f"{head}{', ' if parent.value else ''}{entry}{text[close:]}"
    last = parent.value[-1][1]
    line_end = text.find("\n", _end(text, last))
    at = len(text) if line_end < 0 else line_end
    indent = " " * parent.value[0][0].start_mark.column
    return f"{text[:at]}\n{indent}{entry}{text[at:]}"


def _end(text: str, node: yaml.Node) -> int:
    """Where the node's own text ends: a block's mark stands behind the blanks and comments."""
    if isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        return _end(text, last[1] if isinstance(last, tuple) else last)
    return int(node.end_mark.index)
