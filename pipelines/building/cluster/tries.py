"""How often a step may be tried on a cluster's workers before it has failed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

_MOST_DEATHS = 5  # of workers that ran it
_MOST_LOST = 50  # of workers that went before they began it, or after it had ended
_MOST_LACKS = 5  # times that a worker may say that it has not what it was sent


@dataclass
class Tries:
    """died: names of the workers that went while they ran it. lost: how many went otherwise. lacks:
    how often one had not what it was given.

    Only the first are held against the step: where machines come and go, the step that is the
    first in turn meets many that are about to go, and none because of it.
    """

    died: list[str] = field(default_factory=list)
    lost: int = 0
    lacks: int = 0
    is_running: bool = False

    @property
    def has_lost_any(self) -> bool:
        return bool(self.died or self.lost)

    @contextmanager
    def running(self) -> Iterator[None]:
        """While a worker has it; it stays so where the worker is lost meanwhile."""
        self.is_running = True
        yield
        self.is_running = False

    def note_lost(self, worker: str) -> None:
        if self.is_running:
            self.died.append(worker)
        else:
            self.lost += 1
        self.is_running = False

    @property
    def over(self) -> str | None:
        """Why it is tried no more, and what to do."""
        if len(self.died) >= _MOST_DEATHS:
            return (
                f"{len(self.died)} workers died while they ran it: {', '.join(self.died)}\n"
                "  out of memory? look at those machines, or run it here: without --cluster"
            )
        if self.lost >= _MOST_LOST:
            return (
                f"{self.lost} workers went before they began it, or before they gave what it made\n"
                "  does something end them? see their own output, and the network between"
            )
        if self.lacks >= _MOST_LACKS:
            return "workers don't keep what they are sent\n  is their disk full?"
        return None
