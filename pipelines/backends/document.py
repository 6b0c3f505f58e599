"""docs/recipe.md, from the definitions. `python -m pipelines.backends.document` writes it."""

from __future__ import annotations

from typing import Any

from pipelines.backends.table import BACKENDS, DEFINITIONS
from pipelines.files.engine import CODE
from pipelines.files.markdown import table
from pipelines.recipe.kinds.section import Key, Section
from pipelines.stages.backend import Backend

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
- A target reads the keys of its own backend, which the table of [backends](#backends) tells, beside
  those of every backend; one of another backend is refused.
- Names of models and targets: a-z and 0-9, and between them `_` and `-`; no command's name.
- No key may be named `size` or `nfiles`: DVC leaves such keys out of its cache keys.
- Values are read as YAML 1.2: `on` and `12:30` are text, `1e-3` is a number. Aliases and `<<` work.
- What DVC reads as something else, such as `2024-01-01` (a date to DVC) or `.5e3`, is refused: put
  text in quotes, and a digit before a number's dot.
"""


def document() -> str:
    """Markdown: every key of a recipe, then what each version of the SDK takes."""
    sections = "\n".join(_section(section) for section in DEFINITIONS.sections)
    own = (backend.reference() for backend in BACKENDS.values())
    return "\n".join((_INTRODUCTION, sections, _backends(), *own)).rstrip() + "\n"


def _section(section: Section) -> str:
    title = f"`{section.name}`" if section.name else "Top level"
    rows = [_row(section, name, key) for name, key in section.keys.items()]
    return f"## {title}\n\n{section.doc}\n\n" + table(("Key", "Value", "Default", "Meaning"), rows)


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
    rows = [(f"`{name}`", one.keys.doc, _read_by(one)) for name, one in BACKENDS.items()]
    return "## Backends\n\n" + table(("Backend", "Builds for", "Reads"), rows)


def _read_by(backend: Backend) -> str:
    """Keys of a target and sections; of a section that it has not all of, the keys."""
    own = [f"`{key}`" for key in backend.keys.keys]
    for name, section in backend.keys.sections.items():
        is_whole = len(section.keys) == len(DEFINITIONS.own[name].keys)
        own.append(f"`{name}`" if is_whole else f"`{name}: {{{', '.join(section.keys)}}}`")
    return ", ".join(own)


def main() -> None:
    file = CODE / FILE
    file.parent.mkdir(exist_ok=True)
    file.write_text(document())
    print(f"wrote {FILE}")


if __name__ == "__main__":
    main()
