"""What production puts in the place of built-in parts, each in a process of its own.

`connector authority serve` is issuer and BPN directory; another `connector serve` is the wallet and the secure token
service of a participant whose connector has neither. Both are killed as well, in the middle of what they are asked for:
the node says which of them is away and why, and goes on by itself when it is back. The nodes that are tested run here.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from structlog.testing import capture_logs

from connector.client import ApiError, Client, template
from connector.client.api import Api
from connector.exchange import credentials
from connector.exchange.records import Asked
from connector.identity.bdrs import RemoteDirectory
from connector.identity.did import did_of_url
from connector.identity.jws import CompactJws
from connector.onboarding.folder import to_toml
from connector.onboarding.joining import join
from connector.protocol.errors import PeerError, Unreachable
from connector.sandbox.ports import Ports
from connector.sandbox.process import SERVE, SERVE_AUTHORITY, NodeProcess
from tests.integration.dcp_world import now_ms
from tests.integration.dsp_world import KEY, WAIT_S
from tests.integration.wallet_world import SCOPES, SECRET, TYPES, Holder, holder

pytestmark = pytest.mark.asyncio(loop_scope="module")

WALLET, PROVIDER, NODE = "BPNL0000000CONSU", "BPNL0000000PROVI", "BPNL00000000NODE"
ASSET = "thing"


@dataclass
class Program:
    """A program of ours in a process of its own, that may be killed and started again where it was."""

    config: Path
    url: str
    management: str
    command: Sequence[str]
    _process: NodeProcess | None = None

    @property
    def did(self) -> str:
        return did_of_url(self.url)

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.process.pid

    async def start(self) -> None:
        name = self.config.stem
        self._process = await NodeProcess.start(name, self.config, self.config.with_suffix(".log"), self.command)

    async def kill(self) -> None:
        """As a machine that loses its power."""
        assert self._process is not None
        self._process.process.kill()
        await self._process.process.wait()
        self._process.link.close()

    async def stop(self) -> None:
        assert self._process is not None
        await self._process.stop()
        assert "Traceback" not in self.config.with_suffix(".log").read_text(encoding="utf-8")


def program(folder: Path, name: str, ports: Ports, command: Sequence[str], **sections: dict[str, Any]) -> Program:
    """The settings of a program, in `folder`; its keys and secrets are those of the tests."""
    port, private = ports.take(), ports.take()
    url = f"http://localhost:{port}"
    (folder / "key").write_text(KEY, encoding="utf-8")
    (folder / "secret").write_text(SECRET, encoding="utf-8")
    given: dict[str, dict[str, Any]] = {
        "authority" if command is SERVE_AUTHORITY else "node": {
            "did": did_of_url(url),
            "data": str(folder / name),
            "development": True,
        },
        "public": {"url": url, "port": port},
        "management": {"port": private, "key": f"file:{folder / 'key'}"},
    }
    file = folder / f"{name}.toml"
    file.write_text(to_toml(given | sections), encoding="utf-8")
    return Program(file, url, f"http://127.0.0.1:{private}", command)


@dataclass
class World:
    """The two programs, and two nodes of ours that have their credentials from the one."""

    ports: Ports
    authority: Program
    wallet: Program
    operator: Api
    provider: Holder
    node: Holder

    @property
    def trusted(self) -> dict[str, list[str]]:
        return {self.authority.did: ["*"]}

    @asynccontextmanager
    async def connector(self, folder: Path, variable: str = "SECRET") -> AsyncIterator[Holder]:
        """A node of the wallet's participant with neither key nor wallet. `variable` holds the secret that it sends."""
        there = {"url": f"{self.wallet.management}/sts", "client_id": "tests", "client_secret": f"env:{variable}"}
        async with holder(folder, self.trusted, node={"did": self.wallet.did}, sts=there) as node:
            yield node


@asynccontextmanager
async def member(folder: Path, bpn: str, authority: Program, operator: Api, ports: Ports) -> AsyncIterator[Holder]:
    """A node whose issuer and whose directory are the authority, with its credentials."""
    port = ports.take()
    await operator.post("/members", {"bpn": bpn, "did": did_of_url(f"http://localhost:{port}")})
    outside: dict[str, Any] = {"wallet": {"issuer": authority.did}, "bdrs": {"url": authority.url}}
    fresh = {"identity": {"kind": "dcp", "scopes": list(SCOPES), "keep_credentials": 0}}
    async with holder(folder, {authority.did: ["*"]}, port=port, **outside, **fresh) as node:
        await node.until(lambda tx: not credentials.missing(tx, TYPES, now_ms()))
        yield node


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    folder = tmp_path_factory.mktemp("external")
    async with AsyncExitStack() as stack:
        ports = stack.enter_context(Ports())
        authority = program(folder, "authority", ports, SERVE_AUTHORITY)
        dcp: dict[str, dict[str, Any]] = {
            "identity": {"kind": "dcp", "scopes": list(SCOPES)},
            "trusted_issuers": {authority.did: ["*"]},
            "sts": {"client_id": "tests", "client_secret": f"file:{folder / 'secret'}"},
        }
        wallet = program(folder, "wallet", ports, SERVE, **dcp)
        for each in (authority, wallet):
            await each.start()
            stack.push_async_callback(each.stop)
        operator = await stack.enter_async_context(Api(f"{authority.management}/management", KEY))
        await operator.post("/members", {"bpn": WALLET, "did": wallet.did})
        async with Client(f"{wallet.management}/management", KEY) as owner:
            await join(owner, authority.did)
        enter, given = stack.enter_async_context, (authority, operator, ports)
        provider = await enter(member(folder / "provider", PROVIDER, *given))
        node = await enter(member(folder / "node", NODE, *given))
        await provider.client.assets.put(ASSET, data_address={"type": "HttpData", "baseUrl": "http://localhost:9/"})
        await provider.client.offer(ASSET, [ASSET], access=template("open"), contract=template("open"))
        assert len({os.getpid(), authority.pid, wallet.pid}) == 3
        yield World(ports, authority, wallet, operator, provider, node)


def directory_of(node: Holder) -> RemoteDirectory:
    found = node.running.node.directory
    assert isinstance(found, RemoteDirectory)
    return found


async def token_for(connector: Holder, provider: Holder) -> str:
    return await connector.running.node.identity.token(provider.did, address="http://localhost")


# --- issuer


async def test_an_issuer_elsewhere_gives_a_node_its_credentials(world: World) -> None:
    held = await world.node.client.credentials.list()
    assert sorted(name for credential in held for name in credential.types) == sorted(TYPES)
    assert {(c.state, c.issuer) for c in held} == {("ISSUED", world.authority.did)}
    listed = await world.operator.get("/credentials")
    assert {c["type"] for c in listed if c["bpn"] == NODE} == set(TYPES)


async def test_what_an_issuer_elsewhere_refuses_is_named(world: World, tmp_path: Path) -> None:
    async with holder(tmp_path, world.trusted) as stranger:
        asked = await stranger.client.credentials.request(world.authority.did, TYPES)
        settled = await stranger.client.credentials.requested(asked.id, wait_s=5)
    assert settled.state == "REJECTED"
    assert "the issuer answered 40" in settled.error


# --- directory


async def test_partners_are_found_in_a_directory_elsewhere(world: World) -> None:
    directory = directory_of(world.node)
    await directory.refresh()
    assert directory.did_of(WALLET) == world.wallet.did
    assert directory.bpn_of(world.provider.did) == PROVIDER
    assert directory.did_of("BPNL0000000NOONE") is None


async def test_a_directory_elsewhere_that_does_not_let_us_in_is_named(world: World, tmp_path: Path) -> None:
    bpn = "BPNL0000000LEAVE"
    async with member(tmp_path, bpn, world.authority, world.operator, world.ports) as node:
        await world.operator.call("DELETE", f"/members/{bpn}")
        with capture_logs() as logs:
            await directory_of(node).refresh()
    reasons = [entry["reason"] for entry in logs if entry["event"] == "the BPN directory cannot be fetched"]
    assert reasons == ["it answered 403"]


async def test_an_issuer_and_a_directory_that_were_killed_are_named_and_used_again(world: World) -> None:
    node, directory = world.node, directory_of(world.node)
    await directory.refresh()
    await world.authority.kill()
    with capture_logs() as logs:
        await directory.refresh()
    (reason,) = [entry["reason"] for entry in logs if entry["event"] == "the BPN directory cannot be fetched"]
    assert f"localhost:{world.authority.url.rpartition(':')[2]}" in reason
    assert directory.did_of(WALLET) == world.wallet.did, "the last map serves while the directory is away"

    asked = await node.client.credentials.request(world.authority.did, TYPES[:1])
    async with asyncio.timeout(WAIT_S):
        while not asked.error:
            asked = await node.client.credentials.requested(asked.id, wait_s=0.05)
    assert (asked.state, "localhost" in asked.error, "refused" in asked.error) == ("REQUESTED", True, True)

    await world.authority.start()
    await node.until(lambda tx: tx.credential_requests.get(asked.id).state is Asked.ISSUED)
    await world.operator.post("/members", {"bpn": "BPNL0000000LATER", "did": "did:web:later.example"})
    await directory.refresh()
    assert directory.did_of("BPNL0000000LATER") == "did:web:later.example"


# --- token service and wallet


async def test_a_token_service_elsewhere_speaks_for_the_connector(world: World, tmp_path: Path) -> None:
    async with world.connector(tmp_path) as connector:
        token = (await token_for(connector, world.provider)).removeprefix("Bearer ")
    claims = CompactJws.parse(token).payload
    assert (claims["iss"], claims["sub"], claims["aud"]) == (world.wallet.did, world.wallet.did, world.provider.did)


async def test_a_wallet_elsewhere_shows_the_connectors_credentials(world: World, tmp_path: Path) -> None:
    """In both directions, from the catalog to the agreement: the provider asks that wallet for each message."""
    async with world.connector(tmp_path) as connector:
        caller = await world.provider.running.node.identity.verify(await token_for(connector, world.provider))
        assert (caller.id, caller.bpn) == (world.wallet.did, WALLET)
        agreement = await connector.client.agree(world.provider.provider, ASSET)
        assert (await connector.client.agreements.get(agreement)).provider_id == world.provider.did


async def test_a_client_that_the_token_service_does_not_know_is_named(world: World, tmp_path: Path) -> None:
    async with world.connector(tmp_path, "KEY") as connector:
        with pytest.raises(ApiError, match=r"answered 401: check sts\.client_id and sts\.client_secret"):
            await connector.client.catalogs.request(world.provider.provider)


async def test_a_wallet_and_a_token_service_that_were_killed_are_named_and_used_again(
    world: World, tmp_path: Path
) -> None:
    provider = world.provider
    async with world.connector(tmp_path) as connector:
        await connector.client.catalogs.request(provider.provider)
        token = await token_for(connector, provider)
        await world.wallet.kill()
        with capture_logs() as logs, pytest.raises(PeerError) as denied:
            await provider.running.node.identity.verify(token)
        assert denied.value.status == 503, "which is not final: the sender comes back"
        (said,) = [entry for entry in logs if entry["event"] == "denied"]
        assert (said["check"], f"localhost:{world.wallet.url.rpartition(':')[2]}" in said["reason"]) == ("wallet", True)
        with pytest.raises(Unreachable, match=world.wallet.management.removeprefix("http://")):
            await token_for(connector, provider)

        await world.wallet.start()
        assert (await connector.client.catalogs.request(provider.provider)).participant_id == provider.did
