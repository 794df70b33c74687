"""What is remembered while there is room, and what is done once for several."""

import asyncio

import pytest

from connector.dataplane.recent import Recent, SingleFlight


def test_the_longest_unused_goes_first() -> None:
    gone: list[int] = []
    recent: Recent[str, int] = Recent(2, forgotten=gone.append)
    recent.put("a", 1)
    recent.put("b", 2)
    assert recent.get("a") == 1
    recent.put("c", 3)
    assert (recent.get("a"), recent.get("b"), recent.get("c"), gone) == (1, None, 3, [2])


def test_weights_fill_the_room_and_what_is_too_heavy_is_not_kept() -> None:
    gone: list[int] = []
    recent: Recent[str, int] = Recent(10, forgotten=gone.append)
    recent.put("a", 1, 4)
    recent.put("b", 2, 4)
    recent.put("c", 3, 4)
    assert (list(recent), gone) == (["b", "c"], [1])
    recent.put("d", 4, 11)
    assert (len(recent), gone[-1]) == (0, 4)


def test_a_replaced_value_frees_its_room() -> None:
    recent: Recent[str, int] = Recent(10)
    for value in range(100):
        recent.put("a", value, 9)
    assert recent.get("a") == 99
    recent.drop("a")
    recent.drop("a")
    recent.put("b", 1, 10)
    assert recent.get("b") == 1


async def test_work_is_done_once_for_all_who_ask_and_again_later() -> None:
    flights: SingleFlight[str, int] = SingleFlight()
    done, go = 0, asyncio.Event()

    async def work() -> int:
        nonlocal done
        await go.wait()
        done += 1
        return done

    waiting = [asyncio.create_task(flights.do("k", work)) for _ in range(5)]
    await asyncio.sleep(0)
    waiting[0].cancel()  # one who leaves does not stop the others
    go.set()
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert results[1:] == [1] * 4
    assert isinstance(results[0], asyncio.CancelledError)
    assert await flights.do("k", work) == 2


async def test_everybody_gets_the_error_and_the_next_one_tries_again() -> None:
    flights: SingleFlight[str, int] = SingleFlight()

    async def fails() -> int:
        raise LookupError("no")

    async def works() -> int:
        return 1

    results = await asyncio.gather(*(flights.do("k", fails) for _ in range(3)), return_exceptions=True)
    assert [type(result) for result in results] == [LookupError] * 3
    assert await flights.do("k", works) == 1
    with pytest.raises(LookupError):
        await flights.do("k", fails)
