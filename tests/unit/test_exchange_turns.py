"""One after the other on one thing, at once on different things."""

import asyncio
import gc

import pytest

from connector.exchange.turns import Turns


async def test_who_wants_the_same_thing_waits_in_the_order_of_coming() -> None:
    turns, told = Turns(), []

    async def work(number: int) -> None:
        async with turns.of("a"):
            told.append(f"{number} begins")
            await asyncio.sleep(0)
            told.append(f"{number} ends")

    await asyncio.gather(*(work(number) for number in range(3)))
    assert told == [f"{number} {what}" for number in range(3) for what in ("begins", "ends")]


async def test_another_thing_waits_for_nobody_and_what_nobody_works_on_is_forgotten() -> None:
    turns = Turns()
    async with turns.of("a"), turns.of("b"):
        assert len(turns) == 2
    gc.collect()
    assert len(turns) == 0


async def test_who_gives_up_or_fails_holds_up_nobody() -> None:
    turns = Turns()

    async def wait() -> str:
        async with turns.of("a"):
            return "had it"

    async with turns.of("a"):
        first, second = asyncio.create_task(wait()), asyncio.create_task(wait())
        await asyncio.sleep(0)
        first.cancel()
    assert await second == "had it"
    with pytest.raises(RuntimeError):
        async with turns.of("a"):
            raise RuntimeError
    assert await wait() == "had it"
