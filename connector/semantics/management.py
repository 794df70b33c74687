"""The bodies of management requests (EDC management API v3), read into one plain form, and properties written back.

Clients send the same request under many contexts: none, `@vocab`, prefixes only, lists of published contexts, their own
term definitions, another context inside `policy` or `querySpec`. The rest of the code sees one spelling:

- members of EDC's and Tractus-X's vocabularies under bare names, also `@type`; null is absent;
- `properties`, `privateProperties`: keys are full IRIs; values are literals, `{"@id": <full IRI>}`, objects with
  full-IRI keys, or lists of two and more (a list of one is its only value, as in expanded JSON-LD);
- `dataAddress`, `dataDestination`: EDC's names bare, every other key as it was given, values as strings;
- `policy`: ODRL's names bare, left operands and actions as full IRIs where a context says what they are.

Two rules are EDC's, not JSON-LD's: a context without `@vocab` still means EDC's vocabulary, and a prefix that EDC or
Tractus-X always use needs no definition. Members with no meaning here are passed on; nothing is refused for them.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from connector.protocol.errors import Invalid
from connector.protocol.vocabulary import EDC, ODRL, TX, TX_AUTH
from connector.semantics.contexts import CX_POLICY, PREFIXES, XSD
from connector.semantics.expansion import LIMITS, Limits, expand, survey
from connector.semantics.scope import Scope, Term, UnreadContextError

EDC_CONTEXT: Final[Mapping[str, str]] = {
    "@vocab": EDC,
    "edc": EDC,
    "odrl": ODRL,
    "tx": TX,
    "tx-auth": TX_AUTH,
    "cx-policy": CX_POLICY,
}
"""The `@context` of our management answers."""

_LISTS: Final = frozenset(
    {
        "assetsSelector",
        "filterExpression",
        "callbackAddresses",
        "additionalScopes",
        "events",
        "groups",
        "knownConnectors",
    }
)
_OBJECTS: Final = frozenset(
    {"properties", "privateProperties", "dataAddress", "dataDestination", "querySpec", "policy"}
)


def read_document(doc: object, *, limits: Limits = LIMITS) -> dict[str, Any]:
    """Read the decoded body of a management request into the plain form; no body (None) is the empty document.

    Raises Invalid: not an object, an unknown context URL, too deep or too large, no valid JSON-LD.
    """
    if doc is None:
        return {}
    if not isinstance(doc, dict):
        raise Invalid("expected a JSON object")
    found = survey(doc, Invalid, limits)
    if not found.unusual:
        try:
            return _envelope(doc, Scope())
        except UnreadContextError:
            pass  # said in `Scope`: the full processor understands it
    body = {key: value for key, value in doc.items() if key != "@context" or value is not None}
    node = expand(body, found, Invalid, limits=limits, context={"@vocab": EDC, **PREFIXES})
    own = {"@id": doc["@id"]} if isinstance(doc.get("@id"), str) else {}  # ids are names here, not references
    return _envelope(node, Scope()) | own


def compact_properties(properties: Mapping[str, Any], asset_id: str | None = None) -> dict[str, Any]:
    """Write properties as EDC v3 answers do: names of EDC's vocabulary bare, all others as full IRIs.

    asset_id: EDC repeats an asset's id among its public properties as `id`; None (private properties) leaves it out.
    Reading the result under EDC_CONTEXT gives the properties again.
    """
    written = {_bare(key): _written(value) for key, value in properties.items()}
    return written if asset_id is None else written | {"id": asset_id}


def _written(value: object) -> object:
    if isinstance(value, list):
        return [_written(item) for item in value]
    if not isinstance(value, dict) or "@value" in value:
        return value
    return {_bare(key): _written(item) for key, item in value.items()}


def _bare(iri: str) -> str:
    """Take EDC's namespace off, unless the rest would then be read as something else."""
    name = iri.removeprefix(EDC)
    return iri if not name or ":" in name or name.startswith("@") or name in EDC_CONTEXT else name


def _envelope(node: Mapping[str, Any], scope: Scope) -> dict[str, Any]:
    """Read an object whose members are EDC's."""
    scope = scope.within(node["@context"]) if "@context" in node else scope
    out: dict[str, Any] = {}
    for key, value in node.items():
        name = _member(key, scope)
        if key == "@context" or value is None or (name in _OBJECTS and value == []):
            continue
        read = _READERS.get(name, _value)(_single(value) if name in _OBJECTS else value, scope)
        _put(out, name, [item for item in _listed(read) if item not in ({}, None)] if name in _LISTS else read)
    return out


def _put(out: dict[str, Any], name: str, value: object) -> None:
    """Add a member. JSON-LD would join two spellings of one member; here that loses or doubles something unseen."""
    if name in out:
        raise Invalid(f"{name} is there twice, in two spellings; send one of them")
    out[name] = value


def _member(key: str, scope: Scope) -> str:
    """Name a member: bare if it is EDC's or Tractus-X's. Published contexts do not rename EDC's own members."""
    if key in scope.inline or ":" in key or scope.vocab != EDC:
        return scope.key(key).removeprefix(EDC).removeprefix(TX)
    return key


def _value(value: object, scope: Scope) -> object:
    if isinstance(value, list):
        return [_value(item, scope) for item in value]
    if not isinstance(value, dict):
        return value
    for wrapper in ("@value", "@list", "@set"):
        if wrapper in value:
            return _value(value[wrapper], scope)
    return value["@id"] if value.keys() == {"@id"} else _envelope(value, scope)


def _types(value: object, scope: Scope) -> object:
    if isinstance(value, list):
        names = [_types(item, scope) for item in value]
        return names[0] if len(names) == 1 else names
    if not isinstance(value, str):
        return value
    return _member(value, scope).removeprefix(ODRL)


def _single(value: object) -> object:
    return value[0] if isinstance(value, list) and len(value) == 1 else value


# properties


def _properties(value: object, scope: Scope) -> object:
    """Expand an object of properties, or a nested one."""
    if not isinstance(value, dict):
        return value
    scope = scope.within(value["@context"]) if "@context" in value else scope
    out: dict[str, Any] = {}
    for key, item in value.items():
        name = scope.key(key)
        if key == "@context" or item is None:
            continue
        if name == "@id":
            out[name] = scope.reference(item) if isinstance(item, str) else item
        elif name == "@type":
            out[name] = _single([scope.key(t) if isinstance(t, str) else t for t in _listed(item)])
        else:
            read = _property(item, scope.terms.get(key), scope)
            out[name] = _single(_listed(out[name]) + _listed(read)) if name in out else read
    return {name: item for name, item in out.items() if item is not None}


def _listed(value: object) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _property(value: object, term: Term | None, scope: Scope) -> object:
    """Read one value of a property, or several; None if there is none."""
    if isinstance(value, list):
        items = [_property(item, term, scope) for item in value]
        return _single([leaf for item in items if item is not None for leaf in _listed(item)])
    if isinstance(value, str) and term and term.coercion:
        return {"@id": scope.reference(value) if term.coercion == "@id" else scope.key(value)}
    if isinstance(value, dict) and "@set" in value:
        return _property(value["@set"], term, scope)
    if isinstance(value, dict) and "@list" in value:
        return {"@list": [_property(item, term, scope) for item in _listed(value["@list"])]}
    return _literal(value, scope) if isinstance(value, dict) and "@value" in value else _properties(value, scope)


def _literal(value: Mapping[str, Any], scope: Scope) -> object:
    """Read a value object: plain, unless it has a language or a type other than string."""
    kind = value.get("@type")
    kind = scope.key(kind) if isinstance(kind, str) else kind
    if value["@value"] is None or value.keys() == {"@value"} or kind == f"{XSD}string":
        return value["@value"]
    return {**value, "@type": kind} if kind else dict(value)


# data addresses


def _address(value: object, scope: Scope) -> object:
    """Read a data address: a flat object of strings whose keys belong to the data plane that uses it."""
    if not isinstance(value, dict):
        return value
    scope = scope.within(value["@context"]) if "@context" in value else scope
    out: dict[str, Any] = {}
    for key, item in value.items():
        if key == "@context" or item is None:
            continue
        iri = scope.compact(key) or key
        name = iri.removeprefix(EDC) if iri.startswith(EDC) else key
        _put(out, name, _types(item, scope) if name == "@type" else _string(item))
    return out


def _string(value: object) -> object:
    value = _single(value)
    if isinstance(value, dict) and "@value" in value:
        value = value["@value"]
    elif isinstance(value, dict) and value.keys() == {"@id"}:
        value = value["@id"]
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int | float) else value


# policies


def _policy(value: object, scope: Scope) -> object:
    """Resolve the names of an ODRL policy; its structure stays as it is."""
    if isinstance(value, list):
        return [_policy(item, scope) for item in value]
    if not isinstance(value, dict) or "@value" in value:
        return value
    scope = scope.within(value["@context"]) if "@context" in value else scope
    out: dict[str, Any] = {}
    for key, item in value.items():
        if key == "@context" or item is None:
            continue
        name = _resolved(key, scope).removeprefix(EDC)
        reader = _POLICY_READERS.get(name, _policy)
        _put(out, name, reader(item, scope))
    return out


def _resolved(name: str, scope: Scope) -> str:
    """Say what a context makes of a name in a policy: bare if it is ODRL's or nobody says, else the full IRI."""
    term = scope.terms.get(name)
    return (term.iri if term else scope.reference(name)).removeprefix(ODRL)


def _word(value: object, scope: Scope) -> object:
    """Read a value that is a name: an operator, a left operand, an action (which may be an object)."""
    if isinstance(value, list):
        return [_word(item, scope) for item in value]
    if isinstance(value, str):
        return _resolved(value, scope)
    if isinstance(value, dict) and isinstance(value.get("@id"), str):
        rest = _policy({key: item for key, item in value.items() if key != "@id"}, scope)
        return {"@id": _resolved(value["@id"], scope), **(rest if isinstance(rest, dict) else {})}
    return _policy(value, scope)


def _profile(value: object, scope: Scope) -> object:
    if isinstance(value, list):
        return [_profile(item, scope) for item in value]
    if isinstance(value, dict) and value.keys() == {"@id"}:
        return {"@id": _profile(value["@id"], scope)}
    return scope.reference(value) if isinstance(value, str) else value


_READERS: Final[Mapping[str, Callable[[object, Scope], object]]] = {
    "@type": _types,
    "properties": _properties,
    "privateProperties": _properties,
    "dataAddress": _address,
    "dataDestination": _address,
    "policy": _policy,
}
_POLICY_READERS: Final[Mapping[str, Callable[[object, Scope], object]]] = {
    "@type": _types,
    "profile": _profile,
    **dict.fromkeys(("leftOperand", "operator", "action", "type"), _word),
}
