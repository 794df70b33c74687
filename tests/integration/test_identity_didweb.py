"""Two nodes that prove themselves to each other over real loopback sockets."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from aiohttp import web

from connector.http.client import Outbound
from connector.http.guard import AddressPolicy
from connector.identity.did import did_document, did_document_path, did_of_url
from connector.identity.didweb import DidIdentity
from connector.identity.directory import Directory
from connector.identity.keys import SigningKey, load_or_create
from connector.identity.replay import ReplayGuard
from connector.identity.resolver import DidResolver
from connector.identity.tokens import TokenVerifier
from connector.protocol.errors import PeerError
from tests.unit.identity_world import Counter, StillClock

ADDRESS = "http://localhost/dsp/2025-1"


@dataclass
class Party:
    """A participant with a key file, its web server, and how it sees others."""

    did: str
    keys: list[SigningKey]
    path: str
    runner: web.AppRunner
    served: list[str] = field(default_factory=list)

    def identity(self, outbound: Outbound, clock: StillClock, ids: Counter) -> DidIdentity:
        resolver = DidResolver(outbound.get, clock, allow_http=True)
        verifier = TokenVerifier(self.did, resolver, ReplayGuard(clock), clock)
        return DidIdentity(self.keys[0], verifier, Directory({}), clock, ids)


async def start(key_file: Path, segment: str = "") -> Party:
    """Serve a participant's document on a free port, under a path if `segment` is given."""
    app = web.Application()
    runner = web.AppRunner(app)

    async def document(request: web.Request) -> web.Response:
        party.served.append(request.path)
        if request.path != party.path:
            raise web.HTTPNotFound
        return web.json_response(did_document(party.did, party.keys))

    app.router.add_get("/{path:.*}", document)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port = runner.addresses[0][1]
    did = did_of_url(f"http://127.0.0.1:{port}/{segment}")
    party = Party(did, [load_or_create(key_file, did)], did_document_path(did), runner)
    return party


@pytest.fixture
async def parties(tmp_path: Path) -> AsyncIterator[tuple[Party, Party]]:
    pair = await start(tmp_path / "consumer.pem"), await start(tmp_path / "provider.pem", "plants/7")
    yield pair
    for party in pair:
        await party.runner.cleanup()


@pytest.fixture
async def outbound() -> AsyncIterator[Outbound]:
    async with Outbound(AddressPolicy(allow_loopback=True, allow_http=True)) as client:
        yield client


async def test_two_nodes_know_each_other_by_their_documents(parties: tuple[Party, Party], outbound: Outbound) -> None:
    clock, ids = StillClock(), Counter()
    consumer, provider = (party.identity(outbound, clock, ids) for party in parties)
    assert provider.id.endswith(":plants:7")
    for sender, receiver in ((consumer, provider), (provider, consumer)) * 3:
        caller = await receiver.verify(await sender.token(receiver.id, address=ADDRESS))
        assert caller.id == sender.id
    assert parties[0].served == ["/.well-known/did.json"]
    assert parties[1].served == ["/plants/7/did.json"]


async def test_many_first_messages_at_once_fetch_one_document(parties: tuple[Party, Party], outbound: Outbound) -> None:
    clock, ids = StillClock(), Counter()
    consumer, provider = (party.identity(outbound, clock, ids) for party in parties)
    headers = [await consumer.token(provider.id, address=ADDRESS) for _ in range(20)]
    callers = await asyncio.gather(*(provider.verify(header) for header in headers))
    assert {caller.id for caller in callers} == {consumer.id}
    assert len(parties[0].served) == 1


async def test_a_node_that_changes_its_key_is_still_known(parties: tuple[Party, Party], outbound: Outbound) -> None:
    clock, ids = StillClock(), Counter()
    consumer, provider = (party.identity(outbound, clock, ids) for party in parties)
    in_flight = await consumer.token(provider.id, address=ADDRESS)
    await provider.verify(await consumer.token(provider.id, address=ADDRESS))
    clock.tick(10)
    parties[0].keys.insert(0, SigningKey.generate(consumer.id))
    consumer = parties[0].identity(outbound, clock, ids)
    await provider.verify(await consumer.token(provider.id, address=ADDRESS))
    await provider.verify(in_flight)
    assert len(parties[0].served) == 2


async def test_a_sender_whose_server_is_down_is_asked_to_try_again(
    parties: tuple[Party, Party], outbound: Outbound
) -> None:
    clock, ids = StillClock(), Counter()
    consumer, provider = (party.identity(outbound, clock, ids) for party in parties)
    await parties[0].runner.cleanup()
    with pytest.raises(PeerError) as refusal:
        await provider.verify(await consumer.token(provider.id, address=ADDRESS))
    assert refusal.value.status == 503


async def test_a_node_that_started_again_refuses_what_it_may_have_seen(
    parties: tuple[Party, Party], outbound: Outbound
) -> None:
    clock, ids = StillClock(), Counter()
    consumer, provider = (party.identity(outbound, clock, ids) for party in parties)
    header = await consumer.token(provider.id, address=ADDRESS)
    await provider.verify(header)
    clock.tick(1)
    restarted = parties[1].identity(outbound, clock, ids)
    with pytest.raises(PeerError) as refusal:
        await restarted.verify(header)
    assert refusal.value.status == 503
    await restarted.verify(await consumer.token(provider.id, address=ADDRESS))


async def test_a_sender_at_an_address_that_is_guarded_is_not_asked(parties: tuple[Party, Party]) -> None:
    clock, ids = StillClock(), Counter()
    async with Outbound(AddressPolicy(allow_http=True)) as guarded:
        consumer, provider = (party.identity(guarded, clock, ids) for party in parties)
        with pytest.raises(PeerError) as refusal:
            await provider.verify(await consumer.token(provider.id, address=ADDRESS))
    assert refusal.value.status == 503
    assert parties[0].served == []
