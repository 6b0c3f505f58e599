"""dvc.lock: what each step last stood on and made. The only truth of what is up to date."""

from __future__ import annotations

import io
import posixpath
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from pipelines import atomic
from pipelines.content import Content
from pipelines.dvc_repo import locked
from pipelines.facts import Facts
from pipelines.step import Step

SCHEMA = "2.0"
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True)
class Entry:
    """What a step stood on, and what it made: path relative to the project -> content."""

    facts: Facts
    outs: Mapping[str, Content]


def to_stage(entry: Entry, folder: str) -> dict[str, Any]:
    """An entry in DVC's form: paths relative to the model's folder, lists sorted by path."""
    deps = {path: content for path, content in entry.facts.deps.items() if content}
    return {
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


def from_stage(stage: Mapping[str, Any], folder: str) -> Entry:
    """Inverse of `to_stage`. Raises KeyError or TypeError where the stage lacks a part."""
    params = {_above(file, folder): values for file, values in stage.get("params", {}).items()}
    facts = Facts(stage["cmd"], _contents(stage.get("deps", []), folder), params)
    return Entry(facts, _contents(stage["outs"], folder))


def dvc_text(data: Mapping[str, Any]) -> str:
    """YAML as DVC writes it, to the byte.

    Source: dvc.utils.serialize._yaml, which dumps with ruamel's round-trip emitter.
    """
    from ruamel.yaml import YAML  # 60 ms to import, and only a step that ran needs it

    emitter, stream = YAML(), io.StringIO()
    emitter.default_flow_style = False
    emitter.dump(data, stream)
    return stream.getvalue()


class Locks:
    """All models' lock files, read when first asked for, written whole at every record."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._stages: dict[str, dict[str, Any]] = {}
        self._guard = threading.Lock()
        self.damaged: dict[str, str] = {}  # file -> what is wrong with it

    def entry(self, step: Step) -> Entry | None:
        """What was recorded for the step; None where nothing (readable) was."""
        stage = self._load(step.folder).get(step.lock_name)
        try:
            return from_stage(stage, step.folder) if stage is not None else None
        except (KeyError, TypeError, AttributeError) as error:
            self.damaged[f"{step.folder}/dvc.lock"] = f"{step.lock_name}: {error!r}"
            return None

    def record(self, step: Step, entry: Entry) -> None:
        with self._guard:
            self._load(step.folder)[step.lock_name] = to_stage(entry, step.folder)
            self._write(step.folder)

    def forget(self, step: Step) -> bool:
        """Drop the step's entry. Returns whether there was one."""
        with self._guard:
            if self._load(step.folder).pop(step.lock_name, None) is None:
                return False
            self._write(step.folder)
            return True

    def keep_only(self, folder: str, names: set[str]) -> None:
        """Drop the entries of steps that the recipe no longer has."""
        with self._guard:
            stages = self._load(folder)
            if stages.keys() - names:
                self._stages[folder] = {k: v for k, v in stages.items() if k in names}
                self._write(folder)

    def _load(self, folder: str) -> dict[str, Any]:
        if folder not in self._stages:
            self._stages[folder] = self._read(f"{folder}/dvc.lock")
        return self._stages[folder]

    def _read(self, file: str) -> dict[str, Any]:
        try:
            text = (self._root / file).read_text()
        except FileNotFoundError:
            return {}
        try:
            return dict(yaml.load(text, _Loader)["stages"])
        except (yaml.YAMLError, KeyError, TypeError, ValueError) as error:
            self.damaged[file] = str(error).splitlines()[0]
            return {}

    def _write(self, folder: str) -> None:
        data = {"schema": SCHEMA, "stages": self._stages[folder]}
        text = dvc_text(data).encode()
        with locked(self._root):
            atomic.write(self._root / folder / "dvc.lock", text)


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
    return {
        _above(row["path"], folder): Content(
            row["md5"], row["size"], row.get("nfiles"), bool(row.get("isexec"))
        )
        for row in rows
    }


def _below(path: str, folder: str) -> str:
    return posixpath.relpath(path, folder)


def _above(path: str, folder: str) -> str:
    return posixpath.normpath(posixpath.join(folder, path))
