"""An ODRL policy as the connector keeps it (DSP 2025-1, section "Offers and Agreements"; ODRL 2.2, section 2).

The model is lossless for what it does not understand: members of a policy, a rule or a constraint without a field here
(a duty, a refinement, a unit, ...) are kept as JSON text in `rest` and written back. They count in offer equality and
forbid a positive verdict, so nothing that a peer asked for gets lost on the way.

Two written forms: `to_json` is the compact form of DSP 2025-1, where numbers become strings because the message schema
wants it so; `to_edc_json` is the prefixed form of EDC's management API v3 and loses nothing, so it is the one to store.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from connector.policy.vocabulary import LOGICAL, Kind, with_odrl
from connector.protocol.errors import Invalid

Scalar: TypeAlias = str | int | float | bool
Right: TypeAlias = Scalar | tuple[Scalar, ...]

_WHOLE: Final = 1e15  # below, a float without fraction is written as the integer that it is


def lexical(value: Scalar) -> str:
    """The string form of a right operand's value: `2` and `2.0` are "2", true is "true"."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer() and abs(value) < _WHOLE:
        return str(int(value))
    return str(value)


@dataclass(frozen=True, slots=True)
class Constraint:
    """leftOperand operator rightOperand.

    `left` is spelled as the peer spelled it (`vocabulary.operand_name` makes it comparable), `operator` is ODRL's name,
    a tuple on the right is a list. `rest`: JSON object of members not modelled (unit, dataType, ...), or "".
    """

    left: str
    operator: str
    right: Right
    rest: str = ""

    def __post_init__(self) -> None:
        if not self.left or not self.operator:
            raise Invalid("a constraint needs a leftOperand and an operator")

    def to_json(self) -> dict[str, Any]:
        """DSP 2025-1 form; values of the right operand are strings."""
        right = [lexical(v) for v in self.right] if isinstance(self.right, tuple) else lexical(self.right)
        return {"leftOperand": self.left, "operator": self.operator, "rightOperand": right, **_members(self.rest)}

    def to_edc_json(self) -> dict[str, Any]:
        """EDC v3 form; values of the right operand keep their type."""
        return {
            "odrl:leftOperand": {"@id": self.left},
            "odrl:operator": {"@id": with_odrl(self.operator)},
            "odrl:rightOperand": list(self.right) if isinstance(self.right, tuple) else self.right,
            **_prefixed(_members(self.rest)),
        }


@dataclass(frozen=True, slots=True)
class LogicalConstraint:
    """Constraints joined by and, or, xone (exactly one) or andSequence."""

    operator: str
    operands: tuple["Condition", ...]
    rest: str = ""

    def __post_init__(self) -> None:
        if self.operator not in LOGICAL:
            raise Invalid("a logical constraint is one of and, or, xone, andSequence", value=self.operator)

    def to_json(self) -> dict[str, Any]:
        """DSP 2025-1 form; one operand is still an array, as the schema wants it."""
        return {self.operator: [o.to_json() for o in self.operands], **_members(self.rest)}

    def to_edc_json(self) -> dict[str, Any]:
        """EDC v3 form; one operand stands without its array, as JSON-LD compaction leaves it."""
        operands = _collapsed([o.to_edc_json() for o in self.operands])
        return {f"odrl:{self.operator}": operands, **_prefixed(_members(self.rest))}


Condition: TypeAlias = Constraint | LogicalConstraint


@dataclass(frozen=True, slots=True)
class Rule:
    """A permission, prohibition or obligation; its constraints are joined by "and".

    `rest` keeps duty, remedy, consequence, a refined action and whatever else the rule came with.
    """

    action: str
    constraints: tuple[Condition, ...] = ()
    rest: str = ""

    def __post_init__(self) -> None:
        if not self.action:
            raise Invalid("a rule needs an action")

    def to_json(self) -> dict[str, Any]:
        """DSP 2025-1 form. A refined action is an object (there is no other way to say it), any other a string."""
        constraint = {"constraint": [c.to_json() for c in self.constraints]} if self.constraints else {}
        return {"action": self.action, **constraint, **_members(self.rest)}

    def to_edc_json(self) -> dict[str, Any]:
        """EDC v3 form."""
        action = "cx-policy:access" if self.action == "access" else with_odrl(self.action)
        doc: dict[str, Any] = {"odrl:action": {"@id": action}}
        if self.constraints:
            doc["odrl:constraint"] = _collapsed([c.to_edc_json() for c in self.constraints])
        return {**doc, **_prefixed(_members(self.rest))}


@dataclass(frozen=True, slots=True)
class Policy:
    """A Set (a definition), an Offer or an Agreement. No rules at all means: no conditions.

    `timestamp` is the agreement's, an xsd:dateTime. `rest`: JSON object of members not modelled, or "".
    """

    permission: tuple[Rule, ...] = ()
    prohibition: tuple[Rule, ...] = ()
    obligation: tuple[Rule, ...] = ()
    profile: tuple[str, ...] = ()
    id: str | None = None
    kind: Kind = "Set"
    assigner: str | None = None
    assignee: str | None = None
    target: str | None = None
    timestamp: str | None = None
    rest: str = ""

    def __post_init__(self) -> None:
        if self.kind not in {"Set", "Offer", "Agreement"}:
            raise Invalid("a policy is a Set, an Offer or an Agreement", "/@type", self.kind)

    def to_json(self, **overrides: Any) -> dict[str, Any]:
        """DSP 2025-1 compact form without @context. Absent parts and empty lists are left out.

        overrides: members to set, by their JSON name (`**{"@id": ..., "@type": "Offer"}`); None leaves one out.
        """
        doc = {
            "@id": self.id,
            "@type": self.kind,
            "profile": self.profile[0] if len(self.profile) == 1 else list(self.profile) or None,
            "assigner": self.assigner,
            "assignee": self.assignee,
            "target": self.target,
            "timestamp": self.timestamp,
            "permission": [r.to_json() for r in self.permission] or None,
            "prohibition": [r.to_json() for r in self.prohibition] or None,
            "obligation": [r.to_json() for r in self.obligation] or None,
            **_members(self.rest),
            **overrides,
        }
        return {name: value for name, value in doc.items() if value is not None}

    def to_edc_json(self) -> dict[str, Any]:
        """Prefixed form of EDC's management API v3, without @context: lists of rules are there even if empty.

        Reading it with `parse_policy` gives this policy again, so this is the form to store.
        """
        doc: dict[str, Any] = {"@id": self.id} if self.id is not None else {}
        doc["@type"] = f"odrl:{self.kind}"
        for part in ("permission", "prohibition", "obligation"):
            doc[f"odrl:{part}"] = _collapsed([r.to_edc_json() for r in getattr(self, part)])
        if self.profile:
            doc["odrl:profile"] = _collapsed([{"@id": p} for p in self.profile])
        for part in ("assigner", "assignee", "target"):
            if (party := getattr(self, part)) is not None:
                doc[f"odrl:{part}"] = {"@id": party}
        if self.timestamp is not None:
            doc["dspace:timestamp"] = self.timestamp
        return {**doc, **_prefixed(_members(self.rest))}


def _members(rest: str) -> dict[str, Any]:
    members: dict[str, Any] = json.loads(rest) if rest else {}
    return members


def _collapsed(items: list[dict[str, Any]]) -> list[dict[str, Any]] | dict[str, Any]:
    return items[0] if len(items) == 1 else items


def _prefixed(value: Any) -> Any:  # noqa: ANN401 - any JSON
    """`rest` holds bare ODRL names (see parse); EDC v3 has its own vocabulary as default, so they need the prefix."""
    if isinstance(value, Mapping):
        return {with_odrl(k): _prefixed(v) for k, v in value.items()}
    return [_prefixed(v) for v in value] if isinstance(value, list) else value
