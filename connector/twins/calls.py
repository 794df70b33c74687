"""The calls of a registry: AAS registry and discovery, API 3.1 (AAS part 2; Catena-X CX-0002), read from HTTP.

The same calls come in two ways: from partners through the data plane, where only reading is possible, and from the
owner. Both ask here what a request means, so there is one table of paths. Clients differ in how they write an id into
a path: base64 with the URL alphabet or the plain one, with padding or without; all of it is understood.

What of the API is not served is answered 501, as CX-0002 wants it.
"""

import base64
import binascii
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final
from urllib.parse import parse_qsl, unquote

from connector.protocol.errors import LocalError, PeerError
from connector.protocol.reading import MAX_TEXT, checked
from connector.twins.shell import GLOBAL_ASSET_ID, AssetLink, Shell, kind_link

PAGE: Final = 100
LARGEST_PAGE: Final = 1000
MAX_LINKS: Final = 32
PREFIX: Final = re.compile(r"/api/v3(?:\.[01])?(?=/)")
"""What some clients put before the paths; the standard has it in the address of the server."""
PROFILES: Final = (
    "https://admin-shell.io/aas/API/3/1/AssetAdministrationShellRegistryServiceSpecification/SSP-005",
    "https://admin-shell.io/aas/API/3/1/DiscoveryServiceSpecification/SSP-002",
)
_NOT_SERVED: Final = re.compile(r"/(?:bulk|query|shells|submodels|submodel-descriptors|serialization)(?:/.*)?")
_SEGMENT: Final = r"([^/]+)"


class Op(StrEnum):
    """What can be asked of a registry."""

    DESCRIBE = "describe"
    LIST = "list shells"
    CREATE = "create shell"
    GET = "get shell"
    PUT = "put shell"
    DELETE = "delete shell"
    LIST_SUBMODELS = "list submodels"
    CREATE_SUBMODEL = "create submodel"
    GET_SUBMODEL = "get submodel"
    PUT_SUBMODEL = "put submodel"
    DELETE_SUBMODEL = "delete submodel"
    FIND = "find shells"
    GET_LINKS = "get links"
    PUT_LINKS = "put links"
    DELETE_LINKS = "delete links"


TABLE: Final[Mapping[tuple[str, str], Op]] = {
    ("GET", "/description"): Op.DESCRIBE,
    ("GET", "/shell-descriptors"): Op.LIST,
    ("POST", "/shell-descriptors"): Op.CREATE,
    ("GET", "/shell-descriptors/{shell}"): Op.GET,
    ("PUT", "/shell-descriptors/{shell}"): Op.PUT,
    ("DELETE", "/shell-descriptors/{shell}"): Op.DELETE,
    ("GET", "/shell-descriptors/{shell}/submodel-descriptors"): Op.LIST_SUBMODELS,
    ("POST", "/shell-descriptors/{shell}/submodel-descriptors"): Op.CREATE_SUBMODEL,
    ("GET", "/shell-descriptors/{shell}/submodel-descriptors/{submodel}"): Op.GET_SUBMODEL,
    ("PUT", "/shell-descriptors/{shell}/submodel-descriptors/{submodel}"): Op.PUT_SUBMODEL,
    ("DELETE", "/shell-descriptors/{shell}/submodel-descriptors/{submodel}"): Op.DELETE_SUBMODEL,
    ("POST", "/lookup/shellsByAssetLink"): Op.FIND,
    ("GET", "/lookup/shells"): Op.FIND,
    ("GET", "/lookup/shells/{shell}"): Op.GET_LINKS,
    ("POST", "/lookup/shells/{shell}"): Op.PUT_LINKS,
    ("DELETE", "/lookup/shells/{shell}"): Op.DELETE_LINKS,
}
READING: Final = frozenset(
    {Op.DESCRIBE, Op.LIST, Op.GET, Op.LIST_SUBMODELS, Op.GET_SUBMODEL, Op.FIND, Op.GET_LINKS},
)
_PATTERNS: Final = tuple(
    (method, re.compile(re.sub(r"\{\w+\}", _SEGMENT, template)), op) for (method, template), op in TABLE.items()
)


@dataclass(frozen=True, slots=True)
class Call:
    """A request, understood. `after` is the id behind which a page begins; `body` is JSON that is not read yet."""

    op: Op
    shell: str = ""
    submodel: str = ""
    limit: int = PAGE
    after: str = ""
    links: tuple[AssetLink, ...] = ()
    body: object = None


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer: a status and a JSON document, None for no body."""

    status: int
    doc: object = None


def read_call(method: str, path: str, query: str, body: object, *, owner: bool) -> Call:
    """Understand a request; `path` and `query` are raw, as they were sent. HEAD counts as GET.

    owner: the call may change something. Raise PeerError 400 (with the place), 404, 405 or 501.
    """
    wanted = "GET" if method == "HEAD" else method
    op, segments = _match(wanted, PREFIX.sub("", path, count=1).rstrip("/"), owner=owner)
    ids = [read_id(segment) for segment in segments]
    params = _parameters(query)
    links = _links(body if wanted == "POST" else None, params) if op is Op.FIND else _kinds(params)
    return Call(
        op,
        ids[0] if ids else "",
        ids[1] if len(ids) > 1 else "",
        _limit(params),
        read_id(params["cursor"][0], "cursor") if params.get("cursor") else "",
        links if op in {Op.FIND, Op.LIST} else (),
        body,
    )


def _match(method: str, path: str, *, owner: bool) -> tuple[Op, tuple[str, ...]]:
    allowed = []
    for known, pattern, op in _PATTERNS:
        if (found := pattern.fullmatch(path)) and (owner or op in READING):
            if known == method:
                return op, found.groups()
            allowed.append(known)
    if allowed:
        raise PeerError(405, f"this path of the registry knows {', '.join(allowed)}")
    if _NOT_SERVED.fullmatch(path):
        raise PeerError(501, "this registry does not serve that part of the API: /description says what it serves")
    raise PeerError(
        404, "there is no such path in the registry: /shell-descriptors and /lookup/shells begin all others"
    )


def _parameters(query: str) -> dict[str, list[str]]:
    try:
        pairs = parse_qsl(query, max_num_fields=MAX_LINKS + 8, errors="strict")
    except ValueError:
        raise PeerError(400, "the query has too many parameters, or is not UTF-8") from None
    found: dict[str, list[str]] = {}
    for name, value in pairs:
        found.setdefault(name, []).append(value)
    return found


def _limit(params: Mapping[str, Sequence[str]]) -> int:
    given = params.get("limit", [str(PAGE)])[0]
    if not (given.isascii() and given.isdecimal() and len(given) < MAX_LINKS and int(given) > 0):
        raise PeerError(400, "limit is a whole number from 1", "limit")
    return min(int(given), LARGEST_PAGE)


def read_id(text: str, pointer: str = "") -> str:
    """An id out of a path or a parameter. Raise PeerError 400 if it is not base64 of a text."""
    given = unquote(text).replace(" ", "+").replace("+", "-").replace("/", "_").rstrip("=")
    if len(given) > 2 * MAX_TEXT:
        raise PeerError(400, "this id is too long", pointer)
    try:
        decoded = base64.b64decode(given + "=" * (-len(given) % 4), altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        raise PeerError(400, "ids are written in base64 with the URL alphabet (RFC 4648, 5)", pointer) from None
    return checked(decoded, pointer)


def write_id(identifier: str) -> str:
    """An id as it stands in a path."""
    return base64.urlsafe_b64encode(identifier.encode()).decode().rstrip("=")


def _links(body: object, params: Mapping[str, Sequence[str]]) -> tuple[AssetLink, ...]:
    """What is looked for. In the body a list of {name, value}; in the query the same in base64, each or all at once."""
    rows: list[tuple[object, str]] = []
    if body is not None:
        rows = [(row, f"/{i}") for i, row in enumerate(body if isinstance(body, list) else [body])]
    for given in (part for value in params.get("assetIds", ()) for part in value.split(",") if part):
        try:
            doc = json.loads(read_id(given, "assetIds"))
        except (ValueError, RecursionError):
            raise PeerError(400, "assetIds is base64 of the JSON {name, value}", "assetIds") from None
        rows += [(row, "assetIds") for row in (doc if isinstance(doc, list) else [doc])]
    if len(rows) > MAX_LINKS:
        raise PeerError(400, f"at most {MAX_LINKS} asset links can be looked for at once")
    return tuple(dict.fromkeys(AssetLink.parse(row, place) for row, place in rows))


def _kinds(params: Mapping[str, Sequence[str]]) -> tuple[AssetLink, ...]:
    """The filters of a list: `assetKind` and `assetType` (the latter in base64)."""
    kinds = [kind_link("assetKind", value) for value in params.get("assetKind", ())]
    return (*kinds, *(kind_link("assetType", read_id(value, "assetType")) for value in params.get("assetType", ())))


def page(rows: Sequence[object], *, last: str | None) -> Reply:
    """A page; `last` is the id it ends with if there is more behind it.

    The cursor is that id and nothing else: a number would tell how many twins there are that the reader cannot see.
    """
    return Reply(200, {"paging_metadata": {} if last is None else {"cursor": write_id(last)}, "result": list(rows)})


def links_json(shell: Shell) -> list[dict[str, Any]]:
    """The asset ids of a twin, as discovery lists them."""
    whole = [{"name": GLOBAL_ASSET_ID, "value": shell.global_asset_id}] if shell.global_asset_id else []
    return [*whole, *(asset_id.to_json() for asset_id in shell.specific_asset_ids)]


def refusal(error: PeerError | LocalError, now: int) -> Reply:
    """The API's body for what was refused: a Result with one message."""
    said = f"{error.reason} (at {error.pointer})" if error.pointer else error.reason
    at = datetime.fromtimestamp(now / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    message = {"code": str(error.status), "messageType": "Error", "text": said, "timestamp": at}
    return Reply(error.status, {"messages": [message]})
