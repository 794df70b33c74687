"""Catalogs of many offers: the cost of a page must follow the page, not the stock.

Each asset has a definition and an access policy of its own, as with a supplier of many partners. They are written into
the provider's database before its node starts, by the same calls that the use cases make (`exchange.publish`), but a
thousand in one transaction: one request each would take longer than everything else here.
"""

import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Final

from connector.client import Client, Provider
from connector.client.exchanging import by_id
from connector.exchange.ports import Tx
from connector.exchange.query import Criterion, QuerySpec
from connector.exchange.records import Asset, ContractDefinition, PolicyDefinition
from connector.policy.audience import audience
from connector.policy.parse import parse_policy
from connector.protocol.vocabulary import EDC
from connector.sandbox.nodes import sandbox
from connector.sandbox.participants import CELL_MAKER, OEM
from connector.storage.sqlite import SqliteStore
from connector.wiring import DATABASE
from tests.bench import floor
from tests.bench.floor import Floor
from tests.bench.load import timed
from tests.bench.report import Report, Target

PAGE: Final = 50
PAGE_ASKED: Final = "first page of 50"
ONE_ASKED: Final = "by id"
AT_ONCE: Final = 1000
NOWHERE: Final = {"type": "HttpData", "baseUrl": "http://127.0.0.1:9/none"}
FLAT: Final = 1.5
"""How much longer the largest stock may take than the smallest."""
ANSWER: Final = Target(25)
POLICY: Final = parse_policy(
    {
        "@type": "Set",
        "permission": [
            {
                "action": "use",
                "constraint": [
                    {
                        "leftOperand": "https://w3id.org/catenax/2025/9/policy/BusinessPartnerNumber",
                        "operator": "isAnyOf",
                        "rightOperand": [OEM.bpn],
                    }
                ],
            }
        ],
    }
)


def asset_id(number: int) -> str:
    return f"part-{number:06d}"


async def fill(data: Path, count: int) -> None:
    """Write `count` offers into the database of a node that does not run."""
    store = await SqliteStore.open(data / DATABASE)
    try:
        now = time.time_ns() // 1_000_000
        for start in range(0, count, AT_ONCE):
            await store.run(partial(_write, range(start, min(start + AT_ONCE, count)), now))
    finally:
        await store.close()


def _write(numbers: range, now: int, tx: Tx) -> None:
    readers = audience(POLICY)
    for number in numbers:
        ident = asset_id(number)
        asset = Asset(ident, now, properties={f"{EDC}name": ident}, data_address=NOWHERE)
        policy = PolicyDefinition(f"policy-{ident}", now, POLICY)
        selector = (Criterion(f"{EDC}id", "=", ident),)
        definition = ContractDefinition(f"offer-{ident}", now, policy.id, policy.id, selector)
        tx.assets.add(asset)
        tx.offers.put_asset(asset)
        tx.policies.add(policy)
        tx.definitions.add(definition)
        tx.offers.put_definition(definition, readers)


async def measure(sizes: Sequence[int], rounds: int, least: Floor, report: Report) -> None:
    """The first page and one asset by its id, as the consumer's application sees them, over stocks of all sizes."""
    medians: dict[str, list[float]] = {PAGE_ASKED: [], ONE_ASKED: []}
    for size in sizes:
        with tempfile.TemporaryDirectory(prefix="connector-bench-") as root:
            data = Path(root) / CELL_MAKER.name / "data"
            data.mkdir(parents=True)
            await fill(data, size)
            for what, took in (await _ours(Path(root), size, rounds)).items():
                figure = report.add(name(size, what), "ms", took, ANSWER, floor=least.of(floor.CATALOG))
                medians[what].append(figure.median)
    for what, values in medians.items():
        if len(values) > 1:
            times = f"catalog, {what}: {sizes[-1]:,} / {sizes[0]:,} offers"
            report.add(times, "x", [values[-1] / values[0]], Target(FLAT))


def name(size: int, what: str) -> str:
    """What the figure is called in the table."""
    return f"catalog of {size:,}, {what}"


async def _ours(root: Path, size: int, rounds: int) -> dict[str, list[float]]:
    async with sandbox(2, root) as box:
        maker, oem = box.participants[CELL_MAKER.name], box.participants[OEM.name]
        async with Client(oem.management, oem.api_key) as client:
            return await asked(client, Provider(maker.did, maker.dsp), size, rounds)


async def asked(
    client: Client, provider: Provider, size: int, rounds: int, *, warm_up: int = 3
) -> dict[str, list[float]]:
    """Milliseconds of both questions to a catalog of `size` offers. Raise ValueError if an answer is not complete."""
    wanted = asset_id(size // 2)

    async def page() -> None:
        _hold(len((await client.catalogs.request(provider, QuerySpec(limit=PAGE))).datasets), min(PAGE, size))

    async def one() -> None:
        catalog = await client.catalogs.request(provider, by_id(wanted))
        _hold([dataset.id for dataset in catalog.datasets], [wanted])

    return {
        PAGE_ASKED: await timed(rounds, page, warm_up=warm_up),
        ONE_ASKED: await timed(rounds, one, warm_up=warm_up),
    }


def _hold(seen: object, wanted: object) -> None:
    if seen != wanted:
        raise ValueError(f"the catalog shows {seen} instead of {wanted}")
