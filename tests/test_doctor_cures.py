"""What the doctor makes of networks that grow, and of those that do not, with the real SDK."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import yaml

from pipelines.files.console import quantity
from quant.execution.cut_run import CutRun
from quant.execution.random_inputs import DRAWS, random_inputs
from quant.execution.run import FloatRun
from quant.graph.file import read
from quant.graph.types import input_types
from quant.rewrites.table import RULES
from tests.conftest import ROOT, real_models
from tests.test_ledger import built_diseases, built_ultraface
from tests.vacuous import some
from tests.workspace import Ran, Workspace

__all__ = ["built_diseases", "built_ultraface"]
pytestmark = pytest.mark.toolchain

# compress_weight takes over a minute on hundreds of split convolutions, and saves a twentieth; of
# ultraface it saves 3 KB.
SLOW = ("--without", "compress_weight")
COLUMNS = 80
AT_ONCE = 3


@dataclass(frozen=True)
class Case:
    """plain: bytes of the build as it is; the same every time. at_most: of the best remedy's."""

    model: str
    target: str
    plain: int
    at_most: int
    rewrites: tuple[str, ...]
    arguments: tuple[str, ...] = ()


CASES = {
    "ultraface": Case(
        "ultraface", "rk3588", 40_189_618, 1_150_000, ("concat_on_spatial_axis",), SLOW
    ),
    "grouped": Case("grouped", "rk3588", 26_237_191, 2_100_000, ("merge_groups",), SLOW),
    "grouped for rk3576": Case(
        "grouped", "rk3576", 52_055_239, 2_550_000, ("merge_groups",), SLOW
    ),
    "depthwise multiplier": Case(
        "depthwise_multiplier", "rk3588", 9_607_687, 500_000, ("split_depthwise_multiplier",),
    ),
    "mobilenet": Case("mobilenet_v2_like", "rk3588", 4_167_947, 4_000_000, ()),
    "ssd_detector": Case(
        "ssd_detector", "rk3588", 5_516_338, 450_000,
        ("slice_before_concat", "concat_on_spatial_axis"),
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Build:
    """One build, read before the next takes its place. cosines: worst of each tensor and output."""

    size_bytes: int
    network: bytes
    cosines: dict[str, float]
    float_layers: int
    findings: dict[str, Any]

    @classmethod
    def of(cls, workspace: Workspace, case: Case) -> Build:
        def told(path: str) -> Any:
            return json.loads(workspace.built(case.model, f"{case.target}/{path}").read_text())

        metrics = told("report/metrics.json")
        rows = told("report/layers.json")["layers"]
        return cls(
            workspace.built(case.model, f"{case.target}/model.rknn").stat().st_size,
            workspace.built(case.model, "simplify/model.onnx").read_bytes(),
            {
                **{
                    f"{column} {row['tensor']}": row[column]["cosine"]["worst"]
                    for row in rows
                    for column in ("entire", "single")
                    if row[column]
                },
                **{
                    f"output {name}": found["cosine"]["worst"]
                    for name, found in metrics["outputs"].items()
                },
            },
            sum("FLOAT" in (row["dtype"] or "") for row in told("build.json")["layers"]),
            {found["name"]: found for found in told("report/bytes.json")["findings"]},
        )


@dataclass(frozen=True)
class Visit:
    """A model at the doctor: twice, then `--apply`, then ./doit, then its old recipe again."""

    case: Case
    workspace: Workspace
    plain: Build
    cured: Build
    recipe: dict[str, Any]
    first: Ran
    again: Ran
    applied: Ran
    rebuilt: Ran
    back: Ran

    @property
    def simplify(self) -> list[str]:
        """The recipe's rewrites that the doctor wrote."""
        rewrites: list[str] = self.recipe.get("simplify", {}).get("rewrite", [])
        return [name for name in rewrites if name != "fold_batch_norm"]


def visit(workspace: Workspace, case: Case) -> Visit:
    name = f"{case.model}@{case.target}"
    asked = ("doctor", name, *case.arguments)
    first = workspace.doit(*asked)
    assert first.code == 0, first.err
    again = workspace.doit(*asked)
    plain = Build.of(workspace, case)
    place = workspace.root / "models" / case.model / "recipe.yaml"
    before = place.read_bytes()
    applied = workspace.doit(*asked, "--apply")
    recipe = yaml.safe_load(place.read_text())
    rebuilt = workspace.doit(name)
    cured = Build.of(workspace, case)
    place.write_bytes(before)
    back = workspace.doit(name)
    return Visit(case, workspace, plain, cured, recipe, first, again, applied, rebuilt, back)


@pytest.fixture(scope="module")
def visits(
    request: pytest.FixtureRequest,
    built_diseases: Workspace,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[dict[str, Future[Visit]]]:
    """A visit of each case that a test of this run wants, some at once in workspaces apart."""
    calls = (getattr(item, "callspec", None) for item in request.session.items)
    wanted = {call.params.get("visited") for call in calls if call}
    built = dict.fromkeys(CASES, built_diseases)
    if "ultraface" in wanted and real_models().is_dir():
        built["ultraface"] = request.getfixturevalue("built_ultraface")

    def start(name: str) -> Visit:
        folder = tmp_path_factory.mktemp("visit")
        return visit(admit(CASES[name], folder, built[name]), CASES[name])

    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield {
            name: pool.submit(start, name)
            for name in CASES
            if name in wanted and (name != "ultraface" or real_models().is_dir())
        }


@pytest.fixture(scope="module", params=CASES)
def visited(request: pytest.FixtureRequest, visits: dict[str, Future[Visit]]) -> Visit:
    if request.param == "ultraface":
        request.getfixturevalue("realworld")  # skips where it is absent
    return visits[request.param].result()


def admit(case: Case, folder: Path, built: Workspace) -> Workspace:
    """A workspace with the case's model alone, as it was built or not built yet."""
    workspace = Workspace(folder)
    home = folder / "models" / case.model
    if case.model == "ssd_detector":  # of this repository, its cure taken out of the recipe
        ignored = shutil.ignore_patterns("build", "dvc.*")
        shutil.copytree(ROOT / "models" / case.model, home, ignore=ignored)
        cure = "    - slice_before_concat\n    - concat_on_spatial_axis\n"
        workspace.edit(case.model, cure, "")
        return workspace
    shutil.copytree(built.root / "models" / case.model, home)
    (folder / ".dvc/cache").symlink_to(built.root / ".dvc/cache")
    return workspace


def test_the_best_remedy_is_as_small_as_it_says(visited: Visit) -> None:
    case, plain, cured = visited.case, visited.plain, visited.cured
    assert plain.size_bytes == case.plain
    assert cured.size_bytes <= case.at_most
    sizes = f"{quantity(cured.size_bytes)} instead of {quantity(plain.size_bytes)}"
    told = visited.first.out
    assert f"best: {sizes}; in models/{case.model}/recipe.yaml:\n" in told, told + visited.first.err
    assert tuple(visited.simplify) == case.rewrites


def test_no_layer_and_no_output_is_worse(visited: Visit) -> None:
    before, after = visited.plain.cosines, visited.cured.cosines
    common = before.keys() & after.keys()
    assert {name for name in before if name.startswith("output ")} <= common
    assert len(common) > 20
    assert max(before[name] - after[name] for name in common) <= 0.0005
    if visited.case.model == "ultraface":  # all but the toolkit's own Reshapes, such as `459-rs`
        assert all(re.search("[-_]rs", name) for name in before.keys() - after.keys())


def test_exact_means_what_it_says(visited: Visit) -> None:
    """Bit for bit where only places change, else within the rules' bound."""
    rules = [RULES[name] for name in visited.case.rewrites]
    bound = max((rule.rounding for rule in rules), default=0.0)
    plain, cured = (onnx.load_from_string(b.network) for b in (visited.plain, visited.cured))
    changes = list(relative_changes(plain, cured))
    assert max(changes) <= bound
    said = re.findall(r" (\S+)  (\w+)\n", table(visited.first))
    own = {exact for exact, remedy in said if remedy in visited.case.rewrites}
    assert bool(own) == bool(visited.case.rewrites)
    assert own <= {"yes"} if not bound else all(0 < float(exact) <= bound for exact in own)


def test_a_second_visit_costs_nothing(visited: Visit) -> None:
    assert visited.again.steps == visited.applied.steps == {}
    assert table(visited.again) == table(visited.applied) == table(visited.first)


def test_applied_it_comes_from_the_cache_and_so_does_the_way_back(visited: Visit) -> None:
    assert visited.applied.code == visited.rebuilt.code == 0
    for ran in (visited.rebuilt, visited.back):
        assert set(ran.steps.values()) == {"restored"}, ran.err


def test_it_fits_a_terminal(visited: Visit) -> None:
    """But for the row of ./doit itself, which is as long as the model's name."""
    lines = visited.first.out.partition("of ONNX became")[2].splitlines()
    assert max(map(len, lines)) <= COLUMNS


def only(*names: str) -> pytest.MarkDecorator:
    """For what holds of these cases alone."""
    return pytest.mark.parametrize("visited", names, indirect=True)


@only("grouped", "grouped for rk3576", "depthwise multiplier")
def test_no_layer_is_left_in_float(visited: Visit) -> None:
    assert visited.cured.float_layers == 0


@only("grouped for rk3576")
def test_float_layers_are_a_consequence(visited: Visit) -> None:
    assert visited.plain.float_layers > 10
    consequence = visited.plain.findings["float_fallback"]["because"]
    assert f"  a consequence of {consequence}, above\n" in visited.first.out


@only("mobilenet")
def test_pooling_is_told_not_to_be_the_cause(visited: Visit) -> None:
    size = visited.plain.findings["global_pooling"]["bytes"]
    assert 62_720 < size < 80_000
    told = " ".join(visited.first.out.split())
    assert "no cause: global pooling is not the cause (`/97/GlobalAveragePool`: " in told
    assert f"{size / 1e3:.1f} KB" in told


@only("ssd_detector")
def test_the_detector_of_this_repository_has_the_cure_in_its_recipe(visited: Visit) -> None:
    recipe = yaml.safe_load((ROOT / "models/ssd_detector/recipe.yaml").read_text())
    assert recipe["simplify"] == visited.recipe["simplify"]
    assert "artifact / ONNX bytes" in visited.first.err  # its gate
    assert visited.rebuilt.err.count("artifact / ONNX bytes") == 0
    text = (ROOT / "models/ssd_detector/recipe.yaml").read_text()
    assert "# - cut_postprocessing" in text


@only("ultraface")
def test_cut_off_the_rest_is_a_file_of_its_own(visited: Visit) -> None:
    ultraface = visited.workspace
    (tail,) = ultraface.built("ultraface", "trials").glob("*/simplify/tail.onnx")
    folder = tail.parents[1]
    assert (folder / "rk3588/model.rknn").stat().st_size <= 800_000
    whole = read(ultraface.built("ultraface", "simplify/model.onnx"))
    run, parts = FloatRun(whole), CutRun(read(tail.with_name("model.onnx")), read(tail))
    for given in some(drawn(whole)):
        one, other = run(given), parts(given)
        assert all(one[name].tobytes() == other[name].tobytes() for name in some(one))
    metrics = json.loads((folder / "rk3588/report/metrics.json").read_text())
    assert len(metrics["outputs"]) == 8
    assert min(head["cosine"]["worst"] for head in metrics["outputs"].values()) > 0.98


def relative_changes(before: onnx.ModelProto, after: onnx.ModelProto) -> Iterator[float]:
    """Largest change of each output on each draw, as a share of its largest; 0: bit for bit."""
    one, other = FloatRun(before), FloatRun(after)
    for given in some(drawn(before)):
        expected, found = one(given), other(given)
        assert expected.keys() == found.keys()
        for name, array in expected.items():
            if array.tobytes() != found[name].tobytes():
                old, new = (np.asarray(one, np.float64) for one in (array, found[name]))
                yield float(np.abs(old - new).max() / np.abs(old).max())
            else:
                yield 0.0


def drawn(model: onnx.ModelProto) -> list[dict[str, Any]]:
    types = input_types(model)
    return [dict(random_inputs(types, draw)) for draw in range(DRAWS)]


def table(ran: Ran) -> str:
    return ran.out[ran.out.index("artifact  ratio  Mcycles") :]
