"""Our own credentials as facts: one request for one want, the newest wins, and each is renewed in time."""

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import TypeVar

import pytest

from connector.exchange import credentials as use
from connector.exchange.ports import Receipt, Tx
from connector.exchange.query import QuerySpec
from connector.exchange.records import Asked, Held, HeldCredential, Timer
from connector.storage.sqlite import SqliteStore
from tests.unit.identity_world import Counter, StillClock

ISSUER, OTHER = "did:web:issuer.example", "did:web:other.example"
DAY = 24 * 3600 * 1000
T = TypeVar("T")


class World:
    def __init__(self, store: SqliteStore) -> None:
        self.store, self.clock, self.ids = store, StillClock(), Counter()

    @property
    def now(self) -> int:
        return self.clock.now()

    async def run(self, fn: Callable[[Tx], T]) -> T:
        return await self.store.run(fn)

    async def take(self, *brought: HeldCredential, holder_pid: str = "?") -> None:
        await self.run(lambda tx: use.take(tx, ISSUER, holder_pid, "i-1", brought, now=self.now))

    async def ask(self, *wanted: str, issuer: str = ISSUER, code: str | None = None) -> str:
        asked = await self.run(lambda tx: use.ask(tx, issuer, wanted, now=self.now, ids=self.ids, code=code))
        return asked.id

    async def ring(self, timer: Timer) -> None:
        node = SimpleNamespace(clock=self.clock, ids=self.ids)
        await self.run(lambda tx: use.due(node, tx, timer))  # type: ignore[arg-type]

    async def timers(self) -> list[Timer]:
        return await self.run(lambda tx: tx.timers.query(QuerySpec()))


@pytest.fixture
async def world() -> AsyncIterator[World]:
    store = await SqliteStore.open()
    yield World(store)
    await store.close()


def held(
    world: World, ident: str = "c-1", name: str = "MembershipCredential", life: int | None = 100 * DAY
) -> HeldCredential:
    until = None if life is None else world.now + life
    return HeldCredential(ident, world.now, ISSUER, Held.ISSUED, world.now, until, "vc11-sl2021/jwt", (name,), "a.b.c")


async def test_an_open_request_is_enough(world: World) -> None:
    first = await world.ask("A", "B")
    assert await world.ask("A") == first
    assert await world.ask("B", "A", "A") == first
    assert await world.ask("C") != first
    assert await world.ask("A", issuer=OTHER) != first
    assert await world.ask("A", code="invitation") != first, "a code makes it another request"


async def test_a_request_that_was_taken_and_brought_nothing_is_made_again_later(world: World) -> None:
    first = await world.ask("A")

    def taken(tx: Tx) -> None:
        use.answered(tx, tx.credential_requests.get(first), Receipt("i-1", None), "", now=world.now)
        tx.drop_messages(first)

    await world.run(taken)
    assert await world.ask("A") == first
    world.clock.tick(120)
    assert await world.ask("A") != first


async def test_requests_that_were_decided_long_ago_are_forgotten_with_the_next_one(world: World) -> None:
    decided, refused, opened = await world.ask("A"), await world.ask("B"), await world.ask("C")
    await world.take(held(world), holder_pid=decided)
    await world.run(lambda tx: use.decided(tx, ISSUER, refused, "i-2", Asked.REJECTED, "no", now=world.now + 1000))

    async def known() -> set[str]:
        return {r.id for r in await world.run(lambda tx: tx.credential_requests.query(QuerySpec()))}

    world.clock.tick(90 * 24 * 3600)
    later = await world.ask("D")
    assert await known() == {decided, refused, opened, later}
    world.clock.tick(0.001)
    last = await world.ask("E")
    assert await known() == {refused, opened, later, last}, "one that is not decided yet stays, however old it is"


async def test_a_delivery_before_the_receipt_keeps_its_outcome(world: World) -> None:
    asked = await world.ask("A")
    await world.take(held(world), holder_pid=asked)
    await world.run(
        lambda tx: use.answered(tx, tx.credential_requests.get(asked), Receipt("later", "u"), "", now=world.now)
    )
    request = await world.run(lambda tx: tx.credential_requests.get(asked))
    assert (request.state, request.issuer_pid, request.status_url) == (Asked.ISSUED, "i-1", "u")


async def test_the_newer_of_the_same_types_replaces_the_older_with_its_timer(world: World) -> None:
    await world.take(held(world, "c-1"), held(world, "c-2", "BpnCredential"))
    await world.take(held(world, "c-3"))
    current = await world.run(lambda tx: use.current(tx, world.now))
    assert {c.id for c in current} == {"c-2", "c-3"}
    assert {timer.subject for timer in await world.timers()} == {"c-2", "c-3"}


async def test_another_issuers_of_the_same_type_stays(world: World) -> None:
    await world.take(held(world, "c-1"))
    theirs = replace(held(world, "c-2"), issuer=OTHER)
    await world.run(lambda tx: use.take(tx, OTHER, "?", "i-1", [theirs], now=world.now))
    assert len(await world.run(lambda tx: use.current(tx, world.now))) == 2


async def test_renewal_is_asked_for_at_four_fifths_of_what_is_left_each_time(world: World) -> None:
    await world.take(held(world))
    (timer,) = await world.timers()
    assert timer.due_at == world.now + 80 * DAY
    for left in (20 * DAY, 4 * DAY):
        world.clock.at = timer.due_at
        await world.ring(timer)
        (timer,) = await world.timers()
        assert timer.due_at == world.now + left * 4 // 5
    assert len(await world.run(lambda tx: tx.credential_requests.query(QuerySpec()))) == 1


@pytest.mark.parametrize("life", [1, 1000, use.SHORTEST_MS])
async def test_one_that_hardly_lives_is_not_renewed_in_a_loop(world: World, life: int) -> None:
    await world.take(held(world, life=life))
    (timer,) = await world.timers()
    assert timer.due_at == world.now + life
    world.clock.at = timer.due_at
    await world.ring(timer)
    assert (await world.run(lambda tx: tx.credentials.get("c-1"))).state is Held.EXPIRED
    assert await world.run(lambda tx: tx.credential_requests.count()) == 0


async def test_one_without_an_end_has_no_timer(world: World) -> None:
    await world.take(held(world, life=None))
    assert await world.timers() == []


async def test_a_timer_of_what_is_gone_does_nothing(world: World) -> None:
    await world.ring(Timer("x", 1, use.KIND, "x"))
    assert await world.run(lambda tx: tx.credential_requests.count()) == 0


async def test_revoked_and_expired_ones_are_missing(world: World) -> None:
    await world.take(held(world, "c-1"), held(world, "c-2", "BpnCredential", DAY))
    needed = ("MembershipCredential", "BpnCredential", "Other")
    assert await world.run(lambda tx: use.missing(tx, needed, world.now)) == ["Other"]
    await world.run(lambda tx: use.revoke(tx, "c-1"))
    assert await world.run(lambda tx: use.missing(tx, needed, world.now + DAY)) == list(needed)
    assert {timer.subject for timer in await world.timers()} == {"c-2"}


async def test_what_was_revoked_and_is_delivered_again_counts_again(world: World) -> None:
    await world.take(held(world))
    await world.run(lambda tx: use.revoke(tx, "c-1"))
    await world.take(held(world))
    assert [c.id for c in await world.run(lambda tx: use.current(tx, world.now))] == ["c-1"]
    assert len(await world.timers()) == 1
