"""dvc.lock: what each step last stood on and made. The only truth of what is up to date."""

from __future__ import annotations

import hashlib
import os
import posixpath
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from pipelines.dvc import leftovers, lock_text
from pipelines.dvc.parsed_files import ParsedFiles
from pipelines.dvc.repo import RepositoryLocked, locked
from pipelines.dvc.stage import DvcStage
from pipelines.files import atomic, confined
from pipelines.record.digest import Content
from pipelines.record.facts import Facts
from pipelines.record.journal import Journal, Line
from pipelines.record.step import Step


@dataclass(frozen=True)
class LockEntry:
    """What a step stood on, and what it made: path relative to the project -> content."""

    facts: Facts
    outs: Mapping[str, Content]
    _stages: dict[tuple[str, str], DvcStage] = field(
        init=False, default_factory=dict, compare=False, repr=False
    )

    def stage(self, step: Step) -> DvcStage:
        """The step's stage in dvc.lock: made once, as the run-cache holds it too."""
        key = (step.folder, step.lock_name)
        if key not in self._stages:
            self._stages[key] = DvcStage(step.lock_name, to_stage(self, step.folder))
        return self._stages[key]


def to_stage(entry: LockEntry, folder: str) -> dict[str, Any]:
    """An entry in DVC's form: paths relative to the model's folder, lists sorted by path."""
    deps = {path: content for path, content in entry.facts.deps.items() if content}
    stage = {
        "cmd": entry.facts.command,
        "deps": _rows(deps, folder),
        "params": {
            _below(file, folder): dict(sorted(values.items()))
            for file, values in sorted(
                entry.facts.params.items(), key=lambda f: _below(f[0], folder)
            )
            if values
        },
        "outs": _rows(entry.outs, folder),
    }
    return {key: value for key, value in stage.items() if value}


def from_stage(stage: Mapping[str, Any], folder: str) -> LockEntry:
    """Inverse of `to_stage`. The text is anybody's: what is no path and no MD5 is refused.

    Raises KeyError, TypeError or AttributeError where the stage lacks a part, or Refused.
    """
    params = {_above(file, folder): values for file, values in stage.get("params", {}).items()}
    facts = Facts(stage["cmd"], _contents(stage.get("deps", []), folder), params)
    outs = stage["outs"]
    confined.require_apart([confined.require_below(row["path"]) for row in outs])
    return LockEntry(facts, _contents(outs, folder))


def outs_in(text: str, folder: str) -> dict[str, Content]:
    """Path relative to the project -> content, of all stages of a dvc.lock, whoever wrote it.

    Raises as `from_stage`, and ValueError where it is no dvc.lock.
    """
    stages = lock_text.load(text)
    return {
        path: content
        for stage in stages.values()
        for path, content in from_stage(stage, folder).outs.items()
    }


def read_entry(stage: Mapping[str, Any], step: Step) -> LockEntry:
    """A stage that tells of this step's outputs and of no others. Raises as `from_stage`."""
    entry = from_stage(stage, step.folder)
    others = sorted(entry.outs.keys() - set(step.outputs.values()))
    if others:
        raise confined.Refused(f"`{others[0]}` is no output of this step")
    return entry


@dataclass(frozen=True)
class _Edit:
    """What becomes of a stage's text. before: digest of the text that it stands on."""

    before: str | None
    text: str | None  # None: it goes away


Order = Callable[[str], Iterable[str]]


class Locks:
    """All models' lock files: read when first asked for, written when a run ends.

    Until then every record is a line of the journal; what a killed process left there is written
    before anything is read.

    order: model's folder -> names of its stages, as they should stand.
    """

    def __init__(self, root: Path, order: Order = lambda folder: ()) -> None:
        self._root = root
        self.order = order
        self._base = f"{root}/"  # joining thousands of Paths takes longer than reading them
        self._stages: dict[str, dict[str, Any]] = {}
        self._texts: dict[str, str | None] = {}  # of the files that were read
        self._parts: dict[str, dict[str, str]] = {}  # the same, by stage
        self._entries: dict[tuple[str, str], LockEntry] = {}
        self._edits: dict[str, dict[str, _Edit]] = {}
        self._parsed = ParsedFiles(root / ".npumake" / "locks.txt")
        self._journal = Journal(root / ".npumake" / "journal")
        self._is_replayed = False
        self._guard = threading.RLock()
        self.damaged: dict[str, str] = {}  # file -> what is wrong with it
        self.refused: set[str] = set()  # of these files, those that can be read
        self.unwritten: str | None = None  # why the last flush left all in the journal

    def entry(self, step: Step) -> LockEntry | None:
        """What was recorded for the step; None where nothing (readable) was."""
        key = (step.folder, step.lock_name)
        entry = self._entries.get(key)
        if entry is None and (stage := self._load(step.folder).get(step.lock_name)) is not None:
            try:
                entry = self._entries[key] = read_entry(stage, step)
            except (KeyError, TypeError, AttributeError, confined.Refused) as error:
                file, is_refused = f"{step.folder}/dvc.lock", isinstance(error, confined.Refused)
                what = str(error) if is_refused else repr(error)
                self.damaged[file] = f"{step.lock_name}: {what}"
                if is_refused:
                    self.refused.add(file)
        return entry

    def begin(self) -> None:
        """Steps are about to run: from now on a later process can tell that this one died."""
        self._journal.begin()

    def record(self, step: Step, entry: LockEntry) -> None:
        """Note in the journal what the step made; `flush` writes it to dvc.lock."""
        stage = entry.stage(step)
        text = stage.text
        with self._guard:
            edit = self._edit(step, text)
            self._load(step.folder)[step.lock_name] = stage.data
            self._entries[step.folder, step.lock_name] = entry
            self._journal.append(Line(step.folder, step.lock_name, edit.before, text))

    def forget(self, step: Step) -> bool:
        """Drop the step's entry. Returns whether there was one."""
        with self._guard:
            if self._load(step.folder).pop(step.lock_name, None) is None:
                return False
            self._entries.pop((step.folder, step.lock_name), None)
            self._edit(step, None)
            self._write()
            return True

    def flush(self) -> None:
        """Write what was recorded. What can't be written stays in the journal; see `unwritten`."""
        with self._guard:
            try:
                self._write()
            except (RepositoryLocked, OSError) as error:
                self.unwritten = str(error)
                self._journal.leave()

    def _write(self) -> None:
        edits, self._edits = self._edits, {}
        for folder, changed in edits.items():
            self._texts[folder] = self._merge(folder, changed)
            self._parts.pop(folder, None)
        self._journal.end()
        self._parsed.save()

    def is_flushed(self, folder: str) -> bool:
        """Whether the model's dvc.lock on the disk is what this process read or wrote last."""
        with self._guard:
            return not self._edits and self._text(f"{folder}/dvc.lock") == self._texts.get(folder)

    def _edit(self, step: Step, text: str | None) -> _Edit:
        edits = self._edits.setdefault(step.folder, {})
        if (earlier := edits.get(step.lock_name)) is not None:
            before = earlier.before
        else:
            self._load(step.folder)
            old = self._parts_of(step.folder).get(step.lock_name)
            before = _digest(old) if old is not None else None
        edits[step.lock_name] = _Edit(before, text)
        return edits[step.lock_name]

    def _parts_of(self, folder: str) -> dict[str, str]:
        if folder not in self._parts:
            self._parts[folder] = _split(self._texts[folder])
        return self._parts[folder]

    def _load(self, folder: str) -> dict[str, Any]:
        with self._guard:
            if not self._is_replayed:
                self._is_replayed = True
                self._replay()
            if folder not in self._stages:
                self._stages[folder], self._texts[folder] = self._read(f"{folder}/dvc.lock")
            return self._stages[folder]

    def _replay(self) -> None:
        """Write what processes that died had recorded, and remove what else they left."""
        has_died = False
        for lines in self._journal.left_behind():
            has_died = True
            edits: dict[str, dict[str, _Edit]] = {}
            for line in lines:
                edits.setdefault(line.folder, {})[line.name] = _Edit(line.before, line.text)
            for folder, changed in edits.items():
                self._merge(folder, changed)
        if has_died:
            leftovers.remove(self._root)

    def _read(self, file: str) -> tuple[dict[str, Any], str | None]:
        text = self._text(file)
        try:
            return (self._parsed.of(file, text) if text is not None else {}), text
        except ValueError as error:
            self.damaged[file] = str(error)
            return {}, text

    def _text(self, file: str) -> str | None:
        try:
            with open(self._base + file, encoding="utf-8", errors="replace") as opened:  # noqa: PTH123
                return opened.read()
        except FileNotFoundError:
            return None

    def _merge(self, folder: str, edits: Mapping[str, _Edit]) -> str | None:
        """Write the edits whose stage nobody else has changed meanwhile. Returns the file's text.

        Others are `dvc repro` and `git checkout`: what they wrote is newer than what we stood on.
        """
        with locked(self._root):
            text = self._text(f"{folder}/dvc.lock")
            if text is None and _is_gone(f"{self._base}{folder}"):
                return None
            is_known = folder in self._texts and text == self._texts[folder]
            stages = dict(self._parts_of(folder)) if is_known else _split(text)
            is_damaged = text is not None and not stages  # then nobody else's word stands
            for name, edit in edits.items():
                found = _digest(stages[name]) if name in stages else None
                if found != edit.before and not is_damaged:
                    continue
                if edit.text is None:
                    stages.pop(name, None)
                else:
                    stages[name] = edit.text
            stages = self._in_order(folder, stages)
            new = lock_text.join(stages.values()) if stages or text is not None else None
            if new is not None and new != text:
                atomic.write(f"{self._base}{folder}/dvc.lock", new.encode())
            return new

    def _in_order(self, folder: str, stages: dict[str, str]) -> dict[str, str]:
        """As the plan has them, so that equal builds give equal files; then what no plan has."""
        known = (name for name in self.order(folder) if name in stages)
        return {name: stages[name] for name in dict.fromkeys([*known, *stages])}


def _is_gone(folder: str) -> bool:
    """Whether the model was renamed or removed; git leaves what it ignores when it takes one."""
    try:
        return os.listdir(folder) == ["build"]  # noqa: PTH208 - no Path was needed so far
    except FileNotFoundError:
        return True


def _split(text: str | None) -> dict[str, str]:
    """Name -> text of every stage; none where the text is damaged."""
    try:
        return lock_text.split(text) if text is not None else {}
    except ValueError:
        return {}


def _digest(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def _rows(contents: Mapping[str, Content], folder: str) -> list[dict[str, Any]]:
    rows = [_row(_below(path, folder), content) for path, content in contents.items()]
    return sorted(rows, key=lambda row: str(row["path"]))


def _row(path: str, content: Content) -> dict[str, Any]:
    row: dict[str, Any] = {"path": path, "hash": "md5", "md5": content.md5, "size": content.size}
    if content.nfiles is not None:
        row["nfiles"] = content.nfiles
    if content.is_executable:
        row["isexec"] = True
    return row


def _contents(rows: list[Mapping[str, Any]], folder: str) -> dict[str, Content]:
    return {_above(row["path"], folder): _content(row) for row in rows}


def _content(row: Mapping[str, Any]) -> Content:
    nfiles = row.get("nfiles")
    return Content(
        confined.require_md5(row["md5"]),
        confined.require_count(row["size"]),
        None if nfiles is None else confined.require_count(nfiles),
        bool(row.get("isexec")),
    )


@cache
def _below(path: str, folder: str) -> str:
    if path.startswith(f"{folder}/"):  # paths of a step are in normal form
        return path[len(folder) + 1 :]
    return posixpath.relpath(path, folder)


@cache
def _above(path: str, folder: str) -> str:
    return posixpath.normpath(posixpath.join(folder, path))
