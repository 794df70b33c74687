"""`/v3/passports/find`: from what stands on a battery to its passport in one call."""

from typing import Any, Final

from aiohttp import web

from connector.exchange.code import Code
from connector.exchange.find import Finder, Found
from connector.http.management import reading
from connector.http.management.border import answer
from connector.http.management.transferprocesses import fetched

FINDER: Final = web.AppKey("finder", Finder)


async def _find(request: web.Request) -> web.Response:
    doc = reading.document(request)
    code = Code.read(reading.text(doc, "code"), reading.optional_text(doc, "provider"))
    found = await request.app[FINDER].find(code, semantic_id=reading.optional_text(doc, "semanticId"))
    return answer(_found(found))


def _found(found: Found) -> dict[str, Any]:
    """What `fetch` of a transfer says, how it was come by, and what proves it later; `ok` is about all of it."""
    return {
        **fetched(found.fetched),
        "ok": found.ok,
        "scanned": {"ok": found.scanned.ok, "detail": found.scanned.detail},
        "report": None if found.proof is None else found.proof.report.to_json(),
        "bundle": None if found.proof is None else found.proof.bundle.to_json(),
        "provider": found.provider,
        "shellId": found.shell_id,
        "submodelId": found.submodel_id,
        "assetId": found.asset_id,
        "transferId": found.transfer_id,
        "steps": list(found.steps),
    }


ROUTES: Final = (web.post("/v3/passports/find", _find),)
