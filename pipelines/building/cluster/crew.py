"""The workers of a scheduler: which are there, which run what, and how they are asked."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from bisect import insort
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipelines.building.cluster import dask, identity
from pipelines.building.cluster.dask import ClusterError
from pipelines.building.cluster.placement import Placement, Seat
from pipelines.building.cluster.service import ADVICE
from pipelines.files import console

_LOOK_S = 0.5
_HELLO_S = 10.0
_FIRST_S = 30.0  # workers that were started together with this come within it
_PATIENCE_S = 60.0  # without any worker
_CONNECT_S = 10.0
_MOST_ASKED = 100_000  # connections: one a step that runs


class Lost(Exception):
    """The worker is gone, or can't be reached."""


@dataclass(order=True)
class _Waiting:
    """A step that waits for a seat. key: the least goes first."""

    key: tuple[float, int]
    step: str = field(compare=False)
    peak: int = field(compare=False)
    wants: Mapping[str, int] = field(compare=False)
    address: str | None = field(default=None, compare=False)
    has_seat: threading.Event = field(default_factory=threading.Event, compare=False)


class Crew:
    """The scheduler at an address. Safe to use from several threads. Raises ClusterError.

    manifests: of the toolchains that steps will need; "" of those that are not made here.
    """

    def __init__(self, root: Path, address: str, manifests: Mapping[str, str]) -> None:
        self._manifests = manifests
        self._distributed = dask.load(root)
        self.address = dask.with_scheme(address)
        self._own = identity.own(self._distributed.__version__)
        self._placement = Placement()
        self._names: dict[str, str] = {}  # address -> what messages call it
        self._proxied = set[str]()  # workers that only the scheduler reaches
        self._refused: dict[str, str] = {}
        self._greeting = set[str]()  # workers that were asked who they are
        self._waiting: list[_Waiting] = []  # sorted
        self._count = 0
        self._turn = threading.Condition()
        self._is_closed = False
        self._failure: str | None = None
        self._client = self._connected()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def await_first(self) -> int:
        """Wait for a worker. Returns how many steps all can run at once."""
        with self._turn:
            self._turn.wait_for(lambda: self._placement.seats or self._failure, _FIRST_S)
            if not self._placement.seats:
                raise ClusterError(*self._none_left())
            return self._placement.slots

    def name(self, address: str) -> str:
        return self._names.get(address, address)

    def seat(self, step: str, peak: int, wants: Mapping[str, int], priority: float) -> str:
        """Wait for a worker that runs the step. Raises ClusterError where none is left.

        priority: of those that wait, the largest goes first, as far as memory goes.
        """
        with self._turn:
            self._count += 1
            waiting = _Waiting((-priority, self._count), step, peak, wants)
            insort(self._waiting, waiting)
            self._assign()
        alone_s = time.monotonic()
        while not waiting.has_seat.wait(_LOOK_S):
            with self._turn:
                if self._placement.seats:
                    alone_s = time.monotonic()
                is_over = self._is_closed or self._failure is not None
                if waiting.address is None and (
                    is_over or time.monotonic() > alone_s + _PATIENCE_S
                ):
                    self._waiting.remove(waiting)
                    raise ClusterError(*self._none_left())
        return waiting.address or ""

    def _assign(self) -> None:
        """Give free seats to those that wait."""
        for waiting in list(self._waiting):
            if not self._placement.has_free_slot:
                return
            address = self._placement.place(waiting.step, waiting.peak, waiting.wants)
            if address is not None:
                self._waiting.remove(waiting)
                waiting.address = address
                waiting.has_seat.set()

    def leave(self, address: str, step: str) -> None:
        with self._turn:
            self._placement.ended(address, step)
            self._assign()

    def lacking(self, address: str, wants: Mapping[str, int]) -> dict[str, int]:
        """Of some objects, those that the worker has to be given."""
        with self._turn:
            seat = self._placement.seats.get(address)
            return {md5: n for md5, n in wants.items() if seat is None or seat.has_to_be_given(md5)}

    def has(self, address: str, md5s: Mapping[str, int] | set[str]) -> None:
        """The worker was given these, or has made them."""
        with self._turn:
            if address in self._placement.seats:
                self._placement.seats[address].has.update(md5s)

    def has_not(self, address: str, md5s: tuple[str, ...]) -> bool:
        """The worker has not, and does not find them either. Whether it was said to have one."""
        with self._turn:
            seat = self._placement.seats.get(address)
            if seat is None:
                return True
            was_told = not seat.has.isdisjoint(md5s)
            seat.has.difference_update(md5s)
            seat.absent.update(md5s)
            return was_told

    def refuse(self, address: str, why: str) -> None:
        """Ask a worker for nothing any more, and say so."""
        with self._turn:
            is_new = address not in self._refused
            self._refused[address] = why
            self._placement.seats.pop(address, None)
            self._turn.notify_all()
        if is_new:
            console.say(f"worker {self.name(address)} is refused: {why}", "yellow")

    def lost(self, address: str) -> None:
        """What it had is not known any more; if it is there after all, it is found anew."""
        with self._turn:
            if self._placement.seats.pop(address, None) and not self._is_closed:
                console.say(f"worker {self.name(address)} is gone", "yellow")
            self._turn.notify_all()

    def ask(self, address: str, what: str, **message: Any) -> Any:
        """Have a worker do something. Raises Lost."""
        try:
            return self._sync(lambda: self._asked(address, what, message))
        except (Exception, asyncio.CancelledError) as error:  # of dask, tornado and the network
            raise Lost(str(error)) from error

    def close(self) -> None:
        with self._turn:
            self._is_closed = True
            self._turn.notify_all()
        self._thread.join(5)
        self._client.close(timeout=2)

    def _connected(self) -> Any:
        try:
            _knock(self.address)
            client = self._distributed.Client(
                self.address,
                timeout=_CONNECT_S,
                set_as_default=False,
                name="npumake",
                connection_limit=_MOST_ASKED,
            )
        except (OSError, TimeoutError, ValueError) as error:
            raise ClusterError(f"no scheduler at {self.address}: {error}", ADVICE) from error
        versions = client.sync(client.scheduler.versions)
        there = versions["packages"]["distributed"]
        if there != self._own["distributed"]:
            client.close(timeout=2)
            raise ClusterError(
                f"the scheduler at {self.address} is of distributed {there}, "
                f"here it is {self._own['distributed']}",
                "start it from a checkout of the same npumake: ./doit worker --scheduler",
            )
        return client

    def _watch(self) -> None:
        """Find out who came and who went, until it is closed."""
        silent_s: float | None = None
        while not self._is_closed:
            try:
                there = set(self._sync(lambda: self._client.scheduler.ncores()))
            except (Exception, asyncio.CancelledError):
                silent_s = silent_s or time.monotonic()
                if time.monotonic() > silent_s + _FIRST_S and not self._is_closed:
                    self._fail(f"the scheduler at {self.address} is gone")
            else:
                silent_s = None
                self._meet(there)
            time.sleep(_LOOK_S)

    def _fail(self, what: str) -> None:
        with self._turn:
            self._failure = what
            self._turn.notify_all()

    def _meet(self, there: set[str]) -> None:
        with self._turn:
            known = {*self._placement.seats, *self._refused}
            gone = (known | self._greeting) - there
            new = sorted(there - known - self._greeting)
            self._greeting.update(new)
        for address in gone:
            self._refused.pop(address, None)
            self.lost(address)
            # What still waits for its answer gets none: a machine may die without a word.
            self._client.loop.add_callback(self._client.rpc.remove, address)
        for address in new:  # not one after the other: dask tries for long to reach a dead one
            self._client.loop.add_callback(self._greet, address)

    async def _greet(self, address: str) -> None:
        try:
            await self._hello(address)
        finally:
            with self._turn:
                self._greeting.discard(address)

    async def _hello(self, address: str) -> None:
        told = None
        for is_proxied in (False, True):
            (self._proxied.add if is_proxied else self._proxied.discard)(address)
            try:
                message = {"toolchains": [*self._manifests]}
                asked = self._asked(address, "npumake_hello", message)
                told = await asyncio.wait_for(asked, _HELLO_S)
                break
            except (OSError, TimeoutError, RuntimeError, KeyError):
                continue
        else:
            return  # it is asked again
        self._welcome(address, told)

    def _welcome(self, address: str, told: Any) -> None:
        try:
            held = json.loads(told)
            self._names[address] = f"{held['name']} ({address})"
            why = identity.difference(self._own, held["identity"])
            why = why or identity.other_toolchain(self._manifests, held["manifests"])
            fetches = bool(held["fetches"])
            seat = Seat(int(held["slots"]), int(held["memory"]), fetches=fetches)
        except (ValueError, TypeError, KeyError, AttributeError):
            why = "it is none of npumake's\n  start it by ./doit worker"
        if why is not None:
            self.refuse(address, why)
            return
        with self._turn:
            self._placement.seats[address] = seat
            self._turn.notify_all()
            self._assign()

    async def _asked(self, address: str, what: str, message: Mapping[str, Any]) -> Any:
        if address in self._proxied:
            whole = {"op": what, **message}
            return await self._client.scheduler.proxy(worker=address, msg=whole)
        return await getattr(self._client.rpc(address), what)(**message)

    def _sync(self, act: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        return self._client.sync(act)

    def _none_left(self) -> tuple[str, str]:
        if self._failure:
            return self._failure, ADVICE
        told = "".join(f"\n  {self.name(each)}: {why}" for each, why in self._refused.items())
        return (
            f"no worker at {self.address}{' but those that are refused' if told else ''}{told}",
            f"start one: ./doit worker {self.address}",
        )


def _knock(address: str) -> None:
    """Raise OSError where nobody listens: dask would go on trying for as long as it may."""
    scheme, _, rest = address.partition("://")
    host, _, port = rest.rpartition(":")
    if scheme in ("tcp", "tls") and port.isdecimal():
        socket.create_connection((host.strip("[]"), int(port)), _CONNECT_S).close()
