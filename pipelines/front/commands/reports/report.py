"""./doit report [MODEL ...]: pages to look at, one self-contained file a model, and an index."""

from __future__ import annotations

import argparse
import json
import webbrowser
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pipelines.building.project import Project
from pipelines.files import console, unfinished
from pipelines.front.commands.building.why import reasons
from pipelines.front.commands.command import OwnCommand
from pipelines.front.commands.one_page import write_all
from pipelines.front.doit import overview
from pipelines.front.doit.cli import STARTED_IN, unknown
from pipelines.recipe.define.model import Recipe
from pipelines.report.page import model_page, node_data, registry
from pipelines.report.page.render import Page
from pipelines.stages.stage import built
from quant.graph.file import parse

_DEFAULT = "build/report"


class Report(OwnCommand):
    name = "report"
    in_brief = "pages to look at: one a model, and an index"
    doc_purpose = "write a page a model to look at, and an index of all; runs nothing"
    doc_usage = "[MODEL ...] [--output FOLDER] [--open]"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("models", nargs="*", metavar="MODEL", help="default: all")
        parser.add_argument("-o", "--output", metavar="FOLDER", help=f"default: {_DEFAULT}")
        parser.add_argument("--open", action="store_true", help="show it in the browser")

    def act(self, arguments: argparse.Namespace) -> int:
        chosen = _models(self.project, arguments.models)
        given = arguments.output
        folder = Path(STARTED_IN, given) if given else self.project.root / _DEFAULT
        made_by = ", ".join(overview.version_lines())
        stale = _stale(self.project)
        data = {
            name: {**_page(self.project, recipe, stale.get(name, {})), "made_by": made_by}
            for name, recipe in self.project.recipes.items()
        }
        pages = [Page("report", data[name], folder / name / "report.html") for name in chosen]
        pages.append(Page("index", _index(data, chosen, folder, made_by), folder / "index.html"))
        write_all(self.project, pages)
        for name in chosen:
            _write_node_data(self.project, self.project.recipes[name], data[name], folder / name)
        _tell(data, chosen)
        for page in pages:
            console.tell(str(page.place))
        if arguments.open:
            webbrowser.open(pages[0 if len(chosen) == 1 else -1].place.as_uri())
        return 0


def _page(project: Project, recipe: Recipe, stale: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    toolchains = {name for step in project.plan.of(recipe.model) for name in step.toolchains}
    return model_page.make(project.root, recipe, stale, toolchains)


def _models(project: Project, names: Sequence[str]) -> list[str]:
    for name in names:
        if name not in project.recipes:
            raise unknown("model", name, project.recipes, "models")
    return list(dict.fromkeys(names)) or list(project.recipes)


def _stale(project: Project) -> dict[str, dict[str, list[str]]]:
    """Model -> target -> why what is recorded is not of the present recipe."""
    found: dict[str, dict[str, list[str]]] = {}
    shared: dict[str, list[str]] = {}
    for step, why in reasons(project, set(project.plan.steps)):
        told = [f"{step.name}: {reason}" for reason in why]
        if step.target is None:
            shared.setdefault(step.model, []).extend(told)
            continue
        for target in project.recipes[step.model].targets.values():
            if step.target in (target.name, target.family):
                own = found.setdefault(step.model, {}).setdefault(target.name, [])
                own += [*shared.get(step.model, ()), *told]
    return {
        model: {name: list(dict.fromkeys(why))[:4] for name, why in by_target.items() if why}
        for model, by_target in found.items()
    }


def _index(
    data: Mapping[str, Mapping[str, Any]], chosen: Sequence[str], folder: Path, made_by: str
) -> dict[str, Any]:
    """Links lead to pages that are there."""
    there = {name for name in data if (folder / name / "report.html").is_file()} | {*chosen}
    links = {name: f"{name}/report.html" if name in there else None for name in data}
    rows = [registry.row(page, links[name]) for name, page in data.items()]
    return {"rows": rows, "made_by": made_by}


def _write_node_data(
    project: Project, recipe: Recipe, page: Mapping[str, Any], folder: Path
) -> None:
    """For Model Explorer: TARGET.QUANTITY.json beside the page."""
    network = project.root / built(recipe, "simplify/model.onnx")
    names: dict[str, str] = {}
    if network.is_file():
        nodes = parse(network, network.name).graph.node
        names = {out: node.name or out for node in nodes for out in node.output}
    made = {
        f"{target['name']}.{quantity}.json": json.dumps(content, ensure_ascii=False).encode()
        for target in page["targets"]
        if target["is_built"]
        for quantity, content in node_data.make(target, names).items()
    }
    unfinished.write(folder, made)


def _tell(data: Mapping[str, Mapping[str, Any]], chosen: Sequence[str]) -> None:
    for line in (line for name in chosen for line in _doubts(data[name])):
        console.say(line, "yellow")


def _doubts(page: Mapping[str, Any]) -> Iterator[str]:
    """Targets of which the page has nothing, or nothing of the present recipe."""
    absent = [target["name"] for target in page["targets"] if not target["is_built"]]
    if absent:
        yield f"{page['model']} is not built for {', '.join(absent)}: ./doit {page['model']}"
    for target in page["targets"]:
        name = f"{page['model']}@{target['name']}"
        if target["is_built"] and target["stale"]:
            yield f"{name} is stale, and the page says so: {target['stale'][0]}"
