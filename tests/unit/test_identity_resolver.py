import asyncio

import pytest
from structlog.testing import capture_logs

from connector.identity.did import did_document
from connector.identity.keys import SigningKey
from connector.identity.resolver import AT_ONCE, MAX_BYTES, DidResolver
from connector.protocol.errors import PeerError, Unreachable
from tests.unit.identity_world import THEIRS, World


def outage() -> Unreachable:
    return Unreachable("no route to host 10.0.0.1")


def rotate(world: World) -> SigningKey:
    world.key = SigningKey.generate(THEIRS)
    world.web.publish(THEIRS, world.document())
    return world.key


async def test_a_document_is_fetched_once_while_it_is_fresh() -> None:
    world = World()
    first = await world.resolver.resolve(THEIRS)
    world.clock.tick(299)
    assert await world.resolver.resolve(THEIRS) is first
    world.clock.tick(1)
    assert await world.resolver.resolve(THEIRS) is not first
    assert world.web.asked == ["https://consumer.example/.well-known/did.json"] * 2


async def test_callers_at_the_same_time_share_one_fetch() -> None:
    world = World()
    world.web.gate = asyncio.Event()
    waiting = [asyncio.create_task(world.resolver.resolve(THEIRS)) for _ in range(20)]
    await asyncio.sleep(0)
    waiting[0].cancel()  # who gives up takes nothing from the others
    await asyncio.sleep(0)
    world.web.gate.set()
    answers = await asyncio.gather(*waiting, return_exceptions=True)
    assert isinstance(answers[0], asyncio.CancelledError)
    assert len({id(answer) for answer in answers[1:]}) == 1
    assert len(world.web.asked) == 1


async def test_one_host_is_not_asked_for_more_documents_than_it_can_give_at_a_time() -> None:
    world = World()
    world.web.gate = asyncio.Event()
    invented = [asyncio.create_task(world.resolver.resolve(f"{THEIRS}:{number}")) for number in range(AT_ONCE)]
    other = asyncio.create_task(world.resolver.resolve("did:web:other.example"))
    await asyncio.sleep(0)
    with pytest.raises(Unreachable, match="too many DID documents"):
        await world.resolver.resolve(f"{THEIRS}:one-more")
    await asyncio.sleep(0)
    assert len(world.web.asked) == AT_ONCE + 1
    world.web.gate.set()
    await asyncio.gather(*invented, other, return_exceptions=True)
    assert (await world.resolver.resolve(THEIRS)).id == THEIRS


async def test_a_failure_is_shared_and_not_repeated_at_once() -> None:
    world = World()
    world.web.down = outage
    answers = await asyncio.gather(*(world.resolver.resolve(THEIRS) for _ in range(5)), return_exceptions=True)
    assert all(isinstance(answer, Unreachable) for answer in answers)
    with pytest.raises(Unreachable):
        await world.resolver.resolve(THEIRS)
    assert len(world.web.asked) == 1
    world.clock.tick(5)
    world.web.down = None
    assert (await world.resolver.resolve(THEIRS)).id == THEIRS


async def test_a_stale_document_serves_for_a_bounded_time_while_its_host_is_down() -> None:
    world = World()
    document = await world.resolver.resolve(THEIRS)
    world.web.down = outage
    world.clock.tick(300)
    assert await world.resolver.resolve(THEIRS) is document
    assert await world.resolver.resolve(THEIRS) is document
    assert len(world.web.asked) == 2
    world.clock.tick(3599)
    assert await world.resolver.resolve(THEIRS) is document
    world.clock.tick(1)
    with pytest.raises(Unreachable):
        await world.resolver.resolve(THEIRS)


async def test_a_bad_document_is_not_papered_over_by_a_stale_one() -> None:
    world = World()
    await world.resolver.resolve(THEIRS)
    world.web.publish(THEIRS, {"id": "did:web:other.example"})
    world.clock.tick(300)
    for _ in range(2):
        with pytest.raises(PeerError) as refusal:
            await world.resolver.resolve(THEIRS)
        assert (refusal.value.status, refusal.value.pointer) == (401, "/id")
    assert len(world.web.asked) == 2


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"id": NaN}', b"\xff", b" " * MAX_BYTES + b"{}"])
async def test_a_body_that_is_no_json_object_is_refused(body: bytes) -> None:
    world = World()
    world.web.publish(THEIRS, body)
    with pytest.raises(PeerError, match="not a JSON object") as refusal:
        await world.resolver.resolve(THEIRS)
    assert refusal.value.status == 401


async def test_an_address_that_may_not_be_asked_is_refused_without_saying_why() -> None:
    world = World()
    world.web.down = lambda: PeerError(400, "10.0.0.1 is a private address")
    with capture_logs() as logs, pytest.raises(PeerError) as refusal:
        await world.resolver.resolve(THEIRS)
    assert refusal.value.status == 401
    assert "10.0.0.1" not in str(refusal.value)
    assert [line["reason"] for line in logs] == ["10.0.0.1 is a private address"], "but the operator is told"


async def test_what_is_no_did_web_is_refused_without_a_fetch() -> None:
    world = World()
    with pytest.raises(PeerError):
        await world.resolver.resolve("did:key:z6Mk")
    assert world.web.asked == []


async def test_http_is_asked_only_when_allowed() -> None:
    world = World()
    resolver = DidResolver(world.web.fetch, world.clock, allow_http=True)
    with pytest.raises(Unreachable):
        await resolver.resolve(THEIRS)
    assert world.web.asked == ["http://consumer.example/.well-known/did.json"]


async def test_the_cache_is_bounded_and_drops_what_was_used_longest_ago() -> None:
    world = World()
    resolver = DidResolver(world.web.fetch, world.clock, capacity=2)
    dids = [f"did:web:p{n}.example" for n in range(3)]
    for did in dids:
        world.web.publish(did, did_document(did, []))
    for did in (dids[0], dids[1], dids[0], dids[2]):
        await resolver.resolve(did)
    asked = len(world.web.asked)
    await resolver.resolve(dids[0])
    assert len(world.web.asked) == asked
    await resolver.resolve(dids[1])
    assert len(world.web.asked) == asked + 1


async def test_a_key_that_the_document_at_hand_does_not_name_is_looked_for_once_more() -> None:
    world = World()
    await world.resolver.resolve(THEIRS)
    world.clock.tick(1)
    new = rotate(world)
    assert (await world.resolver.key(new.kid)).verify("ES256", b"data", new.sign(b"data"))
    with pytest.raises(PeerError, match="has no key"):
        await world.resolver.key(f"{THEIRS}#none")
    assert len(world.web.asked) == 2, "and not again and again for whoever invents names"


async def test_a_refresh_brings_the_new_key_before_the_old_document_has_expired() -> None:
    world = World()
    await world.resolver.resolve(THEIRS)
    world.clock.tick(1)
    new = rotate(world)
    document = await world.resolver.refresh(THEIRS, since=world.clock.now())
    assert document is not None
    assert new.kid in document.methods
    assert await world.resolver.resolve(THEIRS) is document


async def test_a_document_as_new_as_asked_for_is_not_fetched_again() -> None:
    world = World()
    document = await world.resolver.resolve(THEIRS)
    assert await world.resolver.refresh(THEIRS, since=world.clock.now()) is document
    assert len(world.web.asked) == 1


async def test_refreshes_are_limited() -> None:
    world = World()
    await world.resolver.resolve(THEIRS)
    for _ in range(3):
        world.clock.tick(1)
        await world.resolver.refresh(THEIRS, since=world.clock.now())
    assert len(world.web.asked) == 2
    world.clock.tick(4)
    assert await world.resolver.refresh(THEIRS, since=world.clock.now()) is not None
    assert len(world.web.asked) == 3


async def test_refreshes_at_the_same_time_share_one_fetch() -> None:
    world = World()
    await world.resolver.resolve(THEIRS)
    world.clock.tick(1)
    since = world.clock.now()
    new = rotate(world)
    documents = await asyncio.gather(*(world.resolver.refresh(THEIRS, since=since) for _ in range(5)))
    assert all(document is not None and new.kid in document.methods for document in documents)
    assert len(world.web.asked) == 2


async def test_a_refresh_that_fails_leaves_the_fresh_document_in_use() -> None:
    world = World()
    document = await world.resolver.resolve(THEIRS)
    world.clock.tick(1)
    world.web.down = outage
    with pytest.raises(Unreachable):
        await world.resolver.refresh(THEIRS, since=world.clock.now())
    world.clock.tick(100)
    assert await world.resolver.resolve(THEIRS) is document
    assert len(world.web.asked) == 2


async def test_a_refresh_of_something_unknown_is_a_fetch() -> None:
    world = World()
    assert await world.resolver.refresh(THEIRS, since=world.clock.now()) is not None
    assert len(world.web.asked) == 1
