"""Who gets in, and how soon somebody is out: the public surface with real requests."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import ClientError, web
from structlog.testing import capture_logs

from connector.dataplane.access import Access
from connector.dataplane.tokens import AccessTokens
from connector.exchange.records import Asset, BusinessPartner
from connector.identity.keys import SigningKey
from connector.policy.circumstances import ProvenCredential
from connector.policy.model import Constraint, Policy, Rule
from connector.protocol.errors import PeerError
from connector.protocol.transfer import Event, State
from connector.storage.connection import Unavailable
from tests.unit.dataplane_world import (
    AGREEMENT,
    ASSET,
    BPN,
    CONSUMER,
    KEY,
    PROVIDER,
    TRANSFER,
    World,
    agreement,
    backend,
    running,
    transfer,
)
from tests.unit.identity_world import NOW


async def hello(_: web.Request) -> web.Response:
    return web.Response(text="hello")


async def status(world: World, **options: Any) -> int:
    async with world.ask(**options) as answer:
        if answer.status != 200:
            assert list((await answer.json()).keys()) == ["errors"]
        return int(answer.status)


@pytest.mark.parametrize("scheme", ["", "Bearer ", "bearer "])
async def test_a_token_opens_its_asset_with_and_without_bearer(scheme: str) -> None:
    async with backend(hello) as there, running() as world:
        await world.open({"type": "HttpData", "baseUrl": there})
        assert await status(world, headers={"Authorization": scheme + world.token}) == 200


async def test_no_token_is_401_and_a_bad_one_403() -> None:
    async with backend(hello) as there, running() as world:
        await world.open({"type": "HttpData", "baseUrl": there})
        async with world.session.get(world.url) as answer:
            assert answer.status == 401
        stranger = AccessTokens(SigningKey.generate(PROVIDER), world.clock).issue(world.grant, NOW)
        for token in ("x", world.token[:-2], stranger):
            assert await status(world, headers={"Authorization": token}) == 403


async def test_an_expired_token_is_403() -> None:
    async with backend(hello) as there, running() as world:
        await world.open({"type": "HttpData", "baseUrl": there})
        assert await status(world) == 200
        world.clock.tick(306)
        assert await status(world) == 403


async def test_another_agreements_or_consumers_token_opens_nothing() -> None:
    async with backend(hello) as there, running() as world:
        await world.open({"type": "HttpData", "baseUrl": there})
        assert await status(world) == 200  # the cache is warm
        for forged in (
            replace(world.grant, agreement_id="other"),
            replace(world.grant, consumer_id="did:web:other.example"),
            replace(world.grant, created_at=NOW - 1),
            replace(world.grant, id="other"),
        ):
            token = world.tokens.issue(forged, NOW)
            assert await status(world, headers={"Authorization": token}) == 403


async def test_a_hundred_requests_read_the_store_once() -> None:
    async with backend(hello) as there, running() as world:
        await world.open({"type": "HttpData", "baseUrl": there})
        before = world.store.reads
        for _ in range(100):
            assert await status(world) == 200
        assert world.store.reads == before + 1


async def test_requests_at_the_same_time_read_the_store_once() -> None:
    async with running() as world:
        await world.open({"type": "HttpData", "baseUrl": "https://backend.example"})
        before = world.store.reads
        opened = await asyncio.gather(*(world.plane.gate.admit(world.token) for _ in range(20)))
        assert world.store.reads == before + 1
        assert {id(access) for access in opened} == {id(opened[0])}


async def test_who_asks_after_a_commit_gets_nothing_that_was_read_before_it() -> None:
    async with running() as world:
        await world.open({"type": "HttpData", "baseUrl": "https://backend.example"})
        later: list[asyncio.Task[Access]] = []

        async def revoke_and_ask() -> None:
            await world.revoke()
            later.append(asyncio.create_task(world.plane.gate.admit(world.token)))
            await asyncio.sleep(0)  # it asks while the older reading is under way

        world.store.meanwhile = revoke_and_ask
        await world.plane.gate.admit(world.token)
        with pytest.raises(PeerError, match="revoked"):
            await later[0]


async def test_what_other_processes_commit_is_seen_within_seconds() -> None:
    async with backend(hello) as there, running() as world:
        await world.open({"type": "HttpData", "baseUrl": there})
        assert await status(world) == 200
        del world.store.rows["grants"][TRANSFER]  # no commit of this process
        world.clock.tick(2)
        assert await status(world) == 403


async def test_a_suspension_takes_effect_with_its_promise() -> None:
    async with backend(hello) as there, running() as world:
        await world.open({"type": "HttpData", "baseUrl": there})
        assert await status(world) == 200
        await world.revoke()
        assert await status(world) == 403


async def test_a_resumed_transfer_has_a_new_token_and_the_old_one_is_dead() -> None:
    async with backend(hello) as there, running() as world:
        await world.open({"type": "HttpData", "baseUrl": there})
        old = world.token
        await world.revoke()
        world.clock.tick(1)
        await world.start()
        assert await status(world) == 200
        assert await status(world, headers={"Authorization": old}) == 403


@pytest.mark.parametrize("state", [State.REQUESTED, State.SUSPENDED, State.COMPLETED, State.TERMINATED])
async def test_nothing_flows_while_the_transfer_is_not_started(state: State) -> None:
    async with backend(hello) as there, running() as world:
        await world.open({"type": "HttpData", "baseUrl": there})
        await world.put("transfers", transfer(state), "transfer.process.changed")
        assert await status(world) == 403


@pytest.mark.parametrize(
    ("pending", "expected"),
    [(Event.START, 200), (Event.SUSPEND, 403), (Event.COMPLETE, 403), (Event.TERMINATE, 403)],
)
async def test_a_message_of_ours_counts_from_its_promise(pending: Event, expected: int) -> None:
    async with backend(hello) as there, running() as world:
        await world.open({"type": "HttpData", "baseUrl": there})
        await world.put("transfers", transfer(State.STARTED, pending), "transfer.process.changed")
        assert await status(world) == expected
        await world.put("transfers", transfer(State.REQUESTED, pending), "transfer.process.changed")
        assert await status(world) == expected


def until(seconds: int) -> Policy:
    return Policy((Rule("use", (Constraint("inForceDate", "lteq", f"contractAgreement+{seconds}s"),)),))


@pytest.mark.parametrize("asked_before", [True, False])
async def test_nothing_leaves_after_the_agreements_end_even_if_its_timer_is_late(*, asked_before: bool) -> None:
    async with backend(hello) as there, running() as world:
        await world.open({"type": "HttpData", "baseUrl": there})
        await world.put("agreements", agreement(policy=until(1)), "agreement.changed")
        if asked_before:
            assert await status(world) == 200
        world.clock.tick(1)
        assert await status(world) == 200
        world.clock.tick(0.001)
        assert await status(world) == 403


async def test_what_took_its_time_does_not_leave_after_a_suspension() -> None:
    async def slow(_: web.Request) -> web.Response:
        await world.revoke()
        return web.Response(text="hello")

    async with backend(slow) as there, running() as world:
        await world.open({"type": "HttpData", "baseUrl": there})
        assert await status(world) == 403


async def test_retiring_the_agreement_ends_access_at_once() -> None:
    async with backend(hello) as there, running() as world:
        await world.open({"type": "HttpData", "baseUrl": there})
        assert await status(world) == 200
        await world.put("agreements", agreement(retired_at=NOW), "contract.agreement.retired")
        assert await status(world) == 403


@pytest.mark.parametrize("changes", [{"asset_id": "other"}, {"consumer_id": "did:web:other.example"}])
async def test_the_agreement_must_name_this_asset_and_this_consumer(changes: dict[str, str]) -> None:
    async with backend(hello) as there, running() as world:
        await world.open({"type": "HttpData", "baseUrl": there})
        await world.put("agreements", agreement(**changes), "contract.agreement.changed")
        assert await status(world) == 403


async def test_a_changed_asset_serves_its_new_address() -> None:
    async def other(_: web.Request) -> web.Response:
        return web.Response(text="other")

    async with backend(hello) as here, backend(other) as there, running() as world:
        await world.open({"type": "HttpData", "baseUrl": here})
        assert await status(world) == 200
        await world.put(
            "assets", Asset(ASSET, NOW, data_address={"type": "HttpData", "baseUrl": there}), "asset.updated"
        )
        async with world.ask() as answer:
            assert await answer.text() == "other"


async def test_an_asset_without_a_usable_address_is_our_fault() -> None:
    async with running() as world:
        for address in ({"type": "HttpData", "baseUrl": "ftp://x"}, {"type": "Kafka"}, {}):
            await world.open(address)
            assert await status(world) == 500


async def test_a_database_that_is_away_is_503_and_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(_: object) -> None:
        raise Unavailable("the database /var/lib/node.sqlite cannot be used")

    async with backend(hello) as there, running() as world:
        await world.open({"type": "HttpData", "baseUrl": there})
        monkeypatch.setattr(world.store, "read", away)
        monkeypatch.setattr(world.store, "run", away)
        async with world.ask() as answer:
            assert (answer.status, "sqlite" in await answer.text()) == (503, False)
        code, body = await refresh(world, signed(world))
        assert (code, list(body)) == (503, ["errors"])


async def test_a_second_start_leaves_the_tokens_of_the_first_as_good_as_its_own() -> None:
    async with backend(hello) as there, running() as world:
        await world.open({"type": "HttpData", "baseUrl": there})
        world.clock.tick(60)
        address, grant = world.plane.open_pull(transfer(), BPN, world.clock.now(), world.grant)
        assert grant == world.grant
        assert await status(world) == 200
        assert await status(world, headers={"Authorization": address.get("authorization")}) == 200
        assert address.get("refreshToken") == world.refresh_token
        world.clock.tick(250)
        assert await status(world) == 403
        assert await status(world, headers={"Authorization": address.get("authorization")}) == 200


async def test_a_commit_during_the_look_up_is_not_missed() -> None:
    async with backend(hello) as there, running() as world:
        await world.open({"type": "HttpData", "baseUrl": there})
        world.store.meanwhile = world.revoke
        await status(world)  # began before the suspension: either answer is right
        assert await status(world) == 403


async def test_a_stream_under_way_is_cut_when_the_transfer_is_suspended() -> None:
    more = asyncio.Event()

    async def slow(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"first")
        await more.wait()
        await response.write(b"second")
        return response

    async with backend(slow) as there, running() as world:
        await world.open({"type": "HttpData", "baseUrl": there})
        async with world.ask() as answer:
            assert await answer.content.readany() == b"first"
            await world.revoke()
            more.set()
            with pytest.raises((ClientError, ConnectionError)):
                await answer.content.read()


async def test_a_stream_under_way_survives_a_change_that_leaves_its_access() -> None:
    more = asyncio.Event()

    async def slow(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"first")
        await more.wait()
        await response.write(b"second")
        return response

    async with backend(slow) as there, running() as world:
        await world.open({"type": "HttpData", "baseUrl": there})
        async with world.ask() as answer:
            assert await answer.content.readany() == b"first"
            await world.secret("unrelated", "x")
            more.set()
            assert await answer.content.read() == b"second"


async def refresh(world: World, assertion: str, **form: str) -> tuple[int, Any]:
    fields = {"grant_type": "refresh_token", "refresh_token": world.refresh_token, **form}
    headers = {"Authorization": assertion} if assertion else {}
    async with world.session.post(f"{world.url}/token", data=fields, headers=headers) as answer:
        return answer.status, await answer.json()


def signed(world: World, who: str = CONSUMER) -> str:
    return f"Bearer {who}|{world.token}"


async def test_an_expired_token_is_refreshed_and_the_new_one_works() -> None:
    async with backend(hello) as there, running() as world:
        await world.open({"type": "HttpData", "baseUrl": there})
        world.clock.tick(1000)
        code, body = await refresh(world, signed(world))
        assert code == 200
        assert (body["expires_in"], body["expires"], body["token_type"]) == (300, 300, "bearer")
        assert await status(world, headers={"Authorization": body["access_token"]}) == 200
        assert body["refresh_token"] != world.refresh_token


async def test_a_lost_answer_does_not_end_the_transfer() -> None:
    async with backend(hello) as there, running() as world:
        await world.open({"type": "HttpData", "baseUrl": there})
        first = (await refresh(world, signed(world)))[1]["refresh_token"]
        again = (await refresh(world, signed(world)))[1]["refresh_token"]
        assert first == again
        assert (await refresh(world, signed(world), refresh_token=first))[0] == 200
        code, body = await refresh(world, signed(world))
        assert code == 401
        assert body[0].keys() == {"message", "type", "path", "invalidValue"}


MEMBER = ProvenCredential("urn:uuid:m", ("MembershipCredential",), "did:web:authority", {}, None)


async def test_a_refresh_asks_again_whether_the_agreement_permits() -> None:
    async with backend(hello) as there, running() as world:
        await world.open({"type": "HttpData", "baseUrl": there})
        rule = Rule("use", (Constraint("Membership", "eq", "active"), Constraint("BusinessPartnerGroup", "eq", "gold")))
        await world.put("agreements", agreement(policy=Policy((rule,))))
        await world.put("partners", BusinessPartner(CONSUMER, NOW, ("gold",)))
        world.assertions.credentials = (MEMBER,)
        assert (await refresh(world, signed(world)))[0] == 200
        world.assertions.credentials = ()  # nobody knows any: it was checked when the transfer began
        assert (await refresh(world, signed(world)))[0] == 200
        world.assertions.credentials = (replace(MEMBER, types=("DismantlerCredential",)),)
        for _ in range(2):
            code, body = await refresh(world, signed(world))
            assert code == 401
            assert "Membership" not in str(body)
        noted = world.store.rows["transfers"][TRANSFER].history
        assert [(entry.what, entry.judged["permitted"]) for entry in noted] == [("policy:monitor", False)]
        assert "shows no MembershipCredential" in noted[0].detail
        world.assertions.credentials = (MEMBER,)
        assert (await refresh(world, signed(world)))[0] == 200
        await world.put("partners", BusinessPartner(CONSUMER, NOW, ("lead",)))
        assert (await refresh(world, signed(world)))[0] == 401


async def test_a_refusal_to_refresh_uses_no_token_up() -> None:
    async with backend(hello) as there, running() as world:
        await world.open({"type": "HttpData", "baseUrl": there})
        before = world.grant
        await world.put("agreements", agreement(policy=Policy((Rule("use", (Constraint("Mood", "eq", "good"),)),))))
        assert (await refresh(world, signed(world)))[0] == 401
        assert world.grant == before


async def test_a_refresh_is_only_for_the_consumer_that_proves_itself() -> None:
    async with backend(hello) as there, running() as world:
        await world.open({"type": "HttpData", "baseUrl": there})
        for assertion, refresh_token, reason in (
            ("", "", "no assertion"),
            (signed(world, "did:web:thief.example"), "", "issued to somebody else"),
            (f"Bearer {CONSUMER}", "", "in its claim `token`"),
            (f"Bearer {CONSUMER}|junk", "", "not a signed JWT"),
            (signed(world), world.token, "not this transfer's present one"),
        ):
            fields = {"refresh_token": refresh_token} if refresh_token else {}
            with capture_logs() as logs:
                assert (await refresh(world, assertion, **fields))[0] == 401
            assert [line["event"] for line in logs] == ["token refresh refused"]
            assert reason in logs[0]["reason"]
            assert world.token not in str(logs)


async def test_a_malformed_refresh_is_400() -> None:
    async with backend(hello) as there, running() as world:
        await world.open({"type": "HttpData", "baseUrl": there})
        assert (await refresh(world, signed(world), grant_type="password"))[0] == 400
        assert (await refresh(world, signed(world), refresh_token=""))[0] == 400
        async with world.session.post(f"{world.url}/token", data=b"\xff", headers={"Authorization": "x"}) as answer:
            assert answer.status == 400


async def test_old_clients_may_send_the_parameters_in_the_query() -> None:
    async with backend(hello) as there, running() as world:
        await world.open({"type": "HttpData", "baseUrl": there})
        query = {"grant_type": "refresh_token", "refresh_token": world.refresh_token}
        headers = {"Authorization": signed(world)}
        async with world.session.post(f"{world.url}/token", params=query, headers=headers) as answer:
            assert answer.status == 200


async def test_a_suspended_transfer_cannot_be_refreshed() -> None:
    async with backend(hello) as there, running() as world:
        await world.open({"type": "HttpData", "baseUrl": there})
        await world.revoke()
        assert (await refresh(world, signed(world)))[0] == 401


async def test_the_address_has_one_url_for_all_and_what_every_reader_looks_for() -> None:
    async with backend(hello) as there, running() as world:
        await world.open({"type": "HttpData", "baseUrl": there})
        address, grant = world.plane.open_pull(transfer(), None, NOW)
        other, _ = world.plane.open_pull(transfer(id="other", asset_id="other"), None, NOW)
    assert address.endpoint == other.endpoint == "https://p.example/public"
    named = dict(address.properties)
    assert named["https://w3id.org/edc/v0.0.1/ns/authorization"] == named["authorization"]
    assert named["https://w3id.org/tractusx/auth/refreshEndpoint"] == "https://p.example/public/token"
    assert named["https://w3id.org/tractusx/auth/refreshAudience"] == PROVIDER == KEY.did
    assert (grant.id, grant.agreement_id, grant.consumer_id) == (TRANSFER, AGREEMENT, CONSUMER)


async def test_only_assets_with_a_source_can_be_had() -> None:
    async with running() as world:
        formats = world.plane.formats
        assert formats(Asset("a", NOW, data_address={"type": "HttpData"})) == ("HttpData-PULL", "HttpData-PUSH")
        edc = {"https://w3id.org/edc/v0.0.1/ns/type": "ProxyHttpData"}
        assert formats(Asset("a", NOW, data_address=edc)) == ("HttpData-PULL", "HttpData-PUSH")
        assert formats(Asset("a", NOW, data_address={"type": "AmazonS3"})) == ()
