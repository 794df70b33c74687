"""The operands BusinessPartnerNumber and BusinessPartnerGroup: who may see or use an offer (CX-0152; Tractus-X EDC).

A number is what a credential proves, a group is what our own operator has put the counterparty into. The profile allows
isAnyOf and isNoneOf with a list; older policies use more operators, and one text with commas for a list. Read as ODRL
sets: {bpn}, or the groups, against the right side.
A counterparty without a proven BPN satisfies nothing, not even isNoneOf: nobody knows that it is none of them. It may
be in a group under its participant id, but nobody knows that it is in none.
"""

from typing import Final

from connector.policy.circumstances import Circumstances, Finding
from connector.policy.model import Constraint
from connector.policy.values import ANY_OF, SETS, texts
from connector.policy.vocabulary import operand_name, operators_of

NAME: Final = "BusinessPartnerNumber"
GROUP: Final = "BusinessPartnerGroup"
IN_GROUP: Final = "group:"
"""How an audience names a group; no business partner number begins so."""
_NUMBERS: Final = {**SETS, "isAllOf": SETS["eq"], "hasPart": SETS["eq"], "neq": SETS["isNoneOf"]}
"""One partner has one number: it is each of several only if they are all the same."""


def check(constraint: Constraint, circumstances: Circumstances) -> Finding:
    """Compare the proven BPN with the numbers on the right."""
    numbers, compare = texts(constraint), _NUMBERS.get(constraint.operator)
    if compare is None:
        return Finding(None, f"{NAME} knows the operators {', '.join(operators_of(NAME))}")
    if not numbers:
        return Finding(None, "it names no business partner")
    bpn = circumstances.counterparty.bpn
    if bpn is None:
        return _unproven(circumstances)
    return Finding(compare({bpn}, numbers), f"by {bpn}")


def check_group(constraint: Constraint, circumstances: Circumstances) -> Finding:
    """Compare the groups that the counterparty is in with those on the right."""
    named, compare = texts(constraint), SETS.get(constraint.operator)
    if compare is None or constraint.operator not in operators_of(GROUP):
        return Finding(None, f"{GROUP} knows the operators {', '.join(operators_of(GROUP))}")
    if not named:
        return Finding(None, "it names no group")
    party = circumstances.counterparty
    if not party.groups and party.bpn is None:
        return _unproven(circumstances)
    mine = ", ".join(sorted(party.groups)) or "no group"
    return Finding(compare(party.groups, named), f"by {party.bpn or party.id}, which is in {mine}")


def _unproven(circumstances: Circumstances) -> Finding:
    if circumstances.scope == "monitor":
        return Finding(None, "it was checked when the counterparty last proved who it is", waived="earlier")
    return Finding(None, "the counterparty proves no BPN")


def admitted(constraint: Constraint) -> frozenset[str] | None:
    """Who can satisfy a constraint: BPNs, and groups as `group:<name>`. None if it does not say.

    Of several groups that are all needed, the first stands for all.
    """
    named = texts(constraint)
    if operand_name(constraint.left) == NAME:
        if constraint.operator in ANY_OF:
            return named
        if constraint.operator in {"eq", "isAllOf", "hasPart"}:
            return named if len(named) == 1 else frozenset()
    elif operand_name(constraint.left) == GROUP and constraint.operator in {*ANY_OF, "eq", "isAllOf"}:
        members = frozenset(IN_GROUP + name for name in named)
        return members if constraint.operator in ANY_OF else frozenset(sorted(members)[:1])
    return None
