"""Two toolkits on all models: what ./doit upgrade and ./doit diff say of the two builds.

    .venv/bin/python -m benchmarks.toolkits FOLDER [--only TEXT ...] [--yolo yolov5n-320 ...]

The models of this repository that have a target of the SDK, the networks of realworld where they
are here, and with --yolo some that benchmarks.networks makes, are built by rknn-2.3.2 and by
rknn-2.5.0 in a checkout in FOLDER: by `./doit upgrade` aside, then once with the one toolkit in all
recipes, which is committed, and once with the other, both from the cache.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from benchmarks import networks
from benchmarks.made_networks import write_photographs
from tests.checkout import Checkout
from tests.conftest import ROOT, real_models
from tests.test_realworld import ULTRAFACE

OLD, NEW = "rknn-2.3.2", "rknn-2.5.0"
PLATFORMS = ("rk3588", "rk3566")
HEAD = (
    *("target", "bytes 2.3.2", "2.5.0", "Mcycles 2.3.2", "2.5.0", "output error 2.3.2", "2.5.0"),
    *("2.3.2 beside 2.5.0", "layers: same, differ, only 2.3.2, only 2.5.0", "what else differs"),
)


def own_models(checkout: Checkout) -> None:
    """Those with a target of the SDK, with such targets alone."""
    for folder in sorted((ROOT / "models").iterdir()):
        if not (folder / "recipe.yaml").is_file():
            continue
        told = yaml.safe_load((folder / "recipe.yaml").read_text())
        targets = {name: given for name, given in told["targets"].items() if name in PLATFORMS}
        if targets:
            place = checkout.root / "models" / folder.name
            shutil.copytree(folder, place, ignore=shutil.ignore_patterns("build", "dvc.*"))
            _write(checkout, folder.name, {**told, "targets": targets})


def real_networks(checkout: Checkout, folder: Path) -> None:
    """UltraFace with its photographs, MLPerf Tiny's with made ones."""
    if not real_models().is_dir():
        return
    given = real_models() / "ultraface"
    targets: dict[str, Any] = {name: {} for name in PLATFORMS}
    files = {"rfb320__onnx": given / "rfb320.onnx", "faces": given / "faces"}
    checkout.add("ultraface", {**ULTRAFACE, "targets": targets}, **files)
    made(checkout, folder, ["mlperf-person", "mlperf-resnet8"])


def made(checkout: Checkout, folder: Path, names: Sequence[str]) -> None:
    """Networks of benchmarks.networks, for one target."""
    photographs = folder / "photographs"
    if not photographs.exists():
        write_photographs(photographs, 4)
    sources = networks.Sources(folder)
    for network in networks.CATALOG:
        if network.name in names:
            networks.add(checkout, network, sources.file(network), photographs)
            _edit(checkout, network.name, {"targets": {"rk3588": {}}})


def _edit(checkout: Checkout, name: str, changes: Mapping[str, Any]) -> None:
    place = checkout.root / "models" / name / "recipe.yaml"
    _write(checkout, name, {**yaml.safe_load(place.read_text()), **changes})


def _write(checkout: Checkout, name: str, told: Mapping[str, Any]) -> None:
    place = checkout.root / "models" / name / "recipe.yaml"
    place.write_text(yaml.safe_dump(dict(told), sort_keys=False))


def use(checkout: Checkout, toolchain: str) -> None:
    """Build all by this toolkit, as far as they build, and say what did not come from the cache."""
    for place in sorted(checkout.root.glob("models/*/recipe.yaml")):
        told = yaml.safe_load(place.read_text())
        targets = {
            name: {**(given or {}), "toolchain": toolchain}
            for name, given in told["targets"].items()
        }
        _write(checkout, place.parent.name, {**told, "targets": targets})
    ran = checkout.doit(timeout_s=7200)
    steps = [f"{name} {what}" for name, what in ran.steps.items() if what == "ran"]
    print(f"{toolchain}: ran {', '.join(steps) or 'nothing, all from the cache'}", flush=True)


def row(checkout: Checkout, told: Mapping[str, Any]) -> Sequence[str]:
    """told: a row of ./doit upgrade --json."""
    name = told["target"]
    cells = {cell["toolchain"]: cell for cell in told["cells"]}
    old, new = cells[OLD], cells[NEW]
    verdict = next(cell["verdict"] for cell in told["cells"] if cell["verdict"])
    figures = [
        *(number(cell["bytes"]) for cell in (old, new)),
        *("-" if cell["cycles"] is None else f"{cell['cycles'] / 1e6:.2f}" for cell in (old, new)),
        *(
            "-" if cell["output_error"] is None else f"{cell['output_error']:.2%}"
            for cell in (old, new)
        ),
    ]
    failed = [
        f"{cell['toolchain']}: {cell['failure']}; {cure(cell)}"
        for cell in (old, new)
        if cell["failure"]
    ]
    if failed:
        return [name, *figures, verdict, "", "; ".join(failed)]
    ran = checkout.doit("diff", f"HEAD:{name}", name, "--json")
    if ran.code:
        return [name, *figures, verdict, "", ran.err.strip().splitlines()[-1]]
    found = json.loads(ran.out)
    layers = found["layers"]
    counts = [layers["same"], *(len(layers[key]) for key in ("changed", "only_a", "only_b"))]
    return [name, *figures, verdict, ", ".join(map(str, counts)), "; ".join(differences(found))]


def number(value: int | None) -> str:
    return "-" if value is None else f"{value:,}"


def cure(cell: Mapping[str, Any]) -> str:
    found = cell["cure"]
    return f"builds with {found['remedy']}" if found else "nothing that was tried makes it build"


def differences(found: Mapping[str, Any]) -> Iterator[str]:
    """Bytes by kind, rules that fired and findings, 2.5.0's beside 2.3.2's."""
    for key in ("kinds", "rules"):
        grown = [f"{name} {(new or 0) - (old or 0):+,}" for name, old, new in found[key]]
        if grown:
            more = [f"and {len(grown) - 6} more"] if len(grown) > 6 else []
            yield f"{key}: {', '.join([*grown[:6], *more])}"
    for key in ("came", "gone"):
        names = [name for name, _ in found["findings"][key]]
        if names:
            yield f"findings that {'came' if key == 'came' else 'went'}: {', '.join(names)}"
    if found["ends"]:
        yield f"inputs and outputs: {', '.join(name for name, *_ in found['ends'])}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", nargs="+", default=[], help="parts of a model's name")
    parser.add_argument("--yolo", nargs="+", default=[], metavar="NAME")
    arguments = parser.parse_args()
    folder = arguments.folder.resolve()
    checkout = Checkout(folder / "checkout")
    for key, value in (("user.name", "t"), ("user.email", "t@t")):
        checkout.git("config", key, value)
    own_models(checkout)
    real_networks(checkout, folder)
    made(checkout, folder, arguments.yolo)
    for place in sorted((checkout.root / "models").iterdir()):
        if arguments.only and not any(text in place.name for text in arguments.only):
            shutil.rmtree(place)
    told = checkout.doit(
        "upgrade", "--toolchain", OLD, "--toolchain", NEW, "--json", timeout_s=14400
    )
    if told.code:
        raise SystemExit(told.err[-3000:])
    use(checkout, OLD)
    checkout.commit(OLD)
    use(checkout, NEW)
    print("\n| " + " | ".join(HEAD) + " |\n" + "|---" * len(HEAD) + "|")
    for one in json.loads(told.out):
        print("| " + " | ".join(row(checkout, one)) + " |", flush=True)


if __name__ == "__main__":
    main()
