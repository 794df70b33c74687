"""Who asks the registry of twins, as far as it decides what is shown: worked out anew for each request.

Nothing of it is written into descriptors. The twin of a published passport names the access policies that it was
published under, and these are judged for the reader now, as they are for its catalog: who has joined a group finds the
twin at once, who has left it does not any more. A policy that nobody can judge without credentials that the reader has
not shown lately denies.
"""

from typing import Final

from connector.exchange.node import Node
from connector.exchange.ports import Tx
from connector.exchange.query import Criterion, QuerySpec
from connector.exchange.terms import groups_of
from connector.policy.circumstances import Circumstances, Counterparty, ProvenCredential
from connector.policy.evaluate import evaluate
from connector.protocol.errors import Conflict
from connector.twins.rules import PUBLIC_READABLE, AccessRule
from connector.twins.visibility import OWNER, Reader, address_link, seen

MAX_RULES: Final = 256
"""Rules of one partner: each is a walk of its own in every search of that partner."""
_SHARED: Final = 1000


def reader_of(tx: Tx, participant: str, bpn: str | None, credentials: tuple[ProvenCredential, ...], now: int) -> Reader:
    """A participant as a reader of twins; `credentials` are those that it has shown last and that still stand."""
    groups = groups_of(tx, participant, bpn)
    moment = Circumstances("catalog", Counterparty(participant, bpn, {}, credentials, groups), now, None)
    policies = tx.policies.get_many(tx.twins.policies_for(bpn, groups))
    return Reader(
        bpn,
        groups=groups,
        policies=frozenset(name for name, kept in policies.items() if evaluate(kept.policy, moment).permitted),
        rules=tuple(rule for rule in _rules_for(tx, bpn) if rule.valid(now)),
    )


def _rules_for(tx: Tx, bpn: str | None) -> list[AccessRule]:
    subjects = dict.fromkeys([PUBLIC_READABLE, bpn or PUBLIC_READABLE])
    return tx.rules.query(QuerySpec(limit=2 * MAX_RULES, criteria=(Criterion("bpn", "in", tuple(subjects)),)))


async def rules(node: Node) -> list[AccessRule]:
    """All rules, the oldest first."""

    def read(tx: Tx) -> list[AccessRule]:
        count = tx.rules.count()
        return tx.rules.query(QuerySpec(limit=count)) if count else []

    return await node.store.read(read)


async def rule(node: Node, ident: str) -> AccessRule:
    """One rule. Raise NotFound."""
    return await node.store.read(lambda tx: tx.rules.get(ident))


async def add_rule(node: Node, doc: object) -> AccessRule:
    """Keep a rule under a new number. Raise PeerError 400, Conflict if its partner has too many."""

    def tx(tx: Tx) -> AccessRule:
        now = node.clock.now()
        number = now
        while tx.rules.find(str(number)) is not None:
            number += 1
        made = AccessRule.parse(doc, str(number), now)
        _check_room(tx, made)
        tx.rules.add(made)
        return made

    return await node.store.run(tx)


async def change_rule(node: Node, ident: str, doc: object) -> AccessRule:
    """Replace a rule. Raise NotFound, PeerError 400, Conflict if its partner has too many."""

    def tx(tx: Tx) -> AccessRule:
        after = AccessRule.parse(doc, ident, tx.rules.get(ident).created_at)
        _check_room(tx, after)
        tx.rules.save(after)
        return after

    return await node.store.run(tx)


def _check_room(tx: Tx, rule: AccessRule) -> None:
    about = (Criterion("bpn", "=", rule.bpn), Criterion("id", "!=", rule.id))
    if tx.rules.count(about) >= MAX_RULES:
        raise Conflict(f"{rule.bpn} has {MAX_RULES} rules, which is the most: let one rule name more")


async def remove_rule(node: Node, ident: str) -> None:
    """Forget a rule. Raise NotFound."""
    await node.store.run(lambda tx: tx.rules.delete(ident))


async def may_fetch(node: Node, bpn: str, href: str) -> bool:
    """Whether a partner sees a submodel that can be had at exactly this address.

    Of an address that many twins share, the first `_SHARED` are looked at.
    """
    participant = await node.directory.find(bpn) or bpn
    credentials = await node.identity.shown(participant)

    def read(tx: Tx) -> bool:
        reader = reader_of(tx, participant, bpn, credentials, node.clock.now())
        twins = tx.twins.search(OWNER, (address_link(href),), limit=_SHARED)
        shown = (seen(kept, reader) for kept in twins)
        return any(e.href == href for shell in shown if shell for s in shell.submodels for e in s.endpoints)

    return await node.store.read(read)
