"""What management requests say, read out of their plain form (`connector.semantics.management`).

Members are checked here one by one, so that a refusal names the member; what no function asks for is ignored.
"""

from collections.abc import Mapping
from typing import Any, Final

from aiohttp import web

from connector.exchange.node import Node
from connector.exchange.query import Criterion, QuerySpec, parse_criteria, parse_query
from connector.exchange.records import CallbackAddress, Peer
from connector.http.management.border import BODY
from connector.policy.model import Policy
from connector.policy.parse import parse_policy
from connector.protocol.errors import Invalid
from connector.protocol.vocabulary import EDC, PROTOCOL
from connector.semantics.management import read_document

_TRUTH: Final = {"true": True, "false": False}


def document(request: web.Request) -> dict[str, Any]:
    """The body in plain form; no body is the empty document."""
    return read_document(request[BODY])


def query(request: web.Request) -> QuerySpec:
    """The body as a QuerySpec; no body asks for the first page of everything."""
    return parse_query(document(request))


def named(request: web.Request, segment: str = "id") -> str:
    """The id in the path, decoded once."""
    return request.match_info[segment]


def text(doc: Mapping[str, Any], key: str) -> str:
    """A member that must be there and say something."""
    value = optional_text(doc, key)
    if value is None:
        raise Invalid(f"{key} is missing", f"/{key}")
    return value


def optional_text(doc: Mapping[str, Any], key: str) -> str | None:
    """A member that may be missing, but not be blank or something else than text."""
    value = doc.get(key)
    if value is None:
        return None
    if not isinstance(value, str) or not value.strip():
        raise Invalid(f"{key} is a text that is not blank", f"/{key}", value)
    return value


def identifier(doc: Mapping[str, Any], node: Node) -> str:
    """The id that the operator chose, else a fresh one."""
    return optional_text(doc, "@id") or node.ids()


def same_id(doc: Mapping[str, Any], request: web.Request) -> str:
    """The id in the path, which the body may repeat but not contradict."""
    ident = named(request)
    if doc.get("@id", ident) != ident:
        raise Invalid("the @id in the body is not the one in the path", "/@id", doc["@id"])
    return ident


async def peer(node: Node, doc: Mapping[str, Any], offer: Policy | None = None) -> Peer:
    """The counterparty. A BPN that the directory knows stands for its participant id; `offer` may say who it is.

    tractusx-sdk and edc-client send no counterPartyId when they negotiate: the provider is the offer's assigner.
    """
    protocol(doc)
    address = text(doc, "counterPartyAddress")
    ident = optional_text(doc, "counterPartyId") or (offer.assigner if offer else None)
    if ident is None:
        raise Invalid("counterPartyId is missing, and there is no policy with an assigner", "/counterPartyId")
    return Peer(await node.directory.find(ident) or ident, address)


def protocol(doc: Mapping[str, Any]) -> None:
    """Refuse a dialect that this node does not speak; the member may be missing."""
    name = optional_text(doc, "protocol")
    if name not in (None, PROTOCOL):
        hint = "this node speaks no other; POST /v3/connectordiscovery/dspversionparams finds the address for it"
        raise Invalid(f"protocol must be {PROTOCOL}: {hint}", "/protocol", name)


def policy(doc: Mapping[str, Any]) -> Policy:
    """The member `policy`."""
    if "policy" not in doc:
        raise Invalid("policy is missing", "/policy")
    return parse_policy(doc["policy"], "/policy")


def properties(doc: Mapping[str, Any], key: str) -> dict[str, Any]:
    """Public or private properties. EDC repeats an asset's id among them; it is not a property here."""
    value = doc.get(key, {})
    if not isinstance(value, dict):
        raise Invalid(f"{key} is an object", f"/{key}", value)
    return {name: item for name, item in value.items() if name != f"{EDC}id"}


def address(doc: Mapping[str, Any], key: str) -> dict[str, str] | None:
    """A data address: flat, every value a text, `type` among them. None if there is none."""
    value = doc.get(key)
    if value is None:
        return None
    if not isinstance(value, dict):
        raise Invalid(f"{key} is an object", f"/{key}", value)
    for name, item in value.items():
        if not isinstance(item, str):
            place = name.replace("~", "~0").replace("/", "~1")
            raise Invalid("the values of a data address are texts", f"/{key}/{place}", item)
    found = {name: item for name, item in value.items() if name != "@type"}
    if not found.get("type"):
        raise Invalid(f"{key} needs a type, such as HttpData", f"/{key}/type")
    return found


def selector(doc: Mapping[str, Any]) -> tuple[Criterion, ...]:
    """Which assets a definition is about. It must be there: a forgotten one would offer everything."""
    if "assetsSelector" not in doc:
        raise Invalid("assetsSelector is missing; send [] to offer every asset", "/assetsSelector")
    return parse_criteria(doc["assetsSelector"], "/assetsSelector")


def callbacks(doc: Mapping[str, Any]) -> tuple[CallbackAddress, ...]:
    """Where the operator's systems want to hear of this process."""
    rows = doc.get("callbackAddresses", [])
    return tuple(_callback(row, f"/callbackAddresses/{i}") for i, row in enumerate(rows))


def _callback(row: object, at: str) -> CallbackAddress:
    if not isinstance(row, Mapping):
        raise Invalid("a callback address is an object", at, row)
    uri, events = row.get("uri"), row.get("events", [])
    if not isinstance(uri, str) or not uri.startswith(("http://", "https://")):
        raise Invalid("uri is an http(s) URL", f"{at}/uri", uri)
    if not isinstance(events, list) or not all(isinstance(name, str) for name in events):
        raise Invalid("events is a list of event names, or of their beginnings", f"{at}/events", events)
    keys = {name: row.get(name) for name in ("authKey", "authCodeId")}
    for name, value in keys.items():
        if value is not None and not isinstance(value, str):
            raise Invalid(f"{name} is a text", f"{at}/{name}", value)
    transactional = str(row.get("transactional", False)).lower() == "true"
    return CallbackAddress(uri, tuple(events), transactional, keys["authKey"], keys["authCodeId"])


def switch(request: web.Request, name: str, *, default: bool) -> bool:
    """A query parameter that is true or false, in any capitals: Python clients send `True`."""
    value = request.query.get(name)
    if value is None:
        return default
    if value.lower() not in _TRUTH:
        raise Invalid(f"the query parameter {name} is true or false", f"/{name}", value)
    return _TRUTH[value.lower()]
