"""The operands that the engine can check.

To add one: write a function in the way of `partner.check`, enter it here by its canonical name (see
`vocabulary.operand_name`) and describe it in `policies/profile.json`; a test compares the two.

An operand that is not here is unknown, and unknown denies.
"""

from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

from connector.policy import dates, partner
from connector.policy.circumstances import Circumstances, Finding
from connector.policy.model import Constraint

Operand: TypeAlias = Callable[[Constraint, Circumstances], Finding]

OPERANDS: Final[Mapping[str, Operand]] = {
    partner.NAME: partner.check,
    **dict.fromkeys(sorted(dates.NAMES), dates.check),
}
