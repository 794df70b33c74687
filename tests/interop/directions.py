"""The two directions of an exchange, told in the same words, so that a case is written once and run in both."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from typing_extensions import override

from connector.client import ApiError, Client, Provider
from connector.protocol.vocabulary import HTTP_PUSH
from tests.interop.scene import OPEN, Scene


@dataclass(frozen=True, slots=True)
class Process:
    """One process under both names: our id and EDC's."""

    asset: str
    ours: str
    edc: str


class Direction(Protocol):
    """Who provides and who consumes."""

    group: str
    on: Scene
    consumer: Client
    """The management API of the consumer's side."""
    provider: Provider
    """The provider as its consumer addresses it."""

    async def offer(self, access: Mapping[str, Any] = OPEN, contract: Mapping[str, Any] = OPEN) -> str:
        """Have the provider offer a new asset. Return its id."""
        ...

    async def agree(self) -> tuple[str, str]:
        """A contract on a new asset: asset and agreement."""
        ...

    async def pull(self, asset: str, agreement: str) -> Process:
        """Start a pull; it runs on both sides and the consumer has its token."""
        ...

    async def push(self, asset: str, agreement: str) -> Process:
        """Ask for a push to the backend's sink of the asset's name."""
        ...

    async def negotiating(self) -> Process:
        """A negotiation that is AGREED at EDC or has only been requested, and waits for our operator."""
        ...

    async def address(self, process: Process) -> Mapping[str, Any] | None:
        """The endpoint data reference that the consumer has now, or None."""
        ...


class WeConsume(Direction):
    """EDC provides."""

    def __init__(self, scene: Scene) -> None:
        self.group, self.on = "we-consume", scene
        self.consumer, self.provider = scene.ours.client, scene.edc.provider

    @override
    async def offer(self, access: Mapping[str, Any] = OPEN, contract: Mapping[str, Any] = OPEN) -> str:
        return await self.on.edc_offers(access=access, contract=contract)

    @override
    async def agree(self) -> tuple[str, str]:
        asset = await self.offer()
        return asset, await self.on.ours.client.agree(self.on.edc.provider, asset)

    @override
    async def pull(self, asset: str, agreement: str) -> Process:
        transfer = await self.on.ours.client.pull(agreement)
        twin = await self.on.edc.twin("transferprocesses", transfer)
        await self.on.edc.transfer_at(twin, "STARTED")
        return Process(asset, transfer, twin)

    @override
    async def push(self, asset: str, agreement: str) -> Process:
        sink = {"baseUrl": self.on.backend.sink(asset)}
        transfer = await self.on.ours.client.transfers.start(agreement, transfer_type=HTTP_PUSH, destination=sink)
        return Process(asset, transfer, await self.on.edc.twin("transferprocesses", transfer))

    @override
    async def negotiating(self) -> Process:
        asset, node, edc = await self.offer(), self.on.by_hand, self.on.edc
        negotiation = await node.client.negotiations.start(edc.provider, await node.offer_of(edc.provider, asset))
        await node.negotiation_at(negotiation, "AGREED")
        twin = await edc.twin("contractnegotiations", negotiation)
        await edc.negotiation_at(twin, "AGREED")
        return Process(asset, negotiation, twin)

    @override
    async def address(self, process: Process) -> Mapping[str, Any] | None:
        try:
            return (await self.on.ours.client.edrs.address(process.ours)).raw
        except ApiError as error:
            if error.status != 404:
                raise
            return None


class WeProvide(Direction):
    """EDC consumes."""

    def __init__(self, scene: Scene) -> None:
        self.group, self.on = "we-provide", scene
        self.consumer, self.provider = scene.edc.client, scene.ours.provider

    @override
    async def offer(self, access: Mapping[str, Any] = OPEN, contract: Mapping[str, Any] = OPEN) -> str:
        return await self.on.we_offer(access=access, contract=contract)

    @override
    async def agree(self) -> tuple[str, str]:
        asset = await self.offer()
        return asset, await self.on.edc.agree(self.provider, asset)

    @override
    async def pull(self, asset: str, agreement: str) -> Process:
        transfer = await self.on.edc.pull(self.on.ours.provider, agreement)
        found = await self.on.ours.twin("transferprocesses", transfer)
        await self.on.ours.transfer_at(found, "STARTED")
        return Process(asset, found, transfer)

    @override
    async def push(self, asset: str, agreement: str) -> Process:
        provider, sink = self.on.ours.provider, self.on.backend.sink(asset)
        transfer = await self.on.edc.transfer(provider, agreement, HTTP_PUSH, sink)
        await self.on.edc.transfer_at(transfer, "REQUESTED", "STARTED", "COMPLETED")
        return Process(asset, await self.on.ours.twin("transferprocesses", transfer), transfer)

    @override
    async def negotiating(self) -> Process:
        node, edc = self.on.by_hand, self.on.edc
        asset = await self.on.we_offer(node)
        negotiation = await edc.client.negotiations.start(node.provider, await edc.offer_of(node.provider, asset))
        await edc.negotiation_at(negotiation, "REQUESTED")
        return Process(asset, await node.twin("contractnegotiations", negotiation), negotiation)

    @override
    async def address(self, process: Process) -> Mapping[str, Any] | None:
        return await self.on.edc.address_now(process.edc)
