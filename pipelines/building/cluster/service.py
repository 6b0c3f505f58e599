"""./doit worker: joins a scheduler and serves it, until the scheduler or the user ends it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from pipelines.building.cluster import dask
from pipelines.building.cluster.dask import ClusterError
from pipelines.building.cluster.hands import Hands
from pipelines.files import console

_AGAIN_S = 5.0


def serve(
    root: Path,
    address: str,
    slots: int,
    host: str | None,
    name: str,
    *,
    is_once: bool,
    fetches: bool,
) -> None:
    """is_once: end with the scheduler, instead of waiting for its next. fetches: see Objects.

    Raises ClusterError.
    """
    distributed = dask.load(root)
    while True:
        hands = Hands(root, distributed.__version__, slots, name, fetches=fetches)
        try:
            asyncio.run(_serve(distributed, hands, address, host))
        except (OSError, ValueError) as error:
            if is_once:
                raise ClusterError(f"no scheduler at {address}: {error}", ADVICE) from error
            console.say(f"no scheduler at {address}: trying again every {_AGAIN_S:.0f} s", "yellow")
            asyncio.run(asyncio.sleep(_AGAIN_S))
        finally:
            hands.close()
        if is_once:
            return


ADVICE = (
    "start one with `./doit worker --scheduler`, or look at the address and at firewalls: "
    "its port must be open, and those of the workers"
)


async def _serve(distributed: Any, hands: Hands, address: str, host: str | None) -> None:
    worker = distributed.Worker(
        dask.with_scheme(address),
        nthreads=hands.slots,
        name=hands.name,
        host=host,
        memory_limit=0,  # of this process, which holds a few MB; steps have their own
        local_directory=str(hands.root / ".npumake" / "cluster"),
        dashboard=False,
        death_timeout=30,
    )
    worker.handlers.update(hands.handlers())
    async with worker:
        console.say(f"worker {worker.name} at {worker.address}: {hands.slots} steps at once")
        await worker.finished()
    console.say(f"worker {worker.name}: its scheduler has ended")


def schedule(root: Path, host: str, port: int) -> None:
    """A scheduler of dask's, until it is interrupted."""
    distributed = dask.load(root)

    async def run() -> None:
        async with distributed.Scheduler(host=host, port=port, dashboard=False) as scheduler:
            console.say(f"scheduler at {scheduler.address}; ./doit worker {scheduler.address}")
            await scheduler.finished()

    try:
        asyncio.run(run())
    except OSError as error:
        advice = "another port: --port N; another address of this machine: --host ADDRESS"
        raise ClusterError(f"no scheduler at {host}:{port}: {error}", advice) from error
