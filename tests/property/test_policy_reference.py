"""The engine against a reference that knows nothing of three values: it tries everything that nobody can know.

What cannot be checked may be true or false. The reference judges the policy with plain booleans for each way it might
be, and lets in who would be let in in all of them. Whoever the engine lets in must be among those.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import product
from types import SimpleNamespace
from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st

from connector.exchange.explain import Question, explain
from connector.exchange.records import BusinessPartner, PolicyDefinition
from connector.policy.audience import audience
from connector.policy.circumstances import Circumstances, Counterparty, ProvenCredential, Scope
from connector.policy.evaluate import evaluate
from connector.policy.model import Condition, Constraint, LogicalConstraint, Policy
from tests.property.policy_documents import AGREED_AT, BPNS, policies

GROUPS = ("gold", "lead")
SOON, PAST = "2026-01-02T00:00:00Z", "2025-12-31T00:00:00Z"
MEMBER = ProvenCredential(None, ("MembershipCredential",), "did:web:authority", {}, None)
OTHER = ProvenCredential(None, ("DismantlerCredential",), "did:web:authority", {"activityType": "a"}, None)
PARTS = ("permission", "prohibition", "obligation")
Leaf = Callable[["World"], bool | None]


@dataclass(frozen=True)
class World:
    """All that there is to know. `scope` is always transfer, so that nothing is left for later."""

    bpn: str | None
    groups: frozenset[str]
    credentials: tuple[ProvenCredential, ...]
    used: int

    @property
    def circumstances(self) -> Circumstances:
        party = Counterparty("did:web:them", self.bpn, {}, self.credentials, self.groups)
        return Circumstances("transfer", party, AGREED_AT, AGREED_AT, self.used)


def number(named: tuple[str, ...], *, none: bool) -> Leaf:
    return lambda world: None if world.bpn is None or not named else (world.bpn in named) is not none


def group(named: tuple[str, ...], *, none: bool) -> Leaf:
    def truth(world: World) -> bool | None:
        if not named or (world.bpn is None and not world.groups):
            return None
        return any(name in world.groups for name in named) is not none

    return truth


def credential(kind: str) -> Leaf:
    return lambda world: any(kind in shown.types for shown in world.credentials) or None


LEAVES: Mapping[Constraint, Leaf] = {
    **{
        Constraint("BusinessPartnerNumber", operator, named): number(named, none=operator == "isNoneOf")
        for operator in ("isAnyOf", "isNoneOf")
        for named in ((), BPNS[:1], BPNS[:2])
    },
    **{
        Constraint("BusinessPartnerGroup", operator, named): group(named, none=operator == "isNoneOf")
        for operator in ("isAnyOf", "isNoneOf")
        for named in ((), GROUPS[:1], GROUPS)
    },
    Constraint("Membership", "eq", "active"): credential("MembershipCredential"),
    Constraint("Dismantler", "eq", "active"): credential("DismantlerCredential"),
    Constraint("DataFrequency", "eq", "cx.dataFrequency.once:1"): lambda world: world.used == 0,
    Constraint("inForceDate", "lteq", SOON): lambda _: True,
    Constraint("inForceDate", "lteq", PAST): lambda _: False,
    Constraint("DataUsageEndDate", "eq", SOON): lambda _: True,
    Constraint("Mood", "eq", "good"): lambda _: None,
}
LEGAL = Constraint("UsagePurpose", "isAnyOf", ("cx.circular.dpp:1",))
"""Not checked: fulfilled where it is permitted or owed, not violated where it is forbidden."""
atoms = st.sampled_from([*LEAVES, LEGAL])
worlds = st.builds(
    World,
    st.none() | st.sampled_from(BPNS),
    st.frozensets(st.sampled_from(GROUPS)),
    st.lists(st.sampled_from([MEMBER, OTHER]), max_size=2, unique_by=lambda one: one.types).map(tuple),
    st.integers(0, 2),
)
small = policies(atoms)


def leaves(condition: Condition) -> Iterator[Constraint]:
    if isinstance(condition, Constraint):
        yield condition
    else:
        for operand in condition.operands:
            yield from leaves(operand)


def holds(condition: Condition, truth: Callable[[Constraint], bool]) -> bool:
    if isinstance(condition, Constraint):
        return truth(condition)
    assert isinstance(condition, LogicalConstraint)
    values = [holds(operand, truth) for operand in condition.operands]
    if condition.operator == "xone":
        return sum(values) == 1
    return any(values) if condition.operator == "or" else all(values)


def reference(policy: Policy, world: World) -> bool:
    rules = [(part, rule) for part in PARTS for rule in cast("Any", getattr(policy, part))]
    asked = {leaf for _, rule in rules for condition in rule.constraints for leaf in leaves(condition)} - {LEGAL}
    known = {leaf: LEAVES[leaf](world) for leaf in asked}
    open_leaves = [leaf for leaf, value in known.items() if value is None]
    for guess in product((False, True), repeat=len(open_leaves)):
        truths = {**known, **dict(zip(open_leaves, guess, strict=True))}
        for part, rule in rules:
            wanted = part != "prohibition"
            if not rule.constraints and part == "obligation":
                continue
            met = all(
                holds(condition, lambda leaf: wanted if leaf == LEGAL else bool(truths[leaf]))  # noqa: B023 - used here
                for condition in rule.constraints
            )
            if met is not wanted:
                return False
    return True


@given(small, worlds)
def test_nobody_is_let_in_whom_the_reference_keeps_out(policy: Policy, world: World) -> None:
    if evaluate(policy, world.circumstances).permitted:
        assert reference(policy, world)


@given(policies(st.sampled_from([leaf for leaf in LEAVES if leaf.left in {"DataFrequency", "inForceDate"}])), worlds)
def test_where_all_is_known_both_say_the_same(policy: Policy, world: World) -> None:
    policy = replace(policy, rest="")
    assert evaluate(policy, world.circumstances).permitted is reference(policy, world)


@given(small, worlds)
def test_who_is_let_in_is_in_the_audience_by_number_or_by_group(policy: Policy, world: World) -> None:
    if evaluate(policy, world.circumstances).permitted:
        admitted = audience(policy)
        own = {world.bpn, *(f"group:{name}" for name in world.groups)}
        assert admitted is None or admitted & own


@given(small, worlds, st.sampled_from(("catalog", "negotiation", "transfer", "monitor")), st.booleans())
def test_an_explanation_says_what_an_exchange_would_say(
    policy: Policy, world: World, scope: Scope, asked_of_the_node: bool
) -> None:
    them = "did:web:them"
    kept = {them: BusinessPartner(them, 1, tuple(sorted(world.groups)))}

    async def shown(_: str) -> tuple[ProvenCredential, ...]:
        return world.credentials

    async def read(fn: Callable[[Any], Any]) -> Any:  # noqa: ANN401 - as a store
        definition = PolicyDefinition("p", 1, policy)
        return fn(SimpleNamespace(partners=Partners(kept), policies=SimpleNamespace(get=lambda _: definition)))

    async def find(_: str) -> None:
        """It is no BPN."""

    node: Any = SimpleNamespace(
        identity=SimpleNamespace(shown=shown),
        directory=SimpleNamespace(bpn_of=lambda _: world.bpn, find=find),
        store=SimpleNamespace(read=read),
        clock=SimpleNamespace(now=lambda: AGREED_AT),
    )
    question = (
        Question("p", scope, them, agreed_at=AGREED_AT, used=world.used)
        if asked_of_the_node
        else Question(policy, scope, them, world.bpn, world.groups, world.credentials, {}, None, AGREED_AT, world.used)
    )
    party = Counterparty(them, world.bpn, {}, world.credentials, world.groups)
    expected = evaluate(policy, Circumstances(scope, party, AGREED_AT, AGREED_AT, world.used))
    assert asyncio.run(explain(node, question)).verdict == expected


class Partners:
    """The partners that an operator has put into groups."""

    def __init__(self, kept: Mapping[str, BusinessPartner]) -> None:
        self._kept = kept

    def get_many(self, identifiers: set[str]) -> dict[str, BusinessPartner]:
        return {name: self._kept[name] for name in identifiers if name in self._kept}
