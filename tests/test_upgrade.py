"""./doit upgrade: other toolkits and platforms for what there is, aside."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipelines.doctor import upgrade
from pipelines.doctor.remedy import Remedy
from pipelines.doctor.trial import Result
from pipelines.doctor.upgrade import Cell, Choice
from pipelines.front.commands.models.upgrade import lines
from tests.browser import COLUMN, drive, in_chromium
from tests.checkout import Checkout
from tests.small_models import conv_net, samples
from tests.test_cures import pooled
from tests.test_cures import recipe as pooled_recipe

NEW, OLD = "rknn-2.5.0", "rknn-2.3.2"
TINY = {
    "source": {"onnx": "net.onnx"},
    "quantize": {"calibration": {"npy": "samples.npy"}},
    "analyze": {"samples": 2},
    "targets": {"rk3588": {}, "again": {"platform": "rk3588", "toolchain": OLD}},
}
FINE = Result(Remedy(), 1000, 1.0, 1000, worst_output_cosine=0.999, error=0.01)
GONE = Result(Remedy(), failure="the SDK refused it")


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ({}, "same"),
        ({"error": 0.0119, "artifact_bytes": 1005, "cycles": 1019}, "same"),
        ({"error": 0.05}, "loses"),
        ({"error": None}, "loses"),
        ({"worst_output_cosine": None}, "loses"),
        ({"worst_output_cosine": 0.9}, "loses"),
        ({"artifact_bytes": 900}, "gains"),
        ({"artifact_bytes": 1010}, "loses"),
        ({"cycles": 900}, "gains"),
        ({"cycles": 900, "error": 0.02}, "mixed"),
        ({"cycles": None}, "same"),
    ],
)
def test_a_verdict_is_of_error_bytes_and_cycles(changes: dict[str, Any], verdict: str) -> None:
    assert upgrade.verdict(FINE, replace(FINE, **changes)) == verdict


def test_a_build_that_comes_or_goes_is_told_whatever_its_figures() -> None:
    assert upgrade.verdict(FINE, GONE) == "breaks"
    assert upgrade.verdict(GONE, FINE) == "builds"
    assert upgrade.verdict(GONE, GONE) == "fails"


def test_a_target_is_held_to_its_own_toolchain() -> None:
    cells = [Cell(Choice(OLD), FINE), Cell(Choice(NEW), replace(FINE, cycles=500))]
    row = upgrade.judged("m@t", cells, NEW)
    assert [(cell.choice.toolchain, cell.verdict) for cell in row.cells] == [
        (NEW, ""),
        (OLD, "loses"),
    ]
    assert [cell.verdict for cell in upgrade.judged("m@t", cells, "another").cells] == ["", "gains"]


def test_figures_of_two_platforms_are_not_held_together() -> None:
    found = upgrade.choices([OLD, NEW], ["rk3566", "rv1106"])
    assert [{choice.platform for choice in alike} for alike in found] == [{"rk3566"}, {"rv1106"}]
    assert upgrade.choices([NEW], []) == [[Choice(NEW)]]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    made = Checkout(tmp_path_factory.mktemp("upgrade") / "checkout")
    made.add("tiny", TINY, net__onnx=conv_net(), samples__npy=samples(4))
    files = {"net__onnx": pooled(), "samples__npy": samples(4, (3, 32, 32))}
    made.add("pooled", pooled_recipe(["rk3588"]), **files)
    made.commit("models")
    return made


@pytest.mark.toolchain
def test_the_registry_is_built_aside_and_in_the_cache_afterwards(
    checkout: Checkout, tmp_path: Path
) -> None:
    assert checkout.doit("tiny@again").code == 0
    lock = checkout.root / "models" / "tiny" / "dvc.lock"
    before = lock.read_bytes()
    page = tmp_path / "upgrade.html"
    words = ("--toolchain", OLD, "--toolchain", NEW, "--json", "--html", str(page))
    ran = checkout.doit("upgrade", *words)
    assert ran.code == 0, ran.err
    told = {row["target"]: row["cells"] for row in json.loads(ran.out)}
    assert [*told] == ["pooled@rk3588", "tiny@rk3588", "tiny@again"]
    for cell in told["pooled@rk3588"]:
        assert cell["failure"] == "a size of 16 is over the NPU's 8"
        assert (cell["bytes"], cell["cure"]["remedy"]) == (None, "split_average_pool")
        assert cell["cure"]["bytes"] <= 60_000
    assert [cell["verdict"] for cell in told["pooled@rk3588"]] == ["", "fails"]
    own = json.loads(checkout.built("tiny", "again/report/metrics.json").read_text())
    first, other = told["tiny@again"]
    assert (first["toolchain"], other["toolchain"]) == (OLD, NEW)
    assert first["bytes"] == own["bytes"]["rknn"]
    assert [{**cell, "verdict": ""} for cell in told["tiny@rk3588"]] == [
        {**cell, "verdict": ""} for cell in (other, first)
    ]
    assert "default-src 'none'" in page.read_text()
    assert "split_average_pool" in page.read_text()
    assert lock.read_bytes() == before
    checkout.edit("tiny", f"toolchain: {OLD}", f"toolchain: {NEW}")
    restored = checkout.doit("tiny@again")
    assert restored.code == 0
    assert json.loads(checkout.built("tiny", "again/build.json").read_text())["toolkit"] == "2.5.0"
    assert {*restored.steps.values()} <= {"restored", "up to date"}, restored.steps


@in_chromium
@pytest.mark.toolchain
def test_the_page_in_a_browser(checkout: Checkout, tmp_path: Path) -> None:
    page = tmp_path / "upgrade.html"
    words = ("--toolchain", OLD, "--toolchain", NEW, "--json", "--html", str(page))
    ran = checkout.doit("upgrade", *words)
    assert ran.code == 0, ran.err
    told = json.loads(ran.out)
    cells = [(row["target"], cell) for row in told for cell in row["cells"]]
    built = [cell["bytes"] for _, cell in cells if cell["bytes"] is not None]
    shot = {"do": "screenshot", "width": 400}
    seen = drive(
        page,
        [
            {"do": "run", "code": COLUMN.format(0)},
            {"do": "click", "at": "[data-filtered] th:nth-child(4) button"},
            {"do": "run", "code": COLUMN.format(3)},
            {"do": "fill", "at": "#filter", "text": "pooled fails"},
            {"do": "run", "code": COLUMN.format(0)},
            {"do": "run", "code": "document.querySelector('main pre').textContent"},
            *({**shot, "scheme": scheme, "file": str(tmp_path / f"{scheme}.png")}
              for scheme in ("light", "dark")),
        ],
    )  # fmt: skip
    assert seen[0]["value"] == [name for name, _ in cells]
    sorted_bytes = seen[2]["value"]
    assert sorted_bytes == [f"{size:,}" for size in sorted(built, reverse=True)] + ["–"] * 2
    assert seen[4]["value"] == ["pooled@rk3588"] * 2
    assert seen[5]["value"].split() == [
        word for line in cells[0][1]["cure"]["lines"] for word in line.split()
    ]
    assert [one["overflow"] for one in seen[6:]] == [0, 0]
    assert (tmp_path / "light.png").read_bytes() != (tmp_path / "dark.png").read_bytes()


def test_the_table_fits_80_columns() -> None:
    broken = Cell(Choice(NEW, "rk3588"), GONE, "breaks", FINE, ["simplify:", "  rewrite: [x]"])
    row = upgrade.Row(
        "a_model_of_a_long_name@rk3588-old", [Cell(Choice(OLD, "rk3588"), FINE), broken]
    )
    made = list(lines([row]))
    assert max(map(len, made)) <= 80
    assert made[-1] == "1 breaks"
    assert "    simplify:" in made


@pytest.mark.toolchain
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--toolchain", "rknn-2.5.1"), "did you mean `rknn-2.5.0`?"),
        (("--toolchain", NEW, "--platform", "rk3599"), "no platform `rk3599`"),
        (("tinny", "--toolchain", NEW), "did you mean `tiny`?"),
        ((), "--toolchain"),
    ],
)
def test_unknown_names_are_told(checkout: Checkout, words: tuple[str, ...], said: str) -> None:
    ran = checkout.doit("upgrade", *words)
    assert ran.code == 3
    assert said in ran.err
