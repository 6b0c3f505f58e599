"""The JSON Schema of a recipe for editors. `python -m pipelines.backends.json_schema` writes it."""

from __future__ import annotations

import json
from typing import Any

from pipelines.backends.table import DEFINITIONS
from pipelines.files.engine import CODE

FILE = "models/recipe.schema.json"


def schema() -> dict[str, Any]:
    """Draft 7, which editors know best: one definition a section."""
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "npumake recipe",
        **DEFINITIONS.recipe.body(),
        "definitions": {
            section.slug: section.body() for section in DEFINITIONS.sections if section.name
        },
    }


def text() -> str:
    """The file's content."""
    return json.dumps(schema(), indent=2) + "\n"


def main() -> None:
    file = CODE / FILE
    file.parent.mkdir(exist_ok=True)
    file.write_text(text())
    print(f"wrote {FILE}")


if __name__ == "__main__":
    main()
