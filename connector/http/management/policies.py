"""`/v3/policies`: why somebody may see or use an offer, in plain words; and the templates that policies begin with."""

from typing import Any, Final

from aiohttp import web

from connector.exchange import explain
from connector.exchange.explain import Question
from connector.http.management import policy_views, reading
from connector.http.management.border import BODY, NODE, answer
from connector.http.management.views import document
from connector.policy.templates import template_policy, templates
from connector.protocol.errors import Invalid
from connector.semantics.management import read_document

_AS_IT_IS: Final = ("credentials", "claims")


async def _explain(request: web.Request) -> web.Response:
    return answer(policy_views.explanation(await explain.explain(request.app[NODE], _question(request))))


def _question(request: web.Request) -> Question:
    """Credentials and claims are taken as they are: what they are made of is not this API's vocabulary."""
    body = request[BODY]
    plain = {key: value for key, value in body.items() if key not in _AS_IT_IS} if isinstance(body, dict) else body
    doc = read_document(plain) | (
        {key: body[key] for key in _AS_IT_IS if key in body} if isinstance(body, dict) else {}
    )
    ident = reading.optional_text(doc, "policyId")
    if (ident is None) is ("policy" not in doc):
        raise Invalid("give either a policy or the policyId of one", "/policyId")
    scope = policy_views.scope(reading.text(doc, "scope"), "/scope")
    credentials = None if doc.get("credentials") is None else explain.pasted(doc["credentials"])
    claims = doc.get("claims")
    if claims is not None and not isinstance(claims, dict):
        raise Invalid("claims is an object", "/claims", claims)
    used = doc.get("transfers", 0)
    if not isinstance(used, int) or isinstance(used, bool) or used < 0:
        raise Invalid("transfers is how many there have been", "/transfers", used)
    return Question(
        policy=reading.policy(doc) if ident is None else ident,
        scope=scope,
        participant_id=reading.optional_text(doc, "counterPartyId") or "did:web:somebody.example",
        bpn=reading.optional_text(doc, "bpn"),
        groups=_groups(doc),
        credentials=credentials,
        claims=claims,
        at=policy_views.instant(doc, "at"),
        agreed_at=policy_views.instant(doc, "agreedAt"),
        used=used,
    )


def _groups(doc: dict[str, Any]) -> frozenset[str] | None:
    groups = doc.get("groups")
    if groups is None:
        return None
    if not isinstance(groups, list) or not all(isinstance(group, str) for group in groups):
        raise Invalid("groups is a list of names", "/groups", groups)
    return frozenset(groups)


async def _templates(_: web.Request) -> web.Response:
    rows = [
        {"name": t.name, "use": t.use, "meaning": t.meaning, "policy": template_policy(t.name)} for t in templates()
    ]
    return answer(document("PolicyTemplates", None, {"templates": rows}))


ROUTES: Final = (web.post("/v3/policies/explain", _explain), web.get("/v3/policies/templates", _templates))
