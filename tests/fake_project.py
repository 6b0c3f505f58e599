"""A copy of the project whose five jobs write made-up bytes: all real but the vendor's SDK.

Recipes, plan, builder, worker, fork servers, locks and front end are the project's own; the copy's
pipelines/jobs are replaced, and its toolchains are a Python without packages.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from pipelines.backends.rknn.steps import REPORTS
from pipelines.run.toolchain.installed import Installed
from tests import warm_plain
from tests.workspace import Workspace

TOOLCHAINS = ("core", "rknn-2.5.0")
STAGES = ("export", "simplify", "quantize@rk3588", "build@rk3588", "analyze@rk3588")
RECIPE: dict[str, Any] = {
    "source": {"onnx": "net.onnx"},
    "inputs": {"input": {"shape": [1, 3, 16, 16], "mean": [127] * 3, "std": [128] * 3}},
    "quantize": {"calibration": {"npy": "samples.npy", "samples": 4}},
    "analyze": {"samples": 2},
    "targets": {"rk3588": {}},
}
# The digest of all that a job is given seeds what it writes, so equal inputs give equal outputs.
JOB = """
import hashlib, json, os, time
from pathlib import Path

OUTPUTS = {outputs!r}
SIZE, SECONDS, LOG = {size!r}, {seconds!r}, {log!r}
METRICS = dict(samples=2, worst_cosine=0.999, worst_layer="fc", worst_single_cosine=0.999,
    worst_single_layer="fc", mean_cosine=0.999, layers=3, cpu_layers=0, float_layers=0,
    accuracy=None,
    bytes=dict(onnx=2000, rknn=1000), size_ratio=0.5, outputs=dict(), worst_output_cosine=0.999,
    worst_cosine_output="y", worst_output_error=0.005, worst_error_output="y")
LAYERS = dict(backend="rknn", toolkit="2.5.0", platform="rk3588", samples=2, layers=[],
    findings=[], causes=[])
BYTES = dict(file_bytes=1000, source_bytes=2000, weight_bits=8, is_integer=True,
    kinds=dict(payload=1000), unexplained=0, nodes=[])

def note(what):
    if LOG and OUTPUTS:
        with open(LOG, "ab", buffering=0) as log:
            log.write((what + " " + Path.cwd().name.rsplit("-", 2)[0] + "\\n").encode())

def run(job):
    note("began")
    digest = hashlib.sha256(json.dumps(job.params, sort_keys=True).encode())
    for name, path in sorted(job.inputs.items()):
        files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
        for file in files:
            digest.update(file.read_bytes())
    for name in OUTPUTS:
        place = job.out / name
        place.parent.mkdir(parents=True, exist_ok=True)
        made = hashlib.shake_128(digest.digest() + name.encode()).digest(SIZE)
        if name.endswith("metrics.json"):
            made = json.dumps(dict(METRICS, digest=digest.hexdigest())).encode()
        elif name.endswith("layers.json"):
            made = json.dumps(dict(LAYERS, digest=digest.hexdigest())).encode()
        elif name.endswith("bytes.json"):
            made = json.dumps(dict(BYTES, container=digest.hexdigest())).encode()
        elif name.endswith((".json", ".csv", ".txt")):
            made = json.dumps(dict(digest=digest.hexdigest(), findings=[])).encode()
        with place.open("wb", buffering=0) as file:
            file.write(made[: len(made) // 2])
            time.sleep(SECONDS / len(OUTPUTS))
            file.write(made[len(made) // 2 :])
    note("ended")
"""
OUTPUTS: dict[str, tuple[str, ...]] = {
    "stages/samples/jobs/samples": (),
    "stages/export/jobs/check_onnx": (),
    "stages/export/jobs/from_onnx": ("model.onnx", "export.json"),
    "stages/simplify/jobs/simplify": ("model.onnx", "changes.json"),
    "backends/rknn/jobs/quantize": ("quantize/a.data", "quantize/b.model"),
    "backends/rknn/jobs/build": ("model.rknn", "build.json"),
    "backends/rknn/jobs/analyze": tuple(f"report/{name}" for name in REPORTS),
}


class FakeProject(Workspace):
    """size: bytes of each artifact. seconds: what a job takes. log: file that jobs note into.

    is_warm: whether its toolchains' Python has started before. is_compiled: whether it has the
    bytecode of all code, for a ./doit that starts anew; by default where its toolchains do.
    """

    def __init__(
        self,
        root: Path,
        size: int = 1000,
        seconds: float = 0.0,
        log: str = "",
        *,
        is_warm: bool = True,
        is_compiled: bool | None = None,
    ) -> None:
        super().__init__(root, is_compiled=not is_warm if is_compiled is None else is_compiled)
        make = warm_plain.make_warm_environment if is_warm else warm_plain.make_environment
        self.size = size
        for name, outputs in OUTPUTS.items():
            text = JOB.format(outputs=outputs, size=size, seconds=seconds, log=log)
            (root / "pipelines" / f"{name}.py").write_text(text)
        self._make_toolchains(make)

    def add_models(self, count: int) -> None:
        """m0000, m0001, ...: five steps each."""
        for number in range(count):
            name = f"m{number:04}"
            net = hashlib.shake_128(name.encode()).digest(self.size)
            self.add(name, RECIPE, net__onnx=net, samples__npy=net[::-1])

    def _make_toolchains(self, make: Callable[[Path], None]) -> None:
        table = self.root / "toolchains" / "toolchains.yaml"
        table.write_text(_plain(table.read_text()))
        home = self.root / ".npumake" / "toolchains"
        home.unlink()
        version = f"py{sys.version_info[0]}{sys.version_info[1]}"
        for name in TOOLCHAINS:
            pins = (self.root / "toolchains" / f"{name}.txt").read_bytes()
            folder = home / f"{name}-{hashlib.sha256(pins).hexdigest()[:12]}-{version}"
            make(folder)
            Installed(folder).note(pins)


@cache
def _plain(table: str) -> str:
    """toolchains.yaml, whose toolchains of jobs import nothing."""
    told = yaml.safe_load(table)
    plain = {name: {**told[name], "preload": [], "path": []} for name in TOOLCHAINS}
    return str(yaml.safe_dump(told | plain))
