"""What must hold in a node's database whatever was sent to it."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

from connector.exchange.ports import Tx
from connector.exchange.query import QuerySpec
from connector.policy.audience import audience
from connector.protocol.negotiation import State
from connector.protocol.transfer import State as TransferState
from connector.storage.properties import comparable, fulfils

ALL: Final = QuerySpec(limit=10_000)


def faults_of_database(path: Path) -> list[str]:
    """What SQLite itself finds: broken pages and indexes, rows that follow nothing."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        whole = [row[0] for row in database.execute("PRAGMA integrity_check") if row[0] != "ok"]
        return whole + [repr(row) for row in database.execute("PRAGMA foreign_key_check")]


def faults_of_records(tx: Tx) -> list[str]:
    """Records that contradict each other. Reading them all proves that each can be read."""
    for repository in (tx.secrets, tx.payloads, tx.policies):
        repository.query(ALL)
    return [*_of_contracts(tx), *_of_transfers(tx), *_of_promises(tx), *_of_offers(tx)]


def _of_contracts(tx: Tx) -> Iterator[str]:
    negotiations = {n.id: n for n in tx.negotiations.query(ALL)}
    for agreement in tx.agreements.query(ALL):
        source = negotiations.get(agreement.negotiation_id)
        if source is None or source.agreement_id != agreement.id:
            yield f"agreement {agreement.id} without its negotiation"
    for negotiation in negotiations.values():
        concluded = negotiation.process.state in (State.AGREED, State.VERIFIED, State.FINALIZED)
        if concluded and (negotiation.agreement_id is None or tx.agreements.find(negotiation.agreement_id) is None):
            yield f"negotiation {negotiation.id} is {negotiation.process.state} without an agreement"


def _of_transfers(tx: Tx) -> Iterator[str]:
    transfers = {t.id: t for t in tx.transfers.query(ALL)}
    for transfer in transfers.values():
        agreement = tx.agreements.find(transfer.agreement_id)
        if agreement is None or agreement.asset_id != transfer.asset_id:
            yield f"transfer {transfer.id} without its agreement"
    for grant in tx.grants.query(ALL):
        granted = transfers.get(grant.id)
        process = granted.process if granted is not None else None  # it is made when the start is promised
        if process is None or TransferState.STARTED not in (process.state, process.after_pending):
            yield f"grant {grant.id} opens what is not running: {process}"
    for edr in tx.edrs.query(ALL):
        if edr.id not in transfers:
            yield f"endpoint data reference {edr.id} without its transfer"


def _of_promises(tx: Tx) -> Iterator[str]:
    for message in tx.outbox.query(ALL):
        if message.kind == "negotiation" and tx.negotiations.find(message.topic) is None:
            yield f"message {message.id} about no negotiation"
        if message.kind == "transfer" and tx.transfers.find(message.topic) is None:
            yield f"message {message.id} about no transfer"


def _of_offers(tx: Tx) -> Iterator[str]:
    """The index offers exactly what judging every definition over every asset would."""
    policies = {p.id: p for p in tx.policies.query(ALL)}
    shelf = [(d, audience(policies[d.access_policy_id].policy)) for d in tx.definitions.query(ALL)]
    for asset in tx.assets.query(ALL):
        own = comparable(asset)
        expected = sorted(d.id for d, who in shelf if who is None and all(fulfils(own, c) for c in d.selector))
        offering = tx.offers.find(asset.id, None)
        found = [] if offering is None else [d.id for d in offering.definitions]
        if found != expected:
            yield f"asset {asset.id} is offered by {found} instead of {expected}"
