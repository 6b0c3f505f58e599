"""What runs the vendor's 64-bit runtime on a machine that is no board: an emulator, the stand-in
for the kernel's device, and the runtime itself.

The emulator and the C library for it are Debian's; the runtime is that of the Python index's
`rknpu` (pins.txt), or a copy from a board. The two C files are compiled once and kept.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipelines.files.only_one import only_one
from quant.fault import Fault

_HERE = Path(__file__).parent
_QEMU = "qemu-aarch64-static"
_LIBRARIES = Path("/usr/aarch64-linux-gnu")
_GCC = "aarch64-linux-gnu-gcc"
_GXX = "aarch64-linux-gnu-g++"
INSTALL = "apt install qemu-user-static libc6-arm64-cross libstdc++6-arm64-cross"
_TIMEOUT_S = 300


@dataclass(frozen=True)
class Emulator:
    """device, probe: compiled; see device.c and probe.c."""

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
        start = [_QEMU, "-L", str(_LIBRARIES)]
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


def lacking() -> str:
    """What must be installed, as a sentence; empty where nothing lacks."""
    found = (_LIBRARIES / "lib" / name for name in ("ld-linux-aarch64.so.1", "libstdc++.so.6"))
    if shutil.which(_QEMU) and all(file.exists() for file in found):
        return ""
    return f"the emulator {_QEMU} and the C library for it are not installed"


def prepare(home: Path) -> Emulator:
    """Compile what is not compiled yet. home: where it is kept. Raises Fault."""
    if told := lacking():
        raise Fault(told, f"Debian, Ubuntu: {INSTALL}")
    sources = [_HERE / "device.c", _HERE / "probe.c"]
    key = hashlib.sha256(b"".join(file.read_bytes() for file in sources)).hexdigest()[:12]
    folder = home / key
    with only_one(home / "lock"):
        if not folder.is_dir():
            _compile(sources, home, folder)
    return Emulator(folder / "device.so", folder / "probe")


def _compile(sources: Sequence[Path], home: Path, folder: Path) -> None:
    compiler = [_GCC] if shutil.which(_GCC) else _zig(home)
    with tempfile.TemporaryDirectory(dir=home) as made:
        for source, words in zip(sources, (["-shared", "-fPIC"], []), strict=True):
            name = source.stem + (".so" if words else "")
            command = [*compiler, "-O1", *words, "-o", f"{made}/{name}", str(source), "-ldl"]
            environment = {**os.environ, "ZIG_GLOBAL_CACHE_DIR": str(home / "zig-cache")}
            done = subprocess.run(
                command, env=environment, capture_output=True, text=True, check=False
            )
            if done.returncode:
                raise Fault(f"{source.name} could not be compiled", done.stderr[-500:].strip())
        shutil.copytree(made, folder)


def cpp_compiler(home: Path) -> list[str]:
    """Of C++ for the board's processor. Raises Fault where it can't be had."""
    return [_GXX] if shutil.which(_GXX) else _zig(home, "c++")


def _zig(home: Path, language: str = "cc") -> list[str]:
    """Zig's compiler, which has the other processor's C library with it (340 MB)."""
    folder = home / "zig"
    if not (folder / "ziglang").is_dir():
        _pip(["install", "--target", str(folder)], _HERE / "compiler.txt")
    binary = folder / "ziglang" / "zig"
    return [str(binary), language, "-target", "aarch64-linux-gnu.2.28"]


def pinned_runtime(home: Path) -> Path:
    """librknnrt 1.5.2, fetched once. Raises Fault."""
    home.mkdir(parents=True, exist_ok=True)
    file = home / "librknnrt-1.5.2.so"
    with only_one(home / "lock"):
        if not file.is_file():
            _fetch(home, file)
    return file


def _fetch(home: Path, file: Path) -> None:
    with tempfile.TemporaryDirectory(dir=home) as folder:
        platform = ["--platform", "manylinux2014_aarch64", "--python-version", "38"]
        where = ["--implementation", "cp", "--only-binary=:all:", "--dest", folder]
        _pip(["download", *platform, *where], _HERE / "pins.txt")
        wheel = next(Path(folder).glob("*.whl"))
        with zipfile.ZipFile(wheel) as packed:
            name = next(one for one in packed.namelist() if "librknnrt" in one)
            data = packed.read(name)
        part = Path(folder, file.name)
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
