"""The node's real time and ids."""

import sys
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from connector.clock import FreshIds, SystemClock


@pytest.fixture
def hasty_threads() -> Iterator[None]:
    """Threads take turns a thousand times as often as usual, so that a race is seen."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("hasty_threads")
def test_threads_share_one_source_of_ids() -> None:
    ids = FreshIds()
    with ThreadPoolExecutor(8) as threads:
        made = list(threads.map(lambda _: [ids() for _ in range(4000)], range(8)))
    assert len({one for some in made for one in some}) == 32_000


def test_an_id_is_a_random_uuid() -> None:
    assert uuid.UUID(FreshIds()()).version == 4


async def test_a_moment_that_is_past_is_not_waited_for() -> None:
    clock = SystemClock()
    assert abs(clock.now() - time.time() * 1000) < 1000
    await clock.sleep_until(clock.now() - 10)


async def test_a_moment_to_come_is_waited_for() -> None:
    clock = SystemClock()
    due = clock.now() + 15
    await clock.sleep_until(due)
    assert clock.now() >= due
