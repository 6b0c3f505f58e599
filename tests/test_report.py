"""./doit report: what its pages say, that nothing in them runs or loads, in a real browser."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from benchmarks.made_networks import chain
from pipelines.report.page import graph_change, layers, node_data, registry
from tests.browser import COLUMN as SHOWN
from tests.browser import drive, in_chromium
from tests.conftest import ROOT
from tests.graph_builder import parsed
from tests.small_models import recipe, samples
from tests.vacuous import some
from tests.workspace import Workspace

ODD = ('a<b>&amp;"q"', "it's</script><b>bold</b>", "<img src=x>", "{{ 7 * 7 }}${1}")
CLASSES = 4
LINKS = {"data:,", "../index.html", "odd/report.html", "absent/report.html"}


def odd_network() -> bytes:
    """Four convolutions whose tensors and nodes have names that are markup, were they no text."""
    nodes, weights, last = [], [], "x"
    rng = np.random.default_rng(0)
    for i, name in enumerate(ODD):
        shape = (CLASSES if i == len(ODD) - 1 else 16, 3 if i == 0 else 16, 3, 3)
        weights.append(numpy_helper.from_array(rng.standard_normal(shape, np.float32) / 8, f"w{i}"))
        nodes.append(helper.make_node("Conv", [last, f"w{i}"], [name], f"n{name}", pads=[1] * 4))
        last = name
    nodes.append(helper.make_node("GlobalAveragePool", [last], ["y"], "pool"))
    image, scores = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in (("x", [1, 3, 16, 16]), ("y", [1, CLASSES, 1, 1]))
    )
    graph = helper.make_graph(nodes, "odd", [image], [scores], weights)
    opsets = [helper.make_opsetid("", 13)]
    model = helper.make_model(graph, ir_version=8, opset_imports=opsets)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


RECIPE = {
    "description": "<i>odd</i> & </script> names",
    "source": {"onnx": "net.onnx"},
    "quantize": {"calibration": {"npy": "samples.npy"}},
    "analyze": {"samples": 2},
    "targets": {"rk3588": {}, "int8": {"backend": "fixed_point", "input_scale": 16}},
}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    workspace = Workspace(tmp_path_factory.mktemp("report"))
    files = {"net__onnx": odd_network(), "samples__npy": samples(4, (3, 16, 16))}
    workspace.add("odd", RECIPE, **files)
    workspace.add("absent", RECIPE, **files)
    ran = workspace.doit("odd")
    assert ran.code == 0, ran.err
    told = workspace.doit("report")
    assert told.code == 0, told.err
    assert "absent is not built for rk3588, int8: ./doit absent" in told.err
    return workspace


def page_of(workspace: Workspace, model: str = "odd") -> Path:
    return workspace.root / "build/report" / model / "report.html"


def data_in(page: Path) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page.read_text())
    assert found is not None
    return dict(json.loads(found[1]))


@pytest.mark.toolchain
def test_a_page_holds_what_was_recorded(built: Workspace) -> None:
    page = data_in(page_of(built))
    for target in some(page["targets"]):
        report = built.built("odd", f"{target['name']}/report")
        metrics = json.loads((report / "metrics.json").read_text())
        assert target["output_error"] == metrics["worst_output_error"]
        rows = json.loads((report / "layers.json").read_text())["layers"]
        assert target["layers"]["tensor"] == [row["tensor"] for row in rows]
        for file in some(target["ledgers"].values()):
            of_nodes = sum(node[2] for node in file["nodes"])
            assert of_nodes == file["bytes"] == sum(file["kinds"].values())
    names = [file["name"] for file in page["targets"][1]["files"]]
    assert names == ["odd_quant.onnx", "odd_quant.tflite"]


@pytest.mark.toolchain
def test_a_page_is_small_and_names_nothing_to_load(built: Workspace) -> None:
    for name in ("odd/report.html", "absent/report.html", "index.html"):
        text = (built.root / "build/report" / name).read_text()
        assert len(text) < 2_000_000
        own = re.sub(r"<script>.*?</script>", "", text, flags=re.S)
        assert set(re.findall(r'(?:src|href)="([^"#][^"]*)"', own)) <= LINKS
        assert "default-src 'none'" in own
        assert "<img" not in own
        assert "<b>bold" not in own


@pytest.mark.toolchain
def test_node_data_names_nodes_and_tensors_of_the_network(built: Workspace) -> None:
    network = onnx.load(built.built("odd", "simplify/model.onnx"))
    known = {node.name for node in network.graph.node}
    for quantity in ("single_error", "bytes", "cycles"):
        file = built.root / f"build/report/odd/rk3588.{quantity}.json"
        told = json.loads(file.read_text())
        values = [row["value"] for row in told["results"].values()]
        assert known & set(told["results"]), quantity
        assert min(values) >= 0
        assert [stop["stop"] for stop in told["gradient"]] == [0, 0.5, 1]


@pytest.mark.toolchain
def test_a_stale_target_is_told_in_the_page(built: Workspace, tmp_path: Path) -> None:
    built.edit("odd", "samples: 2", "samples: 3")
    try:
        told = built.doit("report", "odd", "--output", str(tmp_path))
    finally:
        built.edit("odd", "samples: 3", "samples: 2")
    assert "odd@rk3588 is stale, and the page says so: odd:analyze@rk3588: param" in told.err
    assert "is not of the present recipe" in (tmp_path / "odd/report.html").read_text()
    assert "stale: rk3588, int8" in (tmp_path / "index.html").read_text()


VENDOR = ROOT / "pipelines/report/page/assets/vendor"
PINS = [line.split() for line in (VENDOR / "pins.txt").read_text().splitlines() if line[0] != "#"]
LICENCES = (VENDOR / "LICENSES.txt").read_text()


@pytest.mark.toolchain
def test_a_place_that_is_a_file_is_told_and_left(built: Workspace, tmp_path: Path) -> None:
    (tmp_path / "pages").write_text("notes")
    ran = built.doit("report", "odd", "-o", str(tmp_path / "pages"))
    assert ran.code == 3
    assert ran.err.splitlines()[0] == "npumake: the pages can't be written"
    assert str(tmp_path / "pages") in ran.err
    assert [path.name for path in tmp_path.iterdir()] == ["pages"]


def test_the_libraries_are_those_that_were_published() -> None:
    assert {pin[0] for pin in PINS} == {file.name for file in VENDOR.glob("*.js")}
    for name, package, _, digest, _ in PINS:
        assert hashlib.sha256((VENDOR / name).read_bytes()).hexdigest() == digest, package
        assert package.replace("@", "-").strip("-").replace("/", "-") in LICENCES


def test_an_unknown_model_is_told(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    workspace.add("odd", RECIPE, net__onnx=odd_network(), samples__npy=b"")
    assert "did you mean `odd`?" in workspace.doit("report", "ood").err


ROWS = "[...document.querySelectorAll('#layer-table tbody tr')]"
COLUMN = ROWS + ".filter((row) => !row.hidden).map((row) => row.cells[{}].textContent)"


@in_chromium
@pytest.mark.toolchain
def test_odd_names_are_shown_as_text(built: Workspace) -> None:
    seen = drive(
        page_of(built),
        [
            {"do": "run", "code": COLUMN.format(2)},
            {"do": "run", "code": "document.querySelector('.lead').textContent"},
            {
                "do": "run",
                "code": "document.querySelectorAll('img, .name b, h1 b, .lead i').length",
            },
            {"do": "run", "code": "document.getElementById('treemap').textContent"},
        ],
    )
    assert set(ODD) <= set(seen[0]["value"])
    assert [one["value"] for one in seen[1:3]] == [RECIPE["description"], 0]
    assert "payload" in seen[3]["value"]


@in_chromium
@pytest.mark.toolchain
def test_the_table_sorts_and_filters_and_targets_change(built: Workspace) -> None:
    head = "#layer-table th:nth-child({}) button"
    seen = drive(
        page_of(built),
        [
            {"do": "click", "at": head.format(6)},
            {"do": "run", "code": COLUMN.format(5)},
            {"do": "click", "at": head.format(6)},
            {"do": "run", "code": COLUMN.format(5)},
            {"do": "fill", "at": "#filter", "text": "conv bold"},
            {"do": "run", "code": COLUMN.format(2)},
            {"do": "run", "code": "document.getElementById('shown').textContent"},
            {"do": "fill", "at": "#filter", "text": ""},
            {"do": "click", "at": "#picker button:nth-of-type(2)"},
            {"do": "run", "code": "document.querySelector('#bytes small').textContent"},
            {"do": "click", "at": "#ledger-files button:nth-of-type(2)"},
            {"do": "run", "code": "document.querySelectorAll('#treemap rect').length"},
            {"do": "click", "at": "#overlay button"},
            {"do": "run", "code": "document.querySelectorAll('#error-chart path').length"},
        ],
    )
    values: list[Any] = [one.get("value") for one in seen]
    down, up = ([int(cell.replace(",", "")) for cell in values[i] if cell != "–"] for i in (1, 3))
    assert down == sorted(down, reverse=True)
    assert up == sorted(up)
    assert len(down) > 3
    assert values[3][-1] == "–"  # what has no cycles stands last, either way
    assert values[5] == [ODD[1]]
    assert values[6].startswith("1 of ")
    assert values[9] == "int8"
    assert values[11] > 5
    assert values[13] > 0


@in_chromium
@pytest.mark.toolchain
def test_odd_names_are_text_in_a_comparison_too(built: Workspace, tmp_path: Path) -> None:
    page = tmp_path / "diff.html"
    ran = built.doit("diff", "odd@rk3588", "odd@int8", "--html", str(page))
    assert ran.code == 0, ran.err
    markup = "document.querySelectorAll('img, .name b, h1 b, script').length"
    seen = drive(page, [{"do": "run", "code": code} for code in (SHOWN.format(0), markup)])
    assert set(ODD) <= set(seen[0]["value"])
    assert seen[1]["value"] == page.read_text().count("<script>") == 1


REVERSED = """(() => {
    const page = JSON.parse(document.getElementById("data").textContent);
    const one = { ...page.targets[0], index: 0 }, other = { ...one, name: "other", index: 1 };
    other.layers = Object.fromEntries(Object.entries(one.layers).map(
        ([name, values]) => [name, [...values].reverse()]));
    const place = document.body.appendChild(document.createElement("div"));
    charts.errors(place, [one, other, { ...page.targets[1], index: 2 }], page.order);
    return place.textContent;
})()"""


@in_chromium
@pytest.mark.toolchain
def test_targets_that_lie_on_one_another_are_told(built: Workspace) -> None:
    """Whatever the order of their layers: platforms order them differently."""
    (seen,) = drive(page_of(built), [{"do": "run", "code": REVERSED}])
    assert "rk3588, other: the same errors, one drawn over the other" in seen["value"]


@in_chromium
@pytest.mark.toolchain
def test_500_layers_are_painted_within_a_second_and_are_below_2_mb(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    net = chain(500).SerializeToString()
    given = recipe(targets={"open": {"backend": "qdq"}})
    workspace.add("long", given, net__onnx=net, samples__npy=samples())
    ran = workspace.doit()
    assert ran.code == 0, ran.err
    assert workspace.doit("report").code == 0
    page = page_of(workspace, "long")
    assert 500_000 < page.stat().st_size <= 2_000_000
    rows = "document.querySelectorAll('#layer-table tbody tr').length"
    paint, counted = drive(page, [{"do": "paint"}, {"do": "run", "code": rows}])
    assert 0 < paint["paint"] < 1000
    assert counted["value"] > 500


@in_chromium
@pytest.mark.toolchain
@pytest.mark.parametrize("name", ["odd/report.html", "absent/report.html", "index.html"])
def test_no_page_is_wider_than_a_small_screen(built: Workspace, tmp_path: Path, name: str) -> None:
    shots = [
        {
            "do": "screenshot",
            "scheme": scheme,
            "width": 400,
            "file": str(tmp_path / f"{scheme}.png"),
        }
        for scheme in ("light", "dark")
    ]
    seen = drive(
        built.root / "build/report" / name,
        [*shots, {"do": "print", "file": str(tmp_path / "p.pdf")}],
    )
    assert [one["overflow"] for one in seen[:2]] == [0, 0]
    assert (tmp_path / "light.png").read_bytes() != (tmp_path / "dark.png").read_bytes()
    assert (tmp_path / "p.pdf").stat().st_size > 5000


@pytest.mark.parametrize(
    ("several", "order"),
    [
        ([["a", "b", "c"], ["a", "x", "c"]], ["a", "x", "b", "c"]),
        ([["a", None, "b"], ["b", "z"]], ["a", "b", "z"]),
        ([["b"], ["n", "b"]], ["b", "n"]),
        ([], []),
    ],
)
def test_tensors_of_several_targets_in_one_order(
    several: list[list[str | None]], order: list[str]
) -> None:
    assert layers.in_order(several) == order


GRAPHS = {
    "nothing": ("y = Relu(x)", "y = Relu(x)", ({}, {}), []),
    "identity goes": ("a = Identity(x) y = Relu(a)", "y = Relu(x)", ({"Identity": 1}, {}), []),
    "two places of one kind": (
        "a = Neg(x) b = Neg(a) c = Relu(b) d = Neg(c) e = Neg(d) y = Relu(e)",
        "c = Relu(x) y = Relu(c)",
        ({"Neg": 4}, {}),
        [(2, {"Neg": 2}, {})],
    ),
    "merged": (
        "a = Neg(x) b = Exp(a) y = Relu(b)",
        "b = Sin(x) y = Relu(b)",
        ({"Neg": 1, "Exp": 1}, {"Sin": 1}),
        [(1, {"Neg": 1, "Exp": 1}, {"Sin": 1})],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", GRAPHS)
def test_what_changed_in_a_graph(name: str) -> None:
    before, after, counts, regions = GRAPHS[name]
    text: Callable[[str], str] = lambda body: f"g (float[4] x) => (float[4] y) {{ {body} }}"  # noqa: E731
    told = graph_change.make(parsed(text(before)), parsed(text(after)))
    assert (told["removed"], told["added"]) == counts
    assert [(r["times"], r["removed"], r["added"]) for r in told["regions"]] == regions
    for region in told["regions"]:
        for side in ("before", "after"):
            assert all(max(edge[:2]) < len(region[side]["nodes"]) for edge in region[side]["edges"])


def test_a_neighbour_of_a_change_is_drawn_beside_it() -> None:
    before = parsed("g (float[4] x) => (float[4] y) { a = Sin(x) b = Neg(a) y = Relu(b) }")
    after = parsed("g (float[4] x) => (float[4] y) { a = Sin(x) y = Relu(a) }")
    drawn = graph_change.make(before, after)["regions"][0]["before"]
    assert [(node[0], node[2]) for node in drawn["nodes"]] == [
        ("Neg", "changed"), ("Sin", "beside"), ("Relu", "beside")
    ]  # fmt: skip
    assert sorted(edge[:2] for edge in drawn["edges"]) == [(0, 2), (1, 0)]


def target(name: str, **told: Any) -> dict[str, Any]:
    figures = dict.fromkeys(("artifact_bytes", *registry._FIGURES))
    known = {"is_built": True, "is_baseline": False, "stale": [], "not_finite": []}
    return {"name": name, **known, **figures, **told}


def test_a_row_of_the_index_has_the_worst_of_each_figure() -> None:
    targets = [
        target("a", drop=0.5, worst_cosine=0.9, size_ratio=2.0),
        target("b", drop=-0.5, worst_cosine=0.8, size_ratio=1.0),
        target("plain", drop=60.0, is_baseline=True),
    ]
    row = registry.row({"model": "m", "description": "", "targets": targets}, None)
    assert (row["drop"], row["worst_cosine"], row["size_ratio"]) == (
        (0.5, "a"),
        (0.8, "b"),
        (2.0, "a"),
    )
    assert row["accuracy"] is None


def test_a_row_of_the_index_tells_of_a_target_that_is_not_finite() -> None:
    """It has no error, and would be hidden by one that has."""
    targets = [target("a", output_error=0.1), target("b", not_finite=["y"])]
    row = registry.row({"model": "m", "description": "", "targets": targets}, None)
    assert (row["not_finite"], row["output_error"]) == (["b"], (0.1, "a"))


def test_node_data_adds_up_what_is_one_node() -> None:
    held = {
        "tensor": ["t", "t", None],
        "cycles": [1, 2, 4],
        "entire": [0.5, None, 0.9],
        "single": [1.0000001, None, None],
    }
    ledger: dict[str, Any] = {"f": {"nodes": [("n", "Conv", 7, {}), (None, None, 9, {})]}}
    told = node_data.make({"layers": held, "ledgers": ledger}, {"t": "n"})
    results = {name: file["results"] for name, file in told.items()}
    assert results == {
        "entire_error": {"n": {"value": 0.5}},
        "single_error": {"n": {"value": 0.0}},
        "cycles": {"n": {"value": 3}},
        "bytes": {"n": {"value": 7}},
    }
