"""What a row of the table says of a built .rknn besides numbers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pipelines.backends.rknn.recipe_line import recipe_line


def notes(folder: Path, target: str) -> Iterator[str]:
    """folder: build/TARGET. The SDK's rules that were left out, and the line that makes it last."""
    place = folder / "build.json"
    text = place.read_text() if place.is_file() else ""
    if '"left_out"' not in text or '"left_out": []' in text:  # some are megabytes
        return
    from quant.report import build_json  # of few rows

    build = build_json.from_json(text)
    told = ", ".join(f"{row['rule']} (fails at {row['node']})" for row in build.left_out)
    options = {"disable_rules": build.config["disable_rules"]}
    yield f"built without the SDK's rule {told}"
    yield f"  to make that last, in recipe.yaml: {recipe_line(target, options)}"
