"""./doit diff: targets, commits and files side by side."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pipelines.report.comparison import text
from pipelines.report.comparison.compare import compare
from pipelines.report.comparison.side import Side
from tests.browser import COLUMN, drive, in_chromium
from tests.checkout import Checkout
from tests.small_models import conv_net, samples

RECIPE = {
    "source": {"onnx": "net.onnx"},
    "quantize": {"calibration": {"npy": "samples.npy"}},
    "analyze": {"samples": 2},
    "targets": {"rk3588": {}, "rk3588-old": {"platform": "rk3588", "toolchain": "rknn-2.3.2"}},
}


def layer(tensor: str, **told: Any) -> dict[str, Any]:
    numbers = dict.fromkeys(("cycles", "bytes", "entire", "single"))
    return {"tensor": tensor, "op": "Conv", "shape": [1], "dtype": "INT8", "target": "NPU",
            **numbers, **told}  # fmt: skip


def side(name: str, *layers: dict[str, Any], **told: Any) -> Side:
    return Side(name, 100, {}, {}, layers, **{"kinds": {}, **told})


def test_layers_are_matched_by_name_and_shape_and_the_worst_stands_first() -> None:
    a = side("a", layer("x", single=0.9), layer("y", single=0.9), layer("z", cycles=5), layer("w"))
    b = side("b", layer("y", single=0.5), layer("x", single=0.8), layer("z", cycles=9), layer("v"))
    told = compare(a, b)["layers"]
    assert [row["tensor"] for row in told["changed"]] == ["y", "x", "z"]
    assert told["changed"][0]["b"] == {"single": 0.5}
    assert [row["tensor"] for row in told["only_a"] + told["only_b"]] == ["w", "v"]


def test_of_one_name_the_same_shape_is_taken() -> None:
    a = side("a", layer("x", shape=[1]), layer("x", shape=[2]))
    b = side("b", layer("x", shape=[2]), layer("x", shape=[1]))
    assert compare(a, b)["layers"]["same"] == 2


def test_what_was_never_measured_is_no_difference() -> None:
    told = compare(side("a", layer("x")), side("b", layer("x", cycles=3, single=0.1)))
    assert told["layers"]["same"] == 1


def test_findings_and_kinds_that_came_and_went() -> None:
    a = side("a", kinds={"payload": 9, "tasks": 1}, findings={"old": "went"})
    b = side("b", kinds={"payload": 4, "copies": 7}, findings={"new": "came"})
    told = compare(a, b)
    assert told["findings"] == {"gone": [("old", "went")], "came": [("new", "came")]}
    assert [row[0] for row in told["kinds"]] == ["copies", "tasks", "payload"]
    assert max(map(len, text.lines(told))) <= 80


def test_an_output_that_is_not_finite_is_the_worst_and_no_output_that_is_not_there() -> None:
    a = side("a", errors={"fine": 0.1, "lost": 0.2, "found": None, "gone": 0.3})
    b = side("b", errors={"fine": 0.6, "lost": None, "found": 0.1, "new": 0.1})
    told = compare(a, b)
    assert [row[0] for row in told["errors"]] == ["lost", "fine", "new", "gone", "found"]
    assert told["errors"][0] == ("lost", 0.2, "NaN")
    rows = [line.split() for line in text.lines(told)]
    assert ["lost", "20.00%", "NaN"] in rows
    assert ["gone", "30.00%", "-"] in rows


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """Built, committed, and built again with another calibration."""
    made = Checkout(tmp_path_factory.mktemp("diff") / "checkout")
    made.add("tiny", RECIPE, net__onnx=conv_net(), samples__npy=samples(4))
    ran = made.doit("tiny")
    assert ran.code == 0, ran.err
    made.commit("built")
    made.edit("tiny", "quantize:\n", "quantize:\n  algorithm: mmse\n")
    ran = made.doit("tiny")
    assert ran.code == 0, ran.err
    return made


@pytest.mark.toolchain
def test_two_toolkits_two_files_and_a_commit(checkout: Checkout, tmp_path: Path) -> None:
    names = ("tiny@rk3588", "tiny@rk3588-old")
    told = checkout.doit("diff", *names)
    assert (told.code, max(map(len, told.out.splitlines())) <= 80) == (0, True), told.err
    assert "2.3.2" in told.out
    files = [f"models/tiny/build/{name.partition('@')[2]}/model.rknn" for name in names]
    of_files = json.loads(checkout.doit("diff", *files, "--json").out)
    of_targets = json.loads(checkout.doit("diff", *names, "--json").out)
    assert of_files["about"] == of_targets["about"]
    for told_of in (of_files, of_targets):
        grown = sum((b or 0) - (a or 0) for _, a, b in told_of["kinds"])
        assert grown == told_of["b"]["file_bytes"] - told_of["a"]["file_bytes"]
    # The same file, alone and as a target: what is known of it alone is no difference.
    mixed = json.loads(checkout.doit("diff", files[0], names[0], "--json").out)
    assert [mixed[key] for key in ("kinds", "rules", "errors")] == [[], [], []]
    assert mixed["findings"] == {"gone": [], "came": []}
    assert of_targets["a"]["file_bytes"] == checkout.root.joinpath(files[0]).stat().st_size
    older = json.loads(checkout.doit("diff", "HEAD:tiny@rk3588", "tiny@rk3588", "--json").out)
    metrics = checkout.built("tiny", "rk3588/report/metrics.json")
    now = json.loads(metrics.read_text())["outputs"]
    assert {row[0]: row[2] for row in older["errors"]} == {
        row[0]: now[row[0]]["relative_error"] for row in older["errors"]
    }
    assert older["errors"] or older["layers"]["changed"]
    page = tmp_path / "diff.html"
    assert checkout.doit("diff", *names, "--html", str(page)).code == 0
    assert "default-src 'none'" in page.read_text()


@in_chromium
@pytest.mark.toolchain
def test_the_page_in_a_browser(checkout: Checkout, tmp_path: Path) -> None:
    page = tmp_path / "diff.html"
    words = ("diff", "HEAD:tiny@rk3588", "tiny@rk3588", "--json", "--html", str(page))
    ran = checkout.doit(*words)
    assert ran.code == 0, ran.err
    layers = json.loads(ran.out)["layers"]
    told = [(row["tensor"], key) for row in layers["changed"] for key in row["a"]]
    told += [(row["tensor"], f"only in the {n}") for n, k in (("first", "only_a"),
             ("second", "only_b")) for row in layers[k]]  # fmt: skip
    assert len({tensor for tensor, _ in told}) > 1
    head = "[data-filtered] th:nth-child({}) button"
    shot = {"do": "screenshot", "width": 400}
    seen = drive(
        page,
        [
            {"do": "run", "code": COLUMN.format(0)},
            {"do": "run", "code": COLUMN.format(2)},
            {"do": "click", "at": head.format(5)},
            {"do": "run", "code": COLUMN.format(4)},
            {"do": "fill", "at": "#filter", "text": told[0][0]},
            {"do": "run", "code": COLUMN.format(0)},
            {"do": "run", "code": "document.getElementById('shown').textContent"},
            *({**shot, "scheme": scheme, "file": str(tmp_path / f"{scheme}.png")}
              for scheme in ("light", "dark")),
        ],
    )  # fmt: skip
    assert [*zip(seen[0]["value"], seen[1]["value"], strict=True)] == told
    values = [float(cell.replace(",", "")) for cell in seen[3]["value"] if cell]
    assert values == sorted(values, reverse=True)
    assert set(seen[5]["value"]) == {
        tensor for tensor, _ in told if told[0][0].lower() in tensor.lower()
    }
    assert seen[6]["value"] == f"{len(seen[5]['value'])} of {len(told)}"
    assert [one["overflow"] for one in seen[7:]] == [0, 0]
    assert (tmp_path / "light.png").read_bytes() != (tmp_path / "dark.png").read_bytes()


@pytest.mark.toolchain
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("tiny@rk3589", "tiny@rk3588"), "did you mean `tiny@rk3588`?"),
        (("nowhere:tiny@rk3588", "tiny@rk3588"), "git knows no commit `nowhere`"),
        (("HEAD:other@rk3588", "tiny@rk3588"), "HEAD has no models/other/dvc.lock"),
        (("HEAD:tiny@rk9999", "tiny@rk3588"), "no built target `rk9999` at HEAD"),
        (("dodo.py", "tiny@rk3588"), "dodo.py: "),
    ],
)
def test_what_is_not_there_is_told(checkout: Checkout, words: tuple[str, str], said: str) -> None:
    told = checkout.doit("diff", *words)
    assert told.code == 3
    assert said in told.err


@pytest.mark.toolchain
def test_a_stale_target_is_refused(checkout: Checkout) -> None:
    checkout.edit("tiny", "algorithm: mmse", "algorithm: normal")
    try:
        told = checkout.doit("diff", "tiny@rk3588", "tiny@rk3588-old")
    finally:
        checkout.edit("tiny", "algorithm: normal", "algorithm: mmse")
    assert (told.code, "tiny@rk3588 is not up to date" in told.err) == (3, True)
