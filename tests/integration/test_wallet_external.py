"""What production puts in the place of built-in parts: an external wallet with its token service, the BPN directory."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from connector.client import ApiError
from connector.exchange import credentials
from connector.identity.bdrs import RemoteDirectory
from connector.identity.did import did_of_url
from connector.protocol.errors import Unreachable
from connector.sandbox.ports import Ports
from tests.integration.authority_world import AuthorityWorld, authority_world
from tests.integration.dcp_world import now_ms
from tests.integration.wallet_world import SECRET, TYPES, Holder, Others, holder, others

BPN = "BPNL00000000CONS"


@pytest.fixture
async def world() -> AsyncIterator[Others]:
    async with others() as started:
        yield started


def external(wallet: Holder, where: str = "SECRET") -> dict[str, Any]:
    """The settings of a connector whose wallet is `wallet`: the same participant, another machine."""
    return {
        "node": {"did": wallet.did},
        "sts": {"url": f"{wallet.running.management.url}/sts", "client_id": "tests", "client_secret": f"env:{where}"},
    }


async def test_a_connector_without_a_wallet_speaks_by_an_external_one(tmp_path: Path, world: Others) -> None:
    """A second node of the same participant is wallet and token service; the connector has none."""
    trusted = {world["issuer"].did: ["*"]}
    async with holder(tmp_path / "p", trusted) as provider, holder(tmp_path / "w", trusted) as wallet:
        for node, bpn in ((provider, "BPNL00000000PROV"), (wallet, BPN)):
            await node.hold(*(world.vc(node.did, kind, bpn=bpn) for kind in TYPES))
        async with holder(tmp_path / "c", trusted, **external(wallet)) as connector:
            catalog = await connector.client.catalogs.request(provider.provider)
            assert catalog.participant_id == provider.did
            caller = await connector.running.node.identity.verify(
                await provider.running.node.identity.token(wallet.did, address="http://localhost")
            )
            assert (caller.id, caller.bpn) == (provider.did, "BPNL00000000PROV")
            async with connector.http.get(f"{connector.running.public.url}/.well-known/did.json") as answer:
                assert answer.status == 404, "the wallet's document is the participant's"
            assert (await connector.post("/presentations/query", None, {}))[0] == 404
            with pytest.raises(ApiError, match="no wallet of its own"):
                await connector.client.credentials.missing()


async def test_an_external_wallet_that_is_away_or_knows_us_not_is_named(tmp_path: Path, world: Others) -> None:
    trusted = {world["issuer"].did: ["*"]}
    async with holder(tmp_path / "p", trusted) as provider, holder(tmp_path / "w", trusted) as wallet:
        settings = external(wallet, "KEY")  # not the secret of the client
        async with holder(tmp_path / "c", trusted, **settings) as connector:
            with pytest.raises(ApiError, match=r"answered 401: check sts\.client_id and sts\.client_secret"):
                await connector.client.catalogs.request(provider.provider)
    async with holder(tmp_path / "c", trusted, **settings) as connector:
        with pytest.raises(Unreachable):
            await connector.running.node.identity.token(provider.did, address="http://localhost")


async def test_a_token_service_of_somebody_else_is_not_believed(tmp_path: Path, world: Others) -> None:
    trusted = {world["issuer"].did: ["*"]}
    async with holder(tmp_path / "w", trusted) as wallet:
        settings = external(wallet) | {"node": {"did": "did:web:localhost%3A1"}}
        async with holder(tmp_path / "c", trusted, **settings) as connector:
            with pytest.raises(Unreachable, match=r"not did:web:localhost%3A1's .* check sts.url"):
                await connector.running.node.identity.token(world["verifier"].did, address="http://localhost")


@pytest.fixture
async def authority(tmp_path: Path) -> AsyncIterator[AuthorityWorld]:
    async with authority_world(tmp_path / "authority") as started:
        yield started


async def test_partners_are_found_in_the_data_spaces_directory(tmp_path: Path, authority: AuthorityWorld) -> None:
    """Shown to members only; the node shows its membership, made out to itself."""
    with Ports() as ports:
        port = ports.take()
        await authority.operator.post("/members", {"bpn": BPN, "did": did_of_url(f"http://localhost:{port}")})
        trusted, bdrs = {authority.did: ["*"]}, {"url": authority.root}
        async with holder(tmp_path / "n", trusted, port=port, wallet={"issuer": authority.did}, bdrs=bdrs) as node:
            directory = node.running.node.directory
            assert isinstance(directory, RemoteDirectory)
            with capture_logs() as logs:
                await directory.refresh()
            await node.until(lambda tx: not credentials.missing(tx, TYPES, now_ms()))
            await directory.refresh()
            assert directory.did_of("BPNL0000000HOLDR") == authority.holder.did
            assert directory.bpn_of(authority.holder.did) == "BPNL0000000HOLDR"
            assert directory.did_of("BPNL0000000NONE1") is None
            first = [entry for entry in logs if entry["event"] == "the BPN directory cannot be fetched"]
            assert not first or "no MembershipCredential" in first[0]["reason"]
            external_ = external(node) | {"bdrs": bdrs}
            async with holder(tmp_path / "c", trusted, **external_) as connector:  # and by an external wallet
                far = connector.running.node.directory
                assert isinstance(far, RemoteDirectory)
                assert await far.find("BPNL0000000HOLDR") == authority.holder.did


async def test_the_secret_stands_in_no_log_and_no_answer(tmp_path: Path, world: Others) -> None:
    trusted = {world["issuer"].did: ["*"]}
    with capture_logs() as logs:
        async with holder(tmp_path / "w", trusted) as wallet:
            _, answer = await wallet.token("", "x")
    assert SECRET not in str(logs)
    assert SECRET not in str(answer)
