"""The processors of boards, and what runs their programs on another machine: Debian's packages."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from quant.fault import Fault

_ELF = b"\x7fELF"
_MACHINE = slice(18, 20)  # of an ELF header: e_machine


@dataclass(frozen=True)
class Processor:
    """machine: its number in an ELF file. qemu: the emulator; cpu: what it is to be, with nothing
    that boards do not have. root: where its C library is, with `libraries`. gnu: what its
    compilers' names begin with. zig: its name for Zig's compiler.
    """

    machine: int
    qemu: str
    cpu: str
    root: Path
    libraries: tuple[str, ...]
    gnu: str
    zig: str
    packages: tuple[str, ...]

    def lacking(self) -> str:
        """What must be installed, as a sentence; empty where nothing lacks."""
        found = (self.root / "lib" / name for name in self.libraries)
        if shutil.which(self.qemu) and all(file.exists() for file in found):
            return ""
        return f"the emulator {self.qemu} and the C library for it are not installed"

    @property
    def install(self) -> str:
        return f"apt install {' '.join(self.packages)}"


AARCH64 = Processor(
    machine=183,
    qemu="qemu-aarch64-static",
    cpu="cortex-a76",  # of rk3588
    root=Path("/usr/aarch64-linux-gnu"),
    libraries=("ld-linux-aarch64.so.1", "libstdc++.so.6"),
    gnu="aarch64-linux-gnu-",
    zig="aarch64-linux-gnu.2.28",
    packages=("qemu-user-static", "libc6-arm64-cross", "libstdc++6-arm64-cross"),
)
ARM = Processor(
    machine=40,
    qemu="qemu-arm-static",
    cpu="cortex-a7",  # of rv1106
    root=Path("/usr/arm-linux-gnueabihf"),
    libraries=("ld-linux-armhf.so.3", "libstdc++.so.6"),
    gnu="arm-linux-gnueabihf-",
    zig="arm-linux-gnueabihf.2.28",
    packages=("qemu-user-static", "libc6-armhf-cross", "libstdc++6-armhf-cross"),
)


def of_library(file: Path) -> Processor:
    """Which a shared library is for. Raises Fault on another file."""
    with file.open("rb") as opened:
        head = opened.read(_MACHINE.stop)
    for one in (AARCH64, ARM):
        if head[:4] == _ELF and int.from_bytes(head[_MACHINE], "little") == one.machine:
            return one
    raise Fault(f"{file.name} is no library for a board's processor", "copy it from the board")
