"""What a policy means here, as JSON: whether all of it is understood, how it is judged, and what a judgement said.

Validity is not a second reading of the policy. It is judged for a counterparty of whom everything is known: whatever
cannot be checked even then, can never be checked by this connector, and so would deny everybody.
"""

from typing import Any, Final

from connector.http.management.views import document, iso
from connector.policy.circumstances import Circumstances, Counterparty
from connector.policy.evaluate import TraceStep, Verdict, evaluate
from connector.policy.model import Condition, Constraint, Policy, Rule
from connector.policy.vocabulary import operand_name

_PARTS: Final = (("permission", "Permission"), ("prohibition", "Prohibition"), ("obligation", "Duty"))
_NAMES: Final = {"and": "And", "andSequence": "And", "or": "Or", "xone": "Xone"}
_KNOWN: Final = Circumstances("transfer", Counterparty("did:web:anybody.example", "BPNL000000000000", {}), 0, 0)


def _not_understood(policy: Policy) -> dict[str, TraceStep]:
    """The places that can never be checked, without the ones that only contain such a place."""
    steps = {step.pointer: step for step in evaluate(policy, _KNOWN).trace if step.truth is None}
    return {at: step for at, step in steps.items() if not any(other.startswith(f"{at}/") for other in steps)}


def validation(policy: Policy) -> dict[str, Any]:
    """EDC's PolicyValidationResult; an error names the place as a JSON pointer into the policy."""
    errors = [f"{at or '/'}: {step.text}" for at, step in _not_understood(policy).items()]
    return document("PolicyValidationResult", None, {"isValid": not errors, "errors": errors})


def plan(policy: Policy) -> dict[str, Any]:
    """EDC's PolicyEvaluationPlan. Nothing is ever filtered out; what EDC would filter is marked and denies."""
    faults = _not_understood(policy)
    steps = {
        f"{part}Steps": [_rule(rule, kind, f"/{part}/{i}", faults) for i, rule in enumerate(getattr(policy, part))]
        for part, kind in _PARTS
    }
    denied = faults[""].text if "" in faults else None
    return document(
        "PolicyEvaluationPlan", None, {"preValidators": [], **steps, "postValidators": [], "denies": denied}
    )


def _rule(rule: Rule, kind: str, at: str, faults: dict[str, TraceStep]) -> dict[str, Any]:
    conditions = [_condition(c, f"{at}/constraint/{i}", faults) for i, c in enumerate(rule.constraints)]
    return _step(f"{kind}Step", at, faults, {"action": rule.action, "ruleFunctions": [], "constraintSteps": conditions})


def _condition(condition: Condition, at: str, faults: dict[str, TraceStep]) -> dict[str, Any]:
    if isinstance(condition, Constraint):
        right = list(condition.right) if isinstance(condition.right, tuple) else condition.right
        name = None if at in faults else operand_name(condition.left)
        asked = {"functionName": name, "functionParams": [condition.left, condition.operator, right]}
        return _step("AtomicConstraintStep", at, faults, asked)
    inner = [_condition(c, f"{at}/{condition.operator}/{i}", faults) for i, c in enumerate(condition.operands)]
    return _step(f"{_NAMES[condition.operator]}ConstraintStep", at, faults, {"constraintSteps": inner})


def _step(kind: str, at: str, faults: dict[str, TraceStep], members: dict[str, Any]) -> dict[str, Any]:
    denies = {"denies": faults[at].text} if at in faults else {}
    named = {name: value for name, value in members.items() if value is not None}
    return {"@type": kind, "isFiltered": False, "filteringReasons": [], **named, **denies}


def verdict(judged: Verdict, circumstances: Circumstances) -> dict[str, Any]:
    """A judgement with its trace. `publicReason` is all that the counterparty would hear of it."""
    return document(
        "PolicyVerdict",
        None,
        {
            "permitted": judged.permitted,
            "reason": judged.reason,
            "publicReason": judged.public_reason,
            "trace": [{"pointer": s.pointer, "text": s.text, "truth": s.truth} for s in judged.trace],
            "scope": circumstances.scope,
            "counterPartyId": circumstances.counterparty.id,
            "bpn": circumstances.counterparty.bpn,
            "at": iso(circumstances.now),
        },
    )
