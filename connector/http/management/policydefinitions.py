"""`/v3/policydefinitions`: policies under names, and three ways to find out what a policy means before it is used."""

from typing import Any, Final

from aiohttp import web

from connector.exchange import explain, publish
from connector.exchange.explain import Question
from connector.exchange.node import Node
from connector.exchange.records import PolicyDefinition
from connector.http.management import policy_views, reading, views
from connector.http.management.border import NODE, answer, done
from connector.http.management.lists import one, page
from connector.policy.validation import check


def _definition(node: Node, doc: dict[str, Any], ident: str) -> PolicyDefinition:
    policy = reading.policy(doc)
    check(policy, "/policy")
    return PolicyDefinition(
        id=ident,
        created_at=node.clock.now(),
        policy=policy,
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
    policy_views.scope(reading.text(reading.document(request), "policyScope"), "/policyScope")
    return await one(request, lambda tx: tx.policies, lambda record: policy_views.plan(record.policy))


async def _evaluate(request: web.Request) -> web.Response:
    """A dry run: what would be decided for this counterparty, and why."""
    node, doc = request.app[NODE], reading.document(request)
    key = "scope" if "scope" in doc else "policyScope"
    question = Question(
        policy=reading.named(request),
        scope=policy_views.scope(reading.text(doc, key), f"/{key}"),
        participant_id=reading.text(doc, "counterPartyId"),
        bpn=reading.optional_text(doc, "bpn"),
        at=policy_views.instant(doc, "at"),
        agreed_at=policy_views.instant(doc, "agreedAt"),
    )
    found = await explain.explain(node, question)
    return answer(policy_views.verdict(found.verdict, found.circumstances))


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
