"""./doit new NAME FILE: a commented recipe from what stands in the file, built at once."""

from __future__ import annotations

import argparse
import json
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pipelines.backends.recipes import load
from pipelines.backends.rknn.measured import operators
from pipelines.backends.rknn.recipe import vendor
from pipelines.backends.table import DEFINITIONS
from pipelines.building.project import Project
from pipelines.files import console
from pipelines.files.commands import COMMANDS
from pipelines.front.commands.aside import one_job, run_aside
from pipelines.front.commands.command import OwnCommand
from pipelines.front.doit import cli
from pipelines.front.doit.cli import STARTED_IN, UsageError, unknown
from pipelines.recipe.check.recipe import NAME
from pipelines.recipe.new import data, inputs, model_folder, network, recipe_text, vendor_config
from pipelines.recipe.new.network import Network
from pipelines.recipe.new.vendor_config import VendorConfig
from pipelines.record.step import Work

_PLATFORM = "rk3588"
_CONFIGS, _LISTS = (".yml", ".yaml"), (".txt",)
_LARGE_BYTES = 10_000_000  # git keeps every version of a file for ever


class New(OwnCommand):
    name = "new"
    in_brief = "a recipe of a file, built at once: new NAME FILE"
    doc_purpose = "write a recipe from what stands in a network's file, and build it"
    doc_usage = "NAME FILE [--shape [INPUT=]N,N,...] [--data PATH] [--platform NAME] [--no-build]"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        add = parser.add_argument
        add("model", metavar="NAME", help="of the model: models/NAME is made")
        add(
            "file",
            metavar="FILE",
            help=f"{network.TAKEN}; or the vendor's model_config.yml, or a dataset.txt with the "
            "network beside it",
        )
        add(
            "--shape",
            action="append",
            default=[],
            metavar="[INPUT=]N,N,...",
            help="an input's, where the file leaves it open; pictures: 1,3,HEIGHT,WIDTH",
        )
        add("--data", metavar="PATH", help="calibration data; default: what stands beside FILE")
        add("--platform", metavar="NAME", help=f"default: {_PLATFORM}")
        add("--no-build", action="store_true", help="write the recipe alone")

    def act(self, arguments: argparse.Namespace) -> int:
        parts, sides = _parts(self.project, arguments)
        if parts is None:
            return cli.FAILURE
        folder = self.project.root / "models" / parts.model
        model_folder.write(folder, parts.network, parts.data, sides, recipe_text.text(parts))
        load(folder / model_folder.RECIPE, self.project.root)  # raises Problems, with their places
        _tell(self.project, parts, folder)
        return 0 if arguments.no_build else _build(self.project, parts)


def _parts(
    project: Project, arguments: argparse.Namespace
) -> tuple[recipe_text.Parts | None, Sequence[str]]:
    """All that the recipe says. None where looking into the file failed, which is told."""
    name, platform = _checked(arguments.model), _platform(arguments.platform or _PLATFORM)
    found, config, listed = _given(arguments.file)
    model_folder.require_free(project.root / "models" / name, found, f"models/{name}")
    shapes = _shapes(arguments.shape)
    look = _look(project, found, shapes, name)
    if look is None:
        return None, ()
    settled = inputs.settle(look, {} if found.kind.startswith("torch") else shapes, config)
    sizes = {each.name: each.shape for each in settled}
    inputs.tell_pictures(settled, look, config)
    takes_pictures = len(settled) == 1 and settled[0].is_picture
    chosen = Path(STARTED_IN, arguments.data) if arguments.data else listed
    samples, notes = (
        (data.of(_there(chosen), sizes, takes_pictures), [])
        if chosen
        else data.find(found.folder, sizes, takes_pictures)
    )
    if samples and (scaled := data.is_scaled(samples)):
        _leave_out_scaling(settled, scaled)
    others = [one for one in DEFINITIONS.backends.values() if one.name != DEFINITIONS.default]
    dependencies = [*(module.name for module in found.modules), *look["sides"]]
    parts = recipe_text.Parts(
        name,
        found,
        look["about"],
        settled,
        samples,
        platform,
        dependencies,
        examples=[one.example for one in others],
        notes=[*look["notes"], *notes, *_measured(look["operators"], platform, samples)],
    )
    return _with_config(parts, config), look["sides"]


def _measured(names: Sequence[str], platform: str, samples: data.Data | None) -> list[str]:
    """What docs/operators.md has of operators that the platform's NPU does not run wholly."""
    chip = vendor.PLATFORM_ALIASES.get(platform, platform)
    dtype = "w8a8" if samples else "float16"
    told = (operators.told(name, chip, vendor.VERSIONS[0], dtype) for name in names)
    return [f"{sentence}: docs/operators.md" for sentence in told if sentence]


def _leave_out_scaling(settled: Sequence[inputs.Input], scaled: str) -> None:
    """Guessed mean and std would be taken from numbers that are no pixels."""
    for each in settled:
        guessed = [n for n in each.lines if n.key in ("mean", "std") and n.is_guess]
        if guessed:
            each.lines = [line for line in each.lines if line not in guessed]
            each.lines.insert(1, inputs.Line("", None, f"no mean and std: {scaled}"))


def _with_config(parts: recipe_text.Parts, config: VendorConfig | None) -> recipe_text.Parts:
    if config is None:
        return parts
    return replace(
        parts,
        about=f"{parts.about}; the vendor's model_config.yml",
        is_quantized=config.is_quantized,
        quantize=config.quantize,
        rknn=config.rknn,
        outputs=config.outputs,
    )


def _checked(name: str) -> str:
    if not NAME.fullmatch(name) or name in COMMANDS:
        what = "is a command" if name in COMMANDS else "can't be the name of a model"
        raise UsageError(f"`{name}` {what}", "use a-z and 0-9, and between them also _ and -")
    return name


def _platform(name: str) -> str:
    if name not in vendor.ALL_PLATFORMS:
        raise unknown("platform", name, vendor.PLATFORMS, "known")
    return name


def _given(word: str) -> tuple[Network, VendorConfig | None, Path | None]:
    """The network that the word means, by itself, by a vendor's config or by a list beside it."""
    path = Path(STARTED_IN, word)
    if path.suffix.lower() in _CONFIGS and path.is_file():
        known = {name: option.default for name, option in vendor.CONFIG.items()}
        config = vendor_config.read(path, word, known)
        return network.find(str(config.file), STARTED_IN), config, config.dataset
    if path.suffix.lower() in _LISTS and path.is_file():
        return network.find(str(_beside(path, word)), STARTED_IN), None, path
    return network.find(word, STARTED_IN), None, None


def _beside(listed: Path, word: str) -> Path:
    """The one network in the list's folder."""
    suffixes = (".onnx", ".tflite", ".pt", ".keras", ".h5")
    found = sorted(file for file in listed.parent.iterdir() if file.suffix in suffixes)
    if len(found) != 1:
        names = ", ".join(file.name for file in found) or "none"
        raise UsageError(
            f"{word} stands beside {len(found)} networks ({names})",
            f"name the one that is meant: ./doit new NAME FILE --data {word}",
        )
    return found[0]


def _there(path: Path) -> Path:
    if not path.exists():
        raise UsageError(f"no file or folder {path.name}", "name calibration data that exists")
    return path


def _shapes(words: Sequence[str]) -> dict[str, list[int]]:
    """Input, or empty for the only one -> its shape."""
    found = {}
    for word in words:
        name, _, lengths = word.rpartition("=")
        parts = lengths.strip("[]").split(",")
        if not all(part.strip().isdecimal() and int(part) > 0 for part in parts):
            raise UsageError(f"`{word}` is no shape", "write --shape INPUT=1,3,224,224")
        found[name] = [int(part) for part in parts]
    return found


def _look(
    project: Project, found: Network, shapes: Mapping[str, Sequence[int]], name: str
) -> Mapping[str, Any] | None:
    toolchain, job = found.look
    params = network.look_params(found, shapes)
    siblings = {f"model/{file.name}": str(file) for file in found.modules}
    own = {"source": str(found.path), f"model/{found.path.name}": str(found.path)}
    step = one_job(
        Work(toolchain, job, params),
        model=name,
        stage="new",
        inputs={**own, **siblings},
        outputs=["look.json"],
    )
    with run_aside(project, step) as out:
        if out is None:
            return None
        read: Mapping[str, Any] = json.loads((out / "look.json").read_text())
        return read


def _tell(project: Project, parts: recipe_text.Parts, folder: Path) -> None:
    console.tell(f"wrote models/{parts.model}/{model_folder.RECIPE}")
    for each in parts.inputs:
        for line in each.lines:
            if line.is_guess:
                _tell_wrapped(
                    f"{each.name}.{line.key}: {recipe_text.value(line.value)}  {line.reason}"
                )
    if parts.data is None and parts.is_quantized:
        _tell_wrapped("MISSING: data to calibrate on; float16 until it is there (see the recipe)")
    elif parts.data:
        _tell_wrapped(f"calibrates on {parts.data.told}")
    for note in parts.notes:
        _tell_wrapped(note)
    for file in sorted(folder.rglob("*")):
        if file.is_file() and file.stat().st_size > _LARGE_BYTES:
            told = file.relative_to(project.root)
            size = console.quantity(file.stat().st_size)
            _tell_wrapped(f"{told}: {size}, large for git: .venv/bin/dvc add {told}")


def _tell_wrapped(words: str) -> None:
    for line in textwrap.wrap(words, 80, initial_indent="  ", subsequent_indent="    "):
        console.tell(line)


def _build(project: Project, parts: recipe_text.Parts) -> int:
    project.read_again()
    code = cli.dispatch(project, [parts.model])
    place = f"models/{parts.model}/build/{parts.platform}/model.rknn"
    made = project.root / place
    if code == 0 and made.is_file():
        console.tell(f"{place}: {console.quantity(made.stat().st_size)}")
    else:
        console.say(
            f"no .rknn yet: mend models/{parts.model}/recipe.yaml, then ./doit {parts.model}; "
            f"./doit doctor {parts.model} tries what may cure it",
            "yellow",
        )
    return code
