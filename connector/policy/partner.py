"""The operand BusinessPartnerNumber: who may see or use an offer (Catena-X CX-0152; Tractus-X EDC, legacy form).

The left side is one value, the BPN that a credential proves. The profile allows isAnyOf and isNoneOf with a list;
older policies use more operators, and one text with commas for a list. Read as ODRL sets, {bpn} against the right side.
A counterparty without a proven BPN satisfies nothing, not even isNoneOf: nobody knows that it is none of them.
"""

from typing import Final

from connector.policy.circumstances import Circumstances, Finding
from connector.policy.model import Constraint, lexical
from connector.policy.vocabulary import operators_of

NAME: Final = "BusinessPartnerNumber"
_IS_ONE_OF: Final = frozenset({"in", "isA", "isAnyOf", "isPartOf"})
_IS_EACH_OF: Final = frozenset({"eq", "isAllOf", "hasPart"})
_IS_NONE_OF: Final = frozenset({"neq", "isNoneOf"})


def check(constraint: Constraint, circumstances: Circumstances) -> Finding:
    """Compare the proven BPN with the numbers on the right."""
    bpn = circumstances.counterparty.bpn
    numbers = _numbers(constraint)
    if bpn is None:
        return Finding(None, "the counterparty proves no BPN")
    if not numbers:
        return Finding(None, "it names no business partner")
    if constraint.operator in _IS_ONE_OF:
        return Finding(bpn in numbers, f"by {bpn}")
    if constraint.operator in _IS_EACH_OF:
        return Finding(numbers == {bpn}, f"by {bpn}")
    if constraint.operator in _IS_NONE_OF:
        return Finding(bpn not in numbers, f"by {bpn}")
    return Finding(None, f"{NAME} knows the operators {operators_of(NAME)}")


def admitted(constraint: Constraint) -> frozenset[str] | None:
    """The BPNs that can satisfy a constraint, None if it does not say (another operand, an excluding operator)."""
    if constraint.operator in _IS_ONE_OF:
        return _numbers(constraint)
    if constraint.operator in _IS_EACH_OF:
        return numbers if len(numbers := _numbers(constraint)) == 1 else frozenset()
    return None


def _numbers(constraint: Constraint) -> frozenset[str]:
    right = constraint.right if isinstance(constraint.right, tuple) else (constraint.right,)
    numbers = (number.strip() for value in right for number in lexical(value).split(","))
    return frozenset(number for number in numbers if number)
