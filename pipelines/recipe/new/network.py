"""The file that `./doit new` is given: of which kind it is, and what belongs to it."""

from __future__ import annotations

import ast
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quant.fault import Fault

_KINDS = {".onnx": "onnx", ".tflite": "tflite", ".keras": "keras", ".h5": "keras"}
_SCRIPTS = (".pt", ".pth", ".torchscript", ".jit")
_LOOKS = {  # kind -> (toolchain, job)
    "onnx": ("core", "pipelines.stages.export.jobs.look.at_onnx"),
    "tflite": ("core", "pipelines.stages.export.jobs.look.at_tflite"),
    "keras": ("tensorflow", "pipelines.stages.export.jobs.look.at_tensorflow"),
    "saved_model": ("tensorflow", "pipelines.stages.export.jobs.look.at_tensorflow"),
    "torch": ("torch", "pipelines.stages.export.jobs.look.at_torch"),
    "torchscript": ("torch", "pipelines.stages.export.jobs.look.at_torch"),
}
TAKEN = ".onnx, .tflite, .h5, .keras, a SavedModel's folder, TorchScript (.pt), net.py:build"


@dataclass(frozen=True)
class Network:
    """path: the file or folder. function: of a Python file. modules: siblings that it imports."""

    kind: str
    path: Path
    function: str = ""
    modules: Sequence[Path] = ()

    @property
    def look(self) -> tuple[str, str]:
        return _LOOKS[self.kind]

    @property
    def folder(self) -> Path:
        return self.path.parent

    @property
    def source(self) -> str:
        """As a recipe's `source` names it."""
        return self.path.name + (f":{self.function}" if self.function else "")


def find(given: str, started_in: Path) -> Network:
    """What a word on the command line means. Raises Fault where it is no network."""
    place, _, function = given.rpartition(":")
    if place.endswith(".py") and function.isidentifier():
        file = _existing(started_in / place, place)
        return Network("torch", file, function, tuple(dict.fromkeys(_modules(file, {file}))))
    file = _existing(started_in / given, given)
    if file.is_dir():
        if (file / "saved_model.pb").is_file():
            return Network("saved_model", file)
        raise Fault(f"{given} is a folder, and no SavedModel", f"name a network: {TAKEN}")
    if kind := _KINDS.get(file.suffix.lower()):
        return Network(kind, file)
    if file.suffix == ".py":
        raise Fault(f"{given} names no function", f"write {given}:build, which returns the network")
    if file.suffix.lower() in _SCRIPTS:
        return _script(file, given)
    raise Fault(f"{given} is no network that is known here", f"name one: {TAKEN}")


def _existing(path: Path, given: str) -> Path:
    if not path.exists():
        raise Fault(f"no file {given}", f"name a network: {TAKEN}")
    return path.parent.resolve() / path.name


def _script(file: Path, given: str) -> Network:
    if zipfile.is_zipfile(file):
        with zipfile.ZipFile(file) as archive:
            if any("/code/" in name for name in archive.namelist()):
                return Network("torchscript", file)
    raise Fault(
        f"{given} is a checkpoint of torch.save, and no network: the code is not in it",
        "save it by torch.jit.trace(network, example).save(FILE), or name the code: net.py:build",
    )


def _modules(file: Path, seen: set[Path]) -> Iterator[Path]:
    """The Python files beside it that it imports, and what those import."""
    try:
        tree = ast.parse(file.read_text(encoding="utf-8"))
    except (SyntaxError, ValueError):  # the look tells, with its line
        return
    for name in _imported(tree):
        beside = file.parent / f"{name}.py"
        if beside.is_file() and beside not in seen:
            seen.add(beside)
            yield beside
            yield from _modules(beside, seen)


def _imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.split(".")[0]


def look_params(network: Network, shapes: Mapping[str, Sequence[int]]) -> dict[str, Any]:
    """What the look's job is given."""
    source: dict[str, Any] = {
        "kind": network.kind,
        "file": network.path.name,
        "function": network.function,
        "arguments": {},
        "weights": None,
        "exporter": "torchscript",
    }
    return {"source": source, "shapes": {name: list(shape) for name, shape in shapes.items()}}
