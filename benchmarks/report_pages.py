"""Pages of real builds, to be looked at: of 10 and of 500 layers, of ultraface, a diff, an upgrade.

    .venv/bin/python -m benchmarks.report_pages FOLDER [--only ten five_hundred ultraface]

Builds them in FOLDER/project, writes their pages into FOLDER/pages, and pictures of all into
FOLDER/pictures, as benchmarks.screenshots does, which prints bytes and times. ten and five_hundred
are chains of convolutions with seeded weights; ultraface is left out where its file is not here.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import screenshots
from benchmarks.made_networks import chain
from tests.conftest import real_models
from tests.small_models import recipe, samples
from tests.test_realworld import ULTRAFACE
from tests.workspace import Workspace

OLD = {"platform": "rk3588", "toolchain": "rknn-2.3.2"}
INTEGER = {"backend": "fixed_point", "input_scale": 16}
CHAINS: Mapping[str, tuple[int, Mapping[str, Any]]] = {
    "ten": (10, {"rk3588": {}, "rk3588-old": OLD, "int8": INTEGER}),
    "five_hundred": (500, {"rk3588": {}, "int8": INTEGER}),
}


def make(folder: Path, names: Sequence[str]) -> Workspace:
    """A project with these models."""
    (folder / "project").mkdir(parents=True)
    workspace = Workspace(folder / "project")
    for name, (layers, targets) in CHAINS.items():
        if name in names:
            net = chain(layers).SerializeToString()
            workspace.add(name, recipe(targets=targets), net__onnx=net, samples__npy=samples())
    given = real_models() / "ultraface"
    if "ultraface" in names and given.is_dir():
        files = {"rfb320__onnx": given / "rfb320.onnx", "faces": given / "faces"}
        workspace.add("ultraface", ULTRAFACE, **files)
    return workspace


def do(workspace: Workspace, *words: str) -> None:
    ran = workspace.doit(*words, timeout_s=3600)
    if ran.code:
        sys.exit(f"./doit {' '.join(words)}\n{ran.err[-3000:]}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", nargs="+", default=[*CHAINS, "ultraface"])
    arguments = parser.parse_args()
    folder = arguments.folder.resolve()
    workspace = make(folder, arguments.only)
    do(workspace)
    pages = folder / "pages"
    do(workspace, "report", "--output", str(pages))
    models = [
        model for model in ("ten", "ultraface") if (workspace.root / "models" / model).exists()
    ]
    for model in models:
        page = str(pages / f"diff-{model}.html")
        do(workspace, "diff", f"{model}@rk3588-old", f"{model}@rk3588", "--html", page)
    if models:
        words = ("--toolchain", "rknn-2.3.2", "--toolchain", "rknn-2.5.0")
        do(workspace, "upgrade", *models, *words, "--html", str(pages / "upgrade.html"))
    screenshots.main(
        folder / "pictures", [*sorted(pages.glob("*/report.html")), *sorted(pages.glob("*.html"))]
    )


if __name__ == "__main__":
    main()
