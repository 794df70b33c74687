"""A node asks the authority for its credentials, gets them into its wallet, and asks again before they end."""

from collections.abc import AsyncIterator
from pathlib import Path
from textwrap import indent
from typing import Any

import pytest
from structlog.testing import capture_logs

from connector.client import ApiError, Client
from connector.exchange import credentials
from connector.exchange.ports import Tx
from connector.exchange.query import QuerySpec
from connector.exchange.records import Asked, CredentialRequest, Held, Timer
from connector.identity.did import did_of_url
from connector.sandbox.ports import Ports
from tests.integration.authority_world import AuthorityWorld, authority_world
from tests.integration.dcp_world import now_ms
from tests.integration.dsp_world import KEY
from tests.integration.wallet_world import TYPES, Holder, holder
from tests.unit.storage_records import CREDENTIAL

BPN = "BPNL0000000OWNER"


@pytest.fixture
async def authority(tmp_path: Path) -> AsyncIterator[AuthorityWorld]:
    async with authority_world(tmp_path / "authority") as started:
        yield started


def requests(tx: Tx) -> list[CredentialRequest]:
    return tx.credential_requests.query(QuerySpec())


def nothing_is_missing(tx: Tx) -> bool:
    return not credentials.missing(tx, TYPES, now_ms())


async def issued(node: Holder) -> None:
    await node.until(lambda tx: nothing_is_missing(tx) and requests(tx)[0].issuer_pid is not None)


async def test_a_node_gets_what_is_missing_at_its_start(tmp_path: Path, authority: AuthorityWorld) -> None:
    with Ports() as ports:
        port = ports.take()
        await authority.operator.post("/members", {"bpn": BPN, "did": did_of_url(f"http://localhost:{port}")})
        trusted = {authority.did: ["*"]}
        async with holder(tmp_path / "n", trusted, port=port, wallet={"issuer": authority.did}) as node:
            await issued(node)
            assert await node.client.credentials.missing() == ()
            held = await node.client.credentials.list()
            assert sorted(name for credential in held for name in credential.types) == sorted(TYPES)
            assert {(c.state, c.issuer) for c in held} == {("ISSUED", authority.did)}
            assert all("jwt" not in c.raw for c in held)
            (asked,) = await node.running.node.store.read(requests)
            assert (await node.client.credentials.requested(asked.id)).state == "ISSUED"
            assert await node.client.credentials.status(asked.id) == "ISSUED"
            timers = await node.running.node.store.read(lambda tx: tx.timers.query(QuerySpec()))
            assert {timer.subject for timer in timers} == {c.id for c in held}
        async with holder(tmp_path / "n", trusted, port=port, wallet={"issuer": authority.did}) as node:
            assert len(await node.running.node.store.read(requests)) == 1, "nothing is missing, nothing is asked for"


async def test_a_credential_is_renewed_at_four_fifths_of_its_life(tmp_path: Path, authority: AuthorityWorld) -> None:
    with Ports() as ports:
        port = ports.take()
        await authority.operator.post("/members", {"bpn": BPN, "did": did_of_url(f"http://localhost:{port}")})
        async with holder(tmp_path / "n", {authority.did: ["*"]}, port=port, wallet={"issuer": authority.did}) as node:
            await issued(node)
            store = node.running.node.store
            before = await node.held()
            for record in before:
                (timer,) = [
                    t for t in await store.read(lambda tx: tx.timers.query(QuerySpec())) if t.subject == record.id
                ]
                assert record.valid_until is not None
                life = record.valid_until - record.created_at
                assert abs(timer.due_at - record.created_at - 0.8 * life) < 10_000
            first = before[0]
            timer = await store.read(lambda tx: tx.timers.get(first.id))
            await store.run(lambda tx: credentials.due(node.running.node, tx, timer))
            await node.until(lambda tx: nothing_is_missing(tx) and tx.credentials.find(first.id) is None)
            assert {record.types for record in await node.held()} == {record.types for record in before}


async def test_who_is_no_member_is_told_by_the_issuer(tmp_path: Path, authority: AuthorityWorld) -> None:
    async with holder(tmp_path / "n", {authority.did: ["*"]}) as node:
        with capture_logs() as logs:
            asked = await node.client.credentials.request(authority.did, ["MembershipCredential"])
            assert (asked.state, asked.issuer) == ("REQUESTED", authority.did)
            await node.until(lambda tx: tx.credential_requests.get(asked.id).state is Asked.REJECTED)
        assert (await node.client.credentials.requested(asked.id)).error
        assert [entry for entry in logs if entry["event"] == "credential request refused"]
        with pytest.raises(ApiError, match="has not taken this request"):
            await node.client.credentials.status(asked.id)


async def test_a_type_that_the_issuer_does_not_have_is_named(tmp_path: Path, authority: AuthorityWorld) -> None:
    async with holder(tmp_path / "n", {authority.did: ["*"]}) as node:
        asked = await node.client.credentials.request(authority.did, ["UnicornCredential"])
        await node.until(lambda tx: tx.credential_requests.get(asked.id).state is Asked.REJECTED)
        assert "does not issue UnicornCredential" in (await node.client.credentials.requested(asked.id)).error


async def test_bad_requests_of_operators_are_refused_with_the_place(tmp_path: Path, authority: AuthorityWorld) -> None:
    async with holder(tmp_path / "n", {authority.did: ["*"]}) as node:
        for body, place in (
            ({}, "/issuer"),
            ({"issuer": "https://issuer.example"}, "/issuer"),
            ({"issuer": authority.did, "credentials": [7]}, "/credentials"),
            ({"issuer": authority.did, "credentials": ["x"] * 65}, "/credentials"),
        ):
            with pytest.raises(ApiError) as refused:
                await node.client.api.post("/v3/credentials/requests", body)
            assert refused.value.errors[0].path == place


async def test_an_expired_credential_is_marked_at_its_end(tmp_path: Path, authority: AuthorityWorld) -> None:
    async with holder(tmp_path / "n", {authority.did: ["*"]}) as node:
        store, now = node.running.node.store, now_ms()

        timer = Timer(CREDENTIAL.id, now, credentials.KIND, CREDENTIAL.id)
        await store.run(lambda tx: tx.credentials.add(CREDENTIAL))
        await store.run(lambda tx: credentials.due(node.running.node, tx, timer))
        assert (await store.read(lambda tx: tx.credentials.get(CREDENTIAL.id))).state is Held.EXPIRED


async def test_the_page_about_wallets_shows_what_works(
    tmp_path: Path, authority: AuthorityWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    page = (Path(__file__).parents[2] / "docs" / "how-to" / "hold-credentials.md").read_text(encoding="utf-8")
    block = page.partition("```python\n")[2].partition("```")[0]
    with Ports() as ports:
        port = ports.take()
        await authority.operator.post("/members", {"bpn": BPN, "did": did_of_url(f"http://localhost:{port}")})
        async with holder(tmp_path / "n", {authority.did: ["*"]}, port=port) as node:
            real = {
                "http://127.0.0.1:8181": node.running.management.url,
                "did:web:issuer.operator.example": authority.did,
            }
            for shown, meant in real.items():
                assert shown in block
                block = block.replace(shown, meant)
            names: dict[str, Any] = {"Client": Client, "api_key": KEY}
            exec(f"async def page():\n{indent(block, '    ')}", names)  # noqa: S102 - our own page
            await names["page"]()
    assert "MembershipCredential" in capsys.readouterr().out
