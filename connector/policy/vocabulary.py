"""The names that policies are made of, in all the spellings that peers use for them.

A JSON-LD peer may write one term bare (`permission`), prefixed (`odrl:permission`) or as a full IRI, and operands of
the Catena-X profile stand in four namespaces that mean the same thing to every connector in the field. A fixed set of
spellings is looked up here; no JSON-LD processor runs, so an inner `@context` cannot redefine what a term means.
Sources: ODRL Vocabulary 2.2, DSP 2025-1 `odrl.jsonld`, Catena-X CX-0152, Tractus-X EDC.
"""

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final, Literal

from connector.protocol.errors import Invalid, NotFound

ODRL: Final = ("odrl:", "http://www.w3.org/ns/odrl/2/", "https://www.w3.org/ns/odrl/2/")
OPERAND_NAMESPACES: Final = (
    *ODRL,
    "https://w3id.org/catenax/2025/9/policy/",
    "https://w3id.org/catenax/policy/",
    "https://w3id.org/tractusx/v0.0.1/ns/",
    "https://w3id.org/edc/v0.0.1/ns/",
    "cx-policy:",
    "tx:",
    "edc:",
)
TIMESTAMP: Final = (
    "timestamp",
    "dspace:timestamp",
    "https://w3id.org/dspace/2025/1/timestamp",
    "https://w3id.org/dspace/2024/1/timestamp",
    "https://w3id.org/dspace/v0.8/timestamp",
)
LOGICAL: Final = ("and", "or", "xone", "andSequence")

_TERMS = (
    *("permission", "prohibition", "obligation", "profile", "assigner", "assignee", "target", "action", "constraint"),
    *("leftOperand", "operator", "rightOperand", *LOGICAL),
)
MEMBERS: Final[Mapping[str, str]] = {
    **{namespace + term: term for term in _TERMS for namespace in ("", *ODRL)},
    **dict.fromkeys(TIMESTAMP, "timestamp"),
    **{namespace + "uid": "@id" for namespace in ("", *ODRL)},
    "@id": "@id",
    "@type": "@type",
    "type": "@type",
    "@context": "@context",
}
"""Every spelling of a member that the model reads, and the name that it has in DSP 2025-1."""

OPERATORS: Final = (
    *("eq", "neq", "gt", "gteq", "lt", "lteq", "in", "term-lteq"),
    *("isA", "isAnyOf", "isAllOf", "isNoneOf", "hasPart", "isPartOf"),
)
_OPERATOR_SPELLINGS: Final[Mapping[str, str]] = {
    **{name.upper(): name for name in OPERATORS},
    **dict.fromkeys(("geq", "GEQ"), "gteq"),
    **dict.fromkeys(("leq", "LEQ"), "lteq"),
    "IS_A": "isA",
    "IS_ANY_OF": "isAnyOf",
    "IS_ALL_OF": "isAllOf",
    "IS_NONE_OF": "isNoneOf",
    "HAS_PART": "hasPart",
    "IS_PART_OF": "isPartOf",
}
_ACCESS: Final = ("cx-policy:access", "https://w3id.org/catenax/2025/9/policy/access")


def without_odrl(name: str) -> str:
    """Strip the ODRL namespace, in whichever spelling; other names stay as they are."""
    while name.startswith(ODRL):
        name = next(name[len(namespace) :] for namespace in ODRL if name.startswith(namespace))
    return name


def with_odrl(name: str) -> str:
    """The prefixed spelling of EDC's management API v3; names that are prefixed or keywords already stay."""
    return name if ":" in name or name.startswith("@") else f"odrl:{name}"


def operand_name(left: str) -> str:
    """Canonical name of a left operand, the same for all its namespaces; an unknown namespace is part of the name."""
    if left.startswith(OPERAND_NAMESPACES):
        return next(left[len(namespace) :] for namespace in OPERAND_NAMESPACES if left.startswith(namespace))
    return left


def operator_name(spelling: str) -> str:
    """ODRL's name of an operator; reads EDC's `geq`, `leq` and enumeration names too. Unknown ones stay as they are."""
    bare = without_odrl(spelling)
    return _OPERATOR_SPELLINGS.get(bare, bare)


def action_name(spelling: str) -> str:
    """Canonical name of an action: `use`, the profile's `access`, ...; early EDC wrote `USE`."""
    bare = without_odrl(spelling)
    if bare in _ACCESS:
        return "access"
    return bare.lower() if bare.isupper() else bare


Kind = Literal["Set", "Offer", "Agreement"]
_KINDS: Final[Mapping[str, Kind]] = {"Set": "Set", "Policy": "Set", "Offer": "Offer", "Agreement": "Agreement"}


def kind_name(spelling: str, pointer: str) -> Kind:
    """Which policy class a `@type` names. Raises Invalid for classes that no data space exchanges (Assertion, ...)."""
    kind = _KINDS.get(without_odrl(spelling))
    if kind is None:
        raise Invalid("not a policy type: use Set, Offer or Agreement", pointer, spelling)
    return kind


def data_file(name: str) -> Path:
    """Path of a file of `policies/`, in the wheel or in the repository. Raises NotFound."""
    package = Path(__file__).parents[1]
    for folder in (package / "_data" / "policies", package.parent / "policies"):
        if (file := folder / name).is_file():
            return file
    raise NotFound(f"the policy data file {name!r} is not installed; reinstall the package")


@cache
def edition() -> Mapping[str, Any]:
    """`policies/profile.json`: the profile's namespace, its edition, operands that exclude each other, all operands."""
    doc: Mapping[str, Any] = json.loads(data_file("profile.json").read_bytes())
    return doc


def profile() -> Mapping[str, Any]:
    """Per canonical operand its namespaces, operators, rules, scopes, right operand and meaning.

    `enforced` says whether it is checked by machine. `standardOperators`, `values` and `pattern` are what the profile
    allows where the engine understands more.
    """
    operands: Mapping[str, Any] = edition()["operands"]
    return operands


def operators_of(operand: str) -> tuple[str, ...]:
    """The operators that an operand of the profile understands."""
    return tuple(profile()[operand]["operators"])
