"""What a policy means here, as JSON: whether all of it is understood, how it is judged, and what a judgement said.

Validity is not a second reading of the policy, see `connector.policy.validation`.
"""

from typing import Any, Final

from connector.http.management.views import document, iso
from connector.policy.circumstances import Circumstances
from connector.policy.evaluate import Verdict
from connector.policy.model import Condition, Constraint, Policy, Rule
from connector.policy.validation import departures, faults
from connector.policy.vocabulary import operand_name

_PARTS: Final = (("permission", "Permission"), ("prohibition", "Prohibition"), ("obligation", "Duty"))
_NAMES: Final = {"and": "And", "andSequence": "And", "or": "Or", "xone": "Xone"}


def validation(policy: Policy) -> dict[str, Any]:
    """EDC's PolicyValidationResult; an error names the place as a JSON pointer into the policy.

    `advice` is where it is not what Catena-X's profile allows; other connectors may refuse it.
    """
    errors, advice = ([fault.text for fault in found(policy)] for found in (faults, departures))
    return document("PolicyValidationResult", None, {"isValid": not errors, "errors": errors, "advice": advice})


def plan(policy: Policy) -> dict[str, Any]:
    """EDC's PolicyEvaluationPlan. Nothing is ever filtered out; what EDC would filter is marked and denies."""
    denying = {fault.pointer: fault.reason for fault in faults(policy)}
    steps = {
        f"{part}Steps": [_rule(rule, kind, f"/{part}/{i}", denying) for i, rule in enumerate(getattr(policy, part))]
        for part, kind in _PARTS
    }
    return document(
        "PolicyEvaluationPlan", None, {"preValidators": [], **steps, "postValidators": [], "denies": denying.get("")}
    )


def _rule(rule: Rule, kind: str, at: str, denying: dict[str, str]) -> dict[str, Any]:
    conditions = [_condition(c, f"{at}/constraint/{i}", denying) for i, c in enumerate(rule.constraints)]
    return _step(
        f"{kind}Step", at, denying, {"action": rule.action, "ruleFunctions": [], "constraintSteps": conditions}
    )


def _condition(condition: Condition, at: str, denying: dict[str, str]) -> dict[str, Any]:
    if isinstance(condition, Constraint):
        right = list(condition.right) if isinstance(condition.right, tuple) else condition.right
        name = None if at in denying else operand_name(condition.left)
        asked = {"functionName": name, "functionParams": [condition.left, condition.operator, right]}
        return _step("AtomicConstraintStep", at, denying, asked)
    inner = [_condition(c, f"{at}/{condition.operator}/{i}", denying) for i, c in enumerate(condition.operands)]
    return _step(f"{_NAMES[condition.operator]}ConstraintStep", at, denying, {"constraintSteps": inner})


def _step(kind: str, at: str, denying: dict[str, str], members: dict[str, Any]) -> dict[str, Any]:
    denies = {"denies": denying[at]} if at in denying else {}
    named = {name: value for name, value in members.items() if value is not None}
    return {"@type": kind, "isFiltered": False, "filteringReasons": [], **named, **denies}


def verdict(judged: Verdict, circumstances: Circumstances) -> dict[str, Any]:
    """A judgement with its trace. `publicReason` is all that the counterparty would hear of it."""
    return document(
        "PolicyVerdict",
        None,
        {
            **judged.to_json(at_most=len(judged.trace)),
            "publicReason": judged.public_reason,
            "scope": circumstances.scope,
            "counterPartyId": circumstances.counterparty.id,
            "bpn": circumstances.counterparty.bpn,
            "at": iso(circumstances.now),
        },
    )
