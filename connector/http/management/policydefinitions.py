"""`/v3/policydefinitions`: policies under names, and three ways to find out what a policy means before it is used."""

from datetime import UTC, datetime
from typing import Any, Final, get_args

from aiohttp import web

from connector.exchange import publish
from connector.exchange.node import Node
from connector.exchange.records import PolicyDefinition
from connector.http.management import policy_views, reading, views
from connector.http.management.border import NODE, answer, done
from connector.http.management.lists import one, page
from connector.policy.circumstances import Circumstances, Counterparty, Scope
from connector.policy.evaluate import evaluate
from connector.protocol.errors import Invalid

_SCOPES: Final[dict[str, Scope]] = {
    **{scope: scope for scope in get_args(Scope)},
    "contract.negotiation": "negotiation",
    "transfer.process": "transfer",
    "policy.monitor": "transfer",
}
"""Our scopes, and what EDC calls them; `request.` before a name makes no difference here."""


def _definition(node: Node, doc: dict[str, Any], ident: str) -> PolicyDefinition:
    return PolicyDefinition(
        id=ident,
        created_at=node.clock.now(),
        policy=reading.policy(doc),
        private_properties=reading.properties(doc, "privateProperties"),
    )


async def _create(request: web.Request) -> web.Response:
    node, doc = request.app[NODE], reading.document(request)
    definition = await publish.add_policy(node, _definition(node, doc, reading.identifier(doc, node)))
    return answer(views.created(definition.id, definition.created_at))


async def _change(request: web.Request) -> web.Response:
    """PUT on the collection: the id is in the body only, as tractusx-sdk sends it."""
    node, doc = request.app[NODE], reading.document(request)
    await publish.change_policy(node, _definition(node, doc, reading.text(doc, "@id")))
    return done()


async def _change_named(request: web.Request) -> web.Response:
    node, doc = request.app[NODE], reading.document(request)
    await publish.change_policy(node, _definition(node, doc, reading.same_id(doc, request)))
    return done()


async def _remove(request: web.Request) -> web.Response:
    await publish.remove_policy(request.app[NODE], reading.named(request))
    return done()


async def _get(request: web.Request) -> web.Response:
    return await one(request, lambda tx: tx.policies, views.policy_definition)


async def _query(request: web.Request) -> web.Response:
    return await page(request, lambda tx: tx.policies, views.policy_definition)


async def _validate(request: web.Request) -> web.Response:
    return await one(request, lambda tx: tx.policies, lambda record: policy_views.validation(record.policy))


async def _plan(request: web.Request) -> web.Response:
    _scope(reading.document(request), "policyScope")
    return await one(request, lambda tx: tx.policies, lambda record: policy_views.plan(record.policy))


async def _evaluate(request: web.Request) -> web.Response:
    """A dry run: what would be decided for this counterparty, and why."""
    node, doc = request.app[NODE], reading.document(request)
    ident = reading.text(doc, "counterPartyId")
    bpn = reading.optional_text(doc, "bpn") or node.directory.bpn_of(ident)
    circumstances = Circumstances(
        scope=_scope(doc, "scope" if "scope" in doc else "policyScope"),
        counterparty=Counterparty(ident, bpn, {}),
        now=_instant(doc, "at") or node.clock.now(),
        agreed_at=_instant(doc, "agreedAt"),
    )
    return await one(
        request,
        lambda tx: tx.policies,
        lambda record: policy_views.verdict(evaluate(record.policy, circumstances), circumstances),
    )


def _scope(doc: dict[str, Any], key: str) -> Scope:
    name = reading.text(doc, key)
    scope = _SCOPES.get(name.removeprefix("request."))
    if scope is None:
        raise Invalid(f"{key} is one of {', '.join(_SCOPES)}", f"/{key}", name)
    return scope


def _instant(doc: dict[str, Any], key: str) -> int | None:
    """Milliseconds since the epoch, given as such or as ISO 8601."""
    value = doc.get(key)
    if value is None or (isinstance(value, int) and not isinstance(value, bool) and value >= 0):
        return value
    try:
        moment = datetime.fromisoformat(value)
    except (TypeError, ValueError) as error:
        raise Invalid(f"{key} is an ISO 8601 instant, or milliseconds since the epoch", f"/{key}", value) from error
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


ROUTES: Final = (
    web.post("/v3/policydefinitions", _create),
    web.put("/v3/policydefinitions", _change),
    web.post("/v3/policydefinitions/request", _query),
    web.get("/v3/policydefinitions/{id}", _get),
    web.put("/v3/policydefinitions/{id}", _change_named),
    web.delete("/v3/policydefinitions/{id}", _remove),
    web.post("/v3/policydefinitions/{id}/validate", _validate),
    web.post("/v3/policydefinitions/{id}/evaluationplan", _plan),
    web.post("/v3/policydefinitions/{id}/evaluate", _evaluate),
)
