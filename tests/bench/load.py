"""Doing something many times: one after another, or so many at once."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Final

import aiohttp

WIDTH: Final = 32
"""Requests in flight where a rate is measured."""
KILOBYTE: Final = 1024
MEGABYTE: Final = 1_000_000


@asynccontextmanager
async def within(limit_s: float) -> AsyncIterator[None]:
    """What is in it is cut off after so many seconds. Raise TimeoutError, with a text, if that was necessary."""
    limit = asyncio.timeout(limit_s)
    try:
        async with limit:
            yield
    except TimeoutError as error:
        if not limit.expired():
            raise
        raise TimeoutError(f"it was not over in {limit_s:g} s") from error


async def timed(rounds: int, once: Callable[[], Awaitable[object]], *, warm_up: int = 3) -> list[float]:
    """Milliseconds of each round, after some that do not count."""
    took = []
    for _ in range(warm_up + rounds):
        began = time.perf_counter()
        await once()
        took.append((time.perf_counter() - began) * 1000)
    return took[warm_up:]


async def rate(count: int, once: Callable[[], Awaitable[object]]) -> float:
    """Rounds per second with WIDTH in flight."""
    left = iter(range(count))

    async def worker() -> None:
        for _ in left:
            await once()

    began = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(WIDTH):
            group.create_task(worker())
    return count / (time.perf_counter() - began)


async def get(session: aiohttp.ClientSession, url: str, size: int, headers: Mapping[str, str]) -> None:
    """Read and drop a body. Raise ValueError unless it has the status 200 and `size` bytes."""
    came = 0
    async with session.get(url, headers=headers) as answer:
        async for piece in answer.content.iter_any():
            came += len(piece)
        if answer.status != 200 or came != size:
            raise ValueError(f"{url} answered {answer.status} with {came} bytes instead of {size}")


async def pull_rates(session: aiohttp.ClientSession, url: str, count: int, headers: Mapping[str, str]) -> float:
    """Pulls of 1 kB per second; `url` ends where the size is to follow."""
    return await rate(count, lambda: get(session, f"{url}/{KILOBYTE}", KILOBYTE, headers))


async def stream_rate(session: aiohttp.ClientSession, url: str, megabytes: int, headers: Mapping[str, str]) -> float:
    """MB per second of one body."""
    size = megabytes * MEGABYTE
    began = time.perf_counter()
    await get(session, f"{url}/{size}", size, headers)
    return megabytes / (time.perf_counter() - began)
