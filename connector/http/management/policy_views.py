"""What a policy means here, as JSON: whether all of it is understood, how it is judged, and what a judgement said.

Validity is not a second reading of the policy, see `connector.policy.validation`.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final, get_args

from connector.exchange.explain import Answer
from connector.http.management.views import document, iso
from connector.policy.circumstances import Circumstances, Scope
from connector.policy.evaluate import Verdict
from connector.policy.model import Condition, Constraint, Policy, Rule
from connector.policy.validation import departures, faults
from connector.policy.vocabulary import operand_name, profile
from connector.protocol.errors import Invalid

_SCOPES: Final[dict[str, Scope]] = {
    **{scope: scope for scope in get_args(Scope)},
    "contract.negotiation": "negotiation",
    "transfer.process": "transfer",
    "policy.monitor": "monitor",
    "access": "catalog",
}
"""Our scopes, and what EDC calls them; `request.` before a name makes no difference here."""


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


def explanation(found: Answer) -> dict[str, Any]:
    """A judgement with what it was judged by, and for each constraint what it means."""
    told = verdict(found.verdict, found.circumstances)
    party = found.circumstances.counterparty
    steps = zip(told["trace"], found.verdict.trace, strict=True)
    return told | {
        "@type": "PolicyExplanation",
        "groups": sorted(party.groups),
        "credentials": [
            {
                "types": list(c.types),
                "issuer": c.issuer,
                **({} if c.valid_until is None else {"until": iso(c.valid_until)}),
            }
            for c in party.credentials
        ],
        "trace": [shown | _meaning(step.condition) for shown, step in steps],
        "inWords": _in_words(found),
    }


def _meaning(condition: Condition | None) -> dict[str, Any]:
    """What the profile says of an operand. `enforced`: a machine checks it."""
    entry = profile().get(operand_name(condition.left)) if isinstance(condition, Constraint) else None
    return {} if entry is None else {"meaning": entry["meaning"], "enforced": entry["enforced"]}


def _in_words(found: Answer) -> list[str]:
    """The judgement in sentences: the outcome first, then each thing that was judged."""
    party = found.circumstances.counterparty
    who = party.id if party.bpn is None else f"{party.id} ({party.bpn})"
    outcome = "is permitted" if found.verdict.permitted else "is denied"
    first = f"{who} {outcome} in the scope {found.circumstances.scope}: {found.verdict.reason}."
    return [first, *(f"{step.text}." for step in found.verdict.trace)]


def scope(name: str, pointer: str) -> Scope:
    """A scope, in our words or EDC's. Raise Invalid."""
    known = _SCOPES.get(name.removeprefix("request."))
    if known is None:
        raise Invalid(f"{pointer.lstrip('/')} is one of {', '.join(_SCOPES)}", pointer, name)
    return known


def instant(doc: Mapping[str, Any], key: str) -> int | None:
    """Milliseconds since the epoch, given as such or as ISO 8601. Raise Invalid."""
    value = doc.get(key)
    if value is None or (isinstance(value, int) and not isinstance(value, bool) and value >= 0):
        return value
    try:
        moment = datetime.fromisoformat(value)
    except (TypeError, ValueError) as error:
        raise Invalid(f"{key} is an ISO 8601 instant, or milliseconds since the epoch", f"/{key}", value) from error
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)
