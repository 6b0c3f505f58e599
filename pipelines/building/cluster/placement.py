"""Which worker runs a step: one with a free slot and enough memory, best one that has its inputs.

Pure; by what is told of workers, and not thread-safe.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass
class Seat:
    """A worker. memory: bytes for all that it runs at once. running: step -> its peak in bytes.

    has: MD5s of the objects that it was given or made. fetches: whether it looks for others in its
    DVC remote first; absent: those that it did not find there.
    """

    slots: int
    memory: int
    running: dict[str, int] = field(default_factory=dict)
    has: set[str] = field(default_factory=set)
    fetches: bool = False
    absent: set[str] = field(default_factory=set)

    def has_to_be_given(self, md5: str) -> bool:
        return md5 not in self.has and (not self.fetches or md5 in self.absent)

    def fits(self, peak: int) -> bool:
        """What is larger than the worker's memory runs alone."""
        if len(self.running) >= self.slots:
            return False
        return not self.running or sum(self.running.values()) + peak <= self.memory


@dataclass
class Placement:
    seats: dict[str, Seat] = field(default_factory=dict)

    @property
    def slots(self) -> int:
        return sum(seat.slots for seat in self.seats.values())

    @property
    def has_free_slot(self) -> bool:
        return any(len(seat.running) < seat.slots for seat in self.seats.values())

    def place(self, name: str, peak: int, wants: Mapping[str, int]) -> str | None:
        """Give the step a worker's slot. wants: MD5 -> bytes of its inputs.

        None where none is free. Of equals, the one with most free slots; of these, the largest.
        """
        free = {address: seat for address, seat in self.seats.items() if seat.fits(peak)}
        if not free:
            return None

        def worth(address: str) -> tuple[int, int, int]:
            seat = free[address]
            held = sum(size for md5, size in wants.items() if md5 in seat.has)
            return held, seat.slots - len(seat.running), seat.memory

        chosen = max(free, key=worth)
        free[chosen].running[name] = peak
        return chosen

    def ended(self, address: str, name: str) -> None:
        """The worker may be gone by now."""
        if address in self.seats:
            self.seats[address].running.pop(name, None)
