"""Our nodes as EDC meets them: started as any other, by a settings file, with the mock identity that EDC speaks."""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from connector.client import ApiError, Client, Dataset, Negotiation, Offer, Provider, Transfer
from connector.client.exchanging import by_id, one_dataset
from connector.exchange.query import Criterion
from connector.onboarding.folder import write_atomically
from connector.sandbox.ports import HOST, Ports
from connector.sandbox.process import NodeProcess
from tests.interop.matrix import Wrong, must

Settings = Mapping[str, Mapping[str, object]]


@dataclass(frozen=True, slots=True)
class Ours:
    """A running node of ours: a client of its management API, and how others address it."""

    id: str
    client: Client
    dsp: str
    key: str

    @property
    def provider(self) -> Provider:
        """The node as a counterparty."""
        return Provider(self.id, self.dsp)

    async def dataset(self, peer: Provider, asset: str) -> Dataset:
        """A dataset of the peer's catalog. Raise ApiError if it is not shown to us."""
        return one_dataset(await self.client.catalogs.request(peer, by_id(asset)), asset)

    async def offer_of(self, peer: Provider, asset: str) -> Offer:
        """The first offer of a dataset of the peer's catalog."""
        return (await self.dataset(peer, asset)).offers[0]

    async def twin(self, kind: str, edc_id: str) -> str:
        """Our id of a process (contractnegotiations, transferprocesses) that EDC knows under its own."""
        query = {"@type": "QuerySpec", "filterExpression": [Criterion("correlationId", "=", edc_id).to_json()]}
        found = await self.client.api.post(f"/v3/{kind}/request", query)
        must(f"how many {kind} we have with EDC's id", len(found), 1)
        return str(found[0]["@id"])

    async def negotiation_at(self, negotiation_id: str, *states: str, seconds: float = 20.0) -> Negotiation:
        """The negotiation, in one of `states`; the node waits for the first. Raise Wrong if it goes elsewhere."""
        found = await self.client.negotiations.wait(negotiation_id, states[0], timeout_s=seconds)
        must(f"our negotiation ({found.error})", found.state, *states)
        return found

    async def transfer_at(self, transfer_id: str, *states: str, seconds: float = 20.0) -> Transfer:
        """The transfer, in one of `states`; the node waits for the first. Raise Wrong if it goes elsewhere."""
        found = await self.client.transfers.wait(transfer_id, states[0], timeout_s=seconds)
        must(f"our transfer ({found.error})", found.state, *states)
        return found

    async def undelivered(self, negotiation_id: str, *, seconds: float = 15.0) -> str:
        """Why a message of a negotiation has not been delivered, as soon as the timeline says so."""
        async with asyncio.timeout(seconds):
            while True:
                timeline = await self.client.negotiations.timeline(negotiation_id)
                told = [line for line in timeline.undelivered if not line.endswith("under way")]
                if told:
                    return told[0]
                await asyncio.sleep(0.05)

    async def refusal(self, transfer_id: str) -> ApiError:
        """Why our node cannot fetch the data of a transfer. Raise Wrong if it can."""
        try:
            await self.client.transfers.fetch(transfer_id)
        except ApiError as error:
            return error
        raise Wrong("our node could fetch data that it has no right to")


@asynccontextmanager
async def node(name: str, folder: Path, **sections: Mapping[str, object]) -> AsyncIterator[Ours]:
    """A node with identity mock under `name`; `sections` of its settings come on top of what it needs to run here."""
    home = folder / name
    home.mkdir()
    key = secrets.token_urlsafe(16)
    write_atomically(home / "api-key", key)
    with Ports() as ports:
        public, management = ports.take(), ports.take()
        settings: dict[str, Mapping[str, Any]] = {
            "node": {"did": name, "data": str(home / "data"), "development": True},
            "identity": {"kind": "mock"},
            "public": {"url": f"http://{HOST}:{public}", "port": public},
            "management": {"port": management, "key": f"file:{home / 'api-key'}"},
            **sections,
        }
        (home / "node.toml").write_text(_toml(settings), encoding="utf-8")
        ports.hand_over()
        process = await NodeProcess.start(name, home / "node.toml", home / "node.log")
    try:
        async with Client(process.ready.management, key) as client:
            yield Ours(name, client, process.ready.dsp, key)
    finally:
        await process.stop()


def _toml(sections: Settings) -> str:
    """JSON's strings, numbers and truth values are TOML's as well."""
    lines = []
    for section, members in sections.items():
        lines += [f"[{section}]", *(f"{key} = {json.dumps(value)}" for key, value in members.items())]
    return "\n".join(lines) + "\n"
