"""A recipe's text as YAML nodes that know their place. YAML ends here and in yaml_scalars.py.

Scalars are read by the YAML 1.2 core schema, as DVC reads the same file: `on`, `yes` and `12:30`
are text, `1e-3` is a number. (PyYAML by itself reads YAML 1.1, where they are not.) What DVC reads
otherwise, such as a date, is refused.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from pipelines.files.engine import PREFIX
from pipelines.files.where import Problem, Problems, Where
from pipelines.recipe.yaml.scalars import NULL, PLAIN, STR, is_read_otherwise, scalar
from pipelines.recipe.yaml.syntax import syntax_problem

try:
    from yaml import CSafeLoader as _BaseLoader
except ImportError:  # PyYAML was built without libyaml: the same, about ten times slower
    from yaml import SafeLoader as _BaseLoader  # type: ignore[assignment]

_TAGS = {f"tag:yaml.org,2002:{t}" for t in ("str", "int", "float", "bool", "null", "map", "seq")}
_MERGE = "<<"
FORBIDDEN_KEYS = ("size", "nfiles")
_MAX_VALUES = 100_000  # aliases of aliases grow without bound ("billion laughs")
_MAX_DEPTH = 60
_SMALL = 4_000  # characters; libyaml's composer overflows the C stack at some 20,000 levels


class _Loader(_BaseLoader):
    """Leaves scalars unresolved, so that one regular expression a scalar is enough."""

    def resolve(self, kind: type[Node], value: Any, implicit: Any) -> str:
        if kind is ScalarNode:
            return PLAIN if implicit[0] else STR
        return f"tag:yaml.org,2002:{'map' if kind is MappingNode else 'seq'}"


@dataclass
class Tree:
    """One recipe's nodes, its plain data, and where everything stands.

    raw: the file as plain data. marks: dotted path -> place of the key.
    nodes: dotted path -> node of the value. problems: what is wrong so far.
    """

    file: str
    root: MappingNode
    raw: Any = None
    marks: dict[str, Where] = field(default_factory=dict)
    nodes: dict[str, Node] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    _members: dict[int, list[tuple[ScalarNode, Node]]] = field(default_factory=dict)
    _visits: int = 0

    def where(self, node: Node) -> Where:
        """The place where a key or a value begins."""
        mark = node.start_mark
        return Where(self.file, mark.line + 1, mark.column + 1)

    def members(self, node: Node) -> list[tuple[ScalarNode, Node]]:
        """Keys and values of a mapping; what `<<` merges in comes last, and never overrides."""
        return self._members[id(node)]

    def add(self, where: Where, what: str, advice: str) -> None:
        self.problems.append(Problem(where, what, advice))

    def read(self) -> None:
        """Fill raw, marks and nodes. Raises Problems where aliases have no end."""
        self.raw = self._plain(self.root, "", 0)

    def _plain(self, node: Node, path: str, depth: int) -> Any:
        self._visits += 1
        if self._visits > _MAX_VALUES or depth > _MAX_DEPTH:
            raise Problems([Problem(self.where(node), *_ENDLESS)])
        self._check_tag(node)
        if isinstance(node, ScalarNode):
            self._check_scalar(node)
            return scalar(node)
        if isinstance(node, SequenceNode):
            return [self._plain(item, path, depth + 1) for item in node.value]
        return self._mapping(node, path, depth)

    def _mapping(self, node: Node, path: str, depth: int) -> dict[Any, Any]:
        raw = {}
        prefix = f"{path}." if path else ""
        for key, value in self._flat(node, depth):
            at = prefix + key.value
            self.marks[at] = self.where(key)
            self.nodes[at] = value
            raw[scalar(key)] = self._plain(value, at, depth + 1)
        return raw

    def _flat(self, node: Node, depth: int) -> list[tuple[ScalarNode, Node]]:
        members = self._members.get(id(node))
        if members is None:
            members = self._members[id(node)] = self._flatten(node, depth)
        return members

    def _flatten(self, node: Node, depth: int) -> list[tuple[ScalarNode, Node]]:
        """The mapping's own members, then those that `<<` merges in."""
        own: dict[str, tuple[ScalarNode, Node]] = {}
        merged: list[tuple[ScalarNode, Node]] = []
        for key, value in node.value:
            if not isinstance(key, ScalarNode):
                self.add(self.where(key), "a key must be one word", "write `key: value`")
            elif key.value == _MERGE and key.tag == PLAIN:
                merged += self._merged(value, depth)
            elif key.value in own:
                first = self.where(own[key.value][0])
                what = f"`{key.value}` stands twice in this mapping"
                self.add(self.where(key), what, f"keep one; the first is at line {first.line}")
            else:
                self._check_scalar(key)
                self._check_name(key)
                own[key.value] = (key, value)
        for key, value in merged:
            own.setdefault(key.value, (key, value))
        return list(own.values())

    def _merged(self, node: Node, depth: int) -> list[tuple[ScalarNode, Node]]:
        if depth > _MAX_DEPTH:
            raise Problems([Problem(self.where(node), *_ENDLESS)])
        if isinstance(node, MappingNode):
            return self._flat(node, depth + 1)
        if isinstance(node, SequenceNode) and all(isinstance(n, MappingNode) for n in node.value):
            return [member for n in node.value for member in self._flat(n, depth + 1)]
        what = f"`<<` merges a mapping, not {describe(node)}"
        self.add(self.where(node), what, "write `<<: *name` after `&name` at a mapping")
        return []

    def _check_name(self, key: ScalarNode) -> None:
        if not key.value:
            self.add(self.where(key), "a key can't be empty", "write `key: value`")
        if key.value in FORBIDDEN_KEYS:
            what = f"no key of a recipe may be named `{key.value}`"
            # https://github.com/iterative/dvc/issues/10296, reproduced
            why = "DVC leaves it out of its cache keys, and restores a wrong file after a change"
            self.add(self.where(key), what, f"choose another name; {why}")

    def _check_scalar(self, node: ScalarNode) -> None:
        if is_read_otherwise(node):
            what = f"DVC reads {describe(node)} as something else"
            self.add(self.where(node), what, _IN_QUOTES)

    def _check_tag(self, node: Node) -> None:
        if node.tag and node.tag not in _TAGS:
            tag = node.tag.replace("tag:yaml.org,2002:", "!!")
            self.add(self.where(node), f"recipes have no tag `{tag}`", "write the plain value")


_IN_QUOTES = "put text in quotes, and a digit before a number's dot"
_ENDLESS = (
    "aliases or nesting have no end here",
    "write the values out; an alias must not hold itself",
)


def describe(node: Node) -> str:
    """What was found, for a message."""
    if isinstance(node, MappingNode):
        return "a mapping"
    if isinstance(node, SequenceNode):
        return "a list"
    if node.tag == PLAIN and node.value in NULL:
        return "nothing"
    text = node.value if len(node.value) <= 60 else f"{node.value[:57]}..."
    return f"`{text}`" if node.tag == PLAIN else f'"{text}"'


def compose(file: Path, name: str, text: str | None = None) -> Tree:
    """The recipe's tree. Raises Problems if it can't be read or is no YAML mapping.

    name: the file as messages name it, relative to the project. text: in place of the file's.
    """
    text = _text(file, name) if text is None else text
    try:
        if len(text) > _SMALL:
            _check_depth(text, name)
        root = yaml.compose(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        raise Problems([syntax_problem(error, text, name)]) from None
    except yaml.reader.ReaderError as error:
        where = _place(text[: error.position], name)
        what = f"a control character, U+{ord(text[error.position]):04X}"
        raise Problems([Problem(where, what, "delete it")]) from None
    if not isinstance(root, MappingNode):
        raise Problems([_not_a_recipe(root, name)])
    tree = Tree(name, root)
    tree.read()
    return tree


def _text(file: Path, name: str) -> str:
    try:
        data = file.read_bytes()
    except OSError as error:
        what = f"can't be read: {error.strerror}"
        raise Problems([Problem(Where(name), what, "name a recipe that exists")]) from None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        where = _place(data[: error.start].decode("utf-8-sig"), name)
        what = f"not UTF-8 (byte 0x{data[error.start]:02X})"
        raise Problems([Problem(where, what, "save the file as UTF-8")]) from None


def _place(before: str, name: str) -> Where:
    """The place after the text `before`."""
    return Where(name, before.count("\n") + 1, len(before) - before.rfind("\n"))


def _check_depth(text: str, name: str) -> None:
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > _MAX_DEPTH:
            mark: Any = event.start_mark
            raise Problems([Problem(Where(name, mark.line + 1, mark.column + 1), *_ENDLESS)])


def _not_a_recipe(root: Node | None, name: str) -> Problem:
    known = f"{PREFIX}docs/recipe.md has the other keys"
    advice = f"begin with `model: NAME`, the name of the folder; {known}"
    if root is None:
        return Problem(Where(name, 1, 1), "the recipe is empty", advice)
    where = Where(name, root.start_mark.line + 1, root.start_mark.column + 1)
    return Problem(where, f"a recipe is a mapping of keys, not {describe(root)}", advice)
