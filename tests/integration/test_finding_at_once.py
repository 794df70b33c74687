"""Many scans at the same time, with real nodes: one contract and one token for each asset, whoever gives up."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from connector.client import template
from connector.exchange.code import Code
from connector.exchange.find import Finder, Found
from connector.exchange.pulls import Offered, Pulls
from connector.exchange.records import Peer
from connector.exchange.twins import REGISTRY
from connector.protocol.errors import Unreachable
from tests.integration.passport_world import MAKER, OEM, World, world
from tests.integration.test_twins import CODE, PASSPORT

SCANS = 12


@pytest.fixture
async def nodes(tmp_path: Path) -> AsyncIterator[World]:
    async with world(tmp_path, MAKER, OEM) as made:
        await made[MAKER].client.passports.publish(PASSPORT, [made.offer(OEM, "partner", "cx.circular.dpp:1")])
        yield made


async def counted(nodes: World) -> tuple[int, ...]:
    """Negotiations and transfers, as both sides have them."""
    numbers = []
    for name in (OEM, MAKER):
        client = nodes[name].client
        numbers += [(await client.negotiations.query()).total, (await client.transfers.query()).total]
    return tuple(numbers)


async def test_many_scans_at_once_make_one_contract_for_the_registry_and_one_for_the_passport(nodes: World) -> None:
    client, maker = nodes[OEM].client, nodes[MAKER].did
    found = await asyncio.gather(*(client.find(CODE, provider=maker) for _ in range(SCANS)))
    assert len({one.transfer_id for one in found}) == 1
    assert all(one.fetched.verified is not None and one.fetched.verified.ok for one in found)
    assert await counted(nodes) == (2, 2, 2, 2)


async def test_what_all_find_refused_is_made_anew_once(nodes: World) -> None:
    client, maker = nodes[OEM].client, nodes[MAKER]
    first = await client.find(CODE, provider=maker.did)
    for transfer in (await maker.client.transfers.query()).items:
        await maker.client.transfers.terminate(transfer.id, "done")
    found = await asyncio.gather(*(client.find(CODE, provider=maker.did) for _ in range(SCANS)))
    assert {one.transfer_id for one in found} & {first.transfer_id} == set()
    assert await counted(nodes) == (2, 4, 2, 4)  # the agreements were good


async def test_the_others_find_it_when_the_first_gives_up(nodes: World) -> None:
    running, code = nodes[OEM].running, Code.read(CODE, nodes[MAKER].did)
    finder = Finder(running.node, running.engine)
    scans = [asyncio.create_task(finder.find(code)) for _ in range(SCANS)]
    begun = asyncio.Event()
    running.node.store.listen(lambda commit: begun.set() if commit.events else None)
    await begun.wait()
    for scan in scans[: SCANS // 2]:
        scan.cancel()
    outcomes = await asyncio.gather(*scans, return_exceptions=True)
    assert all(isinstance(outcome, asyncio.CancelledError) for outcome in outcomes[: SCANS // 2])
    assert all(isinstance(outcome, Found) for outcome in outcomes[SCANS // 2 :])
    assert await counted(nodes) == (2, 2, 2, 2)


async def test_all_are_told_why_it_failed(nodes: World) -> None:
    maker, running = nodes[MAKER].client, nodes[OEM].running
    nobody = {"leftOperand": "BusinessPartnerNumber", "operator": "isAnyOf", "rightOperand": ["BPNL00000000NONE"]}
    await maker.definitions.remove(REGISTRY)
    await maker.offer(
        "to see only",
        [REGISTRY],
        access=template("by-bpn", [nodes[OEM].bpn]),
        contract={"permission": [{"action": "use", "constraint": [nobody]}]},
    )
    offered = Offered(Peer(nodes[MAKER].did, (await nodes.maker(OEM)).address), REGISTRY)
    pulls = Pulls(running.node, running.engine)

    async def want() -> str:
        return await pulls.through(offered, unused, [])

    outcomes = await asyncio.gather(*(want() for _ in range(SCANS)), return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {Unreachable}
    assert all("is TERMINATED and not FINALIZED" in str(outcome) for outcome in outcomes)
    assert (await nodes[OEM].client.negotiations.query()).total == 1
    with pytest.raises(Unreachable):
        await want()  # the next one tries itself
    assert (await nodes[OEM].client.negotiations.query()).total == len(("first", "next"))


async def unused(transfer_id: str) -> str:
    raise AssertionError(f"there is no {transfer_id} to use")
