"""A source and data stay in the project, but where the recipe says `outside`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from pipelines.backends import recipes
from pipelines.building import plan
from pipelines.building.builder import Builder, Outcome
from pipelines.files.where import Problems
from pipelines.run.worker import Failed
from tests.fake_steps import make_step, write_job

M = "models/m"
READ = """
def run(job):
    (job.out / "out.txt").write_text(",".join(sorted(job.inputs)))
"""


@pytest.fixture
def place(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a model whose data can be led away to `there`."""
    (project / "there").symlink_to(tmp_path_factory.mktemp("there"))
    (project / "there/0.png").write_bytes(b"picture")
    (project / M / "data").mkdir()
    (project / M / "data/0.png").write_bytes(b"picture")
    (project / M / "net.onnx").write_bytes(b"net")
    return project


def write(root: Path, **more: object) -> None:
    data = {"images": "data", "samples": 1}
    inputs = {"x": {"shape": [1, 3, 8, 8], "color": "rgb"}}
    recipe: dict[str, object] = {"model": "m", "source": {"onnx": "net.onnx"}, "inputs": inputs}
    recipe |= {"quantize": {"calibration": data}, "targets": {"rk3588": {}}, **more}
    (root / M / "recipe.yaml").write_text(yaml.safe_dump(recipe, sort_keys=False))


def lead_away(root: Path, path: str) -> None:
    """Replace a path by a link to the same outside."""
    place, target = root / path, (root / "there").resolve()
    if place.is_dir():
        (place / "0.png").unlink()
        place.rmdir()
        place.symlink_to(target)
    else:
        (target / place.name).write_bytes(place.read_bytes())
        place.unlink()
        place.symlink_to(target / place.name)


@pytest.mark.parametrize(
    ("path", "line"), [("net.onnx", 3), ("data", 14)], ids=["source", "calibration"]
)
def test_a_path_that_leads_out_is_told_where_it_stands(place: Path, path: str, line: int) -> None:
    write(place)
    recipes.load_all(place)
    lead_away(place, f"{M}/{path}")
    with pytest.raises(Problems) as told:
        recipes.load_all(place)
    there = (place / M / path).resolve()
    what = f"`{path}` leads out of the project by a link, to {there}"
    advice = f"copy the data into {M}, or say so: `outside: [{path}]`"
    (problem,) = told.value.problems
    assert (problem.what, problem.advice, problem.where.line) == (what, advice, line)

    write(place, outside=[path])
    made = plan.make(recipes.load_all(place), place)
    assert {step.outside for step in made.steps.values()} == {(f"{M}/{path}",)}


def test_a_link_inside_the_project_is_no_matter(place: Path) -> None:
    (place / "shared").mkdir()
    (place / M / "data/0.png").rename(place / "shared/0.png")
    (place / M / "data").rmdir()
    (place / M / "data").symlink_to("../../shared")
    write(place)
    recipes.load_all(place)


def test_what_dvc_keeps_may_be_a_link_into_its_cache(place: Path) -> None:
    lead_away(place, f"{M}/net.onnx")
    (place / M / "net.onnx.dvc").write_text("outs: []\n")
    write(place)
    recipes.load_all(place)


def to_a_file(root: Path) -> dict[str, str]:
    lead_away(root, f"{M}/net.onnx")
    return {"a": f"{M}/net.onnx"}


def in_a_folder(root: Path) -> dict[str, str]:
    lead_away(root, f"{M}/data/0.png")
    return {"a": f"{M}/data"}


def in_a_list(root: Path) -> dict[str, str]:
    (root / M / "list.txt").write_text("../../there/0.png\n")
    return {"data": f"{M}/list.txt", "listed/0": "there/0.png"}


@pytest.mark.parametrize("lead", [to_a_file, in_a_folder, in_a_list])
def test_a_step_does_not_read_what_leads_out(
    place: Path, lead: Callable[[Path], dict[str, str]]
) -> None:
    inputs = lead(place)
    step = make_step("one", inputs, write_job(place, "read", READ))
    builder = Builder(place)
    with pytest.raises(Failed, match=r"leads out of the project, to .*\n  copy it here, or name"):
        builder.ensure(step)
    allowed = make_step("one", inputs, "read", outside=(next(iter(inputs.values())),))
    assert builder.ensure(allowed) is Outcome.RAN
    builder.close()
