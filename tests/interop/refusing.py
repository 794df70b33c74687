"""What is refused: offers that are not shown, terms that were altered, and tokens that are no longer good."""

import base64
import json
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from connector.client import ApiError, Offer
from tests.interop.directions import Direction, WeConsume, WeProvide
from tests.interop.edc import until
from tests.interop.exchanging import REFUSED, running
from tests.interop.matrix import Case, must
from tests.interop.scene import OPEN, PAST, dated, named, nobody


def consuming(way: WeConsume) -> Iterator[Case]:
    """EDC refuses."""
    yield Case(way.group, "an offer that EDC does not show us", partial(hidden_by_edc, way))
    yield Case(way.group, "an offer whose terms we have altered", partial(altered_by_us, way))
    yield Case(way.group, "a token of EDC's after its transfer was suspended", partial(token_of_edc, way))


def providing(way: WeProvide) -> Iterator[Case]:
    """We refuse."""
    yield Case(way.group, "an offer that we do not show EDC", partial(hidden_by_us, way))
    yield Case(way.group, "an offer whose terms EDC has altered", partial(altered_by_edc, way))
    yield Case(way.group, "a token of ours that has expired", partial(token_of_ours, way))


async def not_shown(way: Direction, asset: str) -> None:
    """Raise Wrong if the consumer finds the asset, by catalog or by id."""
    found = await way.consumer.catalogs.request(way.provider)
    must("whether the catalog shows it", found.dataset(asset), None)
    try:
        await way.consumer.catalogs.dataset(way.provider, asset)
    except ApiError as error:
        must("the management API's answer", error.status, 502)
    else:
        must("whether it can be had by its id", True, False)


def guessed(definition: str, asset: str) -> Offer:
    """An offer that the provider never showed: EDC's form of an offer id, and ours, which is the same."""
    parts = (base64.b64encode(part.encode()).decode() for part in (definition, asset, "guess"))
    return Offer(":".join(parts), asset, OPEN)


async def hidden_by_edc(way: WeConsume) -> str:
    """No contract definition shows it (a plain EDC has no constraint that would); a guess is refused by name."""
    asset = named("edc")
    await way.on.edc.client.assets.create(
        asset, data_address={"type": "HttpData", "baseUrl": way.on.backend.source(asset)}
    )
    await not_shown(way, asset)
    ours = way.on.ours
    negotiation = await ours.client.negotiations.start(way.provider, guessed(f"{asset}-offer", asset))
    found = await ours.negotiation_at(negotiation, "TERMINATED")
    timeline = await ours.client.negotiations.timeline(negotiation)
    must("whether the timeline names the refusal", "refused:REQUEST" in [e.what for e in timeline.history], True)
    return f"our errorDetail: {found.error}"


async def altered_by_us(way: WeConsume) -> str:
    """A constraint left out: EDC agrees on its own terms, which we refuse, as they are not what we asked for."""
    asset = await way.offer(contract=dated("gteq", PAST))
    ours = way.on.ours
    offer = await ours.offer_of(way.provider, asset)
    negotiation = await ours.client.negotiations.start(way.provider, Offer(offer.id, asset, OPEN))
    found = await ours.negotiation_at(negotiation, "TERMINATED")
    must("whether there is an agreement", found.agreement_id, None)
    must("whether our record has a reason", bool(found.error), True)
    twin = await way.on.edc.twin("contractnegotiations", negotiation)
    theirs = await way.on.edc.negotiation_at(twin, "TERMINATED")
    return f"our errorDetail: {found.error}\nEDC's errorDetail: {theirs.get('errorDetail')}"


async def hidden_by_us(way: WeProvide) -> str:
    """Our access policy hides it; whoever guesses the offer's id is answered as if there were none."""
    asset = await way.offer(access=nobody())
    await not_shown(way, asset)
    negotiation = await way.consumer.negotiations.start(way.provider, guessed(f"{asset}-offer", asset))
    found = await way.on.edc.negotiation_at(negotiation, "TERMINATED")
    return f"EDC's errorDetail: {found.get('errorDetail')}"


async def altered_by_edc(way: WeProvide) -> str:
    """A constraint left out: our node ends it and says which one."""
    asset = await way.offer(contract=dated("gteq", PAST))
    edc, ours = way.on.edc, way.on.ours
    offer = await edc.offer_of(way.provider, asset)
    negotiation = await way.consumer.negotiations.start(way.provider, Offer(offer.id, asset, OPEN))
    theirs = await edc.negotiation_at(negotiation, "TERMINATED")
    found = await ours.negotiation_at(await ours.twin("contractnegotiations", negotiation), "TERMINATED")
    must("whether our record names the terms", "terms are not those offered" in (found.error or ""), True)
    timeline = await ours.client.negotiations.timeline(found.id)
    must("whether the timeline has the termination", timeline.history[-1].what, "we:TERMINATE")
    return f"our errorDetail: {found.error}\nEDC's errorDetail: {theirs.get('errorDetail')}"


async def token_of_edc(way: WeConsume) -> str:
    """EDC's tokens never expire by themselves: they end with their transfer's run, and then our fetch is refused."""
    process, address = await running(way)
    claims = token_claims(address)
    must("whether EDC's token names an end", "exp" in claims, False)
    await way.on.edc.client.transfers.suspend(process.edc, "no data for now")
    await way.on.ours.transfer_at(process.ours, "SUSPENDED")
    must("EDC's answer to the old token", (await way.on.get(address))[0], *REFUSED)
    refusal = await way.on.ours.refusal(process.ours)
    must("the status of our fetch", refusal.status, 404)
    await way.on.edc.client.transfers.resume(process.edc)
    await way.on.ours.transfer_at(process.ours, "STARTED")
    await way.on.ours.client.transfers.fetch(process.ours)
    return f"EDC's token has no exp; our fetch of the suspended transfer: {refusal}"


async def token_of_ours(way: WeProvide) -> str:
    """EDC keeps the token that it got and knows no refresh: refused, until its transfer is resumed."""
    node, edc = way.on.brief, way.on.edc
    asset = await way.on.we_offer(node)
    transfer = await edc.pull(node.provider, await edc.agree(node.provider, asset))
    old = await edc.address(transfer)
    await way.on.reads(old, asset)

    async def expired() -> int | None:
        status, _ = await way.on.get(old)
        return status if status in REFUSED else None

    status = await until("our token has expired", 10, expired, every_s=0.1)
    same = (await edc.address(transfer))["authorization"] == old["authorization"]
    must("whether EDC still has the old token", same, True)
    await edc.client.transfers.suspend(transfer, "a new token is needed")
    await edc.transfer_at(transfer, "SUSPENDED")
    await edc.client.transfers.resume(transfer)

    async def renewed() -> Mapping[str, Any] | None:
        found = await edc.address_now(transfer)
        return found if found and found["authorization"] != old["authorization"] else None

    await way.on.reads(await until("EDC has a new token", 10, renewed), asset)
    return f"the expired token: {status}; EDC does not refresh it by itself; after suspend and resume it has a new one"


def token_claims(address: Mapping[str, Any]) -> dict[str, Any]:
    """The claims of a JWT, unverified."""
    part = str(address["authorization"]).split(".")[1]
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return found
