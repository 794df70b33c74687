"""Whole exchanges, and what is pulled under them, through the management API of a fresh pair of nodes."""

import asyncio
import statistics
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Final, TypeAlias

import aiohttp

from connector.client import Client, DataAddress, Offer, Provider, template
from connector.client.exchanging import by_id, reached
from connector.exchange.query import Criterion, QuerySpec
from connector.sandbox.nodes import Sandbox
from connector.sandbox.participants import CELL_MAKER, OEM
from tests.bench import floor
from tests.bench.bare import bare
from tests.bench.floor import Floor
from tests.bench.load import KILOBYTE, get, pull_rates, rate, stream_rate, timed
from tests.bench.nginx import Unusable as NoNginx
from tests.bench.nginx import nginx
from tests.bench.report import Report, Target

ASSET: Final = "bench"
WHOLE: Final = (Target(30), Target(60, p95=True))
REUSED: Final = (Target(15),)
NEGOTIATIONS: Final = (Target(200, at_least=True),)
SMALL_SHARE: Final = Target(50, at_least=True)
STREAM_SHARE: Final = Target(40, at_least=True)
NGINX_SHARE: Final = Target(75, at_least=True)
PAUSE_S: Final = 0.002
LOOKS: Final = 2500
"""How often the one call looks for its token at most: nothing tells when it is there."""

Way: TypeAlias = tuple[str, dict[str, str]]
"""A URL that ends where the size is to follow, and the headers that it wants."""


@dataclass(frozen=True, slots=True)
class Rounds:
    """How often things are done."""

    exchanges: int
    negotiations: int
    pulls: int
    megabytes: int
    repeats: int


@dataclass(frozen=True, slots=True)
class Pair:
    """An application beside the consumer's node: its client, the provider, and a session for the data plane."""

    client: Client
    provider: Provider
    session: aiohttp.ClientSession

    async def offer(self) -> Offer:
        catalog = await self.client.catalogs.request(self.provider, by_id(ASSET))
        return catalog.datasets[0].offers[0]

    async def agree(self, offer: Offer) -> str:
        negotiation = await self.client.negotiations.conclude(self.provider, offer)
        reached(negotiation, "FINALIZED")
        return str(negotiation.agreement_id)

    async def address(self, agreement: str) -> DataAddress:
        return await self.client.edrs.address(await self.client.pull(agreement))

    async def first_bytes(self, address: DataAddress) -> None:
        headers = {"Authorization": address.authorization}
        await get(self.session, f"{address.endpoint}/{KILOBYTE}", KILOBYTE, headers)

    async def whole(self) -> None:
        """Catalog, contract, transfer, address, data."""
        await self.reuse(await self.agree(await self.offer()))

    async def reuse(self, agreement: str) -> None:
        """The same under an agreement that is there."""
        await self.first_bytes(await self.address(agreement))

    async def one_call(self, offer: Offer) -> None:
        """Contract and transfer in one request (Tractus-X), then the address and the data."""
        parties = {"assigner": self.provider.id, "target": offer.dataset_id}
        policy = {**offer.policy, "@type": "Offer", "@id": offer.id, **parties}
        body = {"@type": "ContractRequest", **self.provider.to_json(), "policy": policy}
        negotiation = (await self.client.api.post("/v3/edrs", body))["@id"]
        reached(await self.client.negotiations.wait(negotiation), "FINALIZED")
        wanted = QuerySpec(criteria=(Criterion("contractNegotiationId", "=", negotiation),))
        for _ in range(LOOKS):
            if found := (await self.client.edrs.query(wanted)).items:
                await self.first_bytes(await self.client.edrs.address(str(found[0]["transferProcessId"])))
                return
            await asyncio.sleep(PAUSE_S)
        raise TimeoutError("the one call has led to no token")


async def measure(box: Sandbox, source: str, least: Floor, rounds: Rounds, report: Report) -> None:
    """Offer an asset whose data lies at `source`, a bare server's root, then exchange and pull it."""
    maker, oem = box.participants[CELL_MAKER.name], box.participants[OEM.name]
    async with Client(maker.management, maker.api_key) as provider:
        where = {"type": "HttpData", "baseUrl": f"{source}/bytes", "proxyPath": "true"}
        await provider.assets.put(ASSET, data_address=where)
        only = template("by-bpn", [OEM.bpn])
        await provider.offer(ASSET, [ASSET], access=only, contract=only)
    async with Client(oem.management, oem.api_key) as consumer, aiohttp.ClientSession() as session:
        pair = Pair(consumer, Provider(maker.did, maker.dsp), session)
        await _exchanges(pair, least, rounds, report)
        await _pulls(pair, source, rounds, report)


async def _exchanges(pair: Pair, least: Floor, rounds: Rounds, report: Report) -> None:
    took = await timed(rounds.exchanges, pair.whole)
    report.add("whole exchange", "ms", took, *WHOLE, floor=least.of(floor.WHOLE))
    offer = await pair.offer()
    agreement = await pair.agree(offer)
    took = await timed(rounds.exchanges, lambda: pair.reuse(agreement))
    report.add("reused agreement, to the first byte", "ms", took, *REUSED, floor=least.of(floor.REUSED))
    took = await timed(rounds.exchanges, lambda: pair.one_call(offer))
    report.add("one call, to the first byte", "ms", took, floor=least.of(floor.ONE_CALL))
    rates = [await rate(rounds.negotiations, lambda: pair.agree(offer)) for _ in range(1 + rounds.repeats)][1:]
    alone = 1000 / least.of(floor.NEGOTIATION)
    report.add("negotiations, 32 in flight", "1/s", rates, *NEGOTIATIONS, floor=alone)


async def _pulls(pair: Pair, source: str, rounds: Rounds, report: Report) -> None:
    """Ours and the bare ones in turns, so that what else the machine does meets both."""
    address = await pair.address(await pair.agree(await pair.offer()))
    ours: Way = (address.endpoint, {"Authorization": address.authorization})
    with bare(source) as proxy:
        ways: dict[str, Way] = {"ours": ours, "bare": (f"{proxy}/proxy", {})}
        small = {
            way: [await pull_rates(pair.session, url, rounds.pulls // 4, headers)]
            for way, (url, headers) in ways.items()
        }
        for _ in range(rounds.repeats):
            for way, (url, headers) in ways.items():
                small[way].append(await pull_rates(pair.session, url, rounds.pulls, headers))
    _share("pulls of 1 kB, 32 in flight", "1/s", "bare aiohttp proxy", small, SMALL_SHARE, report)
    await _streams(pair, source, ours, rounds, report)


async def _streams(pair: Pair, source: str, ours: Way, rounds: Rounds, report: Report) -> None:
    """Beside the source itself, and beside nginx where it is installed."""
    with ExitStack() as stack:
        ways: dict[str, Way] = {"ours": ours, "bare": (f"{source}/bytes", {})}
        try:
            ways["nginx"] = (f"{stack.enter_context(nginx(source))}/bytes", {})
        except NoNginx as error:
            report.notes.append(f"streams were not compared with those of nginx: {error}")
        rates: dict[str, list[float]] = {way: [] for way in ways}
        for _ in range(1 + rounds.repeats):
            for way, (url, headers) in ways.items():
                rates[way].append(await stream_rate(pair.session, url, rounds.megabytes, headers))
    what = f"stream of {rounds.megabytes} MB"
    _share(what, "MB/s", "bare aiohttp stream", rates, STREAM_SHARE, report)
    if "nginx" in rates:
        report.add(f"nginx with buffering: {what}", "MB/s", rates["nginx"][1:])
        share = 100 * statistics.median(rates["ours"][1:]) / statistics.median(rates["nginx"][1:])
        report.add(f"{what}, share of nginx with buffering", "%", [share], NGINX_SHARE)


def _share(name: str, unit: str, beside: str, rates: dict[str, list[float]], target: Target, report: Report) -> None:
    """Add both rates and what ours is in per cent of the bare one; the first of each was the warm-up."""
    ours, other = rates["ours"][1:], rates["bare"][1:]
    report.add(f"{beside}: {name}", unit, other)
    report.add(name, unit, ours, floor=statistics.median(other))
    report.add(
        f"{name}, share of the {beside}", "%", [100 * statistics.median(ours) / statistics.median(other)], target
    )
