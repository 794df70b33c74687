"""The consumer's side of the token refresh (Tractus-X), against a provider that answers in every known way."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast
from urllib.parse import parse_qs

import pytest

from connector.dataplane.refresh import Refresher, refresh
from connector.exchange.records import Edr
from connector.protocol.errors import Conflict, NotFound, Unreachable
from tests.unit.dataplane_world import ShortStore
from tests.unit.identity_world import NOW, StillClock

ADDRESS = {
    "endpoint": "https://p.example/public",
    "authorization": "old",
    "refreshToken": "r1",
    "refreshEndpoint": "https://p.example/public",
    "refreshAudience": "did:web:p.example",
    "expiresIn": "300",
}


def edr(expires_at: int | None = NOW + 300_000, **changes: str) -> Edr:
    address = {key: value for key, value in {**ADDRESS, **changes}.items() if value}
    return Edr("t", NOW, "asset", "agreement", "negotiation", "did:web:p.example", address, expires_at)


@dataclass
class Reply:
    status: int
    text: str
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def body(self) -> bytes:
        return self.text.encode()

    def json(self) -> object:
        return json.loads(self.text)


@dataclass
class Provider:
    """Identity and wire in one: it signs what it is asked to and remembers what was sent."""

    body: object = None
    status: int = 200
    sent: list[tuple[str, str, dict[str, str], dict[str, list[str]]]] = field(default_factory=list)
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    go: asyncio.Event | None = None

    async def token(self, audience: str, *, address: str, claims: Mapping[str, str] | None = None) -> str:
        assert address
        self.asked.append((audience, dict(claims or {})))
        return "assertion"

    async def send(self, method: str, url: str, *, headers: Mapping[str, str], body: bytes = b"", **_: Any) -> Reply:
        if self.go is not None:
            await self.go.wait()
        self.sent.append((method, url, dict(headers), parse_qs(body.decode())))
        return Reply(self.status, json.dumps(self.body))


async def once(provider: Provider, old: Edr, clock: StillClock | None = None) -> Edr:
    return await refresh(old, cast("Any", provider), cast("Any", provider), clock or StillClock())


GOOD = {"access_token": "new", "refresh_token": "r2", "expires_in": 300}


async def test_the_request_is_the_one_tractus_x_expects() -> None:
    provider = Provider(GOOD)
    new = await once(provider, edr())
    [(method, url, headers, form)] = provider.sent
    assert (method, url) == ("POST", "https://p.example/public/token")
    assert headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert headers["Authorization"] == "Bearer assertion"
    assert form == {"grant_type": ["refresh_token"], "refresh_token": ["r1"]}
    assert provider.asked == [("did:web:p.example", {"token": "old"})]
    assert (new.address["authorization"], new.address["refreshToken"]) == ("new", "r2")
    assert (new.id, new.expires_at) == ("t", NOW + 300_000)


@pytest.mark.parametrize("endpoint", ["https://p.example/public/token", "https://p.example/public/"])
async def test_token_is_appended_once(endpoint: str) -> None:
    provider = Provider(GOOD)
    await once(provider, edr(refreshEndpoint=endpoint))
    assert provider.sent[0][1] == "https://p.example/public/token"


@pytest.mark.parametrize(
    ("told", "seconds"),
    [
        ({"expires_in": 60, "expires": 999}, 60),
        ({"expires": 70}, 70),
        ({"expires_in": "80"}, 80),
        ({"expires_in": "soon", "expires": 90.5}, 90),
        ({"expires_in": 0}, None),
        ({}, None),
    ],
)
async def test_the_life_of_the_new_token_is_read_in_every_spelling(told: dict[str, Any], seconds: int | None) -> None:
    new = await once(Provider({"access_token": "new", **told}), edr())
    assert new.expires_at == (None if seconds is None else NOW + seconds * 1000)
    assert new.address["refreshToken"] == "r1"  # none was given: the old one stays


@pytest.mark.parametrize(
    ("status", "body"), [(401, []), (500, {}), (302, GOOD), (200, []), (200, {"access_token": ""})]
)
async def test_a_provider_that_gives_no_token_is_unreachable(status: int, body: object) -> None:
    with pytest.raises(Unreachable) as error:
        await once(Provider(body, status), edr())
    assert not {"r1", "old", "assertion"} & set(error.value.reason.split())
    assert ("start a new transfer" in error.value.reason) is (status in (302, 401))


async def test_a_reference_without_refresh_token_cannot_be_refreshed() -> None:
    for without in (edr(refreshToken=""), edr(refreshEndpoint="")):
        with pytest.raises(Conflict):
            await once(Provider(GOOD), without)


@dataclass
class Consumer:
    provider: Provider
    store: ShortStore
    clock: StillClock
    refresher: Refresher


@pytest.fixture
def consumer() -> Consumer:
    provider, store, clock = Provider(GOOD), ShortStore(), StillClock()
    store.rows["edrs"]["t"] = edr()
    port = cast("Any", provider)
    return Consumer(provider, store, clock, Refresher(cast("Any", store), port, port, clock))


async def test_a_token_that_is_good_is_left_alone(consumer: Consumer) -> None:
    assert (await consumer.refresher.fresh("t")).address["authorization"] == "old"
    assert consumer.provider.sent == []


@pytest.mark.parametrize("seconds", [240, 301, 86_400])
async def test_a_token_is_refreshed_ahead_of_its_end_and_after_it(consumer: Consumer, seconds: int) -> None:
    consumer.clock.tick(seconds)
    assert (await consumer.refresher.fresh("t")).address["authorization"] == "new"
    assert consumer.store.rows["edrs"]["t"].address["authorization"] == "new"
    assert (await consumer.refresher.fresh("t")).address["authorization"] == "new"
    assert len(consumer.provider.sent) == 1


async def test_a_token_that_is_still_good_outlives_a_provider_that_is_away(consumer: Consumer) -> None:
    consumer.provider.status = 503
    consumer.clock.tick(270)
    assert (await consumer.refresher.fresh("t")).address["authorization"] == "old"
    assert len(consumer.provider.sent) == 1
    with pytest.raises(Unreachable):
        await consumer.refresher.fresh("t", force=True)
    consumer.clock.tick(30)
    with pytest.raises(Unreachable):
        await consumer.refresher.fresh("t")


async def test_several_at_once_share_one_refresh(consumer: Consumer) -> None:
    consumer.clock.tick(400)
    consumer.provider.go = asyncio.Event()
    waiting = [asyncio.create_task(consumer.refresher.fresh("t", force=bool(n % 2))) for n in range(6)]
    await asyncio.sleep(0)
    consumer.provider.go.set()
    assert {one.address["authorization"] for one in await asyncio.gather(*waiting)} == {"new"}
    assert len(consumer.provider.sent) == 1


async def test_a_forced_refresh_does_not_look_at_the_time(consumer: Consumer) -> None:
    assert (await consumer.refresher.fresh("t", force=True)).address["authorization"] == "new"


@pytest.mark.parametrize("old", [edr(None), edr(NOW - 1, refreshToken="")])
async def test_what_cannot_be_refreshed_is_returned_as_it_is_unless_forced(consumer: Consumer, old: Edr) -> None:
    consumer.store.rows["edrs"]["t"] = old
    assert await consumer.refresher.fresh("t") is old
    if not old.address.get("refreshToken"):
        with pytest.raises(Conflict):
            await consumer.refresher.fresh("t", force=True)


async def test_a_transfer_started_anew_meanwhile_keeps_its_younger_token(consumer: Consumer) -> None:
    consumer.clock.tick(400)
    consumer.provider.go = asyncio.Event()
    waiting = asyncio.create_task(consumer.refresher.fresh("t"))
    await asyncio.sleep(0)
    consumer.store.rows["edrs"]["t"] = edr(authorization="younger")
    consumer.provider.go.set()
    assert (await waiting).address["authorization"] in {"younger", "new"}
    assert consumer.store.rows["edrs"]["t"].address["authorization"] == (await waiting).address["authorization"]


async def test_there_is_no_reference_of_another_name(consumer: Consumer) -> None:
    with pytest.raises(NotFound):
        await consumer.refresher.fresh("other")


async def test_a_token_that_another_replica_has_refreshed_meanwhile_is_taken(consumer: Consumer) -> None:
    provider = consumer.provider
    provider.go, provider.status = asyncio.Event(), 401
    waiting = asyncio.create_task(consumer.refresher.fresh("t", force=True))
    for _ in range(10):
        await asyncio.sleep(0)
    consumer.store.rows["edrs"]["t"] = edr(authorization="theirs")
    provider.go.set()
    assert (await waiting).address["authorization"] == "theirs"
    with pytest.raises(Unreachable):
        await consumer.refresher.fresh("t", force=True)
