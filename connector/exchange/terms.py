"""On which terms a counterparty can have an asset, and who it is to our policies: the one place that evaluates access.

The catalog shows what `visible` lets through, a negotiation starts only from what `terms_of` finds, so the two can
never differ. Every distinct access policy is evaluated once per counterparty and request: many definitions share few.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from connector.exchange.offer_ids import definition_of
from connector.exchange.ports import Caller, Tx
from connector.exchange.records import BusinessPartner, ContractDefinition
from connector.policy.circumstances import Circumstances, Counterparty
from connector.policy.equality import fingerprint
from connector.policy.evaluate import Verdict, evaluate
from connector.policy.model import Policy


def counterparty(tx: Tx, caller: Caller) -> Counterparty:
    """The caller as the policy engine sees it."""
    groups = groups_of(tx, caller.id, caller.bpn)
    return Counterparty(caller.id, caller.bpn, caller.claims, caller.credentials, groups)


def groups_of(tx: Tx, participant_id: str, bpn: str | None) -> frozenset[str]:
    """The groups that our operator has put a participant into, by its business partner number or by its id."""
    found: Iterable[BusinessPartner] = tx.partners.get_many({participant_id, bpn or participant_id}).values()
    return frozenset(group for partner in found for group in partner.groups)


@dataclass(slots=True)
class Access:
    """Evaluates access policies for one counterparty at one moment and remembers each distinct one."""

    tx: Tx
    circumstances: Circumstances
    _policies: dict[str, Policy | None] = field(default_factory=dict)
    _verdicts: dict[str, Verdict] = field(default_factory=dict)

    def load(self, definitions: Iterable[ContractDefinition]) -> None:
        """Fetch the policies of these definitions in one query."""
        wanted = {p for d in definitions for p in (d.access_policy_id, d.contract_policy_id)} - self._policies.keys()
        found = self.tx.policies.get_many(wanted) if wanted else {}
        self._policies.update({p: found[p].policy if p in found else None for p in wanted})

    def permits(self, definition: ContractDefinition) -> bool:
        """Whether the definition's access policy lets the counterparty see its offers; a missing policy denies."""
        verdict = self.verdict(definition)
        return verdict is not None and verdict.permitted

    def verdict(self, definition: ContractDefinition) -> Verdict | None:
        """What the definition's access policy says of the counterparty, None if the policy is gone."""
        self.load((definition,))
        policy = self._policies[definition.access_policy_id]
        if policy is None:
            return None
        key = fingerprint(policy)
        if key not in self._verdicts:
            self._verdicts[key] = evaluate(policy, self.circumstances)
        return self._verdicts[key]

    def contract_policy(self, definition: ContractDefinition) -> Policy | None:
        """The terms of a definition, or None if its policy is gone."""
        self.load((definition,))
        return self._policies[definition.contract_policy_id]


@dataclass(frozen=True, slots=True)
class Terms:
    """What is behind an offer id of ours: the asset, our terms, and what the access policy says of who asks."""

    asset_id: str
    policy: Policy
    access: Verdict


def terms_of(tx: Tx, offer: str, party: Counterparty, now: int) -> Terms | None:
    """What is behind an offer id of ours, or None if there is no such offer for anybody like `party`.

    An offer that `access` denies must look to `party` as if it did not exist.
    """
    named = definition_of(offer)
    if named is None:
        return None
    definition_id, asset_id = named
    offering = tx.offers.find(asset_id, party.bpn, party.groups)
    definition = next((d for d in offering.definitions if d.id == definition_id), None) if offering else None
    if definition is None:
        return None
    access = Access(tx, Circumstances("catalog", party, now, None))
    verdict, policy = access.verdict(definition), access.contract_policy(definition)
    return None if verdict is None or policy is None else Terms(asset_id, policy, verdict)
