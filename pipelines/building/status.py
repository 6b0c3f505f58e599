"""Is a step stale? The one answer: ./doit why, a run, its dry run, doit and the seal go by it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from pipelines.dvc.lock import LockEntry, Locks
from pipelines.dvc.store import Store
from pipelines.record.digest import Content, Contents
from pipelines.record.facts import Change, Facts, changes, observe
from pipelines.record.step import Step

_EDITED = "was changed after it was made"
NOTHING: Mapping[str, Content | None] = {}


@dataclass(frozen=True)
class UpToDate:
    """All is in place as dvc.lock tells. why: outputs that the cache lacks; a run puts them there.

    facts: what the step stands on now, here and below. entry: what was recorded for them.
    """

    facts: Facts
    entry: LockEntry
    why: tuple[Change, ...] = ()

    @property
    def is_idle(self) -> bool:
        """Whether a run has nothing at all to do."""
        return not self.why


@dataclass(frozen=True)
class Restore:
    """The outputs for these facts are in place or whole in the cache, but not all as recorded."""

    facts: Facts
    entry: LockEntry
    why: tuple[Change, ...]
    is_idle: ClassVar[bool] = False


@dataclass(frozen=True)
class Run:
    """The step has to run. entry: what these facts gave before, and this cache lost; or None."""

    facts: Facts
    entry: LockEntry | None
    why: tuple[Change, ...]
    is_idle: ClassVar[bool] = False


Status = UpToDate | Restore | Run


@dataclass(frozen=True)
class Records:
    """All that the answer is made from. is_forced: whatever it is, the steps run."""

    contents: Contents
    locks: Locks
    store: Store
    is_forced: bool = False

    def status(self, step: Step, foreseen: Mapping[str, Content | None] = NOTHING) -> Status:
        """foreseen: what dependencies will be when the step's turn comes.

        None for what nobody can know: it then counts as what is recorded.
        """
        entry = self.locks.entry(step)
        facts = observe(step, self.contents, _known(entry, foreseen))
        found = self._found(step, entry, facts)
        if self.is_forced:
            return Run(facts, found.entry, () if isinstance(found, UpToDate) else found.why)
        return found

    def _found(self, step: Step, entry: LockEntry | None, facts: Facts) -> Status:
        if entry is None:
            return self._recalled(step, facts, tuple(changes(None, facts)))
        if other := changes(entry.facts, facts):
            if self._is_same_pictures(step, entry, facts) and self._is_at_hand(entry):
                return Restore(facts, entry, tuple(other))
            return self._recalled(step, facts, tuple(other))
        lost = self._lost(entry)
        if unrecorded := _unrecorded(step, entry):
            return self._recalled(step, facts, (*unrecorded, *lost))
        if not lost:
            return UpToDate(facts, entry, self._uncached(entry))
        kind = Restore if self._is_at_hand(entry) else Run
        return kind(facts, entry, lost)

    def _recalled(self, step: Step, facts: Facts, why: tuple[Change, ...]) -> Restore | Run:
        """By what the run-cache tells of these facts."""
        if None in facts.deps.values():
            return Run(facts, None, why)
        lacking: LockEntry | None = None
        for entry in self.store.known(step, facts):
            if self._is_at_hand(entry):
                return Restore(facts, entry, why)
            lacking = lacking or entry
        return Run(facts, lacking, why)

    def _is_at_hand(self, entry: LockEntry) -> bool:
        """Whether each output is in place, or can be put there from the cache."""
        return all(
            self.is_in_place(path, content) or self.store.is_whole(content)
            for path, content in entry.outs.items()
        )

    def is_in_place(self, path: str, content: Content) -> bool:
        now = self.contents.of(path)
        return now is not None and now.md5 == content.md5

    def lacking(self, entry: LockEntry) -> set[str]:
        """MD5s of the entry's outputs that are neither in place nor in the cache."""
        return {
            md5
            for path, content in entry.outs.items()
            if not self.is_in_place(path, content)
            for md5 in self.store.lacks(content)
        }

    def _is_same_pictures(self, step: Step, entry: LockEntry, facts: Facts) -> bool:
        """Whether all that differs is a file among photographs that is none.

        DVC counts a folder whole, so dvc.lock has to tell of it; no job reads it.
        """
        path = step.inputs.get("data", "")
        old, new = entry.facts.deps.get(path), facts.deps.get(path)
        if old is None or new is None or _unrecorded(step, entry):
            return False
        held = self.contents.pictures(old.md5)
        if held is None or held != self.contents.pictures(new.md5):
            return False
        as_before = Facts(facts.command, {**facts.deps, path: old}, facts.params)
        return not changes(entry.facts, as_before)

    def _lost(self, entry: LockEntry) -> tuple[Change, ...]:
        """Outputs that are not, or no longer, what was recorded."""
        found = []
        for path, content in entry.outs.items():
            now = self.contents.of(path)
            if now is None:
                found.append(Change("output", f"{path} is missing"))
            elif now.md5 != content.md5:
                # git brings another dvc.lock, and leaves in place what the last one told of.
                is_ours = self.store.has(now)
                what = "is of another build than dvc.lock's" if is_ours else _EDITED
                found.append(Change("output", f"{path} {what}"))
        return tuple(found)

    def _uncached(self, entry: LockEntry) -> tuple[Change, ...]:
        """Outputs that a new or emptied cache lacks: DVC would run their step again."""
        lacking = (path for path, content in entry.outs.items() if not self.store.has(content))
        return tuple(Change("output", f"{path} is not in the cache") for path in lacking)


def _known(
    entry: LockEntry | None, foreseen: Mapping[str, Content | None]
) -> Mapping[str, Content | None]:
    """`foreseen`, with what is recorded for what nobody can know."""
    if None not in foreseen.values():
        return foreseen
    recorded = entry.facts.deps if entry else {}
    return {
        path: recorded.get(path) if content is None else content
        for path, content in foreseen.items()
    }


def _unrecorded(step: Step, entry: LockEntry) -> list[Change]:
    """Outputs that a damaged dvc.lock does not tell of."""
    paths = (path for path in step.outputs.values() if path not in entry.outs)
    return [Change("output", f"{path} is not recorded") for path in paths]
