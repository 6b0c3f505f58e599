"""Paths in a recipe: relative to the model's folder, inside the project, existing."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pipelines.files.where import nearest

_LONGEST = 1000  # characters; file systems refuse paths of 4,096 bytes, and parts of 255


@dataclass(frozen=True)
class Paths:
    """root: the project. folder: the model's folder below it, such as models/tiny.

    outside: paths below the folder that may lead out of the project by a link.
    """

    root: Path
    folder: str
    outside: tuple[str, ...] = ()

    def problem(self, path: str, what: str) -> tuple[str, str] | None:
        """What is wrong with `path`, and what to do; None if it is a `what` that exists.

        what: file, folder, or file or folder.
        """
        if path.startswith("/") or "\\" in path or path[1:3] == ":/":
            advice = f"write it relative to {self.folder}, with `/` between folders"
            return f"`{path}` is not a relative path", advice
        if not path.isprintable() or len(path) > _LONGEST:
            return "the path holds control characters or is too long", f"name a {what} that exists"
        parts = self._normal(path)
        if parts is None:
            advice = f"copy the data into {self.folder}, or make a link to it there"
            advice += " and name that under `outside`"
            return f"`{path}` is outside the project", advice
        if (problem := self._generated(path, parts, what)) is not None:
            return problem
        found = self.root.joinpath(*parts)
        if found.is_file() if what == "file" else found.is_dir():
            return self._leading_out(path, parts)
        if what == "file or folder" and found.is_file():
            return self._leading_out(path, parts)
        if found.exists():
            other = "a file" if what == "folder" else "a folder"
            return f"`{path}` is {other}", f"name a {what}"
        return self._missing(path, parts, what)

    def _normal(self, path: str) -> tuple[str, ...] | None:
        """Parts below the project, or None if the path leaves it. Links are not followed."""
        parts: list[str] = list(PurePosixPath(self.folder).parts)
        for part in PurePosixPath(path).parts:
            if part == ".." and not parts:
                return None
            if part == "..":
                parts.pop()
            else:
                parts.append(part)
        return tuple(parts)

    def _leading_out(self, path: str, parts: tuple[str, ...]) -> tuple[str, str] | None:
        """Builder looks below folders too, before a step runs."""
        if not self._has_link(parts):
            return None
        home, real = (os.path.realpath(place) for place in (self.root, self.root.joinpath(*parts)))
        if real == home or real.startswith(f"{home}/") or self._is_allowed(parts):
            return None
        what = f"`{path}` leads out of the project by a link, to {real}"
        return what, f"copy the data into {self.folder}, or say so: `outside: [{path}]`"

    def _has_link(self, parts: tuple[str, ...]) -> bool:
        """Whether there is one on the way, below the project; to look costs a third of realpath."""
        place = str(self.root)
        for part in parts:
            place = f"{place}/{part}"
            if os.path.islink(place):  # noqa: PTH114 - a Path takes longer to make
                return True
        return False

    def _is_allowed(self, parts: tuple[str, ...]) -> bool:
        """By the recipe; what DVC keeps may be a link into its cache, wherever that is."""
        allowed = {self._normal(path) for path in self.outside}
        above = [parts[:end] for end in range(1, len(parts) + 1)]
        return any(
            each in allowed or self.root.joinpath(*each[:-1], f"{each[-1]}.dvc").is_file()
            for each in above
        )

    def _generated(self, path: str, parts: tuple[str, ...], what: str) -> tuple[str, str] | None:
        if parts[:1] == ("models",) and parts[2:3] == ("build",):
            problem = f"`{path}` is in a build/ folder, which holds what doit makes and may replace"
            return problem, "copy it to another folder of the model"
        if what != "file" and PurePosixPath(self.folder).parts[: len(parts)] == parts:
            problem = f"`{path}` holds the model's own build/ folder"
            return problem, "put the data into a folder of its own, such as data/"
        return None

    def _missing(self, path: str, parts: tuple[str, ...], what: str) -> tuple[str, str]:
        here = self.root
        for i, part in enumerate(parts):
            below = here / part
            if not below.exists():
                return f"no {what} `{path}`", self._advice(here, parts[i:], what)
            here = below
        return f"no {what} `{path}`", f"name a {what} that exists"

    def _advice(self, here: Path, rest: tuple[str, ...], what: str) -> str:
        """The nearest path that exists below the folder `here`, which lacks rest[0]."""
        if here.joinpath(*rest[:-1], f"{rest[-1]}.dvc").is_file():
            return "DVC keeps it: `./doit --pull` fetches it"
        near = here
        for part in rest:
            found = near / part if (near / part).exists() else _nearest(near, part)
            if found is None:
                break
            near = found
        if near != here:
            return f"did you mean `{self._relative(near)}`?"
        names = _names(here)
        some = ", ".join(names[:12]) + (", ..." if len(names) > 12 else "")
        place = self._relative(here)
        place = "the model's folder" if place == "." else place
        return f"{place} has {some or 'nothing'}"

    def _relative(self, path: Path) -> str:
        """`path` as the recipe would write it."""
        target = path.relative_to(self.root).parts
        start = PurePosixPath(self.folder).parts
        common = 0
        while common < min(len(start), len(target)) and start[common] == target[common]:
            common += 1
        return "/".join([".."] * (len(start) - common) + list(target[common:])) or "."


def _nearest(folder: Path, name: str) -> Path | None:
    near = nearest(name, _names(folder))
    return folder / near if near else None


def _names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir()) if folder.is_dir() else []
