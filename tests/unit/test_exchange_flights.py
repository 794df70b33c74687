"""What several want at once is done once, and nobody's leaving harms the others."""

import asyncio

import pytest

from connector.exchange.flights import Flights
from connector.protocol.errors import Unreachable


class Work:
    """Work that goes on until it is let go; counts how often it was begun, and whether it was cancelled."""

    def __init__(self, outcome: str | Exception = "done") -> None:
        self.begun = 0
        self.cancelled = False
        self.started = asyncio.Event()
        self.go = asyncio.Event()
        self._outcome = outcome

    async def __call__(self) -> str:
        self.begun += 1
        self.started.set()
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.cancelled = True
            raise
        if isinstance(self._outcome, Exception):
            raise self._outcome
        return self._outcome


async def under_way(work: Work, flights: Flights[str], count: int) -> list[asyncio.Task[str]]:
    tasks = [asyncio.create_task(flights.share("key", work)) for _ in range(count)]
    await work.started.wait()
    return tasks


async def test_all_who_ask_meanwhile_get_what_the_first_has_begun() -> None:
    work, flights = Work(), Flights[str]()
    tasks = await under_way(work, flights, 5)
    work.go.set()
    assert await asyncio.gather(*tasks) == ["done"] * 5
    assert work.begun == 1
    assert await flights.share("key", work) == "done"
    assert work.begun == 2


async def test_other_keys_do_not_wait() -> None:
    work, other, flights = Work(), Work("other"), Flights[str]()
    (task,) = await under_way(work, flights, 1)
    other.go.set()
    assert await flights.share("other key", other) == "other"
    work.go.set()
    await task


async def test_the_others_get_it_when_who_began_is_cancelled() -> None:
    work, flights = Work(), Flights[str]()
    leader, *followers = await under_way(work, flights, 3)
    leader.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leader
    work.go.set()
    assert await asyncio.gather(*followers) == ["done", "done"]
    assert work.begun == 1


async def test_when_nobody_waits_any_more_it_ends_and_the_next_begins_anew() -> None:
    work, flights = Work(), Flights[str]()
    tasks = await under_way(work, flights, 2)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    again = Work("again")
    again.go.set()
    assert await flights.share("key", again) == "again"
    assert work.cancelled


async def test_a_failure_is_told_to_all_who_wait() -> None:
    work, flights = Work(Unreachable("the peer is silent")), Flights[str]()
    tasks = await under_way(work, flights, 3)
    work.go.set()
    for outcome in await asyncio.gather(*tasks, return_exceptions=True):
        assert isinstance(outcome, Unreachable)
        assert outcome.reason == "the peer is silent"
