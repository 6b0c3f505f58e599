"""Networks of rk3588 in the vendor's runtime: its verdict, and its layer table beside the file's.

    .venv/bin/python -m benchmarks.runtime --folder FOLDER [--cases MAKE.PY] [--only TEXT ...]

All networks of models/ and of the folder of real models, those that MAKE.PY writes (a program that
takes a folder, and leaves a model's folder in it for each), and one with an operator that boards
refuse. Each is built for rk3588 as its recipe says, and its file is run by ./doit runtime. Results
are added to FOLDER/runtime.json as they come; what stands there is not made again.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from onnx import helper

from benchmarks.networks import CATALOG, Network
from pipelines.backends.rknn.runtime import check
from pipelines.front.doit import runtime_parts
from pipelines.run.toolchain.toolchain import Environments
from tests.conftest import ROOT, real_models
from tests.small_models import model_bytes, samples
from tests.workspace import Workspace

TARGET: dict[str, Any] = {"rk3588": {}}
OF_REALWORLD = ("ultraface", "mlperf_tiny")
# What a detector's recipe may ask for; without them UltraFace is 40 MB.
REWRITES = {"ultraface-rewritten": ("fold_batch_norm", "slice_before_concat",
                                    "concat_on_spatial_axis")}  # fmt: skip


def add_models(workspace: Workspace) -> None:
    """Those of models/, each for rk3588 and nothing else; a folder may read another's data."""
    for folder in sorted((ROOT / "models").iterdir()):
        if (folder / "recipe.yaml").is_file():
            place = workspace.root / "models" / folder.name
            shutil.copytree(folder, place, ignore=shutil.ignore_patterns("build", "dvc.*"))
            write(place, yaml.safe_load((folder / "recipe.yaml").read_text()))


def write(folder: Path, recipe: Mapping[str, Any], **changes: Any) -> None:
    """The recipe, for rk3588 alone and without gates, which are for all its targets."""
    kept = {key: value for key, value in recipe.items() if key not in ("gates", "evaluate")}
    made = {**kept, "targets": TARGET, **changes}
    (folder / "recipe.yaml").write_text(yaml.safe_dump(made, sort_keys=False))


def add_real(workspace: Workspace) -> None:
    for network in CATALOG:
        if network.origin in OF_REALWORLD:
            _add_real(workspace, network, network.name, ())
    ultraface = next(network for network in CATALOG if network.name == "ultraface")
    for name, rules in REWRITES.items():
        _add_real(workspace, ultraface, name, rules)


def _add_real(workspace: Workspace, network: Network, name: str, rules: tuple[str, ...]) -> None:
    source = real_models() / network.origin / network.file
    photographs = real_models() / "coco"
    files = {f"net__{source.suffix[1:]}": source, "photographs": photographs}
    recipe = {
        "source": {source.suffix[1:]: f"net{source.suffix}"},
        "inputs": dict(network.inputs),
        "quantize": {"calibration": {"images": "photographs", "samples": 4}},
        "targets": TARGET,
        **({"simplify": {"rewrite": list(rules)}} if rules else {}),
    }
    workspace.add(name, recipe, **files)


def add_cases(workspace: Workspace, program: Path) -> None:
    """Run in the core toolchain, which has numpy and onnx."""
    folder = workspace.root / "cases"
    environments = Environments(ROOT)
    environments.make(["core"])
    python = environments.python("core")
    subprocess.run([str(python), str(program), str(folder)], check=True, stdout=subprocess.DEVNULL)
    for case in sorted(folder.iterdir()):
        place = workspace.root / "models" / case.name
        shutil.move(case, place)
        write(place, yaml.safe_load((place / "recipe.yaml").read_text()))


def add_refused(workspace: Workspace) -> None:
    nodes = [
        helper.make_node("Relu", ["x"], ["r"], "first"),
        helper.make_node("Atan", ["r"], ["y"], "angle"),
    ]
    net = model_bytes(nodes, {}, {"x": (1, 4, 8, 8)}, {"y": (1, 4, 8, 8)})
    recipe = {
        "source": {"onnx": "net.onnx"},
        "inputs": {"x": {"shape": [1, 4, 8, 8]}},
        "quantize": {"calibration": {"npy": "x.npy"}},
        "targets": TARGET,
    }
    workspace.add("atan", recipe, net__onnx=net, x__npy=samples(2, [4, 8, 8]))


def rows(workspace: Workspace, done: Mapping[str, Any], only: list[str]) -> Iterator[Any]:
    for folder in sorted((workspace.root / "models").iterdir()):
        name = folder.name
        if name in done or not any(text in name for text in only or [""]):
            continue
        ran = workspace.doit(f"{name}:build@rk3588", timeout_s=1800)
        file = workspace.built(name, "rk3588/model.rknn")
        if not file.is_file():
            yield name, {"verdict": "not built", "because": _why(ran.err)}
            continue
        yield name, _row(workspace, name, file)


def _why(told: str) -> str:
    lines = [line.strip() for line in told.splitlines()]
    failed = [i for i, line in enumerate(lines) if "FAILED" in line]
    return lines[failed[0] + 1] if failed else (lines or [""])[0]


def _row(workspace: Workspace, name: str, file: Path) -> dict[str, Any]:
    build = json.loads(file.with_name("build.json").read_text())
    told = check.check(file, None, runtime_parts.home(ROOT))
    return {
        **{key: told[key] for key in ("verdict", "because", "differences", "memory", "layers")},
        "file_layers": [
            {"op": row["op_type"], "dtype": row["dtype"], "target": row["target"]}
            for row in build["layers"]
        ],
        "logged": build["totals"],
        "runtime": told["runtime"]["version"],
    }


def lines(found: Mapping[str, Any]) -> Iterator[str]:
    yield "| network | verdict | layers | as in the file | on the CPU | weights | internal |"
    yield "|---|---|---|---|---|---|---|"
    for name, row in sorted(found.items()):
        if "memory" not in row:
            yield f"| {name} | {row['verdict']} | | | | | |"
            continue
        theirs, ours = row["layers"], row["file_layers"]
        same = sum(one == other for one, other in zip(theirs, ours, strict=False))
        cpu = [one["op"] for one in theirs if one["target"] == "CPU" and one["op"] not in _ENDS]
        layers = f"{len(theirs) or '-'} / {len(ours)}"
        sizes = (
            f"{_number(row['memory'][f'{key}_bytes'])} / {_number(row['logged'][logged])}"
            for key, logged in (("weights", "weight_bytes"), ("internal", "internal_bytes"))
        )
        equal = same if theirs else "-"
        told = ", ".join(cpu) or ("none" if theirs else "-")
        yield f"| {name} | {row['verdict']} | {layers} | {equal} | {told} | {' | '.join(sizes)} |"
    yield ""
    for name, row in sorted(found.items()):
        for sentence in (*([row["because"]] if row["because"] else []),
                         *row.get("differences", [])):  # fmt: skip
            yield f"- {name}: {sentence}"


_ENDS = ("InputOperator", "OutputOperator")


def _number(value: float | None) -> str:
    return "-" if value is None else f"{int(value):,}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--cases", type=Path)
    parser.add_argument("--only", nargs="*", default=[], help="parts of networks' names")
    arguments = parser.parse_args()
    arguments.folder.mkdir(exist_ok=True)
    results = arguments.folder / "runtime.json"
    found = json.loads(results.read_text()) if results.is_file() else {}
    root = arguments.folder.resolve() / "project"
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir()
    workspace = Workspace(root)
    add_models(workspace)
    add_real(workspace)
    add_refused(workspace)
    if arguments.cases:
        add_cases(workspace, arguments.cases)
    for name, row in rows(workspace, found, arguments.only):
        found[name] = row
        results.write_text(json.dumps(found, indent=1))
        print(name, row["verdict"], file=sys.stderr, flush=True)
    print(*lines(found), sep="\n")


if __name__ == "__main__":
    main()
