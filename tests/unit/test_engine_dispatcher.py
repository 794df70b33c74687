"""Lanes: order within a process, independence between processes, and what happens when something fails."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from connector.engine.dispatcher import FAULT_PAUSE_MS, Dispatcher
from connector.exchange.hold import hold
from connector.exchange.records import Outgoing
from tests.integration.exchange_world import StillClock


def message(name: str, topic: str = "t", due_at: int = 0) -> Outgoing:
    return Outgoing(name, 0, topic, "callback", "X", "http://x", b"", due_at=due_at)


class Lanes:
    """A dispatcher whose deliveries are noted; `gates` hold single ones back, `script` says how they end."""

    def __init__(self, lanes: int = 64) -> None:
        self.clock = StillClock()
        self.tried: list[str] = []
        self.gates: dict[str, asyncio.Event] = {}
        self.script: dict[str, list[int | Exception]] = {}
        self.dispatcher = Dispatcher(self.deliver, self.clock, lanes=lanes)

    async def deliver(self, message: Outgoing) -> Outgoing | None:
        self.tried.append(message.id)
        if (gate := self.gates.get(message.id)) is not None:
            await gate.wait()
        if not (script := self.script.get(message.id)):
            return None
        match script.pop(0):
            case int() as later:
                return replace(message, due_at=self.clock.at + later, attempts=message.attempts + 1)
            case error:
                raise error

    def add(self, *messages: Outgoing) -> None:
        self.dispatcher.add(messages)

    async def settle(self, ms: int = 0) -> None:
        self.clock.move_to(self.clock.at + ms)
        for _ in range(20):
            await asyncio.sleep(0)


@pytest.fixture
async def lanes() -> AsyncIterator[Lanes]:
    made = Lanes()
    yield made
    await made.dispatcher.close()


async def test_messages_of_a_topic_leave_one_after_another(lanes: Lanes) -> None:
    lanes.gates["a"] = asyncio.Event()
    lanes.add(message("a"), message("b"))
    await lanes.settle()
    assert (lanes.tried, lanes.dispatcher.waiting) == (["a"], 2)
    lanes.gates["a"].set()
    await lanes.settle()
    assert (lanes.tried, lanes.dispatcher.waiting) == (["a", "b"], 0)


async def test_topics_do_not_wait_for_each_other(lanes: Lanes) -> None:
    lanes.script["a"] = [1000]
    lanes.add(message("a", "one"), message("b", "two"))
    await lanes.settle()
    assert lanes.tried == ["a", "b"]


async def test_a_waiting_head_holds_back_its_own_topic_until_it_is_due(lanes: Lanes) -> None:
    lanes.script["a"] = [1000]
    lanes.add(message("a"), message("b"))
    await lanes.settle()
    await lanes.settle(999)
    assert lanes.tried == ["a"]
    await lanes.settle(1)
    assert lanes.tried == ["a", "a", "b"]


async def test_a_waiting_head_does_not_use_up_a_slot() -> None:
    lanes = Lanes(lanes=1)
    lanes.script["a"] = [RuntimeError("the disk is full")]
    lanes.add(message("a", "one"), message("b", "two"))
    await lanes.settle()
    assert lanes.tried == ["a", "b"]
    await lanes.dispatcher.close()


async def test_no_more_than_so_many_are_under_way_at_once() -> None:
    lanes = Lanes(lanes=1)
    lanes.gates["a"] = asyncio.Event()
    lanes.add(message("a", "one"), message("b", "two"))
    await lanes.settle()
    assert lanes.tried == ["a"]
    lanes.gates["a"].set()
    await lanes.settle()
    assert lanes.tried == ["a", "b"]
    await lanes.dispatcher.close()


async def test_a_fault_of_our_own_does_not_kill_the_lane(lanes: Lanes) -> None:
    lanes.script["a"] = [RuntimeError("the disk is full")]
    lanes.add(message("a"))
    await lanes.settle()
    assert lanes.dispatcher.waiting == 1
    await lanes.settle(FAULT_PAUSE_MS)
    assert (lanes.tried, lanes.dispatcher.waiting) == (["a", "a"], 0)


async def test_what_was_taken_back_is_not_sent(lanes: Lanes) -> None:
    lanes.script["a"] = [1000]
    lanes.add(message("a"), message("b"))
    await lanes.settle()
    lanes.dispatcher.forget("t")
    lanes.add(message("c"))
    await lanes.settle()
    assert lanes.tried == ["a", "c"]
    lanes.dispatcher.forget("unknown")


async def test_what_was_taken_back_while_on_its_way_is_not_tried_again(lanes: Lanes) -> None:
    lanes.gates["a"] = asyncio.Event()
    lanes.script["a"] = [0]
    lanes.add(message("a"))
    await lanes.settle()
    lanes.dispatcher.forget("t")
    lanes.add(message("b"))
    lanes.gates["a"].set()
    await lanes.settle()
    assert lanes.tried == ["a", "b"]


async def test_a_message_that_comes_twice_is_sent_once(lanes: Lanes) -> None:
    lanes.add(message("a"), message("a"))
    await lanes.settle()
    assert lanes.tried == ["a"]


async def test_held_messages_wait_for_their_release(lanes: Lanes) -> None:
    with hold() as held:
        lanes.add(message("a"))
    await lanes.settle()
    assert (lanes.tried, lanes.dispatcher.waiting) == ([], 1)
    lanes.dispatcher.release(held)
    await lanes.settle()
    assert lanes.tried == ["a"]


async def test_a_lane_that_runs_already_does_not_let_held_messages_pass(lanes: Lanes) -> None:
    lanes.gates["a"] = asyncio.Event()
    lanes.add(message("a"))
    await lanes.settle()
    with hold() as held:
        lanes.add(message("b"))
    lanes.gates["a"].set()
    await lanes.settle()
    assert lanes.tried == ["a"]
    lanes.dispatcher.release(held)
    await lanes.settle()
    assert lanes.tried == ["a", "b"]


async def test_held_messages_that_were_taken_back_are_not_released(lanes: Lanes) -> None:
    with hold() as held:
        lanes.add(message("a"))
    lanes.dispatcher.forget("t")
    lanes.dispatcher.release(held)
    await lanes.settle()
    assert (lanes.tried, lanes.dispatcher.waiting) == ([], 0)


async def test_closing_leaves_nothing_running(lanes: Lanes) -> None:
    lanes.script["a"] = [1000]
    lanes.gates["b"] = asyncio.Event()
    lanes.add(message("a", "one"), message("b", "two"))
    await lanes.settle()
    await lanes.dispatcher.close()
    assert asyncio.all_tasks() == {asyncio.current_task()}
