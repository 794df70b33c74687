"""Exchanges that are carried on by somebody who does not give up, while nodes are killed under them.

Each exchange has an asset of its own. Who asks and hears nothing looks whether the node has kept what was asked for
before it asks again, so more than one process about an asset is the nodes' doing.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Final, TypeVar

from connector.client import ApiError, Client, Offer
from connector.client.exchanging import by_id, one_dataset
from connector.exchange.query import Criterion, QuerySpec
from tests.crash.nodes import Parties, hold

T = TypeVar("T")
PATIENCE_S: Final = 20.0
"""How long one step may take while both nodes run."""
PAUSE_S: Final = 0.05
"""Between two tries of whoever was refused although both nodes run."""


@dataclass(slots=True)
class Progress:
    """Where the exchanges are. Times are `time.monotonic()`."""

    running: set[str] = field(default_factory=set)
    done: list[str] = field(default_factory=list)
    moved_at: dict[str, float] = field(default_factory=dict)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def moved(self, asset: str) -> None:
        """An exchange has made a step."""
        self.moved_at[asset] = time.monotonic()
        self.changed.set()

    async def moved_since(self, at: float, assets: AbstractSet[str]) -> float | None:
        """Wait until all of these have made a step after `at`: when the last did. None if all had ended by then."""
        open_then = assets & self.running
        while any(self.moved_at.get(asset, 0) <= at for asset in open_then):
            self.changed.clear()
            await self.changed.wait()
        return max((self.moved_at[asset] for asset in open_then), default=None)


class Load:
    """Carries on `at_once` exchanges at a time. `up` is set while both nodes run."""

    def __init__(self, pair: Parties, assets: list[str], *, at_once: int) -> None:
        self.progress = Progress()
        self.up = asyncio.Event()
        self.up.set()
        self.falls = 0
        self._pair = pair
        self._waiting = list(reversed(assets))
        self._at_once = at_once

    def fall(self) -> None:
        """A node is about to be killed."""
        self.falls += 1
        self.up.clear()

    async def run(self) -> None:
        """Until all exchanges are done."""
        async with asyncio.TaskGroup() as group:
            for _ in range(self._at_once):
                group.create_task(self._work())

    async def _work(self) -> None:
        async with self._pair.oem.client() as oem:
            while self._waiting:
                asset = self._waiting.pop()
                self.progress.running.add(asset)
                await self._exchange(oem, asset)
                self.progress.running.discard(asset)
                self.progress.done.append(asset)
                self.progress.moved(asset)

    async def _exchange(self, oem: Client, asset: str) -> None:
        """Contract, transfer, verified data; the transfer goes on."""

        async def contract() -> str:
            spec = QuerySpec(criteria=(Criterion("assetId", "=", asset),))
            found = (await oem.negotiations.query(spec)).items
            ident = found[0].id if found else await oem.negotiations.start(self._pair.provider, await offer())
            contract = await oem.negotiations.wait(ident, timeout_s=PATIENCE_S)
            return _reached(contract.state, "FINALIZED", str(contract.agreement_id))

        async def offer() -> Offer:
            catalog = await oem.catalogs.request(self._pair.provider, by_id(asset))
            return one_dataset(catalog, asset).offers[0]

        async def transfer() -> str:
            spec = QuerySpec(criteria=(Criterion("contractId", "=", agreement),))
            found = (await oem.transfers.query(spec)).items
            ident = found[0].id if found else await oem.transfers.start(agreement)
            return _reached((await oem.transfers.wait(ident, timeout_s=PATIENCE_S)).state, "STARTED", ident)

        agreement = await self._step(asset, contract)
        running = await self._step(asset, transfer)
        await self._step(asset, lambda: hold(oem, running))

    async def _step(self, asset: str, do: Callable[[], Awaitable[T]]) -> T:
        while True:
            await self.up.wait()
            falls = self.falls
            try:
                result = await do()
            except AssertionError:  # what a node that was killed meanwhile had to prove is no proof
                if falls == self.falls:
                    raise
            except ApiError:
                await asyncio.sleep(PAUSE_S)
            else:
                self.progress.moved(asset)
                return result


def _reached(state: str, wanted: str, result: str) -> str:
    """A node that stops answers a wait early: then the state is not the last word."""
    if state != wanted:
        raise ApiError(0, ())
    return result
