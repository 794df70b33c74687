"""Hypothesis strategies for policies: as models, as JSON in somebody else's spelling, and as hostile JSON."""

import random
from typing import Any

from hypothesis import strategies as st

from connector.policy.model import Condition, Constraint, LogicalConstraint, Policy, Rule
from connector.policy.vocabulary import LOGICAL, MEMBERS, OPERATORS

ODRL = "http://www.w3.org/ns/odrl/2/"
BPNS = ("BPNL00000000000A", "BPNL00000000000B", "BPNL00000000000C")
AGREED_AT = 1_767_268_800_000  # 2026-01-01T12:00:00Z
DATES = ("2026-01-01T12:00:00Z", "2026-01-01T12:00:05Z", "2026-01-01T12:00:09.500Z", "2026-01-02")
RELATIVE = ("contractAgreement+0s", "contractAgreement+4s", "contractAgreement+9s", "contractAgreement+-3s")

_scalars = st.one_of(
    st.text(max_size=8), st.integers(-(2**40), 2**40), st.floats(allow_nan=False, allow_infinity=False), st.booleans()
)
json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=10,
)
_names = st.sampled_from(
    (*MEMBERS, "@value", "@list", "@set", "duty", "odrl:unit", "rdf:value", "eq", "use", "odrl:Set")
)
policy_like: st.SearchStrategy[Any] = st.recursive(
    json_values | _names,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_names | st.text(max_size=3), inner, max_size=6),
    max_leaves=30,
)
"""JSON that is built of the words of a policy, mostly in the wrong places."""


def bpn_constraints() -> st.SearchStrategy[Constraint]:
    """BusinessPartnerNumber in its namespaces, with every operator, on one or several of BPNS."""
    left = st.sampled_from(("BusinessPartnerNumber", "tx:BusinessPartnerNumber"))
    several = st.lists(st.sampled_from(BPNS), max_size=3)
    right = st.sampled_from(BPNS) | several.map(tuple) | several.map(",".join)
    return st.builds(Constraint, left, st.sampled_from(OPERATORS), right)


def date_constraints() -> st.SearchStrategy[Constraint]:
    """Dates within some seconds of AGREED_AT."""
    comparison = st.sampled_from(("eq", "neq", "gt", "gteq", "lt", "lteq"))
    in_force = st.builds(Constraint, st.just("inForceDate"), comparison, st.sampled_from((*DATES, *RELATIVE)))
    end = st.builds(Constraint, st.just("DataUsageEndDate"), st.just("eq"), st.sampled_from(DATES))
    days = st.builds(Constraint, st.just("DataUsageEndDurationDays"), st.just("eq"), st.integers(1, 2))
    return in_force | end | days


def other_constraints() -> st.SearchStrategy[Constraint]:
    """Constraints that nobody can check, some with members that are not modelled."""
    right = _scalars | st.lists(_scalars, max_size=3).map(tuple)
    rest = st.sampled_from(
        ("", "", '{"unit": "urn:u"}', '{"@id": "c1"}', '{"unit": {"@id": "urn:u"}, "x:y": [1, null]}')
    )
    return st.builds(
        Constraint, st.text(min_size=1, max_size=5).map("urn:o:".__add__), st.sampled_from(OPERATORS), right, rest
    )


def conditions(atoms: st.SearchStrategy[Constraint]) -> st.SearchStrategy[Condition]:
    """Trees of logical constraints over these atoms."""
    return st.recursive(
        atoms,
        lambda inner: st.builds(LogicalConstraint, st.sampled_from(LOGICAL), st.lists(inner, max_size=3).map(tuple)),
        max_leaves=5,
    )


def policies(
    atoms: st.SearchStrategy[Constraint], *, actions: tuple[str, ...] = ("use",), rests: tuple[str, ...] = ("",)
) -> st.SearchStrategy[Policy]:
    """Policies with up to two rules in each part."""
    constraints = st.lists(conditions(atoms), max_size=3).map(tuple)
    rules = st.lists(st.builds(Rule, st.sampled_from(actions), constraints, st.sampled_from(rests)), max_size=2).map(
        tuple
    )
    return st.builds(
        Policy,
        rules,
        rules,
        rules,
        profile=st.lists(st.sampled_from(("urn:p", "urn:q")), max_size=2).map(tuple),
        kind=st.sampled_from(("Set", "Offer", "Agreement")),
        id=st.none() | st.just("id"),
        target=st.none() | st.just("asset"),
        assigner=st.none() | st.just("did:web:p"),
        timestamp=st.none() | st.just(DATES[0]),
        rest=st.sampled_from(("", "", '{"conflict": {"@id": "perm"}}')),
    )


any_policies = policies(
    bpn_constraints() | date_constraints() | other_constraints(),
    actions=("use", "access", "print", "urn:a:print"),
    rests=("", "", '{"duty": [{"action": "compensate"}]}', '{"remedy": {"action": {"@id": "delete"}}}'),
)


def respelled(doc: object, chance: random.Random) -> object:
    """The DSP form of a policy as another peer might write it: the same terms, nothing else kept."""
    if isinstance(doc, dict):
        items = list(doc.items())
        chance.shuffle(items)
        return {_key(key, chance): _value(key, respelled(value, chance), chance) for key, value in items}
    if isinstance(doc, list):
        return [respelled(item, chance) for item in doc]
    return doc


def _key(key: str, chance: random.Random) -> str:
    if key not in MEMBERS or key.startswith("@") or key == "timestamp":
        return key
    return chance.choice(("", "odrl:", ODRL, "https://www.w3.org/ns/odrl/2/")) + key


def _value(key: str, value: object, chance: random.Random) -> object:
    if isinstance(value, list):
        if key in {
            "permission",
            "prohibition",
            "obligation",
            "constraint",
            "and",
            "or",
            "xone",
            "rightOperand",
            "profile",
        }:
            chance.shuffle(value)
        if len(value) == 1 and chance.random() < 0.5:
            return value[0]
        return {"@list": value} if chance.random() < 0.3 else value
    if not isinstance(value, str):
        return value
    if key in {"action", "operator"} and ":" not in value:
        value = chance.choice(("", "odrl:", ODRL)) + value
    if key == "leftOperand":
        value = value.replace("tx:", chance.choice(("tx:", "https://w3id.org/tractusx/v0.0.1/ns/", "cx-policy:")))
    if key == "rightOperand":
        return chance.choice((value, [value], {"@value": value}))
    return chance.choice((value, {"@id": value})) if key in {"action", "operator", "leftOperand", "target"} else value
