"""The operands that are agreements between people (Catena-X CX-0152): purposes, warranty, liability, courts, ...

No machine can check them. Both sides agree to them by concluding the contract, so as a permission or an obligation they
stand in nobody's way, and as a prohibition they are not taken to be violated. EDC's evaluator takes a prohibition for
violated as soon as its function says true, and the functions of Tractus-X always say it.

The regions of AffiliatesRegion and ManagedLegalEntityRegion are about the companies that the consumer may pass the data
on to, not about where the consumer is: a claim about the consumer answers nothing there.
"""

from typing import Final

from connector.policy.circumstances import Circumstances, Finding
from connector.policy.model import Constraint
from connector.policy.values import texts
from connector.policy.vocabulary import operand_name, operators_of

NAMES: Final = frozenset(
    {
        *("UsagePurpose", "ContractReference", "UsageRestriction", "ExclusiveUsage", "DataUsageEndDefinition"),
        *("AffiliatesBpnl", "AffiliatesRegion", "ManagedLegalEntityBpnl", "ManagedLegalEntityRegion"),
        *("Warranty", "WarrantyDefinition", "WarrantyDurationMonths", "Liability"),
        *("JurisdictionLocation", "JurisdictionLocationReference", "Precedence"),
        *("VersionChanges", "ContractTermination"),
        *("ConfidentialInformationMeasures", "ConfidentialInformationSharing"),
    }
)


def check(constraint: Constraint, _: Circumstances) -> Finding:
    """Acknowledge it, if it says something in the operand's words."""
    name = operand_name(constraint.left)
    if constraint.operator not in operators_of(name) or not texts(constraint):
        return Finding(None, f"{name} knows the operators {', '.join(operators_of(name))}, with something to agree to")
    return Finding(None, "both sides agree to it by their contract, no machine checks it", waived="legal")
