"""The operands that the engine can check.

To add one: write a function in the way of `partner.check`, enter it here by its canonical name (see
`vocabulary.operand_name`) and describe it in `policies/profile.json`; a test compares the two.

An operand that is not here is unknown, and unknown denies.
"""

from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

from connector.policy import credentials, dates, frequency, legal, partner
from connector.policy.circumstances import Circumstances, Finding
from connector.policy.model import Constraint

Operand: TypeAlias = Callable[[Constraint, Circumstances], Finding]

OPERANDS: Final[Mapping[str, Operand]] = {
    partner.NAME: partner.check,
    partner.GROUP: partner.check_group,
    **dict.fromkeys((credentials.MEMBERSHIP, credentials.DISMANTLER), credentials.check_active),
    credentials.FRAMEWORK: credentials.check_framework,
    **dict.fromkeys(("Dismantler.activityType", "Dismantler.allowedBrands"), credentials.check_claim),
    frequency.NAME: frequency.check,
    **dict.fromkeys(sorted(dates.NAMES), dates.check),
    **dict.fromkeys(sorted(legal.NAMES), legal.check),
}


def operand_of(name: str) -> Operand | None:
    """The check of an operand by its canonical name, None if nobody knows it.

    Older policies have the framework agreement's name in the operand: `FrameworkAgreement.<name>`.
    """
    if name.startswith(credentials.LEGACY_FRAMEWORK):
        return credentials.check_framework
    return OPERANDS.get(name)
