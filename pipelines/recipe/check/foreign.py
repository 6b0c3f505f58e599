"""Keys that the target's backend does not read, and another does."""

from __future__ import annotations

from collections.abc import Sequence

from pipelines.recipe.define.backend_keys import BackendKeys
from pipelines.recipe.define.view import View
from pipelines.recipe.yaml.reading import BAD


def check(view: View) -> None:
    """Refuse those that are the target's own, and the recipe's where no target reads them."""
    for path, owners in view.definitions.foreign(view.backend).items():
        owner = owners[0]
        if view.is_own(*path):
            _refuse_own(view, path, owner)
        elif ".".join(path) in view.tree.marks and not _has(view, owners):
            what = f"`{path[-1]}` is read by the backend {owner.name}, and no target has it"
            advice = f"delete it, or add a target such as `{owner.example}`"
            view.refuse_key(path, what, advice)


def _refuse_own(view: View, path: tuple[str, ...], owner: BackendKeys) -> None:
    what = f"`{path[-1]}` has no effect with `backend: {view.backend}`"
    if not view.is_own("backend"):
        what += ", which a target has where it names none"
    view.refuse_key(path, what, f"delete it, or write `backend: {owner.name}`")


def _has(view: View, owners: Sequence[BackendKeys]) -> bool:
    """Whether a target of the recipe is of one of these backends, or was refused."""
    targets, default = view.recipe["targets"].values(), view.definitions.default
    known = {owner.name for owner in owners}
    return any(own is BAD or (own.get("backend") or default) in known for own in targets)
