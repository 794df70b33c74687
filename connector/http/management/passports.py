"""`/v3/passports`: publishing battery passports, looking at their versions, receiving those of others.

A passport is data, not JSON-LD: it is taken out before anything reads the document's names.
"""

from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any, Final

import orjson
from aiohttp import web

from connector.exchange import passport_fetch, passports
from connector.exchange.passport_records import PassportVersion
from connector.exchange.passport_views import newest, view_of
from connector.exchange.passports import PassportOffer, Published
from connector.exchange.ports import Tx
from connector.exchange.query import Criterion, QuerySpec
from connector.http.management import reading
from connector.http.management.border import BODY, NODE, answer
from connector.passport.audiences import Reading, lattice
from connector.passport.completeness import Completeness, Point, completeness_table
from connector.passport.disclosure import class_map
from connector.protocol.errors import Invalid, NotFound

_BASE: Final = "/v3/passports"
_MAX_OFFERS: Final = 64
_VERSIONS: Final = 100
"""Listed with a passport. Older ones are had by their numbers, which have no gaps: a battery may get one every hour."""


async def _publish(request: web.Request) -> web.Response:
    """Publish a passport or its next version, and offer it."""
    body = _object(request[BODY], "")
    if "passport" not in body:
        raise Invalid("passport is missing: send {passport, offers}", "/passport")
    rows = body.get("offers", [])
    if not isinstance(rows, list) or len(rows) > _MAX_OFFERS:
        raise Invalid(f"offers is a list of at most {_MAX_OFFERS}", "/offers")
    offers = [_offer(_object(row, f"/offers/{i}"), f"/offers/{i}") for i, row in enumerate(rows)]
    done = await passports.publish_passport(request.app[NODE], body["passport"], offers, on=_date(body))
    return answer(_published(done))


def _object(value: object, at: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise Invalid("an object is expected here", at)
    return value


def _date(body: Mapping[str, Any]) -> date | None:
    said = body.get("date")
    if said is None:
        return None
    try:
        return date.fromisoformat(said)
    except (TypeError, ValueError):
        raise Invalid("date is a day, as 2027-02-18", "/date", said) from None


def _offer(row: Mapping[str, Any], at: str) -> PassportOffer:
    texts = {}
    for name in ("audience", "accessPolicyId", "contractPolicyId"):
        if not isinstance(row.get(name), str):
            raise Invalid(f"{name} is a text", f"{at}/{name}")
        texts[name] = str(row[name])
    purpose, classes = row.get("purpose", ""), row.get("classes")
    if not isinstance(purpose, str):
        raise Invalid("purpose is a text", f"{at}/purpose")
    if classes is not None and not (isinstance(classes, list) and all(isinstance(name, str) for name in classes)):
        raise Invalid("classes is a list of disclosure classes", f"{at}/classes")
    reader = Reading(texts["audience"], purpose, classes=None if classes is None else frozenset(classes))
    return PassportOffer(reader, texts["accessPolicyId"], texts["contractPolicyId"])


async def _check(request: web.Request) -> web.Response:
    """Judge a passport without publishing it."""
    body, node = _object(request[BODY], ""), request.app[NODE]
    day = _date(body) or datetime.fromtimestamp(node.clock.now() / 1000, UTC).date()
    return answer(_completeness(completeness_table().judge(body.get("passport"), day)))


async def _get(request: web.Request) -> web.Response:
    """What is known of a passport: its newest versions, the last first, and the passport itself."""
    ident = reading.named(request)

    def read(tx: Tx) -> list[PassportVersion]:
        criteria = (Criterion("passportId", "=", ident),)
        return tx.passports.query(QuerySpec(limit=_VERSIONS, sort_field="number", descending=True, criteria=criteria))

    found = await request.app[NODE].store.read(read)
    if not found:
        raise NotFound(f"there is no passport {ident}", value=ident)
    return answer({**_version(found[0]), "versions": [_version(v) for v in found], "passport": found[0].passport})


async def _get_version(request: web.Request) -> web.Response:
    """One version, whole."""
    number = request.match_info["number"]
    if not number.isascii() or not number.isdecimal() or len(number) > 9:  # noqa: PLR2004 - an INTEGER column
        raise Invalid("a version is a number from 1", value=number)
    ident = reading.named(request)
    version = await request.app[NODE].store.read(lambda tx: tx.passports.find(f"{ident}#{int(number)}"))
    if version is None:
        raise NotFound(f"there is no version {int(number)} of the passport {ident}", value=ident)
    return answer({**_version(version), "passport": version.passport})


async def _view(request: web.Request) -> web.Response:
    """What a reader sees of a passport's newest version."""
    node, ident, query = request.app[NODE], reading.named(request), request.query
    named = query.getall("class", [])
    classes = frozenset(named) if named else None
    reader = Reading(query.get("audience", "public"), query.get("purpose", ""), ident, classes)
    lattice().check(reader)
    version = await node.store.read(lambda tx: newest(tx, ident))
    if version is None:
        raise NotFound(f"there is no passport {ident}", value=ident)
    view = view_of(node.notary, version, reader)
    hidden = sorted(class_map().withheld(view.classes))
    return answer({"classes": sorted(view.classes), "withheld": hidden, "passport": orjson.loads(view.seal.body)})


async def _receive(request: web.Request) -> web.Response:
    """Get the passport of a running transfer, and say what it is worth."""
    transfer_id = reading.text(reading.document(request), "transferId")
    got = await passport_fetch.receive(request.app[NODE], transfer_id)
    checks = {name: getattr(got.verification, name) for name in ("digest", "signature", "signer", "schema")}
    return answer(
        {
            "ok": got.ok,
            "verification": {name: {"ok": check.ok, "detail": check.detail} for name, check in checks.items()},
            "model": got.model.to_json(),
            "report": got.report.to_json(),
            "bundle": got.bundle.to_json(),
        }
    )


def _published(done: Published) -> dict[str, Any]:
    return {
        **_version(done.version),
        "new": done.new,
        "completeness": _completeness(done.completeness),
        "offers": list(done.definitions),
    }


def _version(version: PassportVersion) -> dict[str, Any]:
    return {
        "@id": version.passport_id,
        "@type": "BatteryPassport",
        "version": version.number,
        "createdAt": version.created_at,
        "serial": version.serial,
        "semanticId": version.semantic_id,
        "size": len(version.body),
        "groups": len(version.disclosures),
    }


def _completeness(found: Completeness) -> dict[str, Any]:
    return {
        "edition": found.edition,
        "category": found.category,
        "date": found.day.isoformat(),
        "complete": not found.missing,
        "missing": [_point(point) for point in found.missing],
        "early": [_point(point) for point in found.early],
        "points": len(found.points),
    }


def _point(point: Point) -> dict[str, Any]:
    return {
        "number": point.row.number,
        "name": point.row.name,
        "due": point.due.value,
        "fields": list(point.missing or point.row.fields),
        "basis": point.row.basis,
    }


ROUTES: Final = (
    web.post(_BASE, _publish),
    web.post(f"{_BASE}/check", _check),
    web.post(f"{_BASE}/receive", _receive),
    web.get(f"{_BASE}/{{id}}", _get),
    web.get(f"{_BASE}/{{id}}/versions/{{number}}", _get_version),
    web.get(f"{_BASE}/{{id}}/view", _view),
)
