"""The doctor on what does not build: the order of what is tried, and real networks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipelines.backends.recipes import load
from pipelines.backends.rknn.recipe.options import options
from pipelines.doctor import trial
from pipelines.doctor.applicable import Applicable
from pipelines.doctor.remedy import Remedy
from pipelines.doctor.search import plainer_for
from pipelines.doctor.treatment import treat
from pipelines.doctor.trial import Result
from tests.detector_parts import distances
from tests.small_models import recipe, samples
from tests.test_cures import pooled
from tests.workspace import Workspace


class Found(Applicable):
    def firing(self, names: Any) -> tuple[str, ...]:
        return tuple(names)


FOUND = Found(Path(), ("a", "b"), ("cut",))
OPTION = Remedy(options={"o": True})


def rules(*names: str) -> dict[str, Any]:
    return {"disable_rules": list(names)}


def needing(name: str, cures: Mapping[str, Mapping[str, Any]]) -> Callable[[Remedy], Result]:
    """Builds with that remedy alone. cures: name of a failing remedy -> what its failure names."""

    def run(remedy: Remedy) -> Result:
        if remedy.name == name:
            return Result(remedy, 100)
        return Result(remedy, failure="no", cure=cures.get(remedy.name, {}))

    return run


ORDER = ["as it is", "a", "b", "a + b", "o", "cut"]


@pytest.mark.parametrize("name", ORDER)
def test_exact_remedies_come_before_cuts_and_the_first_that_builds_ends_it(name: str) -> None:
    treated = treat(needing(name, {}), FOUND, [OPTION])
    assert [one.remedy.name for one in treated.tried] == ORDER[: ORDER.index(name) + 1]
    assert treated.result is not None
    assert treated.result.remedy.name == name


def test_what_a_failure_names_is_tried_next_and_stays() -> None:
    cures = {"as it is": rules("r"), "disable_rules=r": rules("r", "s")}
    run = needing("disable_rules=r,s", cures)
    assert [one.remedy.name for one in treat(run, FOUND, []).tried] == [
        *("as it is", "disable_rules=r", "disable_rules=r,s")
    ]
    run = needing("a + disable_rules=r", {"as it is": rules("r")})
    assert [one.remedy.name for one in treat(run, FOUND, []).tried] == [
        *("as it is", "disable_rules=r", "a + disable_rules=r")
    ]


def test_plainer_arithmetic_is_tried_where_it_is_not_asked_for(tmp_path: Path) -> None:
    folder = tmp_path / "m"
    folder.mkdir()
    for name in ("net.onnx", "x.npy"):
        (folder / name).write_bytes(b"")
    text = """\
model: m
source: {onnx: net.onnx}
inputs: {x: {shape: [1, 3]}}
quantize: {calibration: {npy: x.npy}}
targets:
  rk3588: {}
  plain: {platform: rk3588, quantize: {dtype: float16, rknn: {optimization_level: 0}}}
"""
    (folder / "recipe.yaml").write_text(text)
    given = load(folder / "recipe.yaml", tmp_path)
    target = given.targets["rk3588"]
    found = plainer_for(target, ())
    assert [one.name for one in found] == ["optimization_level=0", "dtype=float16"]
    assert plainer_for(given.targets["plain"], ()) == []
    assert plainer_for(target, ("optimization_level", "dtype")) == []
    assert yaml.safe_load("\n".join(found[1].lines(given, target))) == {
        "targets": {"rk3588": {"quantize": {"dtype": "float16"}}}
    }
    assert options(trial.vary(given, target, found[1])[1]).quantize.dtype == "float16"


def test_nothing_that_builds_is_told_with_all_failures() -> None:
    treated = treat(needing("none of them", {}), FOUND, [OPTION])
    assert treated.result is None
    assert len(treated.tried) == len(ORDER)


@pytest.mark.toolchain
def test_a_pooling_that_no_board_runs_gets_its_rewrite_and_apply_writes_it(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    given = recipe(inputs={"input": {"shape": [1, 3, 32, 32]}}, analyze={"samples": 1})
    workspace.add("m", given, net__onnx=pooled(), samples__npy=samples(4, (3, 32, 32)))
    ran = workspace.doit("doctor", "m", "--apply")
    assert ran.code == 0, ran.err
    assert "m@rk3588 does not build; tried until one does:" in ran.out
    assert "builds with split_average_pool; in models/m/recipe.yaml:" in ran.out
    assert "Mcycles; lowest cosine of a layer" in " ".join(ran.out.split())
    applied = yaml.safe_load((tmp_path / "models/m/recipe.yaml").read_text())
    assert applied["simplify"]["rewrite"][-1] == "split_average_pool"
    again = workspace.doit()
    assert again.code == 0, again.err
    assert set(again.steps.values()) == {"restored"}


@pytest.mark.toolchain
def test_a_detector_s_head_over_the_axis_limit_is_cut_and_the_cut_left_to_the_user(
    tmp_path: Path,
) -> None:
    workspace = Workspace(tmp_path)
    given = recipe(inputs={"x": {"shape": [1, 3, 84, 84]}}, analyze={"samples": 1})
    net = distances(side=84).SerializeToString()
    folder = workspace.add("m", given, net__onnx=net, samples__npy=samples(2, (3, 84, 84)))
    workspace.edit("m", "samples: 4", "samples: 2")
    before = (folder / "recipe.yaml").read_text()
    ran = workspace.doit("doctor", "m", "--apply")
    assert ran.code == 1
    told = " ".join(ran.out.split())
    assert "an axis of 8,820 is over the NPU's 8,192" in told
    assert "builds with cut_postprocessing" in told
    assert "with other outputs" in told
    assert (folder / "recipe.yaml").read_text() == before
