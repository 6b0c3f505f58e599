"""dvc.lock, cache objects and run-cache entries: to the byte what `dvc commit -f` writes."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipelines.building import dvc_yaml
from pipelines.building.builder import Builder, Outcome
from pipelines.record.step import Step
from tests.dvc_runner import dvc, git
from tests.fake_steps import make_step, write_job

PINNED = "3.67.1"
VERSIONS = {"one": 1, "two": 1, "late": 1, "rknn": {"folder": 12}}
FOLDER = """
def run(job):
    (job.out / "d" / "e" / "deep").mkdir(parents=True)
    (job.out / "d" / "empty").mkdir()
    for name in ("x", "e/y", "e/deep/z", "e.txt", "a b", "模型.bin"):
        (job.out / "d" / name).write_text(name)
    (job.out / "d" / "tool").write_text("#!/bin/sh")
    (job.out / "d" / "tool").chmod(0o755)
    (job.out / "metrics.json").write_text('{"a": 1}')
    (job.out / "layers.csv").write_text("id,entire_cosine_worst\\n0,1.0\\n")
"""
SECTIONS: dict[str, Any] = {
    "value": 1,
    "quantize.algorithm": "kl_divergence",
    "source": {
        "onnx": "rfb320.onnx",
        "floats": [0.1, 1e-7, 1e22, -0.0, 2.5, 127.5, 1e16, 123456789.123456789],
        "constants": [True, False, None, 0, -1, 10**20],
        "empty": {},
        "none": [],
        "nested": {"list": [[1, [2]], [{"a": 1, "b": [None]}]], "deep": {"deeper": {"x": "y"}}},
    },
    "text": {
        "long": "a text of more than eighty columns that the emitter has to fold: or not, # maybe",
        "longer": "word " * 40 + "end",
        "unbroken": "x" * 120,
        "quoted": ["yes", "12", "1e3", "null", "~", "", " a ", "a: b", "# no", "'", '"', "{", "-"],
        "lines": "a\nb\n\n  c\n",
        "tab": "a\tb",
        "date": "2024-01-01",
        "unicode": "模型 é ß 🙂",
        "percent": "%TAG",
        "octal": ["010", "0o10", "0x1F", "1_000", "1:30"],
    },
    "inputs": {"x.y/z": {"shape": [1, 3, 240, 320]}, "0": "key", "no": "word"},
    "模型": {"é": "ü"},
}


def snapshot(root: Path) -> dict[str, bytes | int]:
    """Every file that DVC shares between machines, with its content; of objects the mode too."""
    cache = root / ".dvc" / "cache"
    files = [file for file in cache.rglob("*") if file.is_file()] + [root / "models/m/dvc.lock"]
    found: dict[str, bytes | int] = {}
    for file in files:
        name = file.relative_to(root).as_posix()
        found[name] = file.read_bytes()
        if "/files/" in name:
            found[f"{name} mode"] = file.stat().st_mode
    return found


class Contract:
    """root: a project that is a DVC repository too, whose models/m has the given steps."""

    def __init__(self, root: Path) -> None:
        self.root = root
        git(root, "init", "-q")
        dvc(root, "init", "-q")
        (root / "pipelines/stages").mkdir(parents=True)
        write_job(root, "join")
        write_job(root, "folder", FOLDER)
        tool = root / "models/m/tool.sh"
        tool.write_text("#!/bin/sh\n")
        tool.chmod(0o755)
        (root / "models/m/a.txt").write_text("a")
        (root / "models/m/data/sub").mkdir(parents=True)
        (root / "models/m/data/1.png").write_text("1")
        (root / "models/m/data/sub/2.png").write_text("22")

    def ours(
        self, steps: Sequence[Step], versions: Any = VERSIONS, is_cached: bool = True
    ) -> tuple[list[Outcome], dict[str, bytes | int]]:
        """Bring the steps up to date; what each came to, and what is then on disk."""
        recipe: dict[str, Any] = {}
        for step in steps:
            for path, value in step.sections.items():
                _put(recipe, path, value)
        # JSON is YAML that PyYAML and DVC's ruamel read alike.
        (self.root / "models/m/recipe.yaml").write_text(json.dumps(recipe, ensure_ascii=False))
        text = yaml.safe_dump(versions)
        (self.root / "pipelines/stages/versions.yaml").write_text(text)
        text = dvc_yaml.model_text(steps)
        if not is_cached:
            uncached = "    - build/metrics.json:\n        cache: false\n"
            assert "    - build/metrics.json\n" in text
            text = text.replace("    - build/metrics.json\n", uncached)
        (self.root / "models/m/dvc.yaml").write_text(text)
        builder = Builder(self.root)
        outcomes = [builder.ensure(step) for step in steps]
        builder.close()
        return outcomes, snapshot(self.root)

    def theirs(self, lock: bytes | None) -> dict[str, bytes | int]:
        """What `dvc commit -f` writes, from this dvc.lock and an empty cache on."""
        place = self.root / "models/m/dvc.lock"
        place.unlink()
        if lock is not None:
            place.write_bytes(lock)
        shutil.rmtree(self.root / ".dvc/cache")
        dvc(self.root, "commit", "-q", "-f", "models/m/dvc.yaml")
        return snapshot(self.root)


def _put(recipe: dict[str, Any], path: str, value: Any) -> None:
    *above, last = path.split(".")
    for part in above:
        recipe = recipe.setdefault(part, {})
    recipe[last] = value


@pytest.fixture
def contract(project: Path) -> Contract:
    return Contract(project)


ONE = make_step("one", {"a": "models/m/a.txt", "t": "models/m/tool.sh"}, sections=SECTIONS)
TWO = make_step("two", {"a": "models/m/build/one/out.txt"}, sections={"value": 1})
LATE = make_step("late", {"a": "models/m/build/two/out.txt"}, sections={"value": 1})
FOLDER_STEP = dataclasses.replace(
    make_step(
        "folder",
        {"z": "models/m/build/two/out.txt", "a": "models/m/a.txt", "data": "models/m/data"},
        "folder",
        outputs={
            "d": "models/m/build/d",
            "metrics.json": "models/m/build/metrics.json",
            "layers.csv": "models/m/build/layers.csv",
        },
    ),
    version_key="rknn.folder",
    version=12,
)
STEPS = (ONE, TWO, FOLDER_STEP)


def test_the_pinned_dvc(tmp_path: Path) -> None:
    assert dvc(tmp_path, "--version").split()[0] == PINNED


@pytest.mark.parametrize("is_cached", [True, False])
def test_all_that_is_written_is_what_dvc_writes(contract: Contract, is_cached: bool) -> None:
    outcomes, ours = contract.ours(STEPS, is_cached=is_cached)
    assert outcomes == [Outcome.RAN] * 3
    assert "are up to date" in dvc(contract.root, "status")
    assert "/runs/" in " ".join(ours)
    assert contract.theirs(None) == ours


def test_a_second_run_writes_what_dvc_writes(contract: Contract) -> None:
    """One stage changed, one is new in the middle, and one kept its outputs' content."""
    contract.ours(STEPS)
    before = contract.theirs(None)["models/m/dvc.lock"]
    assert isinstance(before, bytes)
    changed = (ONE, dataclasses.replace(TWO, version=2), LATE, FOLDER_STEP)
    outcomes, ours = contract.ours(changed, {**VERSIONS, "two": 2})
    assert outcomes == [Outcome.UP_TO_DATE, Outcome.RAN, Outcome.RAN, Outcome.UP_TO_DATE]
    theirs = contract.theirs(before)
    assert theirs["models/m/dvc.lock"] == ours["models/m/dvc.lock"]
    assert theirs.items() <= ours.items()  # ours has the first run's entries as well


def test_what_dvc_recorded_is_up_to_date(contract: Contract) -> None:
    contract.ours(STEPS)
    contract.theirs(None)
    outcomes, _ = contract.ours(STEPS)
    assert outcomes == [Outcome.UP_TO_DATE] * 3


def test_what_dvc_cached_is_restored(contract: Contract) -> None:
    contract.ours(STEPS)
    contract.theirs(None)
    shutil.rmtree(contract.root / "models/m/build")
    (contract.root / "models/m/dvc.lock").unlink()
    outcomes, _ = contract.ours(STEPS)
    assert outcomes == [Outcome.RESTORED] * 3
    assert "are up to date" in dvc(contract.root, "status")
