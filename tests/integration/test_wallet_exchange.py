"""Two nodes with DCP and wallets of their own do a whole exchange: each message is let in by what the other shows."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from structlog.testing import capture_logs

from connector.client import ApiError
from connector.exchange.ports import Tx
from connector.exchange.query import QuerySpec
from connector.exchange.records import Negotiation
from connector.http.server import serve
from tests.integration.wallet_world import TYPES, Holder, Others, holder, others

BPNS = {"consumer": "BPNL00000000CONS", "provider": "BPNL00000000PROV"}
MEMBERS: dict[str, Any] = {
    "permission": [
        {"action": "use", "constraint": [{"leftOperand": "Membership", "operator": "eq", "rightOperand": "active"}]}
    ]
}


@pytest.fixture
async def world() -> AsyncIterator[Others]:
    async with others() as started:
        yield started


async def equipped(node: Holder, name: str, world: Others) -> Holder:
    """Put all three credentials into a wallet."""
    await node.hold(*(world.vc(node.did, kind, bpn=BPNS[name]) for kind in TYPES))
    return node


async def offer_data(node: Holder, url: str) -> None:
    await node.client.assets.create("a-1", data_address={"type": "HttpData", "baseUrl": url})
    await node.client.policies.create("members", MEMBERS)
    await node.client.definitions.create("d-1", access_policy="members", contract_policy="members", assets=["a-1"])


def all_negotiations(tx: Tx) -> list[Negotiation]:
    return tx.negotiations.query(QuerySpec())


async def test_catalog_negotiation_transfer_and_pull_between_two_wallets(tmp_path: Path, world: Others) -> None:
    trusted = {world["issuer"].did: ["*"]}

    async def data(_: web.Request) -> web.Response:
        return web.json_response({"cells": 96})

    backend = web.Application()
    backend.router.add_get("/{path:.*}", data)
    listener = await serve(backend, "127.0.0.1", 0)
    try:
        async with holder(tmp_path / "p", trusted) as provider, holder(tmp_path / "c", trusted) as consumer:
            await equipped(provider, "provider", world)
            await equipped(consumer, "consumer", world)
            await offer_data(provider, listener.url)
            fetched = await consumer.client.obtain(provider.provider, "a-1")
            assert fetched.payload == {"cells": 96}
            (agreement,) = (await provider.client.agreements.query()).items
            assert (agreement.consumer_id, agreement.provider_id) == (consumer.did, provider.did)
    finally:
        await listener.close()


async def test_who_holds_nothing_sees_nothing_and_is_told_so_at_the_start(tmp_path: Path, world: Others) -> None:
    trusted = {world["issuer"].did: ["*"]}
    async with holder(tmp_path / "p", trusted) as provider:
        await equipped(provider, "provider", world)
        with capture_logs() as logs:
            async with holder(tmp_path / "c", trusted) as consumer:
                assert await consumer.client.credentials.missing() == TYPES
                with pytest.raises(ApiError, match="403"):
                    await consumer.client.catalogs.request(provider.provider)
    (line,) = [entry for entry in logs if entry["event"] == "credentials missing"]
    assert line["missing"] == list(TYPES)
    assert "credential-missing" in [entry["check"] for entry in logs if entry["event"] == "denied"]


async def test_a_provider_without_credentials_fails_only_at_its_callback(tmp_path: Path, world: Others) -> None:
    """The consumer is authenticated by the same dance: what the provider sends back is refused."""
    trusted = {world["issuer"].did: ["*"]}
    async with holder(tmp_path / "p", trusted) as provider, holder(tmp_path / "c", trusted) as consumer:
        await equipped(consumer, "consumer", world)
        await offer_data(provider, "http://127.0.0.1:9")
        dataset = await consumer.client.catalogs.dataset(provider.provider, "a-1")
        with capture_logs() as logs:
            negotiation = await consumer.client.negotiations.start(provider.provider, dataset.offers[0])
            await provider.until(lambda tx: any(record.error for record in all_negotiations(tx)))
        (failed,) = await provider.running.node.store.read(all_negotiations)
        assert "403" in (failed.error or "")
        assert {entry["check"] for entry in logs if entry["event"] == "denied"} == {"credential-missing"}
        assert (await consumer.client.negotiations.get(negotiation)).state == "REQUESTED"


async def test_a_revoked_membership_is_not_shown_again_and_renewal_is_up_to_the_issuer(
    tmp_path: Path, world: Others
) -> None:
    trusted = {world["issuer"].did: ["*"]}
    async with holder(tmp_path / "p", trusted) as provider, holder(tmp_path / "c", trusted) as consumer:
        await equipped(provider, "provider", world)
        membership = world.vc(consumer.did, TYPES[0], bpn=BPNS["consumer"], index=7)
        rest = (world.vc(consumer.did, kind, bpn=BPNS["consumer"]) for kind in TYPES[1:])
        await consumer.hold(membership, *rest)
        await consumer.client.catalogs.request(provider.provider)
        world.publish_list(7)
        with pytest.raises(ApiError, match="403"):
            await consumer.client.catalogs.request(provider.provider)
        assert await consumer.client.credentials.missing() == (TYPES[0],)
        states = {c.types: c.state for c in await consumer.client.credentials.list()}
        assert states[TYPES[0],] == "REVOKED"


async def test_the_status_of_what_the_wallet_holds_can_be_asked_for_as_it_is_now(tmp_path: Path, world: Others) -> None:
    async with holder(tmp_path / "n", {world["issuer"].did: ["*"]}) as node:
        await node.hold(world.vc(node.did, TYPES[0], index=7), world.vc(node.did, TYPES[1], index=8))
        world.publish_list(7)
        assert {c.state for c in await node.client.credentials.list()} == {"ISSUED"}
        good, revoked = await node.client.credentials.list(status_now=True)
        assert (good.types, good.state, good.error) == ((TYPES[1],), "ISSUED", "")
        assert (revoked.types, revoked.state) == ((TYPES[0],), "REVOKED")
        del world.pages["/status"]
        unknown, _ = await node.client.credentials.list(status_now=True)
        assert (unknown.state, "404" in unknown.error) == ("ISSUED", True)
        with pytest.raises(ApiError, match="status is now"):
            await node.client.api.get("/v3/credentials?status=then")
