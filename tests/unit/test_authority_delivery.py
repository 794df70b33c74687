"""Deliveries of an authority: whom one holds up that does not answer, and how many are looked at at a time."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import pytest
from typing_extensions import override

from connector.authority.delivery import AT_ONCE, PER_HOST, Sender
from connector.authority.keys import Keys
from connector.authority.model import Delivery
from connector.authority.register import Register, Tx
from connector.exchange.ports import Answer, Clock, Wire
from connector.identity.did import did_document
from connector.identity.keys import SigningKey
from connector.identity.resolver import DidResolver
from tests.unit.dcp_world import AUTHORITY, Reply
from tests.unit.identity_world import NOW, Counter, Web

SOON_S = 5.0
"""Nothing here takes longer; a test that would wait for ever fails instead."""


class Alarm(Clock):
    """Time that a test moves; who sleeps is noted, and wakes when the time has come."""

    def __init__(self) -> None:
        self.at = NOW
        self.asleep: list[int] = []
        self._moved = asyncio.Event()

    @override
    def now(self) -> int:
        return self.at

    @override
    async def sleep_until(self, at: int) -> None:
        self.asleep.append(at)
        while self.at < at:
            await self._moved.wait()

    def set(self, at: int) -> None:
        self.at = at
        self._moved.set()
        self._moved = asyncio.Event()


@dataclass
class Wallets(Wire):
    """The holders' wallets: those at a host in `silent` take connections and never answer."""

    silent: set[str] = field(default_factory=set)
    waiting: list[str] = field(default_factory=list)
    got: "asyncio.Queue[str]" = field(default_factory=asyncio.Queue)

    @override
    def check(self, url: str) -> None:
        """All may be called."""

    @override
    async def send(
        self, method: str, url: str, *, headers: Mapping[str, str], body: bytes | None = None, timeout_s: float = 10.0
    ) -> Answer:
        host = url.split("/")[2]
        if host in self.silent:
            self.waiting.append(url)
            await asyncio.Event().wait()
        self.got.put_nowait(url)
        return Reply(200)

    async def next(self) -> str:
        async with asyncio.timeout(SOON_S):
            return await self.got.get()


class World:
    """An authority's sender with its register, and holders that have documents."""

    def __init__(self, register: Register) -> None:
        self.register, self.clock, self.web, self.wire = register, Alarm(), Web(), Wallets()
        keys, self._numbers = Keys(SigningKey.generate(AUTHORITY)), count()
        resolver = DidResolver(self.web.fetch, self.clock)
        self.sender = Sender(register, keys, resolver, self.wire, self.clock, Counter())

    def holder(self, host: str, name: str = "", wallet: str | None = None) -> str:
        did = f"did:web:{host}{name and ':' + name}"
        service = {"type": "CredentialService", "serviceEndpoint": f"https://{wallet or host}/{name}"}
        self.web.publish(did, did_document(did, [], [{"id": f"{did}#cs", **service}]))
        return did

    def put(self, tx: Tx, *holders: str, due: int = NOW) -> None:
        for holder in holders:
            identifier = f"{next(self._numbers):05}"
            tx.put_delivery(Delivery(id=identifier, holder=holder, path="/offers", body=b"{}", due=due))

    async def due(self, *holders: str, at: int = NOW) -> None:
        await self.register.run(lambda tx: self.put(tx, *holders, due=at))
        self.sender.wake()

    async def until(self, reached: Any) -> None:  # noqa: ANN401 - a condition
        async with asyncio.timeout(SOON_S):
            while not reached():
                await self.register.run(lambda _: None)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    register = await Register.open()
    world = World(register)
    yield world
    await world.sender.stop()
    await register.close()


async def test_a_wallet_that_never_answers_holds_up_its_own_messages_only(world: World) -> None:
    silent, other = world.holder("silent.example"), world.holder("other.example")
    world.wire.silent = {"silent.example"}
    await world.due(*[silent] * 2 * AT_ONCE, other)
    world.sender.start()
    assert await world.wire.next() == "https://other.example/offers"
    assert len(world.wire.waiting) == 1


async def test_a_host_full_of_wallets_that_never_answer_has_its_share_and_no_more(world: World) -> None:
    silent = [world.holder("silent.example", f"h{number}") for number in range(2 * AT_ONCE)]
    world.wire.silent = {"silent.example"}
    await world.due(*silent, world.holder("other.example"), world.holder("silent.example.org"))
    world.sender.start()
    assert {await world.wire.next(), await world.wire.next()} == {
        "https://other.example/offers",
        "https://silent.example.org/offers",
    }
    assert len(world.wire.waiting) == PER_HOST


async def test_a_holders_messages_arrive_one_after_another_in_their_order(world: World) -> None:
    holder = world.holder("holder.example")
    await world.due(holder, at=NOW - 1)
    await world.due(holder, at=NOW - 2)
    world.sender.start()
    await world.wire.next()
    assert [d.due for d in await world.register.run(lambda tx: tx.deliveries(waiting=True))] == [NOW - 1]
    await world.wire.next()


async def test_ten_thousand_deliveries_wait_in_the_register_and_not_in_memory(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = 0

    def counted(**members: Any) -> Delivery:
        nonlocal read
        read += 1
        return Delivery(**members)

    monkeypatch.setattr("connector.authority.register.Delivery", counted)
    holders = [world.holder(f"h{number}.example", wallet="silent.example") for number in range(100)]
    world.wire.silent = {"silent.example"}
    await world.due(*holders * 100)
    world.sender.start()
    await world.until(lambda: len(world.wire.waiting) == AT_ONCE)
    world.sender.wake()  # once more, with all slots taken
    await world.register.run(lambda _: None)
    assert read == AT_ONCE


async def test_the_sender_sleeps_until_the_next_delivery_is_due_and_asks_nothing_meanwhile(world: World) -> None:
    holder, at = world.holder("holder.example"), NOW + 3_600_000
    await world.due(holder, at=at + 1)
    await world.due(holder, at=at)
    world.sender.start()
    await world.until(lambda: world.clock.asleep)
    assert world.clock.asleep == [at]
    assert world.web.asked == []
    world.clock.set(at)
    await world.wire.next()
    await world.until(lambda: len(world.clock.asleep) > 1)
    assert set(world.clock.asleep[1:]) == {at + 1}
