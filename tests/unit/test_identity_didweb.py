import pytest

from connector.exchange.ports import Identity
from connector.identity.did import did_document
from connector.identity.didweb import DidIdentity
from connector.identity.directory import Directory
from connector.identity.keys import SigningKey
from connector.identity.tokens import TokenVerifier
from connector.protocol.errors import Invalid, PeerError
from tests.unit.identity_world import OURS, THEIRS, Counter, World

BPN = "BPNL00000000CONS"
ADDRESS = "https://provider.example/dsp/2025-1"


@pytest.fixture
def world() -> World:
    return World()


def ours(world: World, key: SigningKey | None = None) -> DidIdentity:
    directory = Directory({BPN: THEIRS})
    return DidIdentity(key or SigningKey.generate(OURS), world.verifier, directory, world.clock, Counter())


def theirs(world: World) -> DidIdentity:
    verifier = TokenVerifier(THEIRS, world.resolver, world.guard, world.clock)
    return DidIdentity(world.key, verifier, Directory({"BPNL00000000PROV": OURS}), world.clock, Counter())


def test_it_is_the_identity_that_the_use_cases_need(world: World) -> None:
    port: Identity = ours(world)
    assert port.id == OURS


async def test_each_knows_the_other(world: World) -> None:
    us, they = ours(world), theirs(world)
    caller = await us.verify(await they.token(OURS, address=ADDRESS))
    assert (caller.id, caller.bpn, caller.claims["jti"]) == (THEIRS, BPN, "id-1")
    key = SigningKey.generate(OURS)
    world.web.publish(OURS, did_document(OURS, [key]))
    caller = await they.verify(await ours(world, key).token(THEIRS, address=ADDRESS))
    assert (caller.id, caller.bpn) == (OURS, "BPNL00000000PROV")


async def test_a_header_is_made_for_one_message(world: World) -> None:
    us, they = ours(world), theirs(world)
    header = await they.token(OURS, address=ADDRESS)
    await us.verify(header)
    with pytest.raises(PeerError) as refusal:
        await us.verify(header)
    assert refusal.value.status == 401
    await us.verify(await they.token(OURS, address=ADDRESS))


@pytest.mark.parametrize("scheme", ["Bearer ", "bearer ", "BEARER  ", "", "  "])
async def test_a_header_is_read_with_and_without_its_scheme(world: World, scheme: str) -> None:
    header = await theirs(world).token(OURS, address=ADDRESS)
    assert header.startswith("Bearer ")
    caller = await ours(world).verify(scheme + header.removeprefix("Bearer "))
    assert caller.id == THEIRS


@pytest.mark.parametrize("header", [None, "", "  ", "Bearer", "Bearer ", "Basic dXNlcjpwYXNz", "Bearer garbage"])
async def test_a_header_without_a_token_is_refused(world: World, header: str | None) -> None:
    with pytest.raises(PeerError) as refusal:
        await ours(world).verify(header)
    assert refusal.value.status == 401


async def test_a_counterparty_may_be_named_by_its_bpn(world: World) -> None:
    header = await theirs(world).token("BPNL00000000PROV", address=ADDRESS)
    assert (await ours(world).verify(header)).id == THEIRS


async def test_a_counterparty_that_is_neither_did_nor_known_bpn_is_refused(world: World) -> None:
    with pytest.raises(Invalid):
        await theirs(world).token("BPNL00000000NONE", address=ADDRESS)


async def test_a_sender_without_bpn_is_still_a_sender(world: World) -> None:
    us = DidIdentity(SigningKey.generate(OURS), world.verifier, Directory({}), world.clock, Counter())
    caller = await us.verify(await theirs(world).token(OURS, address=ADDRESS))
    assert (caller.id, caller.bpn) == (THEIRS, None)


async def test_a_token_refresh_is_asserted_with_the_access_token(world: World) -> None:
    header = await theirs(world).token(OURS, address=ADDRESS, claims={"token": "access"})
    caller = await ours(world).verify(header, single_use=False)
    assert {name: caller.claims[name] for name in ("iss", "sub", "aud", "token")} == {
        "iss": THEIRS,
        "sub": THEIRS,
        "aud": OURS,
        "token": "access",
    }
    await ours(world).verify(header, single_use=False)


def test_a_verifier_for_somebody_else_is_refused(world: World) -> None:
    with pytest.raises(Invalid):
        DidIdentity(world.key, world.verifier, Directory({}), world.clock, Counter())
