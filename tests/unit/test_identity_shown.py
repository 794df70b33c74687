"""What was shown last is written when it is new, and goes when it has ended."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from connector.identity.credentials import VerifiableCredential
from connector.identity.shown import StoredShown
from connector.storage.sqlite import SqliteStore
from tests.unit.dcp_world import TYPES, YEAR_MS, DcpWorld
from tests.unit.identity_world import NOW, OURS, THEIRS

OTHERS = "did:web:others.example"


class World(DcpWorld):
    """A store, and credentials to be kept in it."""

    def __init__(self, store: SqliteStore) -> None:
        super().__init__()
        self.store, self.kept = store, StoredShown(store, self.clock)
        self.credentials = [VerifiableCredential.parse(jwt) for jwt in self.shown]

    @property
    def commits(self) -> int:
        return sum(self.store.batches.values())

    async def known(self) -> dict[str, int]:
        """Whose are kept, and when they end."""
        found = await self.store.read(lambda tx: tx.shown.get_many([OURS, THEIRS, OTHERS]))
        return {record.id: record.ends_at for record in found.values()}


@pytest.fixture
async def world() -> AsyncIterator[World]:
    store = await SqliteStore.open()
    yield World(store)
    await store.close()


async def test_only_what_is_new_is_written(world: World) -> None:
    before = world.commits
    await world.kept.keep(THEIRS, world.credentials)
    assert world.commits == before + 1
    assert await world.kept.by(THEIRS) == tuple(c.jwt for c in world.credentials)
    await world.kept.keep(THEIRS, world.credentials)
    await world.kept.keep(THEIRS, [*reversed(world.credentials), world.credentials[0]])
    assert world.commits == before + 1
    await world.kept.keep(THEIRS, world.credentials[:1])
    assert world.commits == before + 2
    assert await world.kept.by(THEIRS) == (world.credentials[0].jwt,)
    assert await world.kept.by(OTHERS) == ()


async def test_a_message_of_somebody_known_writes_nothing(world: World) -> None:
    us = world.identity(remembered=world.kept, keep_s=0)
    await us.verify(world.header())
    before = world.commits
    for _ in range(3):
        await us.verify(world.header())
    assert world.commits == before
    assert len(world.wallet.queries) == 4
    caller = await world.identity(remembered=world.kept).verify(world.header(access="data"), single_use=False)
    assert [says.types for says in caller.credentials] == [(name,) for name in TYPES]


async def test_what_has_ended_goes_with_the_next_that_is_written(world: World) -> None:
    membership, partner, governance = world.credentials
    await world.kept.keep(OURS, [replace(membership, valid_until=NOW + 1000), replace(partner, valid_until=NOW + 2000)])
    await world.kept.keep(OTHERS, [replace(governance, valid_until=None)])
    world.clock.tick(2)
    await world.kept.keep(THEIRS, world.credentials)
    ends = {OURS: NOW + 2000, OTHERS: NOW + YEAR_MS, THEIRS: NOW + YEAR_MS // 2}
    assert await world.known() == ends
    world.clock.tick(0.001)
    await world.kept.keep(THEIRS, world.credentials[:1])
    assert (await world.known()).keys() == ends.keys() - {OURS}
