"""What an engine does with the commits of other replicas, and with messages whose lane another one runs."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from types import SimpleNamespace
from typing import Any, Self, cast

import pytest

from connector.engine.engine import Engine
from connector.exchange.hold import hold
from connector.exchange.ports import Commit
from connector.exchange.records import Outgoing
from tests.integration.exchange_world import START_MS, StillClock


class Store:
    """Tells the engine of commits, and notes what it takes up and hands over."""

    def __init__(self) -> None:
        self.tell: Callable[[Commit], None] = lambda _: None
        self.taken_up = 0
        self.handed_over: list[str] = []
        self.kept: dict[str, Outgoing] = {}
        self.away = False

    def listen(self, listener: Callable[[Commit], None]) -> None:
        self.tell = listener

    async def run(self, fn: Callable[[Any], None]) -> None:
        if self.away:
            raise RuntimeError("the database is away")
        fn(self)

    def take_up(self) -> None:
        self.taken_up += 1

    def hand_over(self, messages: Sequence[str]) -> None:
        self.handed_over += messages

    @property
    def outbox(self) -> Self:
        return self

    def find(self, ident: str) -> Outgoing | None:
        return self.kept.get(ident)

    def save(self, changed: Outgoing) -> None:
        self.kept[changed.id] = changed


class World:
    def __init__(self) -> None:
        self.store = Store()
        node = SimpleNamespace(id="us", store=self.store, clock=StillClock())
        self.engine = Engine(cast("Any", node))

    async def settle(self) -> None:
        for _ in range(10):
            await asyncio.sleep(0)


def message(name: str, topic: str = "t", audience: str | None = None) -> Outgoing:
    return Outgoing(name, 0, topic, "callback", "X", "http://x", b"", audience, due_at=START_MS + 1000)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    made = World()
    await made.engine.start()
    yield made
    await made.engine.close()


async def test_a_start_takes_up_what_nobody_takes_care_of(world: World) -> None:
    assert world.store.taken_up == 1


async def test_what_is_complete_replaces_all_that_there_was(world: World) -> None:
    world.store.tell(Commit(messages=(message("a", "one"), message("b", "two"))))
    world.store.tell(Commit(messages=(message("b", "two"), message("c", "three")), complete=True))
    assert (world.engine.dispatcher.topics, world.engine.dispatcher.waiting) == ({"two", "three"}, 2)
    world.store.tell(Commit(complete=True))
    assert world.engine.dispatcher.waiting == 0


async def test_a_lane_that_another_replica_has_taken_back_is_forgotten(world: World) -> None:
    world.store.tell(Commit(messages=(message("a"),)))
    world.store.tell(Commit(dropped=("t",)))
    assert world.engine.dispatcher.waiting == 0


async def test_a_message_of_anothers_lane_is_handed_over_at_once(world: World) -> None:
    world.store.tell(Commit(elsewhere=(message("a"),)))
    await world.settle()
    assert (world.store.handed_over, world.engine.dispatcher.waiting) == (["a"], 0)


async def test_one_that_a_request_has_caused_is_handed_over_after_its_answer(world: World) -> None:
    with hold() as held:
        world.store.tell(Commit(messages=(message("ours"),), elsewhere=(message("theirs", "other"),)))
    await world.settle()
    assert world.store.handed_over == []
    world.engine.release(held)
    await world.settle()
    assert (world.store.handed_over, world.engine.dispatcher.topics) == (["theirs"], {"t"})


async def test_what_is_handed_over_for_a_peer_that_is_not_ready_at_once_is_due_after_the_pause(world: World) -> None:
    theirs = (message("to a peer", audience="P"), message("to a hook"))
    world.store.kept = {one.id: one for one in theirs}
    with hold() as held:
        world.store.tell(Commit(elsewhere=(*theirs, message("gone", audience="P"))))
    world.engine.release(held, 100)
    await world.settle()
    assert world.store.handed_over == ["to a peer", "to a hook", "gone"]
    assert [one.due_at - START_MS for one in world.store.kept.values()] == [100, 1000]


async def test_what_cannot_be_handed_over_stays_in_the_outbox(world: World) -> None:
    world.store.away = True
    world.store.tell(Commit(elsewhere=(message("a"),)))
    await world.settle()
    assert world.store.handed_over == []


async def test_who_waits_is_woken_by_a_commit_of_another_replica(world: World) -> None:
    reached = [False]

    async def there() -> bool:
        return reached[0]

    waiting = asyncio.create_task(world.engine.wait_until("n-1", there, 60.0))
    await world.settle()
    world.store.tell(Commit(changed=("n-2",)))
    reached[0] = True
    await world.settle()
    assert not waiting.done()
    world.store.tell(Commit(changed=("n-1",)))
    await waiting
