"""Brings one step up to date: nothing to do, restore from the cache, or run."""

from __future__ import annotations

import enum
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pipelines.building.status import NOTHING, Records, Restore, Status, UpToDate
from pipelines.dvc.lock import LockEntry, Locks, Order
from pipelines.dvc.repo import cache
from pipelines.dvc.store import Damaged, Store, Taken, replace
from pipelines.files import pulse
from pipelines.files.confined import link_above, way_out
from pipelines.files.engine import PREFIX
from pipelines.record.costs import Cost
from pipelines.record.digest import Content, Contents
from pipelines.record.facts import Change, Facts, changes, observe
from pipelines.record.step import Step
from pipelines.run.worker import Failed, Result, Worker


class Outcome(enum.Enum):
    """How a step came to be up to date."""

    UP_TO_DATE = "up to date"
    RESTORED = "restored"
    RAN = "ran"


@dataclass
class Builder:
    """root: the project. Steps may be brought up to date from several threads."""

    root: Path
    is_forced: bool = False  # run every step, even what is up to date or in the cache
    order: Order = lambda folder: ()  # of a model's stages in its dvc.lock
    contents: Contents = field(init=False)
    locks: Locks = field(init=False)
    store: Store = field(init=False)
    worker: Worker = field(init=False)
    costs: dict[str, Cost] = field(default_factory=dict)  # of steps that ran

    def __post_init__(self) -> None:
        self.contents = Contents(self.root, self.root / ".npumake" / "contents.txt")
        self.locks = Locks(self.root, self.order)
        self.store = Store(cache(self.root))
        self.worker = Worker(self.root)

    @property
    def records(self) -> Records:
        return Records(self.contents, self.locks, self.store, self.is_forced)

    def status(self, step: Step, foreseen: Mapping[str, Content | None] = NOTHING) -> Status:
        """Whether the step is stale; see Records.status."""
        return self.records.status(step, foreseen)

    def is_up_to_date(self, step: Step) -> bool:
        return isinstance(self.status(step), UpToDate)

    def why(self, step: Step) -> list[Change]:
        """Why the step is stale; empty where it is up to date."""
        return list(self.status(step).why)

    def ensure(self, step: Step, status: Status | None = None) -> Outcome:
        """Make the step up to date. Raises Failed or Stopped; then nothing is recorded.

        status: what it is, where that was asked for just now.
        """
        with pulse.step(step.name):
            return self._ensure(step, status or self.status(step))

    def _ensure(self, step: Step, found: Status) -> Outcome:
        _require(found.facts)
        if isinstance(found, UpToDate):
            self._cache_again(step, found.entry)
            return Outcome.UP_TO_DATE
        self._require_no_link(step)
        self.locks.begin()
        if isinstance(found, Restore) and self._restore(found.entry):
            self._cache_again(step, found.entry)
            self.locks.record(step, LockEntry(found.facts, found.entry.outs))
            return Outcome.RESTORED
        self._run(step, found.facts)
        return Outcome.RAN

    def bring_for_dvc(self, step: Step) -> None:
        """Run the step for `dvc repro`, which itself caches the outputs and writes dvc.lock."""
        with pulse.step(step.name):
            self._bring_for_dvc(step)

    def _bring_for_dvc(self, step: Step) -> None:
        facts = observe(step, self.contents)
        _require(facts)
        self._require_no_link(step)
        self._require_inside(step)
        result = self.worker.run(step, self.log_of(step))
        try:
            self._require_same(step, facts)
            self._put_in_place(step, result)
        finally:
            shutil.rmtree(result.folder, ignore_errors=True)

    def log_of(self, step: Step) -> Path:
        return self.root / ".npumake" / "logs" / step.model / f"{step.lock_name}.log"

    def close(self) -> None:
        self.worker.close()
        self.locks.flush()
        self.contents.save()

    def _cache_again(self, step: Step, entry: LockEntry) -> None:
        for path, content in entry.outs.items():
            if not self.store.has(content):
                self._require_no_link(step)  # it may become a link to the cache itself
                try:
                    self.contents.learn(path, self.store.take(self.root / path).reads)
                except OSError:  # a cache that can't be written; what is in place is right
                    return

    def _restore(self, entry: LockEntry) -> bool:
        """Put the entry's outputs back from the cache. False where it lost one meanwhile."""
        try:
            for path, content in entry.outs.items():
                now = self.contents.of(path)
                if now is None or now.md5 != content.md5:
                    self.store.restore(content, self.root / path)
        except Damaged:
            return False
        return True

    def _run(self, step: Step, facts: Facts) -> None:
        self._require_inside(step)
        result = self.worker.run(step, self.log_of(step))
        self.costs[step.name] = Cost(result.seconds, result.peak_bytes)
        try:
            self._require_same(step, facts)
            self._keep(step, facts, result)
        except OSError as error:
            raise Failed(f"the result could not be kept: {error}") from error
        finally:
            shutil.rmtree(result.folder, ignore_errors=True)

    def _require_no_link(self, step: Step) -> None:
        """Outputs are written in the project: a link that git brought would lead elsewhere."""
        for path in step.outputs.values():
            if (link := link_above(str(self.root), path)) is not None:
                raise Failed(
                    f"{link} is a link, and outputs are not written through one\n"
                    "  put a folder in its place; DVC's cache may be elsewhere "
                    f"({PREFIX}docs/dvc.md)"
                )

    def _require_inside(self, step: Step) -> None:
        """What a step reads is in the project or in DVC's cache, but where the recipe says so."""
        homes = [os.path.realpath(place) for place in (self.root, self.store.objects)]
        for name, path in step.inputs.items():
            named_by = step.inputs["data"] if name.startswith("listed/") else path
            if any(
                f"{each}/".startswith(f"{o}/") for each in (path, named_by) for o in step.outside
            ):
                continue
            if (real := way_out(f"{self.root}/{path}", homes)) is not None:
                raise Failed(
                    f"{path} leads out of the project, to {real}\n"
                    f"  copy it here, or name it in {step.folder}/recipe.yaml under `outside`"
                )

    def _require_same(self, step: Step, before: Facts) -> None:
        """A file edited while the step ran may or may not be in the result (doit#119)."""
        edited = changes(before, observe(step, self.contents))
        if edited:
            raise Failed(
                f"{edited[0]} while the step ran, so its result was thrown away\n"
                "  run the same command again"
            )

    def _keep(self, step: Step, facts: Facts, result: Result) -> None:
        """Into the cache, into place, and only then into the lock."""
        taken = {path: self.store.take(result.out / name) for name, path in step.outputs.items()}
        self._put_in_place(step, result)
        self.record(step, facts, taken)

    def record(self, step: Step, facts: Facts, taken: Mapping[str, Taken]) -> None:
        """Note what the step made. taken: output path -> what the cache took, in place by now."""
        for path, what in taken.items():
            self.contents.learn(path, what.reads)
        entry = LockEntry(facts, {path: what.content for path, what in taken.items()})
        self.store.remember(step, entry)
        self.locks.record(step, entry)

    def _put_in_place(self, step: Step, result: Result) -> None:
        for name, path in step.outputs.items():
            target = self.root / path
            target.parent.mkdir(parents=True, exist_ok=True)
            replace(result.out / name, target)


def _require(facts: Facts) -> None:
    missing = [path for path, content in facts.deps.items() if content is None]
    if missing:
        raise Failed(f"no file {missing[0]}\n  put it there, or correct the recipe")
