"""What a node offers: assets, policies, contract definitions, secrets, and the payloads of the passport store.

Everything is checked when it is published, so that nothing broken waits for a counterparty to find it: a definition
names policies that exist, a payload fulfils its aspect model and is signed. The catalog's index is kept in the same
transaction.
"""

from dataclasses import replace
from typing import Final, TypeVar

from connector.exchange.node import Node
from connector.exchange.ports import Repository, Tx
from connector.exchange.query import Criterion, QuerySpec
from connector.exchange.records import (
    SEMANTIC_ID,
    Asset,
    ContractDefinition,
    Happened,
    Payload,
    PolicyDefinition,
    Secret,
)
from connector.policy.audience import audience
from connector.protocol.errors import Conflict, Invalid
from connector.protocol.negotiation import State
from connector.protocol.process import Role

PASSPORT_STORE: Final = "PassportStore"
"""`dataAddress.type` of an asset whose payload this node keeps itself."""
Kept = TypeVar("Kept")


def _emit(node: Node, tx: Tx, name: str, record: Asset | PolicyDefinition | ContractDefinition | Secret) -> None:
    tx.emit(Happened(name, node.clock.now(), record))


async def add_asset(node: Node, asset: Asset) -> Asset:
    """Offer-able from now on. Raise Conflict if the id is taken, Invalid if it could never be served as it says."""
    _check(node, asset)

    def tx(tx: Tx) -> Asset:
        tx.assets.add(asset)
        tx.offers.put_asset(asset)
        _emit(node, tx, "asset.created", asset)
        return asset

    return await node.store.run(tx)


async def change_asset(node: Node, asset: Asset) -> None:
    """Replace an asset, which keeps its creation time. Raise NotFound, or Invalid as `add_asset` does."""
    _check(node, asset)

    def tx(tx: Tx) -> None:
        before = tx.assets.get(asset.id)
        after = replace(asset, created_at=before.created_at)
        if before.semantic_id != after.semantic_id and tx.payloads.find(asset.id) is not None:
            raise Conflict(f"asset {asset.id} has a payload of {before.semantic_id}: publish it under a new id")
        tx.assets.save(after)
        tx.offers.put_asset(after)
        _emit(node, tx, "asset.updated", after)

    await node.store.run(tx)


def _check(node: Node, asset: Asset) -> None:
    _ = asset.validation  # raises Invalid if nobody knows the word
    node.data_plane.check(asset)


async def remove_asset(node: Node, asset_id: str) -> None:
    """Withdraw an asset, of a passport the twin too. Raise Conflict while an agreement or a negotiation is about it.

    The agreement of a negotiation that was terminated binds nobody. What we have negotiated as a consumer is about
    another's asset, even if it has the same id.
    """

    def tx(tx: Tx) -> None:
        asset = tx.assets.get(asset_id)
        about = (Criterion("assetId", "=", asset_id), Criterion("type", "=", Role.PROVIDER.value))
        if tx.negotiations.count((*about, Criterion("state", "=", State.FINALIZED.value))):
            raise Conflict(f"asset {asset_id} is under an agreement: retire the agreement, keep the asset")
        ended = Criterion("state", "not in", (State.FINALIZED, State.TERMINATED))
        if tx.negotiations.count((*about, ended)):
            raise Conflict(f"asset {asset_id} is being negotiated: terminate the negotiation first")
        tx.offers.drop_asset(asset_id)
        tx.assets.delete(asset_id)
        if tx.payloads.find(asset_id) is not None:
            tx.payloads.delete(asset_id)
        if node.twins is not None:
            node.twins.withdraw(tx, asset_id)
        _emit(node, tx, "asset.deleted", asset)

    await node.store.run(tx)


async def add_policy(node: Node, definition: PolicyDefinition) -> PolicyDefinition:
    """Keep a policy under a name. Raise Conflict if the id is taken."""

    def tx(tx: Tx) -> PolicyDefinition:
        tx.policies.add(definition)
        _emit(node, tx, "policy.definition.created", definition)
        return definition

    return await node.store.run(tx)


async def change_policy(node: Node, definition: PolicyDefinition) -> None:
    """Replace a policy; every offer that is guarded by it is indexed anew. Raise NotFound."""

    def tx(tx: Tx) -> None:
        before = tx.policies.get(definition.id)
        after = replace(definition, created_at=before.created_at)
        tx.policies.save(after)
        if audience(before.policy) != audience(after.policy):
            for guarded in _definitions_with(tx, "accessPolicyId", definition.id):
                tx.offers.put_definition(guarded, audience(after.policy))
            if tx.twins.guards(after.id):
                tx.twins.guard(after.id, audience(after.policy))
        _emit(node, tx, "policy.definition.updated", after)

    await node.store.run(tx)


def _definitions_with(tx: Tx, field: str, policy_id: str) -> list[ContractDefinition]:
    criteria = (Criterion(field, "=", policy_id),)
    count = tx.definitions.count(criteria)
    return tx.definitions.query(QuerySpec(limit=count, criteria=criteria)) if count else []


async def remove_policy(node: Node, policy_id: str) -> None:
    """Forget a policy. Raise Conflict while a contract definition names it."""

    def tx(tx: Tx) -> None:
        definition = tx.policies.get(policy_id)
        for field in ("accessPolicyId", "contractPolicyId"):
            if tx.definitions.count((Criterion(field, "=", policy_id),)):
                raise Conflict(f"policy {policy_id} is the {field} of a contract definition: delete that first")
        tx.policies.delete(policy_id)
        _emit(node, tx, "policy.definition.deleted", definition)

    await node.store.run(tx)


async def add_definition(node: Node, definition: ContractDefinition) -> ContractDefinition:
    """Offer what the selector names. Raise Invalid if a policy does not exist, Conflict if the id is taken."""

    def tx(tx: Tx) -> ContractDefinition:
        guard = _access(tx, definition)
        tx.definitions.add(definition)
        tx.offers.put_definition(definition, audience(guard.policy))
        _emit(node, tx, "contract.definition.created", definition)
        return definition

    return await node.store.run(tx)


async def change_definition(node: Node, definition: ContractDefinition) -> None:
    """Replace a definition. Raise NotFound, or Invalid if a policy does not exist."""

    def tx(tx: Tx) -> None:
        after = replace(definition, created_at=tx.definitions.get(definition.id).created_at)
        guard = _access(tx, after)
        tx.definitions.save(after)
        tx.offers.put_definition(after, audience(guard.policy))
        _emit(node, tx, "contract.definition.updated", after)

    await node.store.run(tx)


def put_definition(node: Node, tx: Tx, definition: ContractDefinition) -> None:
    """Keep a definition, made or replaced, in a transaction. Raise Invalid if a policy does not exist."""
    guard = _access(tx, definition)
    before = tx.definitions.find(definition.id)
    after = definition if before is None else replace(definition, created_at=before.created_at)
    if after == before:
        return
    _put(tx.definitions, after, exists=before is not None)
    tx.offers.put_definition(after, audience(guard.policy))
    _emit(node, tx, f"contract.definition.{'created' if before is None else 'updated'}", after)


def _access(tx: Tx, definition: ContractDefinition) -> PolicyDefinition:
    """The access policy. EDC takes definitions that name missing policies, and silently offers nothing."""
    found = tx.policies.get_many({definition.access_policy_id, definition.contract_policy_id})
    for member, policy_id in (
        ("accessPolicyId", definition.access_policy_id),
        ("contractPolicyId", definition.contract_policy_id),
    ):
        if policy_id not in found:
            raise Invalid(f"there is no policy {policy_id}: create it first", f"/{member}", policy_id)
    return found[definition.access_policy_id]


async def remove_definition(node: Node, definition_id: str) -> None:
    """Stop offering. Running negotiations and agreements are not touched. Raise NotFound."""

    def tx(tx: Tx) -> None:
        definition = tx.definitions.get(definition_id)
        tx.offers.drop_definition(definition_id)
        tx.definitions.delete(definition_id)
        _emit(node, tx, "contract.definition.deleted", definition)

    await node.store.run(tx)


async def publish_payload(node: Node, asset: Asset, payload: object) -> Payload:
    """Check a payload against its aspect model, sign it, and keep it under its asset, which is made or replaced.

    Raise Invalid with the JSON pointer of the first fault below /payload; then nothing has changed.
    """
    if asset.semantic_id is None:
        raise Invalid("a published payload needs a semantic id", f"/properties/{SEMANTIC_ID}")
    try:
        seal = node.notary.seal(asset.semantic_id, payload)
    except Invalid as error:
        raise Invalid(error.reason, f"/payload{error.pointer}", error.value) from error
    record = Payload(asset.id, node.clock.now(), asset.semantic_id, seal.body, seal.digest, seal.signature)
    kept = replace(asset, data_address={"type": PASSPORT_STORE})

    def tx(tx: Tx) -> Payload:
        before = tx.assets.find(asset.id)
        after = kept if before is None else replace(kept, created_at=before.created_at)
        _put(tx.assets, after, exists=before is not None)
        _put(tx.payloads, record, exists=tx.payloads.find(record.id) is not None)
        tx.offers.put_asset(after)
        _emit(node, tx, "asset.created" if before is None else "asset.updated", after)
        return record

    return await node.store.run(tx)


def _put(records: Repository[Kept], record: Kept, *, exists: bool) -> None:
    if exists:
        records.save(record)
    else:
        records.add(record)


async def add_secret(node: Node, secret: Secret) -> Secret:
    """Keep a value under a name. Raise Conflict if the id is taken."""

    def tx(tx: Tx) -> Secret:
        tx.secrets.add(secret)
        _emit(node, tx, "secret.created", secret)
        return secret

    return await node.store.run(tx)


async def change_secret(node: Node, secret: Secret) -> None:
    """Replace a value. Raise NotFound."""

    def tx(tx: Tx) -> None:
        tx.secrets.save(replace(secret, created_at=tx.secrets.get(secret.id).created_at))
        _emit(node, tx, "secret.updated", secret)

    await node.store.run(tx)


async def remove_secret(node: Node, secret_id: str) -> None:
    """Forget a value. Raise NotFound."""

    def tx(tx: Tx) -> None:
        secret = tx.secrets.get(secret_id)
        tx.secrets.delete(secret_id)
        _emit(node, tx, "secret.deleted", secret)

    await node.store.run(tx)
