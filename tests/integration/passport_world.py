"""What the tests of passports share: a maker and its readers, real nodes on loopback in this process."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from aiohttp import ClientSession

from connector.client import Client, For, Provider, template
from connector.config import parse
from connector.sandbox.ports import HOST, Ports
from connector.wiring import RunningNode, start

KEY: Final = "a management key"
MAKER, OEM, RECYCLER, AUTHORITY, STRANGER = "maker", "oem", "recycler", "authority", "stranger"
BPNS: Final = {
    MAKER: "BPNL000HELVION01",
    OEM: "BPNL000AURELIS01",
    RECYCLER: "BPNL00RECYCLER01",
    AUTHORITY: "BPNL0AUTHORITY01",
    STRANGER: "BPNL00STRANGER01",
}
PARTNER_CLASSES: Final = ("public-model", "restricted-model", "conformity", "individual")


@dataclass(frozen=True, slots=True)
class Party:
    """A node and the client of its operator."""

    did: str
    bpn: str
    running: RunningNode
    client: Client


@dataclass(frozen=True, slots=True)
class World:
    """Everybody, by name."""

    parties: dict[str, Party]

    def __getitem__(self, name: str) -> Party:
        return self.parties[name]

    def offer(self, reader: str, audience: str, purpose: str, classes: tuple[str, ...] | None = None) -> For:
        policy = template("by-bpn", [self[reader].bpn])
        return For(audience, purpose, policy, policy, classes)

    @property
    def offers(self) -> list[For]:
        """The three readers of the story."""
        return [
            self.offer(OEM, "partner", "cx.circular.dpp:1", PARTNER_CLASSES),
            self.offer(RECYCLER, "interest", "recycle"),
            self.offer(AUTHORITY, "authority", "surveillance"),
        ]

    async def maker(self, reader: str) -> Provider:
        """The maker as a reader finds it by its DID."""
        return await self[reader].client.passports.locate(self[MAKER].did)

    async def fetch(self, reader: str, serial: str) -> dict[str, Any]:
        return await self[reader].client.passports.fetch(await self.maker(reader), serial)

    async def pulled(self, reader: str, asset: str, path: str = "") -> tuple[int, dict[str, str], bytes]:
        """What a consumer that knows nothing of us gets: contract, token, plain HTTP."""
        client = self[reader].client
        transfer = await client.pull(await client.agree(await self.maker(reader), asset))
        address = await client.edrs.address(transfer)
        headers = {"Authorization": address.authorization}
        async with ClientSession() as session, session.get(address.endpoint + path, headers=headers) as answer:
            return answer.status, {name.lower(): value for name, value in answer.headers.items()}, await answer.read()


@asynccontextmanager
async def world(folder: Path, *names: str, **sections: dict[str, str]) -> AsyncIterator[World]:
    """Running nodes of `names`, which know one another; `sections` of settings are added to all."""
    async with AsyncExitStack() as stack:
        with Ports() as ports:
            public = {name: ports.take() for name in names}
            dids = {name: f"did:web:localhost%3A{port}" for name, port in public.items()}
            ports.hand_over()
            parties = {}
            for name in names:
                settings = {
                    "node": {"did": dids[name], "bpn": BPNS[name], "data": str(folder / name), "development": True},
                    "public": {"url": f"http://{HOST}:{public[name]}", "host": HOST, "port": public[name]},
                    "management": {"host": HOST, "port": 0, "key": "env:KEY"},
                    "directory": {BPNS[other]: dids[other] for other in names},
                    **sections,
                }
                running = await stack.enter_async_context(start(parse(settings, {"KEY": KEY})))
                client = await stack.enter_async_context(Client(f"{running.management.url}/management", KEY))
                parties[name] = Party(dids[name], BPNS[name], running, client)
        yield World(parties)
