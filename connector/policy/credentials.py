"""The operands that a trusted issuer's credential answers (Catena-X CX-0152 and CX-0050; older guides of Tractus-X).

    Membership eq active                            a MembershipCredential
    FrameworkAgreement eq <Name>[:<version>]        a <Name>Credential, of that contractVersion
    FrameworkAgreement.<name> eq active[:<version>] the same, as older policies write it
    Dismantler eq active                            a DismantlerCredential
    Dismantler.activityType, .allowedBrands         what that credential certifies

What was not shown proves nothing, neither that it is so nor that it is not. While a transfer runs and nobody knows the
counterparty's credentials, the constraint was checked when it last proved who it is: see `Waiver`.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Final

from connector.policy.circumstances import Circumstances, Finding, ProvenCredential
from connector.policy.model import Constraint
from connector.policy.values import SETS, one_text, texts
from connector.policy.vocabulary import operand_name, operators_of

MEMBERSHIP: Final = "Membership"
FRAMEWORK: Final = "FrameworkAgreement"
DISMANTLER: Final = "Dismantler"
LEGACY_FRAMEWORK: Final = f"{FRAMEWORK}."
_CLAIMS: Final[Mapping[str, tuple[str, ...]]] = {
    f"{DISMANTLER}.activityType": ("activityType",),
    f"{DISMANTLER}.allowedBrands": ("allowedVehicleBrands", "allowedBrands"),
}
NAMES: Final = frozenset({MEMBERSHIP, FRAMEWORK, DISMANTLER, *_CLAIMS})
_AGREEMENT: Final = re.compile(r"([A-Za-z][A-Za-z0-9]{0,79})(?::([0-9]{1,9}(?:\.[0-9]{1,9}){0,3}))?")


def check_active(constraint: Constraint, circumstances: Circumstances) -> Finding:
    """`eq active`: whether a credential of the operand's name is there."""
    name = operand_name(constraint.left)
    if constraint.operator != "eq" or one_text(constraint) != "active":
        return Finding(None, f"{name} knows eq active and nothing else")
    return _shown(f"{name}Credential", circumstances)


def check_framework(constraint: Constraint, circumstances: Circumstances) -> Finding:
    """Whether the framework agreement has been signed, in the version named."""
    legacy = operand_name(constraint.left).removeprefix(FRAMEWORK).removeprefix(".")
    text = one_text(constraint) or ""
    if legacy:
        active, _, version = text.partition(":")
        text = f"{legacy}:{version}" if version else legacy
        if active != "active":
            return Finding(None, f"{FRAMEWORK}.{legacy} knows eq active, with :version or without")
    match = _AGREEMENT.fullmatch(text)
    if constraint.operator != "eq" or match is None:
        return Finding(None, f"{FRAMEWORK} knows eq and the name of an agreement, with :version or without")
    kind = f"{match[1][0].upper()}{match[1][1:]}Credential"
    found = _shown(kind, circumstances)
    if not found.truth or match[2] is None:
        return found
    versions = sorted(set(_claimed(kind, ("contractVersion",), circumstances)))
    if not versions:
        return Finding(None, f"the {kind} names no contractVersion")
    return Finding(match[2] in versions, f"by a {kind} of version {', '.join(versions)}")


def check_claim(constraint: Constraint, circumstances: Circumstances) -> Finding:
    """Compare what the dismantler credential names with the right operand, as sets."""
    name = operand_name(constraint.left)
    named, compare = texts(constraint), SETS.get(constraint.operator)
    if compare is None or constraint.operator not in operators_of(name) or not named:
        return Finding(None, f"{name} knows the operators {', '.join(operators_of(name))}, with what it may be")
    kind = f"{DISMANTLER}Credential"
    found = _shown(kind, circumstances)
    if not found.truth:
        return found
    own = frozenset(_claimed(kind, _CLAIMS[name], circumstances))
    if not own:
        return Finding(None, f"the {kind} names none")
    return Finding(compare(own, named), f"by {', '.join(sorted(own))}")


def _shown(kind: str, circumstances: Circumstances) -> Finding:
    credential = next(_of(kind, circumstances), None)
    if credential is not None:
        return Finding(truth=True, found=f"by a {kind} of {credential.issuer}")
    if circumstances.scope == "monitor" and not circumstances.counterparty.credentials:
        return Finding(None, "it was checked when the counterparty last proved who it is", waived="earlier")
    if others := [credential for credential in circumstances.counterparty.credentials if kind in credential.types]:
        why = "has ended" if any(_ended(other, circumstances.now) for other in others) else "is not valid yet"
        return Finding(None, f"the {kind} that the counterparty shows {why}")
    return Finding(None, f"the counterparty shows no {kind}")


def _of(kind: str, circumstances: Circumstances) -> Iterator[ProvenCredential]:
    for credential in circumstances.counterparty.credentials:
        begun = credential.valid_from is None or circumstances.now >= credential.valid_from
        if kind in credential.types and begun and not _ended(credential, circumstances.now):
            yield credential


def _ended(credential: ProvenCredential, now: int) -> bool:
    return credential.valid_until is not None and now >= credential.valid_until


def _claimed(kind: str, members: tuple[str, ...], circumstances: Circumstances) -> Iterator[str]:
    """The texts that credentials of a kind have in the first of these members that is there."""
    for credential in _of(kind, circumstances):
        value = next((credential.subject[name] for name in members if name in credential.subject), None)
        for item in value if isinstance(value, list | tuple) else (value,):
            if isinstance(item, str):
                yield from (text.strip() for text in item.split(",") if text.strip())
