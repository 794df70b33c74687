"""Any JSON-LD spelling of a Dataspace Protocol 2025-1 message, read into its one plain form.

The specification lets a peer send a message as plain JSON or as any JSON-LD that compacts to it (2025-1, 4.1). Nearly
all peers put known context addresses on plain JSON. Those addresses fix what every name and prefix means, so a table
does the work: other spellings of a term become the bare term, single values of list-valued terms become lists,
`{"@id": ...}` around an identifier goes. Contexts written inline go through the full processor first; what comes out of
it has full IRIs as keys, which the same table knows.

The plain form means the same under the dataspace context alone: left operands and actions that only another context
defines (`FrameworkAgreement`, `inForceDate`) become full IRIs. Members that the protocol does not define stay as sent.
"""

from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from typing import Any, Final

from connector.protocol.errors import PeerError
from connector.protocol.vocabulary import CONTEXT, DCAT, DCT, DSPACE, EDC, ODRL
from connector.semantics.contexts import (
    CX_ODRL_URL,
    CX_POLICY_URL,
    DSPACE_ODRL_URL,
    DSPACE_URL,
    EDC_DSPACE_URL,
    TX_AUTH_URL,
    TX_POLICY_URL,
    TX_URL,
)
from connector.semantics.expansion import LIMITS, Limits, expand, survey
from connector.semantics.scope import Scope

_FIXED: Final = frozenset(
    {DSPACE_URL, DSPACE_ODRL_URL, EDC_DSPACE_URL, CX_POLICY_URL, CX_ODRL_URL, TX_POLICY_URL, TX_AUTH_URL, TX_URL}
)
"""Contexts under which a bare protocol term means that term: they neither rename one nor alias a keyword."""

_NAMES: Final[Mapping[tuple[str, str], str]] = {
    ("dspace", DSPACE): (
        "CatalogRequestMessage DatasetRequestMessage CatalogError VersionsError ContractRequestMessage "
        "ContractOfferMessage ContractAgreementMessage ContractAgreementVerificationMessage ContractNegotiation "
        "ContractNegotiationEventMessage ContractNegotiationTerminationMessage ContractNegotiationError "
        "TransferRequestMessage TransferStartMessage TransferCompletionMessage TransferTerminationMessage "
        "TransferSuspensionMessage TransferProcess TransferError DataAddress EndpointProperty "
        "REQUESTED OFFERED ACCEPTED AGREED VERIFIED FINALIZED STARTED SUSPENDED COMPLETED TERMINATED "
        "callbackAddress providerPid consumerPid offer agreement agreementId timestamp eventType code reason state "
        "filter dataset dataAddress endpointType endpointProperties endpoint name value participantId"
    ),
    ("dcat", DCAT): (
        "Catalog Dataset Distribution DataService service catalog dataset distribution accessService endpointURL "
        "endpointDescription"
    ),
    ("dct", DCT): "format",
    ("odrl", ODRL): (
        "Policy Agreement Assertion Offer Set Rule Permission Prohibition Duty Action Asset Constraint Operator "
        "LeftOperand RightOperand hasPolicy profile target assigner assignee permission prohibition obligation duty "
        "constraint action operator leftOperand rightOperand prohibit use and or xone andSequence "
        "eq neq gt gteq lt lteq isA hasPart isPartOf isAllOf isAnyOf isNoneOf"
    ),
    ("edc", EDC): (
        "QuerySpec Criterion filterExpression operandLeft operandRight sortOrder sortField offset limit"
    ),  # `operator` is ODRL's word too; inside a Criterion it is EDC's
}
"""The terms of the plain form by vocabulary; EDC's are those of the QuerySpec that EDC puts into `filter`."""

_BARE: Final[Mapping[str, str]] = {
    start + name: name
    for (prefix, iri), names in _NAMES.items()
    for start in (f"{prefix}:", iri)
    for name in names.split()
} | {f"{EDC}operator": "operator", "edc:operator": "operator"}
_TERMS: Final = frozenset(_BARE.values())

_Reader = Callable[[object, Scope], object]


def read_message(doc: object, *, limits: Limits = LIMITS) -> dict[str, Any]:
    """Read a decoded message of a peer into the plain form of 2025-1: bare terms, lists where the term is a set.

    The result is a new object; nested members that the protocol does not define are shared with `doc`.
    Raises PeerError 400: not an object, no or an unknown `@context`, too deep or too large, no valid JSON-LD.
    """
    refuse = partial(PeerError, 400)
    if not isinstance(doc, dict | list):
        raise refuse("a message is a JSON object", "")
    found = survey(doc, refuse, limits)
    if isinstance(doc, dict) and not (found.nested or found.unusual) and (urls := _fixed_contexts(doc.get("@context"))):
        message = _settled(doc, _scope(urls))
        message["@context"] = list(urls)
        return message
    if isinstance(doc, dict) and "@context" not in doc and not _BARE.keys() & doc.keys():
        raise refuse(f'@context is missing; messages of 2025-1 carry ["{DSPACE_URL}"]', "/@context")
    node = expand(doc, found, refuse, limits=limits)
    if _type(node.get("@type"), Scope()) not in _TERMS:
        raise refuse(f'no @type of 2025-1 under this @context; messages carry ["{DSPACE_URL}"]', "/@type")
    return _settled(node, Scope()) | {"@context": list(CONTEXT)}


def _fixed_contexts(context: object) -> tuple[str, ...]:
    """Give the context addresses if they alone say what the message means, else nothing."""
    urls = tuple(context) if isinstance(context, list) else (context,)
    return urls if DSPACE_URL in urls and all(isinstance(u, str) and u in _FIXED for u in urls) else ()


@lru_cache
def _scope(urls: tuple[str, ...]) -> Scope:
    return Scope(vocab="").within([url for url in urls if url != DSPACE_URL])


def _settled(node: Mapping[str, Any], scope: Scope) -> dict[str, Any]:
    """Put one object into plain form. JSON-LD reads null as absent."""
    out: dict[str, Any] = {}
    for key, value in node.items():
        if value is not None:
            name = _BARE.get(key, key)
            if name in out:
                raise PeerError(400, f"{name} is there twice, in two spellings; send one of them")
            read = _READERS.get(name)
            out[name] = read(value, scope) if read else value
    if out.get("@type") == "DatasetRequestMessage" and "dataset" in out:
        out["dataset"] = _text(out["dataset"], scope)
    return out


def _items(value: object) -> list[Any]:
    if isinstance(value, dict) and len(value) == 1:
        value = value.get("@list", value.get("@set", value))
    return value if isinstance(value, list) else [value]


def _text(value: object, _scope: Scope) -> object:
    """Take the wrappers off a string: a list around it, a value object (always of a scalar), a reference."""
    while True:
        if isinstance(value, list) and len(value) == 1:
            value = value[0]
        elif isinstance(value, dict) and not isinstance(value.get("@value", {}), dict | list):
            value = value["@value"]
        elif isinstance(value, dict) and value.keys() == {"@id"}:
            value = value["@id"]
        else:
            return value


def _type(value: object, scope: Scope) -> object:
    """Give the type the protocol knows; a peer may add others."""
    types = [_BARE.get(t, t) for t in _items(_text(value, scope)) if isinstance(t, str)]
    return next((t for t in types if t in _TERMS), types[0] if types else value)


def _word(value: object, scope: Scope) -> object:
    """Read a value from a vocabulary (a state, an operator, a left operand); an action may be an object."""
    value = _text(value, scope)
    if isinstance(value, dict):
        return _settled(value, scope) | ({"@id": _word(value["@id"], scope)} if "@id" in value else {})
    if not isinstance(value, str) or value in _TERMS:
        return value
    term = scope.terms.get(value)
    iri = term.iri if term else scope.reference(value)
    return _BARE.get(value) or _BARE.get(iri, iri)


def _words(value: object, scope: Scope) -> object:
    several = isinstance(value, list) and len(value) > 1
    return [_word(item, scope) for item in _items(value)] if several else _word(value, scope)


def _node(value: object, scope: Scope) -> object:
    """Read an object, or the identifier of one."""
    value = value[0] if isinstance(value, list) and len(value) == 1 else value
    if isinstance(value, dict) and "@value" not in value:
        return _settled(value, scope)
    return _text(value, scope)


def _nodes(value: object, scope: Scope) -> list[Any]:
    return [_node(item, scope) for item in _items(value) if item is not None]


def _datasets(value: object, scope: Scope) -> object:
    """Read `dataset`: a list of objects in a catalog, one identifier in a DatasetRequestMessage."""
    return value if isinstance(value, str) else _nodes(value, scope)


def _literal(value: object, _scope: Scope) -> object:
    return value["@value"] if isinstance(value, dict) and value.keys() == {"@value"} else value


def _literals(value: object, scope: Scope) -> list[Any]:
    return [_literal(item, scope) for item in _items(value) if item is not None]


def _operand(value: object, scope: Scope) -> object:
    """Read a right operand: a literal, a reference, or several; a typed literal keeps its type."""
    items = _items(value)
    return _literals(items, scope) if items is value or items != [value] else _literal(value, scope)


def _readers() -> dict[str, _Reader]:
    names: dict[_Reader, str] = {
        _text: (
            "@id providerPid consumerPid agreementId participantId target assigner assignee callbackAddress timestamp "
            "code endpoint name value endpointDescription endpointURL operandLeft sortOrder sortField offset limit"
        ),
        _type: "@type",
        _word: "state eventType format endpointType action operator leftOperand",
        _words: "profile",
        _node: "offer agreement dataAddress accessService",
        _nodes: (
            "filter filterExpression service catalog distribution hasPolicy permission prohibition obligation duty "
            "constraint and or xone andSequence endpointProperties"
        ),
        _datasets: "dataset",
        _literals: "reason",
        _operand: "rightOperand operandRight",
    }
    return {name: reader for reader, listed in names.items() for name in listed.split()}


_READERS: Final = _readers()
