"""A twin that is for whoever holds a credential, under DCP over real sockets: shown, withdrawn, never shown."""

import json
from pathlib import Path
from typing import Any

from connector.clock import SystemClock
from connector.dataplane.registry import RegistrySource
from connector.dataplane.source import Ask, Reader
from connector.exchange.ports import Tx
from connector.exchange.twins import twin_id
from tests.integration.dcp_world import Counterparty, DcpNode, started
from tests.unit import storage_records as records
from tests.unit.test_exchange_twin_readers import MEMBERS, PASSPORT, announce, policy


async def publish(node: DcpNode) -> None:
    """A twin for members; and a contract on the registry with the holder."""
    agreement = records.an_agreement(consumer_id=node.them.did("holder"))

    def keep(tx: Tx) -> None:
        announce(tx, policy("members", MEMBERS))
        tx.agreements.add(agreement)

    await node.running.node.store.run(keep)


async def listed(node: DcpNode) -> list[str]:
    """What the holder's token for the registry leads to."""
    here = node.running.node
    source = RegistrySource(here.store, SystemClock(), here.identity)
    prepared = await here.store.read(
        lambda tx: source.prepare(tx, records.asset(), Reader(None, records.an_agreement().id))
    )
    async with prepared.open(Ask(path="/shell-descriptors")) as content:
        doc: dict[str, Any] = json.loads(content.body)
        return [shell["id"] for shell in doc["result"]]


async def test_a_member_finds_the_twin_from_its_first_message_until_its_membership_is_revoked(tmp_path: Path) -> None:
    async with Counterparty() as them:
        them.show = lambda _: [them.vp(them.vc(credentialStatus=them.status()))]
        async with started(tmp_path, them, {}) as node:
            await publish(node)
            assert await listed(node) == []  # nothing was shown yet
            assert (await node.catalog(them.header()))[0] == 200
            assert await listed(node) == [twin_id(PASSPORT)]
        async with started(tmp_path, them, {}) as node:
            assert await listed(node) == [twin_id(PASSPORT)]  # it is known from before
        them.publish_list(7)
        async with started(tmp_path, them, {}) as node:
            assert await listed(node) == []
