"""Leaves models with nothing to do out of a run: they are neither parsed nor handed to doit."""

from __future__ import annotations

from pipelines.building import dvc_yaml
from pipelines.building.plan import Plan
from pipelines.building.project import Project
from pipelines.files.where import Problems
from pipelines.record import whole
from pipelines.record.whole import Memory


def spare_whole_models(project: Project) -> None:
    """Leave out what the memory of whole models tells of, unless dvc.yaml would be another then."""
    memory = whole.read(project.root)
    spared = memory.unchanged(project.root) if memory else {}
    if memory is None or not spared:
        return
    project.spare(spared, memory)
    try:
        is_same = _is_registry_of(project, memory)
    except Problems:  # told by the run, after what else is wrong
        is_same = False
    if not is_same:
        project.spare({}, None)


def registries(plan: Plan) -> dict[str, str]:
    """Model -> digest of what the root dvc.yaml tells of it."""
    return {
        model: dvc_yaml.registry_digest(
            Plan({model: recipe}, {step.name: step for step in plan.of(model)})
        )
        for model, recipe in plan.recipes.items()
    }


def _is_registry_of(project: Project, memory: Memory) -> bool:
    """Whether the root dvc.yaml that a run of all models left is that of the present recipes."""
    if project.broken:  # then no run writes it
        return True
    held = {model: of.registry for model, of in memory.models.items()}
    return held == {
        **{model: of.registry for model, of in project.spared.items()},
        **registries(project.plan),
    }
