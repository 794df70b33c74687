"""Exchanges that go well, and those that one side pauses or ends on purpose."""

from collections.abc import Awaitable, Callable, Iterator, Mapping
from functools import partial
from http import HTTPStatus
from typing import Any, Final

from connector.client import ApiError, Client
from connector.exchange.query import QuerySpec
from connector.protocol.vocabulary import HTTP_PULL
from tests.interop.backend import content_of
from tests.interop.directions import Direction, Process
from tests.interop.edc import COMPLETED, OVER, until
from tests.interop.matrix import Case, Skipped, Wrong, must

REASON: Final = "the referee has changed its mind"
REFUSED: Final = (401, 403)
Run = Callable[[Direction], Awaitable[str | None]]


def cases(way: Direction) -> Iterator[Case]:
    """In the order in which an exchange goes."""
    listed: dict[str, Run] = {
        "catalog, by pages and by id": catalog,
        "negotiate": negotiate,
        "pull to the bytes": pull,
        "push to the bytes, completed by the provider": push,
        "negotiation terminated by us": we_terminate_negotiation,
        "negotiation terminated by EDC": edc_terminates_negotiation,
        "transfer completed by us": we_complete,
        "transfer completed by EDC": edc_completes,
        "transfer terminated by us": we_terminate,
        "transfer terminated by EDC": edc_terminates,
        "suspended and resumed by us": we_suspend,
        "suspended and resumed by EDC": edc_suspends,
    }
    for name, run in listed.items():
        yield Case(way.group, name, partial(run, way))


async def catalog(way: Direction) -> None:
    """Several assets are found on pages of two, and one of them by its id."""
    assets = {await way.offer() for _ in range(3)}
    seen: set[str] = set()
    read = 0
    while page := (await way.consumer.catalogs.request(way.provider, QuerySpec(offset=read, limit=2))).datasets:
        read += len(page)
        seen |= {dataset.id for dataset in page}
    must("what the pages lack", assets - seen, set())
    one = await way.consumer.catalogs.dataset(way.provider, min(assets))
    must("the dataset", one.id, min(assets))
    must("whether it can be pulled", HTTP_PULL in one.formats, True)


async def negotiate(way: Direction) -> None:
    """Both sides hold the same agreement."""
    asset, agreement = await way.agree()
    ours = await way.on.ours.client.agreements.get(agreement)
    edc = await way.on.edc.client.agreements.get(agreement)
    for part in ("asset_id", "provider_id", "consumer_id", "signed_at"):
        must(f"{part} of the agreement at EDC", getattr(edc, part), getattr(ours, part))
    must("the asset of the agreement", ours.asset_id, asset)


async def running(way: Direction) -> tuple[Process, Mapping[str, Any]]:
    """A pull that runs, and the consumer's endpoint data reference, which opens the data."""
    process = await way.pull(*await way.agree())
    address = await way.address(process)
    if address is None:
        raise Wrong("the consumer has no endpoint data reference of a transfer that has started")
    await way.on.reads(address, process.asset)
    return process, address


async def pull(way: Direction) -> None:
    """The bytes that the source serves come out of the other connector."""
    process, _ = await running(way)
    if way.group == "we-consume":  # what our node does for an application
        fetched = await way.on.ours.client.transfers.fetch(process.ours)
        must("whether our fetch gave the same bytes", fetched.payload == content_of(process.asset), True)


async def push(way: Direction) -> None:
    """The provider sends the bytes to the sink, and completes by itself."""
    process = await way.push(*await way.agree())
    pushed = await way.on.backend.pushed(process.asset)
    must("whether the bytes pushed are the bytes served", pushed == content_of(process.asset), True)
    await way.on.ours.transfer_at(process.ours, "COMPLETED")
    await way.on.edc.transfer_at(process.edc, *COMPLETED)


async def we_terminate_negotiation(way: Direction) -> str:
    """In the middle, by our operator."""
    process = await way.negotiating()
    await way.on.by_hand.client.negotiations.terminate(process.ours, REASON)
    await way.on.by_hand.negotiation_at(process.ours, "TERMINATED")
    found = await way.on.edc.negotiation_at(process.edc, "TERMINATED")
    return f"EDC's errorDetail: {found.get('errorDetail')}"


async def edc_terminates_negotiation(way: Direction) -> str:
    """In the middle, by EDC's operator; our record has the reason."""
    process = await way.negotiating()
    await way.on.edc.client.negotiations.terminate(process.edc, REASON)
    found = await way.on.by_hand.negotiation_at(process.ours, "TERMINATED")
    await way.on.edc.negotiation_at(process.edc, "TERMINATED")
    must("whether our record has EDC's reason", REASON in (found.error or ""), True)
    return f"our errorDetail: {found.error}"


async def we_complete(way: Direction) -> None:
    """By our operator, on whichever side we are; the token is worth nothing any more."""
    process, address = await running(way)
    await way.on.ours.client.transfers.complete(process.ours)
    await way.on.ours.transfer_at(process.ours, "COMPLETED")
    await way.on.edc.transfer_at(process.edc, *COMPLETED)
    await closed(way, process, address)


async def edc_completes(way: Direction) -> None:
    """A plain EDC cannot be asked to complete a pull."""
    process, address = await running(way)
    try:
        await way.on.edc.client.transfers.complete(process.edc)
    except ApiError as error:
        if error.status != HTTPStatus.NOT_FOUND:
            raise
        raise Skipped("EDC's management API has no such call (404): it completes only what it has pushed") from error
    await way.on.ours.transfer_at(process.ours, "COMPLETED")
    await closed(way, process, address)


async def we_terminate(way: Direction) -> None:
    """By our operator."""
    process, address = await running(way)
    await way.on.ours.client.transfers.terminate(process.ours, REASON)
    await way.on.ours.transfer_at(process.ours, "TERMINATED")
    await way.on.edc.transfer_at(process.edc, *OVER)
    await closed(way, process, address)


async def edc_terminates(way: Direction) -> str:
    """By EDC's operator; our record has the reason."""
    process, address = await running(way)
    await way.on.edc.client.transfers.terminate(process.edc, REASON)
    found = await way.on.ours.transfer_at(process.ours, "TERMINATED")
    must("whether our record has EDC's reason", REASON in (found.error or ""), True)
    await way.on.edc.transfer_at(process.edc, *OVER)
    await closed(way, process, address)
    return f"our errorDetail: {found.error}"


async def we_suspend(way: Direction) -> None:
    """By our operator, there and back."""
    await paused(way, way.on.ours.client, ours=True)


async def edc_suspends(way: Direction) -> None:
    """By EDC's operator, there and back."""
    await paused(way, way.on.edc.client, ours=False)


async def paused(way: Direction, acting: Client, *, ours: bool) -> None:
    """Suspended, nothing opens the data; resumed by the same side, a new token does and the old one does not."""
    process, old = await running(way)
    acted = process.ours if ours else process.edc
    await acting.transfers.suspend(acted, REASON)
    await way.on.ours.transfer_at(process.ours, "SUSPENDED")
    await way.on.edc.transfer_at(process.edc, "SUSPENDED")
    await closed(way, process, old)
    await acting.transfers.resume(acted)
    await way.on.ours.transfer_at(process.ours, "STARTED", "STARTING")  # a provider follows a resumption with a start
    await way.on.edc.transfer_at(process.edc, "STARTED")

    async def renewed() -> Mapping[str, Any] | None:
        found = await way.address(process)
        return found if found and found["authorization"] != old["authorization"] else None

    await way.on.reads(await until("the consumer has a new token", 10, renewed), process.asset)
    must("the old token's answer", (await way.on.get(old))[0], *REFUSED)


async def closed(way: Direction, process: Process, address: Mapping[str, Any]) -> None:
    """Raise Wrong unless the old token opens nothing and the consumer no longer has a reference."""

    async def refused() -> bool | None:
        status, _ = await way.on.get(address)
        return status in REFUSED or None

    async def forgotten() -> bool | None:
        return await way.address(process) is None or None

    await until("the data plane refuses the old token", 5, refused)
    await until("the consumer has forgotten its reference", 5, forgotten)
