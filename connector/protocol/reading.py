"""Reading JSON from strangers: each function returns what was asked for or raises PeerError 400 with its place.

The messages of Dataspace Protocol 2025-1 are read as plain JSON in the compact form of the protocol's schemas. Peers
that re-serialise JSON-LD leave traces, and those are read too: a text wrapped as `{"@id": ...}` or `{"@value": ...}`,
one object where an array is due, and type and state names with their namespace in front. Unknown members are left out,
never refused.
"""

import json
import re
from collections.abc import Iterable
from typing import Any, Final

from connector.protocol.errors import PeerError
from connector.protocol.vocabulary import TERM_PREFIXES

MAX_TEXT: Final = 2048
"""Longest id, URL or name taken from a peer, in characters: they end up in indexes, paths and headers."""

_UNSAFE: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")  # controls, line breaks, lone surrogates


def at(pointer: str, key: str | int) -> str:
    """The pointer to a member: `key` appended with RFC 6901 escaping."""
    return f"{pointer}/{str(key).replace('~', '~0').replace('/', '~1')}"


def term(name: str) -> str:
    """A protocol term without its namespace: `dspace:REQUESTED` and the full IRI both become `REQUESTED`."""
    for prefix in TERM_PREFIXES:
        if name.startswith(prefix):
            return name[len(prefix) :]
    return name


def obj(doc: object, pointer: str = "") -> dict[str, Any]:
    """A JSON object."""
    if not isinstance(doc, dict):
        raise PeerError(400, "expected a JSON object", pointer)
    return doc


def typed(doc: object, name: str, pointer: str = "") -> dict[str, Any]:
    """A JSON object whose `@type` is `name`; a list of types is searched."""
    body = obj(doc, pointer)
    types = body.get("@type")
    for found in types if isinstance(types, list) else [types]:
        if isinstance(found, str) and term(found) == name:
            return body
    raise PeerError(400, f"expected @type {name}", at(pointer, "@type"))


def plain(value: object) -> object:
    """What a JSON-LD reference or value object stands for; anything else is returned as it is."""
    if isinstance(value, dict):
        for wrapper in ("@id", "@value"):
            if wrapper in value:
                return value[wrapper]
    return value


def checked(value: object, pointer: str, *, limit: int = MAX_TEXT) -> str:
    """A text of 1 to `limit` characters, none of them a control character."""
    value = plain(value)
    if value is None:
        raise PeerError(400, "this member is required", pointer)
    if not isinstance(value, str):
        raise PeerError(400, "expected a string", pointer)
    if not value:
        raise PeerError(400, "must not be empty", pointer)
    if len(value) > limit:
        raise PeerError(400, f"longer than {limit} characters", pointer)
    if _UNSAFE.search(value):
        raise PeerError(400, "contains control characters", pointer)
    return value


def text(doc: dict[str, Any], key: str, pointer: str = "") -> str:
    """The text under `key`; `pointer` is the place of `doc`."""
    return checked(doc.get(key), at(pointer, key))


def optional_text(doc: dict[str, Any], key: str, pointer: str = "") -> str | None:
    """The text under `key`, or None if the member is absent or null."""
    return None if doc.get(key) is None else text(doc, key, pointer)


def one_of(doc: dict[str, Any], key: str, allowed: Iterable[str]) -> str:
    """The term under `key`, without its namespace; it must be one of `allowed`."""
    found = term(text(doc, key))
    if found not in (known := tuple(allowed)):
        raise PeerError(400, f"expected one of {', '.join(known)}", at("", key))
    return found


def items(doc: dict[str, Any], key: str, pointer: str = "") -> list[tuple[Any, str]]:
    """The items under `key`, each with its pointer: none if absent or null, and a lone value counts as an array."""
    value, place = doc.get(key), at(pointer, key)
    if isinstance(value, list):
        return [(item, at(place, i)) for i, item in enumerate(value)]
    return [] if value is None else [(value, place)]


def objects(doc: dict[str, Any], key: str, pointer: str = "") -> list[tuple[dict[str, Any], str]]:
    """The objects under `key`, each with its pointer; a lone object counts as an array."""
    return [(obj(item, place), place) for item, place in items(doc, key, pointer)]


def code(doc: dict[str, Any]) -> str | None:
    """The optional `code` of errors and terminations: a string by schema, a number from hand-written peers."""
    found = plain(doc.get("code"))
    if isinstance(found, int | float):
        found = str(found)
    return None if found is None or found == "" else checked(found, "/code")


def told(reason: Iterable[object]) -> str:
    """What a `reason` says, on one line: texts as they are (in a value object or not), anything else as JSON."""
    said = (plain(item) for item in reason)
    return "; ".join(item if isinstance(item, str) else json.dumps(item, ensure_ascii=False) for item in said)


def reasons(doc: dict[str, Any]) -> tuple[object, ...]:
    """The optional `reason`: items of any shape, untouched; none if it is absent or empty."""
    return tuple(item for item, _ in items(doc, "reason"))
