"""The files of a new repository."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from pipelines.files.engine import CODE
from pipelines.front.init import pin

_FILES = Path(__file__).with_name("files")
# Place in the repository -> template. Its own name where .gitignore would be git's here, too.
_PLACES = {
    "dodo.py": "dodo.py.txt",
    ".gitignore": "gitignore",
    ".dvc/.gitignore": "dvc_gitignore",
    ".dvc/config": "dvc_config",
    "dvc.yaml": "dvc.yaml",
    "models/.gitignore": "models_gitignore",
    "tests/test_models.py": "test_models.py.txt",
    ".github/workflows/npumake.yml": "github.yml",
    ".gitlab-ci.yml": "gitlab.yml",
    "README.md": "README.md",
    "README.zh-CN.md": "README.zh-CN.md",
}
_PIN = """\
# The engine of this repository: the next line, and nothing else, says which.
# ./doit fetches it and holds it against its hash. After another line stands
# here, `./doit why` says what that made stale. Its forms are in
# .npumake/engine/docs/repository.md.
{line}
"""


def make(folder: Path, source: pin.Source) -> list[str]:
    """Make the repository. Returns what to say.

    Raises PinError, before anything is written, where a file is there already.
    """
    _require_new(folder, source)
    for place, template in _PLACES.items():
        _write(folder / place, (_FILES / template).read_text(encoding="utf-8"))
    _write(folder / pin.FILE, _PIN.format(line=source.line))
    shutil.copyfile(CODE / "doit", folder / "doit")
    (folder / "doit").chmod(0o755)
    if source.wheel:
        (folder / pin.WHEELS).mkdir(exist_ok=True)
        shutil.copyfile(source.wheel, folder / pin.WHEELS / source.wheel.name)
    return [
        f"made {folder}, with the engine {source.line.split()[0]}",
        *_git(folder),
        "",
        f"  cd {folder}",
        "  git add --all && git commit -m 'A repository for models'",
        "  ./doit new NAME FILE   # a recipe for your network, built at once",
        "  ./doit                 # every model; ./doit test: what CI asks",
    ]


def _require_new(folder: Path, source: pin.Source) -> None:
    places = [*_PLACES, pin.FILE, "doit"]
    if source.wheel:
        places.append(f"{pin.WHEELS}/{source.wheel.name}")
    there = [place for place in places if (folder / place).exists()]
    more = f" and {len(there) - 3} more" if len(there) > 3 else ""
    if there:
        raise pin.PinError(
            f"{folder} has {', '.join(there[:3])}{more} already, and no file is overwritten\n"
            "  name another folder, or move them away"
        )


def _write(place: Path, text: str) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(text, encoding="utf-8")


def _git(folder: Path) -> Sequence[str]:
    """DVC needs a git repository. A folder of one stays in it."""
    try:
        inside = subprocess.run(
            ["git", "-C", str(folder), "rev-parse", "--show-toplevel"], capture_output=True
        )
        if inside.returncode != 0:
            subprocess.run(["git", "init", "--quiet", str(folder)], check=True)
            return ["git init: done"]
    except FileNotFoundError:
        return ["git is not installed: install it, and run `git init` there"]
    except subprocess.CalledProcessError:
        return ["`git init` failed: run it there"]
    return []
