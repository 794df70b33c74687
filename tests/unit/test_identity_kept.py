"""What is kept: one load however many ask, for as long as it is good."""

import asyncio

import pytest

from connector.identity.kept import Kept
from connector.identity.refusal import Check, Refusal
from tests.unit.identity_world import StillClock


class Source:
    """Loads a number that grows, good for ten seconds; `failing` makes it refuse."""

    def __init__(self, clock: StillClock) -> None:
        self.clock = clock
        self.loads = 0
        self.failing = False
        self.gate: asyncio.Event | None = None

    async def load(self) -> tuple[int, int]:
        self.loads += 1
        if self.gate is not None:
            await self.gate.wait()
        if self.failing:
            raise Refusal(Check.STATUS_LIST, "gone", "/place", status=503)
        return self.loads, self.clock.now() + 10_000


@pytest.fixture
def clock() -> StillClock:
    return StillClock()


@pytest.fixture
def source(clock: StillClock) -> Source:
    return Source(clock)


async def test_it_is_loaded_again_when_it_is_no_longer_good(clock: StillClock, source: Source) -> None:
    kept: Kept[int] = Kept(clock, capacity=8)
    assert kept.peek("a") is None
    assert [await kept.get("a", source.load) for _ in range(3)] == [1, 1, 1]
    clock.tick(9.999)
    assert kept.peek("a") == 1
    clock.tick(0.001)
    assert kept.peek("a") is None
    assert await kept.get("a", source.load) == 2


async def test_what_is_dropped_is_loaded_again(clock: StillClock, source: Source) -> None:
    kept: Kept[int] = Kept(clock, capacity=8)
    await kept.get("a", source.load)
    kept.drop("a")
    kept.drop("never there")
    assert await kept.get("a", source.load) == 2


async def test_those_who_ask_together_share_a_load_and_one_may_give_up(clock: StillClock, source: Source) -> None:
    kept: Kept[int] = Kept(clock, capacity=8)
    source.gate = asyncio.Event()
    waiting = [asyncio.create_task(kept.get("a", source.load)) for _ in range(5)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    source.gate.set()
    assert await asyncio.gather(*waiting[1:]) == [1] * 4
    with pytest.raises(asyncio.CancelledError):
        await waiting[0]


async def test_a_failure_is_remembered_for_a_moment(clock: StillClock, source: Source) -> None:
    kept: Kept[int] = Kept(clock, capacity=8, retry_s=5)
    source.failing = True
    found = []
    for _ in range(3):
        with pytest.raises(Refusal) as caught:
            await kept.get("a", source.load)
        found.append(caught.value)
    assert source.loads == 1
    assert len(set(map(id, found))) == 3
    assert {(f.check, f.reason, f.pointer, f.status) for f in found} == {(Check.STATUS_LIST, "gone", "/place", 503)}
    clock.tick(5)
    source.failing = False
    assert await kept.get("a", source.load) == 2


async def test_without_it_the_next_one_tries_again(clock: StillClock, source: Source) -> None:
    kept: Kept[int] = Kept(clock, capacity=8)
    source.failing = True
    for _ in range(2):
        with pytest.raises(Refusal):
            await kept.get("a", source.load)
    assert source.loads == 2


async def test_the_least_recently_used_goes_first(clock: StillClock, source: Source) -> None:
    kept: Kept[int] = Kept(clock, capacity=2)
    for key in ("a", "b", "a", "c"):
        await kept.get(key, source.load)
    assert [kept.peek(key) is not None for key in ("a", "b", "c")] == [True, False, True]


async def test_what_is_good_is_loaded_anew_for_who_insists(clock: StillClock, source: Source) -> None:
    kept = Kept[int](clock, capacity=4, retry_s=5)
    assert await kept.get("a", source.load) == 1
    assert await asyncio.gather(*(kept.renew("a", source.load) for _ in range(3))) == [2] * 3
    assert await kept.get("a", source.load) == 2


async def test_who_insists_in_vain_leaves_the_others_what_is_good(clock: StillClock, source: Source) -> None:
    kept = Kept[int](clock, capacity=4, retry_s=5)
    assert await kept.get("a", source.load) == 1
    source.failing = True
    with pytest.raises(Refusal, match="gone"):
        await kept.renew("a", source.load)
    assert await kept.get("a", source.load) == 1
    clock.tick(11)
    with pytest.raises(Refusal, match="gone"):
        await kept.get("a", source.load)
    source.failing = False
    assert await kept.renew("a", source.load) == 4, "a failure a moment ago is nothing to who insists"
