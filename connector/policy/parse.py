"""Reads ODRL policies as peers really send them (DSP 2025-1 and the two older dialects, EDC v3, Python clients).

Accepted: bare, prefixed and full-IRI members; one object where a list is meant; the JSON-LD wrappers `@id`, `@value`,
`@list`, `@set`; JSON-LD in expanded form. All of it normalises to the same policy. An inner `@context` is ignored, so
that a peer cannot change the meaning of a term. The xsd type of a typed value is left out, because the left operand
says how its right operand is read. Everything else that the model has no field for is kept (`rest`), and what cannot
be kept is refused with its place.
"""

import json
import math
from collections.abc import Iterator
from typing import Any, Final, TypeAlias

from connector.policy.model import Condition, Constraint, LogicalConstraint, Policy, Right, Rule, Scalar
from connector.policy.vocabulary import LOGICAL, MEMBERS, action_name, kind_name, operator_name, without_odrl
from connector.protocol.errors import Invalid

MAX_DEPTH: Final = 32
"""Levels of nested constraints, and of JSON in a kept member; more is not a policy but an attack on the stack."""
MAX_NODES: Final = 10_000
"""Rules, constraints, list entries and kept members of one policy; a list of all partners of a large network fits."""

_INTEGER_LIMIT: Final = 2**63
_PARTS: Final = ("permission", "prohibition", "obligation")
_POLICY: Final = frozenset({*_PARTS, "profile", "assigner", "assignee", "target", "timestamp", "@id", "@type"})
_RULE: Final = frozenset({"action", "constraint"})
_TRIPLE: Final = ("leftOperand", "operator", "rightOperand")
_CONSTRAINT: Final = frozenset({*_TRIPLE, *LOGICAL})
_REDUNDANT_TYPES: Final = frozenset(
    {"Rule", "Permission", "Prohibition", "Obligation", "Duty", "Constraint", "AtomicConstraint", "LogicalConstraint"}
)
_RDF_VALUE: Final = "http://www.w3.org/1999/02/22-rdf-syntax-ns#value"
_ACTION_NAMES: Final = ("@id", "uid", "@value", "rdf:value", _RDF_VALUE, "value", "type", "@type")
_XSD: Final = ("xsd:", "http://www.w3.org/2001/XMLSchema#")

_Placed: TypeAlias = tuple[Any, str]
"""A JSON value and its RFC 6901 place."""
_Members: TypeAlias = dict[str, _Placed]


def parse_policy(doc: object, pointer: str = "") -> Policy:
    """Read a policy of any kind.

    pointer: RFC 6901 place of `doc` in the message, so that errors name the place in what the peer sent.
    Raises Invalid with that place; never anything else, whatever the JSON is.
    """
    return _Reader().policy(doc, pointer)


class _Reader:
    """One reading; counts what it has seen, so that a body of allowed size cannot keep it busy for long."""

    __slots__ = ("_nodes",)

    def __init__(self) -> None:
        self._nodes = 0

    def policy(self, doc: object, at: str) -> Policy:
        members, rest = self._members(*_single(doc, at), "a policy", _POLICY)
        permission, prohibition, obligation = (tuple(self._rules(members.get(part))) for part in _PARTS)
        assigner, assignee, target = (self._party(members, rest, n) for n in ("assigner", "assignee", "target"))
        return Policy(
            permission,
            prohibition,
            obligation,
            profile=tuple(_text(item, place) for item, place in self._items(members.get("profile"))),
            id=_optional_text(members.get("@id")),
            kind=kind_name(_text(*members["@type"]), members["@type"][1]) if "@type" in members else "Set",
            assigner=assigner,
            assignee=assignee,
            target=target,
            timestamp=_optional_text(members.get("timestamp")),
            rest=self._kept(rest),
        )

    def _rules(self, member: _Placed | None) -> Iterator[Rule]:
        for doc, at in self._items(member):
            members, rest = self._members(doc, at, "a rule", _RULE)
            if "action" not in members:
                raise Invalid("a rule needs an action", at)
            action = _action(members["action"], rest)
            constraints = tuple(self._condition(c, place, 1) for c, place in self._items(members.get("constraint")))
            yield Rule(action, constraints, self._kept(rest))

    def _condition(self, doc: object, at: str, depth: int) -> Condition:
        if depth > MAX_DEPTH:
            raise Invalid(f"constraints are nested more than {MAX_DEPTH} deep", at)
        members, rest = self._members(doc, at, "a constraint", _CONSTRAINT)
        logical = [name for name in LOGICAL if name in members]
        if len(members) > 1 and logical:
            raise Invalid("a constraint has one of and, or, xone, andSequence and nothing else beside it", at)
        if logical:
            operands = tuple(self._condition(c, place, depth + 1) for c, place in self._items(members[logical[0]]))
            return LogicalConstraint(logical[0], operands, self._kept(rest))
        for name in _TRIPLE:
            if name not in members:
                raise Invalid(f"a constraint needs {name}, or else one of and, or, xone, andSequence", at)
        operator, operator_at = members["operator"]
        if not (operator := operator_name(_text(operator, operator_at))):
            raise Invalid("an operator needs a name", operator_at)
        return Constraint(
            _text(*members["leftOperand"]), operator, self._right(*members["rightOperand"]), self._kept(rest)
        )

    def _right(self, value: object, at: str) -> Right:
        value, at = _unwrapped(value, at)
        if not isinstance(value, list):
            return _scalar(value, at)
        self._count(len(value), at)
        return tuple(_scalar(item, f"{at}/{i}") for i, item in enumerate(value))

    def _party(self, members: _Members, rest: _Members, name: str) -> str | None:
        """An assigner, assignee or target: a name or a reference. An object that says more is kept whole as well."""
        if name not in members:
            return None
        value, at = _single(*members[name])
        if isinstance(value, dict) and value.keys() - {"@id", "@value", "@type", "@context"}:
            rest[name] = (value, at)
            key = next((key for key in ("@id", "uid", "odrl:uid") if key in value), None)
            return _text(value, at) if key is None else _text(value[key], f"{at}/{key}")
        return _text(value, at)

    def _members(self, doc: object, at: str, what: str, known: frozenset[str]) -> tuple[_Members, _Members]:
        """Split an object into the members that are `known`, by their DSP 2025-1 names, and the rest. null: absent."""
        if not isinstance(doc, dict):
            raise Invalid(f"{what} is a JSON object", at)
        members: _Members = {}
        rest: _Members = {}
        for key, value in doc.items():
            name = MEMBERS.get(key) or MEMBERS.get(bare := without_odrl(key), bare)
            if value is None or name == "@context" or (name == "@type" not in known and _is_redundant(value)):
                continue
            into = members if name in known else rest
            place = f"{at}/{_escaped(key)}"
            if name not in into or into[name][0] == []:
                into[name] = (value, place)
            elif value != []:
                raise Invalid("this member is there twice, in two spellings; keep one of them", place)
        return members, rest

    def _items(self, member: _Placed | None) -> Iterator[_Placed]:
        """The entries of a member that may be a list, one object in place of a list, or wrapped."""
        if member is None:
            return
        value, at = _unwrapped(*member)
        if not isinstance(value, list):
            value, places = [value], [at]
        else:
            places = [f"{at}/{i}" for i in range(len(value))]
        self._count(len(value), at)
        yield from zip(value, places, strict=True)

    def _kept(self, rest: _Members) -> str:
        """What the model has no field for, as JSON text with ODRL's names bare."""
        if not rest:
            return ""
        return json.dumps({name: self._copy(*placed, 1) for name, placed in rest.items()}, sort_keys=True)

    def _copy(self, value: Any, at: str, depth: int) -> Any:  # noqa: ANN401 - any JSON
        self._count(1, at)
        if depth > MAX_DEPTH:
            raise Invalid(f"this is nested more than {MAX_DEPTH} deep", at)
        if isinstance(value, dict):
            copy = {without_odrl(key): self._copy(v, f"{at}/{_escaped(key)}", depth + 1) for key, v in value.items()}
            if len(copy) < len(value):
                raise Invalid("a member is there twice, in two spellings", at)
            return copy
        if isinstance(value, list):
            return [self._copy(item, f"{at}/{i}", depth + 1) for i, item in enumerate(value)]
        return None if value is None else _scalar(value, at)

    def _count(self, nodes: int, at: str) -> None:
        self._nodes += nodes
        if self._nodes > MAX_NODES:
            raise Invalid(f"the policy has more than {MAX_NODES} parts", at)


def _action(member: _Placed, rest: _Members) -> str:
    """Name of the action. An action object that says more (a refinement) is kept whole as well."""
    value, at = _single(*member)
    if isinstance(value, dict):
        said = {
            without_odrl(key): (v, f"{at}/{_escaped(key)}")
            for key, v in value.items()
            if v is not None and key != "@context"
        }
        source = next((name for name in _ACTION_NAMES if name in said), None)
        if source is None:
            raise Invalid("this object does not name an action; write its name or {'@id': name}", at)
        name = _text(*said.pop(source))
        if said and not (said.keys() == {"@type"} and said["@type"][0] == "Action"):
            rest["action"] = (value, at)
    else:
        name = _text(value, at)
    if not (name := action_name(name)):
        raise Invalid("an action needs a name", at)
    return name


def _scalar(value: object, at: str) -> Scalar:
    """One value of a right operand, out of its JSON-LD wrapper."""
    if isinstance(value, str | bool):
        return value
    if isinstance(value, int) and abs(value) < _INTEGER_LIMIT:
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    if isinstance(value, dict):
        if value.keys() == {"@id"}:
            return _text(value, at)
        typed = value.keys() == {"@value", "@type"} and _is_xsd(value["@type"])
        if (typed or value.keys() == {"@value"}) and not isinstance(value["@value"], dict):
            return _scalar(value["@value"], f"{at}/@value")
    raise Invalid("expected a text, a number, true or false, {'@id': ...} or {'@value': ...}", at)


def _text(value: object, at: str) -> str:
    """A name: a text, or a reference to one."""
    value, at = _single(value, at)
    if isinstance(value, dict) and value.keys() - {"@type"} in ({"@id"}, {"@value"}):
        value = value.get("@id", value.get("@value"))
    if not isinstance(value, str) or not value:
        raise Invalid("expected a text that is not empty, or {'@id': text}", at)
    return value


def _optional_text(member: _Placed | None) -> str | None:
    return None if member is None else _text(*member)


def _single(value: object, at: str) -> _Placed:
    """Take a value out of the list of one that expanded JSON-LD writes for every value."""
    if isinstance(value, list) and len(value) == 1:
        return value[0], f"{at}/0"
    return value, at


def _unwrapped(value: object, at: str) -> _Placed:
    """Take a list out of `@list` or `@set`, which expanded JSON-LD wraps in a list once more."""
    inner = value[0] if isinstance(value, list) and len(value) == 1 else value
    if isinstance(inner, dict) and len(inner) == 1:
        for wrapper in ("@list", "@set"):
            if wrapper in inner:
                return inner[wrapper], f"{at}/{wrapper}" if inner is value else f"{at}/0/{wrapper}"
    return value, at


def _is_redundant(kind: object) -> bool:
    """Whether the type of a rule or constraint says only what its place says already."""
    kind, _ = _single(kind, "")
    return isinstance(kind, str) and without_odrl(kind) in _REDUNDANT_TYPES


def _is_xsd(kind: object) -> bool:
    return isinstance(kind, str) and kind.startswith(_XSD)


def _escaped(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1") if "~" in key or "/" in key else key
