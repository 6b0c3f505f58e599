"""What runs the vendor's runtime on a machine that is no board: an emulator, the stand-in for the
kernel's device, and the runtime itself.

The emulator and the C library for it are Debian's (processor.py); the runtime is that of the Python
index's `rknpu` (pins.txt), or a copy from a board. The C files are compiled once and kept.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from pipelines.backends.rknn.runtime.processor import AARCH64, ARM, Processor
from pipelines.files import unfinished
from pipelines.files.only_one import only_one
from quant.fault import Fault

_HERE = Path(__file__).parent
_TIMEOUT_S = 300
_GNU = {"cc": "gcc", "c++": "g++"}


@dataclass(frozen=True)
class Emulator:
    """device, probe: compiled; see device.c and probe.c."""

    processor: Processor
    device: Path
    probe: Path

    def run(
        self, library: Path, model: Path, mode: str, environment: dict[str, str]
    ) -> subprocess.CompletedProcess[str]:
        """Run the probe; stdout and stderr in one. Raises Fault where it does not end."""
        return self.run_program([str(self.probe), str(library), str(model), mode], environment)

    def run_program(
        self, program: Sequence[str], environment: dict[str, str]
    ) -> subprocess.CompletedProcess[str]:
        """The same with another program for the board's processor."""
        given = {"LD_PRELOAD": str(self.device), **environment}
        words = [word for name, value in given.items() for word in ("-E", f"{name}={value}")]
        start = [self.processor.qemu, "-cpu", self.processor.cpu, "-L", str(self.processor.root)]
        try:
            return subprocess.run(
                # A crash of the runtime leaves no core file.
                ["sh", "-c", 'ulimit -c 0; exec "$0" "$@"', *start, *words, *program],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                timeout=_TIMEOUT_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise Fault(
                f"the runtime did not end within {_TIMEOUT_S} s under emulation",
                "run it on a board",
            ) from None


def prepare(home: Path, processor: Processor = AARCH64) -> Emulator:
    """Compile what is not compiled yet. home: where it is kept. Raises Fault."""
    if told := processor.lacking():
        raise Fault(told, f"Debian, Ubuntu: {processor.install}")
    made = _programs(processor)
    content = b"".join(one.content for one in made.values())
    folder = home / hashlib.sha256(processor.zig.encode() + content).hexdigest()[:12]
    with only_one(home / "lock"):
        if not folder.is_dir():
            _compile(made, home, folder, processor)
    return Emulator(processor, folder / "device.so", folder / "probe")


class _Program(NamedTuple):
    sources: list[Path]
    options: list[str]

    @property
    def content(self) -> bytes:
        return repr(self.options).encode() + b"".join(file.read_bytes() for file in self.sources)


def _programs(processor: Processor) -> dict[str, _Program]:
    """What is compiled: by its file's name."""
    is_arm = processor == ARM
    device = [_HERE / "device.c", _HERE / ("uclibc.c" if is_arm else "copies.c")]
    shared = ["-shared", "-fPIC", *(["-Wl,-soname,libc.so.0"] if is_arm else [])]
    # As a fixed-address program of Zig's for 32 bits, qemu 7.2 left its variables unmapped.
    return {
        "device.so": _Program(device, shared),
        "probe": _Program([_HERE / "probe.c"], ["-pie", "-fPIE"]),
    }


def _compile(
    programs: Mapping[str, _Program], home: Path, folder: Path, processor: Processor
) -> None:
    words = compiler(home, processor, "cc")
    environment = {**os.environ, "ZIG_GLOBAL_CACHE_DIR": str(home / "zig-cache")}
    with unfinished.folder_in(home) as made:
        for name, program in programs.items():
            sources = [str(source) for source in program.sources]
            command = [*words, "-O1", *program.options, "-o", f"{made}/{name}", *sources, "-ldl"]
            done = subprocess.run(
                command, env=environment, capture_output=True, text=True, check=False
            )
            if done.returncode:
                raise Fault(f"{name} could not be compiled", done.stderr[-500:].strip())
        os.replace(made, folder)


def cpp_compiler(home: Path) -> list[str]:
    """Of C++ for 64-bit boards. Raises Fault where it can't be had."""
    return compiler(home, AARCH64, "c++")


def compiler(home: Path, processor: Processor, language: str) -> list[str]:
    """The distribution's cross compiler where the C library's headers are there too; else Zig's,
    which has them with it (340 MB).

    language: cc or c++. Raises Fault where it can't be had.
    """
    gnu = f"{processor.gnu}{_GNU[language]}"
    if shutil.which(gnu) and _has_headers(gnu):
        return [gnu]
    folder = home / "zig"
    if not (folder / "ziglang").is_dir():
        _pip(["install", "--target", str(folder)], _HERE / "compiler.txt")
    return [str(folder / "ziglang" / "zig"), language, "-target", processor.zig]


def _has_headers(gnu: str) -> bool:
    """Debian's cross compilers only recommend the C library's, and then read the PC's."""
    done = subprocess.run(
        [gnu, "-E", "-x", "c", "-"],
        input=b"#include <stdint.h>\n",
        capture_output=True,
        check=False,
    )
    return done.returncode == 0


def pinned_runtime(home: Path) -> Path:
    """librknnrt 1.5.2, fetched once. Raises Fault."""
    home.mkdir(parents=True, exist_ok=True)
    file = home / "librknnrt-1.5.2.so"
    with only_one(home / "lock"):
        if not file.is_file():
            _fetch(home, file)
    return file


def _fetch(home: Path, file: Path) -> None:
    with unfinished.folder_in(home) as folder:
        platform = ["--platform", "manylinux2014_aarch64", "--python-version", "38"]
        where = ["--implementation", "cp", "--only-binary=:all:", "--dest", str(folder)]
        _pip(["download", *platform, *where], _HERE / "pins.txt")
        wheel = next(folder.glob("*.whl"))
        with zipfile.ZipFile(wheel) as packed:
            name = next(one for one in packed.namelist() if "librknnrt" in one)
            data = packed.read(name)
        part = folder / file.name
        part.write_bytes(data)
        part.replace(file)


def _pip(words: Sequence[str], pins: Path) -> None:
    command = [sys.executable, "-m", "pip", *words]
    command += ["--quiet", "--no-deps", "--require-hashes", "-r", str(pins)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        said = " / ".join(done.stderr.strip().splitlines()[-2:])
        package = pins.read_text().split()[0]
        raise Fault(
            f"{package} could not be fetched: {said}", "check the network and pip config list"
        )
