"""Waiting for a moment or for news, whichever comes first."""

import asyncio

from connector.exchange.ports import Clock


async def until(at: int, news: asyncio.Event, clock: Clock) -> bool:
    """Wait until `at` (ms) or until `news` is set; True if it was the time."""
    sleeper = asyncio.ensure_future(clock.sleep_until(at))
    waker = asyncio.ensure_future(news.wait())
    try:
        done, _ = await asyncio.wait({sleeper, waker}, return_when=asyncio.FIRST_COMPLETED)
        return sleeper in done
    finally:
        sleeper.cancel()
        waker.cancel()
        await asyncio.gather(sleeper, waker, return_exceptions=True)
