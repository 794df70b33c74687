"""Two real nodes that can be killed: the cell maker offers passports, the OEM wants them."""

import asyncio
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from connector.client import Client, Provider, template
from connector.demo_data import PASSPORT_SEMANTIC_ID, passports
from connector.onboarding.folder import CONFIG_FILE
from connector.sandbox.databases import Databases, in_files
from connector.sandbox.nodes import LOG_FILE, Member, sandbox
from connector.sandbox.participants import CELL_MAKER, OEM, Participant
from connector.sandbox.process import NodeProcess

ASSET: Final = "passport"


class Party:
    """A node as those reach it who have its API key."""

    def __init__(self, who: Participant) -> None:
        self.who = who

    def client(self) -> Client:
        """Its management API."""
        return Client(self.who.management, self.who.api_key)


class Node(Party):
    """A node that can be killed and started again on what it has kept."""

    def __init__(self, member: Member) -> None:
        super().__init__(member.participant)
        self.folder = member.folder
        self.process = member.process

    @property
    def pid(self) -> int:
        """Of its present process."""
        return self.process.process.pid

    @property
    def up(self) -> bool:
        """Whether its present process has not ended."""
        return self.process.process.returncode is None

    @property
    def log(self) -> Path:
        """What all its processes have said."""
        return self.folder / LOG_FILE

    async def kill(self) -> None:
        """As the kernel does when memory is short: at once, without a farewell."""
        self.process.process.kill()
        assert await self.process.process.wait() == -signal.SIGKILL
        self.process.link.close()

    async def start(self) -> float:
        """Start it again; seconds until it is ready."""
        self.process = await NodeProcess.start(self.who.name, self.folder / CONFIG_FILE, self.log)
        return self.process.ready_s


class Parties:
    """Both nodes, and what they do with each other."""

    def __init__(self, maker: Party, oem: Party) -> None:
        self.maker, self.oem = maker, oem
        self.provider = Provider(maker.who.did, maker.who.dsp)

    async def publish(self, assets: Sequence[str] = (ASSET,)) -> None:
        """Offer a passport under each of these ids to the OEM."""
        async with self.maker.client() as maker:
            for asset in assets:
                await maker.payloads.publish(asset, passports()[0], semantic_id=PASSPORT_SEMANTIC_ID)
            only = template("by-bpn", [self.oem.who.bpn])
            await maker.offer("offer", assets, access=only, contract=only)

    async def exchange(self) -> str:
        """Contract, transfer, verified data; the transfer goes on."""
        async with self.oem.client() as oem:
            transfer = await oem.pull(await oem.agree(self.provider, ASSET))
            await hold(oem, transfer)
            return transfer


async def hold(oem: Client, transfer: str) -> None:
    """Fetch the data of a transfer and see that it is what the maker has signed."""
    fetched = await oem.transfers.fetch(transfer, semantic_id=PASSPORT_SEMANTIC_ID)
    assert fetched.verified is not None
    assert fetched.verified.ok, fetched.verified.failed
    assert fetched.payload == passports()[0]


class Pair(Parties):
    """Both, and each can be killed."""

    maker: Node
    oem: Node

    @property
    def nodes(self) -> tuple[Node, Node]:
        """The maker first."""
        return self.maker, self.oem


@asynccontextmanager
async def pair_of_nodes(folder: Path, databases: Databases = in_files) -> AsyncIterator[Pair]:
    """Both, ready; on the way out they end, whatever process they are by then."""
    async with sandbox(2, folder, databases) as box:
        pair = Pair(Node(box.members[CELL_MAKER.name]), Node(box.members[OEM.name]))
        try:
            yield pair
        finally:
            await asyncio.gather(*(node.process.stop() for node in pair.nodes))
