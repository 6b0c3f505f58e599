"""./doit infer MODEL@TARGET FILE...: samples through the float model and the built one."""

from __future__ import annotations

import argparse
import json
import os
import shutil
from pathlib import Path
from typing import Any

from pipelines.backends.table import BACKENDS
from pipelines.building.project import Project
from pipelines.files import console
from pipelines.front.commands.aside import run_aside
from pipelines.front.commands.building.why import makers_of, require_up_to_date
from pipelines.front.commands.command import OwnCommand
from pipelines.front.commands.targets import all_named
from pipelines.front.doit.cli import STARTED_IN, UsageError, unknown
from pipelines.recipe.define.model import Recipe, Target
from pipelines.record.step import Step


class Infer(OwnCommand):
    name = "infer"
    in_brief = "run files through the float model and the built one"
    doc_purpose = "run images or npy files through the float model and the built one"
    doc_usage = "MODEL@TARGET FILE... [--output FOLDER] [--device ID]"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument(
            "words",
            nargs="+",
            metavar="MODEL@TARGET FILE",
            help="images or npy files; a model of k inputs takes k files a sample",
        )
        parser.add_argument(
            "--output", metavar="FOLDER", help="keep the outputs as npz files there"
        )

        parser.add_argument(
            "--device",
            metavar="ID",
            help="run it on this board, as `adb devices` names it, and not in the simulator",
        )

    def act(self, arguments: argparse.Namespace) -> int:
        recipe, target, names = _split(self.project, arguments.words)
        listing, files = _write_list(self.project, recipe, [_existing(name) for name in names])
        step, runs = _step(recipe, target, listing, files, arguments.device)
        _require_built(self.project, step, f"{recipe.model}@{target.name}")
        with run_aside(self.project, step) as out:
            if out is None:
                return 1
            _tell_outputs(out, runs)
            _tell(json.loads((out / "comparison.json").read_text()))
            if arguments.output:
                shutil.copytree(out, arguments.output, dirs_exist_ok=True)
        return 0


def _require_built(project: Project, step: Step, name: str) -> None:
    """And by the recipe as it is: the float network is given what stands there now."""
    files = step.inputs.values()
    if any(project.builder.contents.of(path) is None for path in files):
        raise UsageError(f"{name} is not built", f"run: ./doit {name}")
    require_up_to_date(project, makers_of(project, files), name)


def _step(
    recipe: Recipe, target: Target, listing: str, files: list[str], device: str | None
) -> tuple[Step, str]:
    """The step, and what runs the built network: it names the file of its outputs."""
    backend = BACKENDS[target.backend]
    if device is None:
        return backend.infer_step(recipe, target, listing, files), backend.runs
    if backend.board_step is None:
        raise UsageError(
            f"{recipe.model}@{target.name} is of {target.backend}: no board runs it by --device",
            "leave --device out",
        )
    if not device.strip():
        raise UsageError("--device names no board", "give what `adb devices` lists")
    return backend.board_step(recipe, target, listing, files, device), "board"


def _split(project: Project, words: list[str]) -> tuple[Recipe, Target, list[str]]:
    """The target, wherever it stands, and the files."""
    known = all_named(project)
    name = next((word for word in words if word in known), None)
    if name is None:
        meant = next((word for word in words if "@" in word), words[0])
        raise unknown("target", meant, known, "targets")
    files = [word for word in words if word != name]
    if not files:
        raise UsageError("no files", "give images or npy files")
    return *known[name], files


def _existing(file: str) -> Path:
    place = Path(STARTED_IN, file)
    if not place.is_file():
        raise UsageError(f"no file {file}", "give images or npy files")
    return place.resolve()


def _write_list(project: Project, recipe: Recipe, files: list[Path]) -> tuple[str, list[str]]:
    """A list file as `dataset.txt` is, a sample a line. Returns it and the files it names."""
    inputs = max(1, len(recipe.inputs))
    if len(files) % inputs:
        raise UsageError(
            f"{recipe.model} has {inputs} inputs, and {len(files)} files make no whole samples",
            f"give {inputs} files a sample, in this order: {', '.join(recipe.inputs)}",
        )
    folder = project.root / ".npumake" / "infer" / str(os.getpid())
    folder.mkdir(parents=True, exist_ok=True)
    links = []
    for i, file in enumerate(files):  # links, since names in a list have no spaces
        link = folder / f"{i:04}{file.suffix}"
        link.unlink(missing_ok=True)
        link.symlink_to(file)
        links.append(link)
    lines = (links[i : i + inputs] for i in range(0, len(links), inputs))
    text = "".join(" ".join(link.name for link in line) + "\n" for line in lines)
    (folder / "dataset.txt").write_text(text, encoding="utf-8")
    below = folder.relative_to(project.root).as_posix()
    return f"{below}/dataset.txt", [f"{below}/{link.name}" for link in links]


def _tell_outputs(folder: Path, runs: str) -> None:
    """Each output's first and last values, and where its largest is, of both networks."""
    import numpy as np

    with np.load(folder / "float.npz") as real, np.load(folder / f"{runs}.npz") as simulated:
        for name in (one for one in real.files if one in simulated.files):
            for number, pair in enumerate(zip(real[name], simulated[name], strict=True)):
                console.tell(f"sample {number}, {name} {list(pair[0].shape)}")
                for who, values in zip(("float", runs), pair, strict=True):
                    flat = values.ravel()
                    text = np.array2string(
                        flat, precision=4, threshold=6, suppress_small=True, max_line_width=80
                    )
                    console.tell(f"  {who:<9} {text} largest at {int(flat.argmax())}")
    console.tell()


def _tell(comparison: dict[str, Any]) -> None:
    """A row a sample and output."""
    rows = [["sample", "output", "cosine", "euclidean", "largest difference"]]
    for number, outputs in enumerate(comparison["samples"]):
        for name, error in outputs.items():
            rows.append([str(number), name, *_numbers(error)])
    for line in console.table(rows, right=(0, 2, 3, 4)):
        console.tell(line)
    for finding in comparison["findings"]:
        console.tell(finding)


def _numbers(error: dict[str, Any]) -> list[str]:
    if not error["finite"]:
        return ["NaN", "", ""]
    if error["cosine"]["worst"] is None:
        return ["not compared", "", ""]
    return [
        f"{error['cosine']['worst']:.6f}",
        f"{error['euclidean']['worst']:.4f}",
        f"{error['max_abs_difference']:.4f}",
    ]
