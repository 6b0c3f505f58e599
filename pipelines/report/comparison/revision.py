"""What a target was at a commit: its dvc.lock there names objects of DVC's cache."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import yaml

from pipelines.content import md5_of
from pipelines.report.comparison.side import Find
from quant.fault import Fault

_MD5 = re.compile(r"[0-9a-f]{32}")


def files(root: Path, objects: Path, commit: str, model: str, target: str) -> Find:
    """Name below build/TARGET -> the cache's object. Raises Fault, also when one is not there.

    objects: the cache's files/md5. commit: any name that git knows.
    """
    known = _git(
        root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{commit}^{{commit}}"
    )
    if known is None:
        raise Fault(f"git knows no commit `{commit}`", "see `git log --oneline`")
    lock = _git(root, "show", f"{known.strip()}:./models/{model}/dvc.lock")
    if lock is None:
        raise Fault(
            f"{commit} has no models/{model}/dvc.lock",
            "what was built is known of commits that hold it",
        )
    outs = _outs(yaml.safe_load(lock))
    start = f"build/{target}/"
    if not any(path.startswith(start) for path in outs):
        raise Fault(f"{model} had no built target `{target}` at {commit}", "name another of its")

    def find(name: str) -> Path | None:
        md5 = outs.get(start + name)
        return None if md5 is None else _object(objects, md5, f"{start}{name}", commit)

    return find


def _outs(lock: Any) -> dict[str, str]:
    """Path below the model's folder -> MD5, of files. The text is anybody's."""
    stages = lock.get("stages", {}) if isinstance(lock, dict) else {}
    rows = [row for stage in stages.values() for row in stage.get("outs", ())]
    return {str(row["path"]): row["md5"] for row in rows if _MD5.fullmatch(str(row.get("md5")))}


def _object(objects: Path, md5: str, name: str, commit: str) -> Path:
    file = objects / md5[:2] / md5[2:]
    if not file.is_file() or md5_of(file) != md5:
        raise Fault(
            f"{name} of {commit} is not in the cache",
            f"fetch it: git switch --detach {commit} && ./doit --pull, then back",
        )
    return file


def _git(root: Path, *words: str) -> str | None:
    done = subprocess.run(
        ["git", "-C", str(root), *words], capture_output=True, text=True, check=False
    )
    return done.stdout if done.returncode == 0 else None
