"""Full JSON-LD 1.1 processing for the few documents that need it, and the limits that all documents from outside meet.

PyLD does the expansion (JSON-LD 1.1 API, 5.1). It reads contexts from the bundle only: an unknown context URL is
refused by name, nothing is ever fetched. Two settings matter: `base` is None, because PyLD would otherwise resolve ids
such as a bare UUID or `HttpData-PULL` against an example address; and the cache of contexts is our own, because PyLD's
is shared by the whole process and keyed by URL alone.
"""

from collections.abc import Callable, Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Final

from connector.protocol.errors import ConnectorError
from connector.semantics.contexts import CONTEXTS, XSD

Refusal = Callable[[str, str], ConnectorError]
"""Makes the error to raise from a reason and a JSON pointer: PeerError at the protocol's border, Invalid at ours."""
_Path = tuple["_Path", str | int] | None

_USUAL: Final = frozenset(
    {"@context", "@id", "@type", "@value", "@language", "@list", "@set"}  # in documents
    | {"@vocab", "@version", "@protected", "@container", "@prefix"}  # in contexts
)


@dataclass(frozen=True, slots=True)
class Limits:
    """What a document may cost: levels of nesting and contexts; for the full processor also values."""

    depth: int = 64
    nodes: int = 10_000
    contexts: int = 64


LIMITS: Final = Limits()


@dataclass(frozen=True, slots=True)
class Survey:
    """What a first walk over a document found: its size, contexts below the root, keywords that few documents use."""

    nodes: int
    nested: bool
    unusual: bool


def survey(doc: dict[str, Any] | list[Any], refuse: Refusal, limits: Limits = LIMITS) -> Survey:
    """Walk a document once, without recursion: refuse depth, piles of contexts, and contexts not bundled."""
    nodes = contexts = 0
    nested = unusual = False
    stack: list[tuple[dict[str, Any] | list[Any], int, _Path]] = [(doc, 1, None)]
    while stack:
        node, depth, path = stack.pop()
        if depth > limits.depth:
            raise refuse(f"nested deeper than {limits.depth} levels", _pointer(path))
        nodes += len(node)
        items: Iterable[tuple[str | int, Any]] = node.items() if isinstance(node, dict) else enumerate(node)
        for key, value in items:
            if isinstance(key, str) and key.startswith("@"):
                unusual = unusual or key not in _USUAL
                if key in ("@context", "@import"):
                    contexts += _count_contexts(value, refuse, (path, key))
                    nested = nested or path is not None
            if isinstance(value, dict | list):
                stack.append((value, depth + 1, (path, key)))
    if contexts > limits.contexts:
        raise refuse(f"more than {limits.contexts} JSON-LD contexts", "")
    return Survey(nodes, nested, unusual)


def _count_contexts(value: object, refuse: Refusal, path: _Path) -> int:
    entries = value if isinstance(value, list) else [value]
    for index, entry in enumerate(entries):
        if isinstance(entry, str) and entry not in CONTEXTS:
            place = (path, index) if isinstance(value, list) else path
            raise refuse(
                f"unknown JSON-LD context {entry:.200}: contexts are not fetched, use a bundled one", _pointer(place)
            )
    return len(entries)


def _pointer(path: _Path) -> str:
    parts: list[str] = []
    while path is not None:
        path, key = path
        parts.append(str(key).replace("~", "~0").replace("/", "~1"))
    return "".join(f"/{part}" for part in reversed(parts))


def expand(
    doc: dict[str, Any] | list[Any],
    found: Survey,
    refuse: Refusal,
    *,
    limits: Limits = LIMITS,
    context: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Expand a document that describes one thing, and simplify it: keys are full IRIs, single values are not in lists.

    found: the survey of the same document. context: terms that hold before the document's own.
    Raises what `refuse` makes: too many nodes, not JSON-LD, nothing or more than one thing described.
    """
    if found.nodes > limits.nodes:
        raise refuse(f"more than {limits.nodes} values in a document that needs full JSON-LD processing", "")
    nodes = _expanded(doc, refuse, context)
    if not nodes:
        raise refuse("no member has a meaning in the document's @context", "/@context")
    if len(nodes) > 1:
        raise refuse("expected one JSON-LD object, found several", "")
    return {key: simplified(value) for key, value in nodes[0].items()}


def _expanded(doc: dict[str, Any] | list[Any], refuse: Refusal, context: Mapping[str, Any] | None) -> list[Any]:
    from pyld import jsonld  # noqa: PLC0415 - half a second of imports that most nodes never need
    from pyld.context_resolver import ContextResolver  # noqa: PLC0415 - the same

    def load(url: str, _options: object = None) -> dict[str, Any]:
        document = {"@context": deepcopy(CONTEXTS[url])}  # PyLD writes into what it loads
        return {"contextUrl": None, "documentUrl": url, "document": document, "contentType": "application/ld+json"}

    options: dict[str, Any] = {
        "base": None,
        "documentLoader": load,
        "contextResolver": ContextResolver({}, load),
    }
    if context is not None:
        options["expandContext"] = dict(context)
    try:
        nodes: list[Any] = jsonld.expand(doc, options)
    except Exception as fault:
        code = getattr(fault, "code", None) or "malformed document"
        raise refuse(f"not valid JSON-LD: {code}", "") from fault
    return nodes


def simplified(value: object) -> object:
    """Take the wrappers off expanded JSON-LD: single values out of lists, plain literals out of value objects."""
    if isinstance(value, list):
        items = [simplified(item) for item in value]
        return items[0] if len(items) == 1 else items
    if not isinstance(value, dict):
        return value
    if "@value" in value:
        plain = value.keys() == {"@value"} or value.get("@type") == f"{XSD}string"
        return value["@value"] if plain else value
    if "@list" in value:
        return {"@list": [simplified(item) for item in value["@list"]]}
    return {key: simplified(item) for key, item in value.items()}
