"""Timers ring at their exact time, once, and a fault in one does not silence the others."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from connector.engine.timers import FAULT_PAUSE_MS, Timers
from connector.exchange.hold import held, hold
from connector.exchange.records import Timer
from tests.integration.exchange_world import START_MS, StillClock


class Bells:
    """Timers whose ringing is noted; `faults` are what the next ones raise."""

    def __init__(self) -> None:
        self.clock = StillClock()
        self.rung: list[tuple[str, int]] = []
        self.faults: list[Exception] = []
        self.holds: list[object] = []
        self.timers = Timers(self.ring, self.clock)

    async def ring(self, timer: Timer) -> None:
        self.rung.append((timer.id, self.clock.at - START_MS))
        self.holds.append(held())
        if self.faults:
            raise self.faults.pop(0)

    def set(self, name: str, after_ms: int) -> None:
        self.timers.add([Timer(name, START_MS + after_ms, "kind", "subject")])

    async def settle(self, until_ms: int = 0) -> None:
        for _ in range(10):
            await asyncio.sleep(0)
        while (due := self.clock.next) is not None and due <= START_MS + until_ms:
            self.clock.move_to(due)
            for _ in range(10):
                await asyncio.sleep(0)
        self.clock.move_to(START_MS + until_ms)


@pytest.fixture
async def bells() -> AsyncIterator[Bells]:
    made = Bells()
    yield made
    await made.timers.close()


async def test_each_rings_at_its_own_time(bells: Bells) -> None:
    for name, after in (("b", 200), ("a", 100), ("c", 300)):
        bells.set(name, after)
    await bells.settle(299)
    assert bells.rung == [("a", 100), ("b", 200)]
    await bells.settle(300)
    assert bells.rung == [("a", 100), ("b", 200), ("c", 300)]


async def test_an_earlier_one_that_comes_later_rings_first(bells: Bells) -> None:
    bells.set("late", 500)
    await bells.settle()
    bells.set("early", 50)
    await bells.settle(500)
    assert bells.rung == [("early", 50), ("late", 500)]


@pytest.mark.parametrize("second", [50, 900])
async def test_a_timer_of_the_same_id_replaces_the_one_before(bells: Bells, second: int) -> None:
    bells.set("x", 500)
    await bells.settle()
    bells.set("x", second)
    await bells.settle(1000)
    assert bells.rung == [("x", second)]


async def test_one_that_is_past_rings_at_once(bells: Bells) -> None:
    bells.set("x", -5)
    await bells.settle()
    assert bells.rung == [("x", 0)]


async def test_a_fault_is_tried_again_and_the_others_ring_on(bells: Bells) -> None:
    bells.faults = [RuntimeError("the disk is full")]
    bells.set("a", 100)
    bells.set("b", 200)
    await bells.settle(100 + FAULT_PAUSE_MS)
    assert bells.rung == [("a", 100), ("b", 200), ("a", 100 + FAULT_PAUSE_MS)]


async def test_timers_go_on_after_there_were_none(bells: Bells) -> None:
    bells.set("a", 10)
    await bells.settle(10)
    bells.set("b", 20)
    await bells.settle(20)
    assert bells.rung == [("a", 10), ("b", 20)]


async def test_a_timer_that_a_request_has_set_is_not_in_that_requests_hold(bells: Bells) -> None:
    with hold():
        bells.set("a", 10)
    await bells.settle(10)
    assert bells.holds == [None]


async def test_closing_leaves_nothing_running(bells: Bells) -> None:
    bells.set("a", 10)
    await bells.settle()
    await bells.timers.close()
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == {asyncio.current_task()}
    await Timers(bells.ring, bells.clock).close()
