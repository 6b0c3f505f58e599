"""./doit verify [MODEL ...]: build again in a clean folder, and compare digest by digest."""

from __future__ import annotations

import argparse
from collections.abc import Mapping

from pipelines.building.project import Project
from pipelines.files import console
from pipelines.files.git import git
from pipelines.front.commands.building.why import require_up_to_date
from pipelines.front.commands.command import OwnCommand
from pipelines.front.doit.cli import FAILURE, unknown
from pipelines.record.step import Step
from pipelines.release import differences, rebuild, tags
from pipelines.release.machine import machine
from pipelines.release.versions import versions
from pipelines.run.toolchain.toolchain import Environments
from pipelines.run.worker import Failed
from quant.fault import Fault


class Verify(OwnCommand):
    name = "verify"
    in_brief = "build again with no cache, and compare every digest"
    doc_purpose = "build again in a clean folder with no cache, and compare digest by digest"
    doc_usage = "[MODEL ...]"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("models", nargs="*", metavar="MODEL")

    def act(self, arguments: argparse.Namespace) -> int:
        models = arguments.models or list(self.project.recipes)
        for model in models:
            if model not in self.project.recipes:
                raise unknown("model", model, self.project.recipes, "models")
            _require_built(self.project, model)
        return max([0, *(_verify(self.project, model) for model in models)])


def _require_built(project: Project, model: str) -> None:
    """What is not recorded can't be held against anything."""
    require_up_to_date(project, {step.name for step in project.plan.of(model)}, model)


def _verify(project: Project, model: str) -> int:
    steps = list(project.plan.of(model))
    Environments(project.root).make({name for step in steps for name in step.toolchains})
    with rebuild.clean_folder(project, steps) as again:
        try:
            rebuild.build(again, model, lambda step: console.say(f"building {step.name} again"))
        except Failed as error:
            console.say(f"{model} can't be built again: {error}", "red")
            return FAILURE
        others = [(step, path) for step in steps for path in _others(project, step, again)]
        count = sum(len(step.outputs) for step in steps)
        console.tell(f"{model}: {count - len(others)} of {count} outputs are the same")
        for step, path in others:
            console.tell(f"  {path} is another ({step.name})")
            for line in differences.between(project.root / path, again.root / path):
                console.tell(f"    {line}")
    if others:
        for line in _machines(project, model):
            console.tell(f"  {line}")
    return FAILURE if others else 0


def _others(project: Project, step: Step, again: Project) -> list[str]:
    """Outputs whose digest is not the recorded one."""
    old, new = project.builder.locks.entry(step), again.builder.locks.entry(step)
    assert old is not None, "it is up to date"
    assert new is not None, "it was built"
    return [path for path, content in old.outs.items() if new.outs[path].md5 != content.md5]


def _machines(project: Project, model: str) -> list[str]:
    """How this machine differs from the one that released this very build."""
    now, then = machine(), _recorded(project, model)
    if not then:
        told = ", ".join(f"{key} {value}" for key, value in now.items())
        return [f"no release tells on which machine it was built; this one: {told}"]
    return [
        f"{key}: {then.get(key, 'not told')} -> {value}"
        for key, value in now.items()
        if then.get(key) != value
    ] or ["this machine is as the one that released it"]


def _recorded(project: Project, model: str) -> Mapping[str, str]:
    try:
        lock = git(project.root, "hash-object", f"models/{model}/dvc.lock").strip()
        for one in versions(project.root):
            if one.name == model and one.lock_of(project.root, model) == lock:
                told = tags.told_in(project.root, one.tag).get("machine")
                return told if isinstance(told, dict) else {}
    except Fault:  # no repository
        pass
    return {}
