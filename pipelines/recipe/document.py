"""docs/recipe.md, from the definitions. `python -m pipelines.recipe.document` writes it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from pipelines.files.engine import CODE
from pipelines.recipe.define import known_mistakes, vendor
from pipelines.recipe.define.definitions import BACKENDS, RKNN, SECTIONS, TARGET
from pipelines.recipe.kinds.section import Key, Section

FILE = "docs/recipe.md"

_INTRODUCTION = """\
# Recipe reference

Made from the definitions in `pipelines/recipe/`; do not edit.

A recipe is `models/NAME/recipe.yaml`. Its first line lets editors complete and check it:

```yaml
# yaml-language-server: $schema=../recipe.schema.json
```

- Paths start from the model's folder, may lead to other folders of the project (`../../data/x`),
  and must exist. A link that leads out of the project, at a path or below it, is refused unless
  `outside` names the path (or a folder above it). Links into DVC's cache are DVC's own.
- A target's `quantize`, `build`, `analyze`, `rknn` and `gates` override the recipe's key by key,
  and options (`rknn`, `hybrid`, `layers`) one by one. Naming other calibration data replaces the
  data. `null` takes an option back to the SDK's default.
- A target of the backend `fixed_point` reads `quantize: {calibration: ...}` and `analyze`, and the
  keys of a target that name it ([fixed_point.md](fixed_point.md)).
- Names of models and targets: a-z and 0-9, and between them `_` and `-`; no command's name.
- No key may be named `size` or `nfiles`: DVC leaves such keys out of its cache keys.
- Values are read as YAML 1.2: `on` and `12:30` are text, `1e-3` is a number. Aliases and `<<` work.
- What DVC reads as something else, such as `2024-01-01` (a date to DVC) or `.5e3`, is refused: put
  text in quotes, and a digit before a number's dot.
"""


def document() -> str:
    """Markdown: every key of a recipe, then what each version of the SDK takes."""
    sections = "\n".join(_section(section) for section in SECTIONS)
    return "\n".join((_INTRODUCTION, sections, _backends(), _sdk(), _mistakes())).rstrip() + "\n"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    def cells(row: Sequence[str]) -> str:
        return "| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |"

    return "\n".join((cells(head), "|" + "---|" * len(head), *map(cells, rows))) + "\n"


def _section(section: Section) -> str:
    title = f"`{section.name}`" if section.name else "Top level"
    rows = [_row(section, name, key) for name, key in section.keys.items()]
    return f"## {title}\n\n{section.doc}\n\n" + _table(("Key", "Value", "Default", "Meaning"), rows)


def _row(section: Section, name: str, key: Key) -> tuple[str, str, str, str]:
    default = "required" if key.required else _default(section.defaults.get(name))
    only = f" Only with {', '.join(key.only_with)}." if key.only_with else ""
    return f"`{name}`", key.kind.words(), default, key.doc + only


def _default(value: Any) -> str:
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, list):
        return f"`[{', '.join(map(str, value))}]`"
    return f"`{value}`" if isinstance(value, (str, int, float)) else ""


def _backends() -> str:
    rows = [(f"`{name}`", doc) for name, doc in BACKENDS.items()]
    return "## Backends\n\n" + _table(("Backend", "Builds for"), rows)


def _sdk() -> str:
    return "\n".join(
        (
            "## What the SDK accepts\n",
            "Measured with rknn-toolkit2, each version by itself.\n",
            _table(("Toolchain", "Version", "with the real"), _toolchains()),
            _table(("dtype", *(f"rknn-{v}" for v in vendor.VERSIONS)), _dtypes()),
            _table(("Algorithm", "dtypes"), _by_dtype(vendor.ALGORITHMS.items())),
            _table(("Method", "dtypes"), _by_dtype(vendor.METHODS.items())),
            "The algorithm `gdq` computes with torch, and so needs `rknn-2.5.0-torch`.\n",
            _table(("`load`", "Source", "SDK function", "Arguments"), _loaders()),
        )
    )


def _toolchains() -> Iterator[tuple[str, str, str]]:
    for name, tools in vendor.TOOLCHAINS.items():
        extras = ", ".join(tools.extras) or "none"
        mark = " (default)" if name == TARGET.defaults["toolchain"] else ""
        yield f"`{name}`{mark}", tools.version, extras


def _dtypes() -> Iterator[tuple[str, ...]]:
    for dtype in vendor.ALL_DTYPES:
        yield f"`{dtype}`", *(_platforms(vendor.DTYPES[v].get(dtype)) for v in vendor.VERSIONS)


def _platforms(platforms: frozenset[str] | None) -> str:
    if platforms is None:
        return "no"
    missing = sorted(set(vendor.PLATFORMS) - platforms)
    if not missing:
        return "every platform"
    few = len(platforms) <= len(missing)
    return ", ".join(sorted(platforms)) if few else f"all but {', '.join(missing)}"


def _by_dtype(table: Iterable[tuple[str, frozenset[str]]]) -> Iterator[tuple[str, str]]:
    for name, dtypes in table:
        yield f"`{name}`", ", ".join(sorted(dtypes))


def _loaders() -> Iterator[tuple[str, str, str, str]]:
    for source, arguments in vendor.LOADERS.items():
        load = RKNN.defaults["load"] if source == "onnx" else "direct"
        kind = "any" if source == "onnx" else source
        yield f"`{load}`", kind, vendor.LOADER_NAMES[source], ", ".join(arguments)


def _mistakes() -> str:
    names = {
        **known_mistakes.NO_SUCH_OPTION,
        **{f"dtype: {k}": v for k, v in known_mistakes.DTYPES.items()},
    }
    rows = [(f"`{name}`", what, advice) for name, (what, advice) in names.items()]
    renamed = [(f"`{name}`", f"`{key}`") for name, key in known_mistakes.RENAMED.items()]
    return "\n".join(
        (
            "## Advice found in the wild\n",
            "These are refused, with what to do instead.\n",
            _table(("Option", "What it is", "What to do"), rows),
            "The SDK's names for what a recipe calls otherwise:\n",
            _table(("SDK", "Recipe"), renamed),
        )
    )


def main() -> None:
    file = CODE / FILE
    file.parent.mkdir(exist_ok=True)
    file.write_text(document())
    print(f"wrote {FILE}")


if __name__ == "__main__":
    main()
