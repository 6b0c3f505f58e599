"""`python -m pipelines.run.toolchain.pins` writes the hashes of all pins into toolchains/*.txt.

To change a pin: edit its `name==version` in toolchains/NAME.txt, delete its hashes, and run

    .venv/bin/python -m pipelines.run.toolchain.pins NAME

It asks the indexes of pip's configuration, through uv, for the files of each version; a hash stands
for every wheel that a Python 3.10-3.12 on x86-64 or aarch64 Linux can take, or for the source where
there is none. Builds with a local version (`torch==2.13.0+cpu`) are on indexes of their own: the
hashes that stand there stay, and those that are found are added. Nothing else is in the file: it is
the same for every machine and Python, and no index is named.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import unquote

from packaging.utils import canonicalize_name, parse_wheel_filename

from pipelines.files.engine import CODE
from pipelines.run.toolchain.pip_config import read, uv_environment

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_FOLDER = CODE / "toolchains"
_PIN = re.compile(r"(?P<name>[a-z0-9-]+)==(?P<version>\S+)(?P<marker> ; [^\\]+?)?(?: \\)?")
_HASH = re.compile(r"\s+--hash=sha256:([0-9a-f]{64})(?: \\)?")
_MINORS = (10, 11, 12)
_ARCHITECTURES = ("x86_64", "aarch64")


@dataclass(frozen=True)
class Pin:
    """One package of a toolchain. marker: as ` ; python_version < "3.11"`, may be empty."""

    name: str
    version: str
    marker: str = ""
    hashes: tuple[str, ...] = ()

    def __str__(self) -> str:
        rows = [f"{self.name}=={self.version}{self.marker}"]
        return " \\\n".join([*rows, *(f"    --hash=sha256:{found}" for found in self.hashes)])


def parse(text: str) -> tuple[list[str], list[Pin]]:
    """A file's comments and pins. Raises ValueError on any other line."""
    comments: list[str] = []
    pins: list[Pin] = []
    for line in text.splitlines():
        if line.startswith("#"):
            comments.append(line)
        elif pin := _PIN.fullmatch(line):
            pins.append(Pin(pin["name"], pin["version"], pin["marker"] or ""))
        elif (found := _HASH.fullmatch(line)) and pins:
            pins[-1] = replace(pins[-1], hashes=(*pins[-1].hashes, found[1]))
        elif line.strip():
            raise ValueError(f"neither a pin nor a hash: {line}")
    return comments, pins


def text(comments: Iterable[str], pins: Iterable[Pin]) -> str:
    return "".join(f"{line}\n" for line in (*comments, *map(str, pins)))


def hashed(pins: list[Pin]) -> list[Pin]:
    """The pins with the hashes of their files. Raises ValueError where a pin has none."""
    files = _files([replace(pin, hashes=()) for pin in pins])
    return [_with_hashes(pin, files.get((pin.name, pin.version), {})) for pin in pins]


def _with_hashes(pin: Pin, files: dict[str, str]) -> Pin:
    wheels = {files[name] for name in files if name.endswith(".whl") and _is_taken(name)}
    sources = {files[name] for name in files if not name.endswith(".whl")}
    kept = set(pin.hashes) if "+" in pin.version else set()
    found = tuple(sorted(kept | (wheels or sources)))
    if not found:
        raise ValueError(
            f"no index of pip's configuration has a file for {pin.name}=={pin.version}"
        )
    return replace(pin, hashes=found)


def _is_taken(wheel: str) -> bool:
    """Whether a supported Python on a supported machine takes the wheel."""
    return any(
        _is_taken_by(tag.interpreter, tag.abi) and _is_linux(tag.platform)
        for tag in parse_wheel_filename(wheel)[3]
    )


def _is_taken_by(interpreter: str, abi: str) -> bool:
    if interpreter == "py3" or interpreter in [f"py3{minor}" for minor in _MINORS]:
        return True
    minor = interpreter.removeprefix("cp3")
    if not interpreter.startswith("cp3") or not minor.isdigit():
        return False
    return int(minor) in _MINORS if abi != "abi3" else int(minor) <= _MINORS[-1]


def _is_linux(platform: str) -> bool:
    is_glibc = platform.startswith(("manylinux", "linux_"))
    return platform == "any" or (is_glibc and platform.endswith(_ARCHITECTURES))


def _files(pins: list[Pin]) -> dict[tuple[str, str], dict[str, str]]:
    """(name, version) -> file -> SHA-256, from the main index, and from all where that has not all.

    uv takes a version's files from one index alone; a local one may hold few of them.
    """
    local = [pin for pin in pins if "+" in pin.version]
    options = read(sys.executable)
    main = {key: options[key] for key in options if key != "extra-index-url"}
    found = dict(_asked([pin for pin in pins if pin not in local], main))
    found.update(_asked(local, options) if local else ())
    return found


def _asked(
    pins: list[Pin], options: dict[str, str]
) -> Iterator[tuple[tuple[str, str], dict[str, str]]]:
    with tempfile.TemporaryDirectory() as folder:
        given, lock = Path(folder, "pins.txt"), Path(folder, "pylock.toml")
        given.write_text(text((), pins))
        uv = str(Path(sys.prefix) / "bin" / "uv")
        compile_ = [uv, "pip", "compile", "--quiet", "--no-deps", "--universal", "--no-annotate"]
        command = [*compile_, "--python-version", f"3.{_MINORS[0]}", "--format", "pylock.toml"]
        environment = {**os.environ, **uv_environment(options)}
        subprocess.run([*command, str(given), "-o", str(lock)], env=environment, check=True)
        for package in tomllib.loads(lock.read_text())["packages"]:
            held = [*package.get("wheels", []), *([package["sdist"]] if "sdist" in package else [])]
            files = {
                unquote(one["url"].rpartition("/")[2]): one["hashes"]["sha256"] for one in held
            }
            yield (canonicalize_name(package["name"]), package["version"]), files


def main(names: list[str]) -> None:
    for name in names or sorted(file.stem for file in _FOLDER.glob("*.txt")):
        file = _FOLDER / f"{name}.txt"
        comments, pins = parse(file.read_text(encoding="utf-8"))
        made = hashed(pins)
        file.write_text(text(comments, made), encoding="utf-8")
        print(f"wrote {file.name}: {len(made)} pins, {sum(len(pin.hashes) for pin in made)} hashes")


if __name__ == "__main__":
    main(sys.argv[1:])
