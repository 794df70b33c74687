"""Right operands as sets of texts: a list, one value, or one text with commas, as older policies write a list."""

from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from typing import Final, TypeAlias

from connector.policy.model import Constraint, lexical

Compare: TypeAlias = Callable[[AbstractSet[str], AbstractSet[str]], bool]

ANY_OF: Final = frozenset({"in", "isA", "isAnyOf", "isPartOf"})
"""Operators that one common entry fulfils."""
SETS: Final[Mapping[str, Compare]] = {
    **dict.fromkeys(sorted(ANY_OF), lambda own, named: not own.isdisjoint(named)),
    "isAllOf": lambda own, named: own >= named,
    "eq": lambda own, named: own == named,
    "neq": lambda own, named: own != named,
    "isNoneOf": lambda own, named: own.isdisjoint(named),
}
"""How what a counterparty has (first) is compared with what a constraint names (second)."""


def texts(constraint: Constraint) -> frozenset[str]:
    """The entries of the right operand, without blank ones."""
    right = constraint.right if isinstance(constraint.right, tuple) else (constraint.right,)
    entries = (entry.strip() for value in right for entry in lexical(value).split(","))
    return frozenset(entry for entry in entries if entry)


def one_text(constraint: Constraint) -> str | None:
    """The right operand if it is one value, which a list of one is too; None for several or none."""
    right = constraint.right
    if isinstance(right, tuple):
        if len(right) != 1:
            return None
        right = right[0]
    return lexical(right).strip() or None
