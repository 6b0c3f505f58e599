"""What a target was at a commit: its dvc.lock there names objects of DVC's cache."""

from __future__ import annotations

from pathlib import Path

from pipelines.dvc import lock
from pipelines.files.confined import Refused
from pipelines.files.git import answer
from pipelines.record.digest import md5_of
from pipelines.report.comparison.side import Find
from quant.fault import Fault


def files(root: Path, objects: Path, commit: str, model: str, target: str) -> Find:
    """Name below build/TARGET -> the cache's object. Raises Fault, also when one is not there.

    objects: the cache's files/md5. commit: any name that git knows.
    """
    known = answer(
        root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{commit}^{{commit}}"
    )
    if known is None:
        raise Fault(f"git knows no commit `{commit}`", "see `git log --oneline`")
    text = answer(root, "show", f"{known.strip()}:./models/{model}/dvc.lock")
    if text is None:
        raise Fault(
            f"{commit} has no models/{model}/dvc.lock",
            "what was built is known of commits that hold it",
        )
    outs = _outs(text, model, commit)
    start = f"build/{target}/"
    if not any(path.startswith(start) for path in outs):
        raise Fault(f"{model} had no built target `{target}` at {commit}", "name another of its")

    def find(name: str) -> Path | None:
        md5 = outs.get(start + name)
        return None if md5 is None else _object(objects, md5, f"{start}{name}", commit)

    return find


def _outs(text: str, model: str, commit: str) -> dict[str, str]:
    """Path below the model's folder -> MD5, of files."""
    folder = f"models/{model}"
    try:
        held = lock.outs_in(text, folder)
    except (Refused, KeyError, TypeError, AttributeError, ValueError) as error:
        raise Fault(f"{folder}/dvc.lock of {commit} is damaged: {error}", "name another") from None
    return {
        path.removeprefix(f"{folder}/"): content.md5
        for path, content in held.items()
        if not content.md5.endswith(".dir")
    }


def _object(objects: Path, md5: str, name: str, commit: str) -> Path:
    file = objects / md5[:2] / md5[2:]
    if not file.is_file() or md5_of(file) != md5:
        raise Fault(
            f"{name} of {commit} is not in the cache",
            f"fetch it: git switch --detach {commit} && ./doit --pull, then back",
        )
    return file
