"""What one party cannot take from all the others: limits per counterparty, per address, per transfer."""

import asyncio
import hmac
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp import ClientSession, TCPConnector, web
from structlog.testing import capture_logs

from connector.config import table
from connector.http import public
from connector.http.door import Door, Refusals
from connector.http.dsp import dsp_application
from connector.http.limits import Allowed
from connector.http.management import border
from connector.identity.did import did_document
from connector.identity.keys import SigningKey
from connector.protocol.negotiation import State
from connector.wiring import surfaces
from tests.integration import exchange_world
from tests.integration.dsp_world import KEY, STRANGER, THEM, World, message, world
from tests.integration.test_dsp_surface import OURS, Did
from tests.integration.wallet_world import SCOPES, holder
from tests.unit import dataplane_world

CATALOG = message("CatalogRequestMessage")
REFUSED = [
    ("/catalog/request", "CatalogError"),
    ("/negotiations/request", "ContractNegotiationError"),
    ("/transfers/request", "TransferError"),
]


class Time:
    """A clock of the door that stands still."""

    def __init__(self) -> None:
        self.ms = 0.0

    def __call__(self) -> float:
        return self.ms


@asynccontextmanager
async def limited(
    folder: Path, monkeypatch: pytest.MonkeyPatch, time: Time | None = None, /, **limits: int
) -> AsyncIterator[World]:
    """A node whose door has these limits, and a clock that stands still."""
    monkeypatch.setattr(surfaces, "Door", partial(Door, now=time or Time()))
    async with world(folder, limits=limits) as us:
        yield us


async def counted(us: World, limit: str) -> float:
    async with us.session.get(f"{us.running.management.url}/metrics") as answer:
        lines = (await answer.text()).splitlines()
    start = f'connector_limited_total{{limit="{limit}"}} '
    return sum(float(line.removeprefix(start)) for line in lines if line.startswith(start))


# Rate and number at once of a counterparty


async def test_who_asks_too_often_hears_429_in_the_protocols_form_and_others_do_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    time = Time()
    async with limited(tmp_path, monkeypatch, time, requests_per_second=1, burst=2) as us:
        with capture_logs() as lines:
            assert [(await us.post("/catalog/request", CATALOG)).status for _ in range(2)] == [200, 200]
            for path, kind in REFUSED:
                refused = await us.post(path, {})
                assert (refused.status, refused.doc["@type"], refused.doc["code"]) == (429, kind, "429")
                assert refused.headers["Retry-After"] == "1"
            assert (await us.get("/negotiations/x")).status == 429
        assert (await us.post("/catalog/request", CATALOG, as_=STRANGER)).status == 200
        time.ms += 1000
        assert (await us.post("/catalog/request", CATALOG)).status == 200
        assert await counted(us, "rate") == 4
        assert [line["who"] for line in lines if line["event"] == "a limit was reached"] == [THEM]
        assert not [line for line in lines if line["event"] == "request refused"]


async def test_only_so_many_messages_of_one_counterparty_are_answered_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with limited(tmp_path, monkeypatch, requests_at_once=2) as us:
        began, gate = asyncio.Semaphore(0), asyncio.Event()

        async def slow(*_: object) -> Any:  # noqa: ANN401 - as what it stands for
            began.release()
            await gate.wait()
            raise web.HTTPNotFound

        monkeypatch.setattr("connector.exchange.catalog.serve", slow)
        waiting = [asyncio.create_task(us.post("/catalog/request", CATALOG)) for _ in range(2)]
        for _ in waiting:
            await began.acquire()
        refused = await us.get("/negotiations/x")
        assert (refused.status, refused.headers["Retry-After"]) == (429, "1")
        assert (await us.get("/negotiations/x", as_=STRANGER)).status == 404
        gate.set()
        assert {(await each).status for each in waiting} == {404}
        assert (await us.get("/negotiations/x")).status == 404  # a refused or failed request has given its place back


async def test_our_own_nodes_lose_nothing_to_each_others_limits() -> None:
    """A message that meets 429 is sent again, with the same id: every contract is concluded, once."""
    refusals: list[str] = []
    async with exchange_world.world() as w:
        await w.offer()
        offer = await w.found()
        for side in w.sides.values():
            door = Door(Allowed(requests_per_second=1, burst=1), Refusals(refusals.append), w.clock.now)
            dispatcher = side.engine.dispatcher
            side.app = dsp_application(side.node, dispatcher.release, dispatcher.heard, door=door)
            side.app.freeze()
        for _ in range(10):
            await w.request(offer)
        await w.deliver_all()
        for side in w.sides.values():
            ended = await side.every("negotiations")
            assert [each.process.state for each in ended] == [State.FINALIZED] * 10
        assert len(await w.provider.every("agreements")) == 10
        assert len(refusals) > 10


# Open processes of a counterparty


async def test_who_holds_many_open_negotiations_must_end_some_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    time = Time()
    monkeypatch.setattr(surfaces, "Door", partial(Door, now=time))
    sections: dict[str, Any] = {"limits": {"negotiations": 2}, "strategy": {"negotiation": "manual"}}
    async with world(tmp_path, **sections) as us:
        offer = us.offer(await us.publish())
        opened = [await us.post("/negotiations/request", us.request(offer, f"cp-{i}")) for i in range(2)]
        assert {answer.status for answer in opened} == {201}
        refused = await us.post("/negotiations/request", us.request(offer, "cp-2"))
        assert (refused.status, refused.doc["@type"]) == (429, "ContractNegotiationError")
        assert "2 open negotiations" in refused.told
        assert refused.doc["consumerPid"] == "cp-2"
        assert int(refused.headers["Retry-After"]) > 0
        assert (await us.post("/negotiations/request", us.request(offer, "cp"), as_=STRANGER)).status == 201
        pids = {"consumerPid": "cp-0", "providerPid": opened[0].doc["providerPid"]}
        ended = message("ContractNegotiationTerminationMessage", **pids)
        assert (await us.post(f"/negotiations/{pids['providerPid']}/termination", ended)).status == 200
        time.ms += 1000
        assert (await us.post("/negotiations/request", us.request(offer, "cp-2"))).status == 201
        time.ms += 1000
        assert (await us.post("/negotiations/request", us.request(offer, "cp-3"))).status == 429
        assert await counted(us, "negotiations") == 2


async def test_who_holds_many_open_transfers_must_end_some_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with limited(tmp_path, monkeypatch, transfers=1) as us:
        _, agreement = await us.as_provider()
        await us.started(agreement)
        members = {"agreementId": agreement, "format": "HttpData-PULL", "callbackAddress": us.peer.address}
        refused = await us.post("/transfers/request", message("TransferRequestMessage", consumerPid="ct-2", **members))
        assert (refused.status, refused.doc["@type"]) == (429, "TransferError")


async def test_unsolicited_offers_are_counted_apart_from_what_we_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with limited(tmp_path, monkeypatch, negotiations=1) as us:
        offers = [
            message(
                "ContractOfferMessage",
                providerPid=f"pp-{i}",
                offer=us.offer(f"offer-{i}", assigner=THEM),
                callbackAddress=us.peer.address,
            )
            for i in range(2)
        ]
        assert [(await us.post("/negotiations/offers", doc)).status for doc in offers] == [201, 429]
        asked = us.request(us.offer(await us.publish()))
        assert (await us.post("/negotiations/request", asked)).status == 201


# Strangers


async def test_an_address_whose_tokens_fail_is_not_heard_and_fetches_nothing_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    time = Time()
    monkeypatch.setattr(surfaces, "Door", partial(Door, now=time))
    sections: dict[str, Any] = {
        "node": {"did": OURS},
        "identity": {"kind": "did"},
        "limits": {"failures_per_minute": 7},
    }
    async with world(tmp_path, **sections) as us:
        them = Did(us)
        for _ in range(20):  # their first message costs one, as they were not known; the others nothing
            assert (await us.post("/catalog/request", CATALOG)).status == 200
        invented = [SigningKey.generate(f"{them.did}:{number}") for number in range(12)]
        answers = []
        for key in invented:
            headers = {"Authorization": them.token(key)}
            answers.append((await us.post("/catalog/request", CATALOG, as_=None, headers=headers)).status)
        assert set(answers[:6]) <= {401, 503}
        assert answers[6:] == [429] * 6
        fetched = [got.path for got in us.peer.got if got.path.endswith("did.json") and "well-known" not in got.path]
        assert len(fetched) == 6
        async with us.session.get(f"{us.root}/.well-known/dspace-version") as versions:
            assert versions.status == 200  # what needs no token is for everybody
        time.ms += 10_000
        assert (await us.post("/catalog/request", CATALOG)).status == 200
        us.peer.pages["/7/did.json"] = did_document(invented[7].did, [invented[7]])
        headers = {"Authorization": them.token(invented[7])}
        assert (await us.post("/catalog/request", CATALOG, as_=None, headers=headers)).status == 200
        assert await counted(us, "failures") == 6


async def test_names_cannot_be_invented_faster_than_tokens_can_be_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever has a host has as many DIDs as it likes, and good tokens for them all."""
    monkeypatch.setattr(surfaces, "Door", partial(Door, now=Time()))
    sections: dict[str, Any] = {"limits": {"failures_per_minute": 3}}
    async with world(tmp_path, **sections) as us:
        answers = [(await us.post("/catalog/request", CATALOG, as_=f"them-{number}")).status for number in range(5)]
        assert answers == [200, 200, 200, 429, 429]


async def test_a_partner_that_is_known_costs_its_address_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with limited(tmp_path, monkeypatch, failures_per_minute=2) as us:
        assert {(await us.post("/catalog/request", CATALOG)).status for _ in range(20)} == {200}


# The data plane


def behind(monkeypatch: pytest.MonkeyPatch, **limits: int) -> None:
    """Data planes of this test have a door with these limits."""
    door = Door(Allowed(**limits), now=Time())
    monkeypatch.setattr(dataplane_world, "public_routes", lambda plane: public.public_routes(plane, door=door))


async def test_access_tokens_cannot_be_tried_out(monkeypatch: pytest.MonkeyPatch) -> None:
    behind(monkeypatch, failures_per_minute=5)
    async with dataplane_world.backend(hello) as there, dataplane_world.running() as w:
        await w.open({"type": "HttpData", "baseUrl": there})
        statuses = []
        for number in range(7):
            async with w.ask(headers={"Authorization": f"{w.token[:-4]}{number:04}"}) as answer:
                statuses.append(answer.status)
        assert statuses == [403] * 5 + [429] * 2
        async with w.session.post(f"{w.url}/token", data={"grant_type": "refresh_token", "refresh_token": "x"}) as told:
            assert told.status == 429
            assert (await told.json())["errors"]


async def test_an_asset_that_we_cannot_serve_is_no_fault_of_its_token(monkeypatch: pytest.MonkeyPatch) -> None:
    behind(monkeypatch, failures_per_minute=3)
    async with dataplane_world.running() as w:
        await w.open({"type": "Unknown"})
        for _ in range(5):
            async with w.ask() as answer:
                assert answer.status == 500


async def test_who_polls_with_an_expired_token_may_still_send_messages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with limited(tmp_path, monkeypatch, failures_per_minute=2) as us:
        url = f"{us.running.public.url}/public"
        statuses = []
        for _ in range(4):
            async with us.session.get(url, headers={"Authorization": "expired"}) as answer:
                statuses.append(answer.status)
        assert statuses == [403, 403, 429, 429]
        assert (await us.post("/catalog/request", CATALOG)).status == 200


async def hello(_: web.Request) -> web.Response:
    return web.Response(text="hello")


async def test_one_transfer_has_so_many_pulls_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    behind(monkeypatch, pulls_at_once=2)
    began, gate = asyncio.Semaphore(0), asyncio.Event()

    async def slow(_: web.Request) -> web.Response:
        began.release()
        await gate.wait()
        return web.Response(text="hello")

    async with dataplane_world.backend(slow) as there, dataplane_world.running() as w:
        await w.open({"type": "HttpData", "baseUrl": there})

        async def pull() -> int:
            async with w.ask() as answer:
                await answer.read()
                return answer.status

        waiting = [asyncio.create_task(pull()) for _ in range(2)]
        for _ in waiting:
            await began.acquire()
        async with w.ask() as refused:
            assert (refused.status, refused.headers["Retry-After"]) == (429, "1")
        gate.set()
        assert [await each for each in waiting] == [200, 200]
        assert await pull() == 200


async def test_a_consumer_that_falls_silent_in_its_own_body_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(public, "SILENCE_S", 0.05)

    async def take(request: web.Request) -> web.Response:
        return web.Response(body=await request.read())

    async def half() -> AsyncIterator[bytes]:
        yield b"half"
        await asyncio.Event().wait()

    async with dataplane_world.backend(take) as there, dataplane_world.running() as w:
        await w.open({"type": "HttpData", "baseUrl": there, "proxyMethod": "true", "proxyBody": "true"})
        async with asyncio.timeout(4), w.ask("POST", data=half()) as answer:
            assert answer.status in (502, 504)


# Without limits


async def test_nought_lifts_every_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    limits = {key.removeprefix("limits."): 0 for key, _, _ in table() if key.startswith("limits.")}
    assert len(limits) == 10
    async with limited(tmp_path, monkeypatch, **limits) as us:
        bad = await asyncio.gather(*(us.post("/catalog/request", CATALOG, as_=None) for _ in range(350)))
        assert {answer.status for answer in bad} == {401}
        good = await asyncio.gather(*(us.post("/catalog/request", CATALOG) for _ in range(150)))
        assert {answer.status for answer in good} == {200}


# The operator's key


async def tried(us: World, key: str, path: str = "/management/v3/assets/none") -> tuple[int, str | None]:
    """(status, Retry-After) of a request to the management listener with this key."""
    url = us.running.management.url + path
    async with us.session.get(url, headers={"X-Api-Key": key}) as answer:
        return answer.status, answer.headers.get("Retry-After")


async def test_the_management_key_cannot_be_tried_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On no path that it opens, and a guess that hits is not told from one that does not."""
    time, compared = Time(), list[bytes]()

    def compare(given: bytes, expected: bytes) -> bool:
        compared.append(given)
        return hmac.compare_digest(given, expected)

    monkeypatch.setattr(surfaces, "Door", partial(Door, now=time))
    monkeypatch.setattr(border, "hmac", SimpleNamespace(compare_digest=compare))
    async with world(tmp_path, limits={"wrong_keys_per_minute": 3}) as us:
        assert [(await tried(us, KEY))[0] for _ in range(10)] == [404] * 10  # the right one costs nothing
        assert [(await tried(us, f"guess-{n}"))[0] for n in range(2)] == [401, 401]
        assert (await tried(us, "guess-3", "/twins/api/v3/shell-descriptors"))[0] == 401
        compared.clear()
        for path in ("/management/v3/assets/none", "/twins/api/v3/shell-descriptors"):
            assert await tried(us, "guess", path) == (429, "20")
        assert await tried(us, KEY) == (429, "20")
        assert compared == []
        assert (await tried(us, "", "/management/check/readiness"))[0] == 200  # what needs no key is for everybody
        assert (await us.post("/catalog/request", CATALOG)).status == 200
        assert await counted(us, "failures") == 3
        time.ms += 20_000
        assert (await tried(us, KEY))[0] == 404


async def test_the_secret_of_the_token_services_client_cannot_be_tried_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(surfaces, "Door", partial(Door, now=Time()))
    async with holder(tmp_path, {"did:web:issuer.example": ["*"]}, limits={"wrong_keys_per_minute": 2}) as node:
        asked = ("did:web:verifier.example", SCOPES[0])
        assert (await node.token(*asked))[0] == 200
        assert [(await node.token(*asked, client_secret=f"guess-{n}"))[0] for n in range(2)] == [401, 401]
        status, doc = await node.token(*asked)
        assert (status, doc["error"]) == (429, "invalid_request")
        async with node.http.get(f"{node.running.management.url}/management/v3/assets/x") as answer:
            assert answer.status == 401  # the key is counted for itself


async def test_the_key_is_heard_from_elsewhere_while_somebody_guesses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(surfaces, "Door", partial(Door, now=Time()))
    elsewhere = TCPConnector(local_addr=("127.0.0.2", 0))
    async with (
        world(tmp_path, limits={"wrong_keys_per_minute": 2}) as us,
        ClientSession(connector=elsewhere) as operator,
    ):
        assert [(await tried(us, "guess"))[0] for _ in range(3)] == [401, 401, 429]
        assert (await tried(replace(us, session=operator), KEY))[0] == 404


async def test_the_header_of_a_proxy_does_not_choose_the_address_that_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(surfaces, "Door", partial(Door, now=Time()))
    async with world(tmp_path, limits={"wrong_keys_per_minute": 2}) as us:
        statuses = []
        for n in range(3):
            headers = {"X-Api-Key": "guess", "X-Forwarded-For": f"192.0.2.{n}", "Forwarded": f"for=192.0.2.{n}"}
            async with us.session.get(f"{us.running.management.url}/management/v3/assets/x", headers=headers) as answer:
                statuses.append(answer.status)
        assert statuses == [401, 401, 429]


async def test_behind_a_proxy_that_counts_nobody_is_locked_out(tmp_path: Path) -> None:
    async with world(tmp_path, limits={"wrong_keys_per_minute": 0}) as us:
        assert {(await tried(us, "guess"))[0] for _ in range(50)} == {401}
        assert (await tried(us, KEY))[0] == 404
