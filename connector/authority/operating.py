"""What the operator of an authority reaches: the register, behind an API key, on a listener of its own.

Errors have the form of the management API of a node, so that one client reads both.
"""

import secrets
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

import structlog
from aiohttp import web

from connector.authority.dcp import Counter
from connector.authority.issuing import DAY_MS, digest, end_membership, existing, issue, offer
from connector.authority.kinds import KINDS
from connector.authority.model import Delivery, Issued, Member, Request, Standing
from connector.authority.register import Tx
from connector.http.body import read_json
from connector.http.door import Door
from connector.http.health import Check, health_routes
from connector.http.management.border import answer, guard, render
from connector.http.middleware import application
from connector.protocol.errors import Conflict, Invalid, NotFound
from connector.protocol.reading import checked, items, obj, optional_text, text

MAX_BODY: Final = 64 << 10
_CODE_BYTES: Final = 18
ROUTES: Final = (
    ("GET", "/members", "members"),
    ("POST", "/members", "put_member"),
    ("DELETE", "/members/{bpn}", "end"),
    ("POST", "/members/{bpn}/offers", "offer"),
    ("POST", "/members/{bpn}/credentials", "issue"),
    ("GET", "/credentials", "credentials"),
    ("POST", "/credentials/{id}/revoke", "revoke"),
    ("POST", "/keys", "rotate"),
    ("GET", "/requests", "requests"),
    ("GET", "/deliveries", "deliveries"),
)
"""Method, path below the base, and who answers."""

log = structlog.get_logger()


def management_app(
    counter: Counter, *, api_key: str, base_path: str, invitation_days: int, door: Door | None = None
) -> web.Application:
    """The application: the register below `base_path` behind `api_key`, health beside it without.

    door: counts wrong keys; none unless given.
    """
    desk = _Desk(counter, invitation_days * DAY_MS)
    api = web.Application(middlewares=[guard(api_key, door)])
    api.add_routes([web.route(method, route, getattr(desk, name)) for method, route, name in ROUTES])
    app = application(render, max_bytes=MAX_BODY)
    app.add_routes(health_routes("/api", [Check("register", lambda: counter.register.run(lambda _: None))]))
    app.add_subapp(base_path, api)
    return app


class _Desk:
    def __init__(self, counter: Counter, invited_ms: int) -> None:
        self._counter = counter
        self._invited_ms = invited_ms

    async def members(self, _: web.Request) -> web.Response:
        return answer([member_json(m) for m in await self._counter.register.run(lambda tx: tx.members())])

    async def put_member(self, request: web.Request) -> web.Response:
        """Register a company: with a DID as member, without one by an invitation, whose code is shown this once."""
        doc = obj(await read_json(request, max_bytes=MAX_BODY))
        bpn, name, did = text(doc, "bpn"), optional_text(doc, "name"), optional_text(doc, "did")
        attributes = None if doc.get("attributes") is None else _attributes(doc["attributes"])
        now, code = self._counter.clock.now(), secrets.token_urlsafe(_CODE_BYTES)

        def put(tx: Tx) -> Member:
            before = tx.member(bpn=bpn)
            known = (
                Member(bpn=bpn, name=name or bpn, standing=Standing.INVITED, since=now) if before is None else before
            )
            known = replace(
                known, name=name or known.name, attributes=known.attributes if attributes is None else attributes
            )
            after = self._standing(known, did, digest(code), now)
            tx.put_member(after)
            return after

        member = await self._change(put)
        log.info("registered", bpn=bpn, standing=member.standing.value, did=member.did)
        shown = member_json(member)
        if member.standing is Standing.INVITED:
            shown["invitation"] = code
        return answer(shown)

    def _standing(self, known: Member, did: str | None, invitation: str, now: int) -> Member:
        """What becomes of a company that is registered (again), with a DID or without."""
        if known.standing is Standing.MEMBER and did in (None, known.did):
            return known
        if known.standing is Standing.MEMBER:
            raise Conflict(f"{known.bpn} is a member as {known.did}: end that membership first", "/did", did)
        if did is not None:
            return replace(known, did=did, standing=Standing.MEMBER, since=now, invitation=None)
        until = now + self._invited_ms
        return replace(
            known, did=None, standing=Standing.INVITED, since=now, invitation=invitation, invited_until=until
        )

    async def end(self, request: web.Request) -> web.Response:
        """End a membership: everything is revoked."""
        bpn, now = request.match_info["bpn"], self._counter.clock.now()
        revoked = await self._change(lambda tx: end_membership(tx, bpn, now))
        log.info("membership ended", bpn=bpn, revoked=len(revoked))
        return answer([credential_json(issued, now) for issued in revoked])

    async def offer(self, request: web.Request) -> web.Response:
        doc = obj(await read_json(request, max_bytes=MAX_BODY) or {})
        wanted = [checked(value, place) for value, place in items(doc, "credentials")]
        bpn, chance = request.match_info["bpn"], self._counter.chance()
        member = await self._change(lambda tx: offer(tx, bpn, wanted, self._counter.office, chance))
        return answer(member_json(member))

    async def issue(self, request: web.Request) -> web.Response:
        """Make credentials that nobody has asked for, to be handed over by hand; they are shown this once."""
        doc = obj(await read_json(request, max_bytes=MAX_BODY) or {})
        wanted = [checked(value, place) for value, place in items(doc, "credentials")]
        office, chance = self._counter.office, self._counter.chance()
        if not wanted or not set(wanted) <= office.supported.keys():
            raise Invalid(f"name some of {', '.join(office.supported)}", "/credentials", wanted)
        bpn = request.match_info["bpn"]

        def make(tx: Tx) -> list[Issued]:
            member = existing(tx, bpn)
            if member.standing is not Standing.MEMBER:
                raise Conflict(f"{bpn} is {member.standing}: credentials are for members", "/bpn", bpn)
            return [issue(tx, member, office.supported[i], office, chance) for i in wanted]

        issued = await self._change(make)
        return answer([{**credential_json(i, chance.now), "jwt": i.jwt} for i in issued])

    async def credentials(self, request: web.Request) -> web.Response:
        bpn, now = request.query.get("bpn"), self._counter.clock.now()
        found = await self._counter.register.run(lambda tx: tx.credentials(bpn=bpn))
        return answer([credential_json(issued, now) for issued in found])

    async def revoke(self, request: web.Request) -> web.Response:
        identifier, now = request.match_info["id"], self._counter.clock.now()

        def take_back(tx: Tx) -> Issued:
            tx.revoke(identifier, now)
            if (issued := tx.credential(identifier)) is None:
                raise NotFound(f"there is no credential {identifier}", "/id", identifier)
            return issued

        issued = await self._change(take_back)
        log.info("revoked", credential=identifier, bpn=issued.bpn, type=issued.type)
        return answer(credential_json(issued, now))

    async def rotate(self, _: web.Request) -> web.Response:
        """Sign with a new key from now on; lists are signed anew, credentials need not be."""
        await self._counter.rotate()
        self._counter.changed()
        keys = self._counter.office.keys
        log.info("signing with a new key", kid=keys.current.kid)
        return answer({"kid": keys.current.kid, "formerKids": [key.kid for key in keys.former]})

    async def requests(self, _: web.Request) -> web.Response:
        return answer([request_json(r) for r in await self._counter.register.run(lambda tx: tx.requests())])

    async def deliveries(self, _: web.Request) -> web.Response:
        def both(tx: Tx) -> list[Delivery]:
            return [*tx.deliveries(waiting=True), *tx.deliveries(waiting=False)]

        return answer([delivery_json(d) for d in await self._counter.register.run(both)])

    async def _change(self, fn: Callable[[Tx], Any]) -> Any:  # noqa: ANN401 - whatever the transaction gives
        result = await self._counter.register.run(fn)
        self._counter.changed()
        return result


def _attributes(doc: object) -> dict[str, Mapping[str, Any]]:
    """What is known of a member, by type of credential: exactly what each needs."""
    found: dict[str, Mapping[str, Any]] = {}
    for kind, values in obj(doc, "/attributes").items():
        place = f"/attributes/{kind}"
        needed = KINDS[kind].attributes if kind in KINDS else ()
        if not needed:
            known = ", ".join(k.type for k in KINDS.values() if k.attributes)
            raise Invalid(f"attributes are for {known}", place, kind)
        given = obj(values, place)
        if given.keys() != set(needed):
            raise Invalid(f"a {kind} says {' and '.join(needed)}", place, sorted(given))
        read = {name: [checked(v, p) for v, p in items(given, name, place)] for name in needed}
        if not all(read.values()):
            raise Invalid("say something, or leave it out", place)
        found[kind] = {name: values[0] if len(values) == 1 else values for name, values in read.items()}
    return found


def member_json(member: Member) -> dict[str, Any]:
    """A member as it is shown."""
    return {
        "bpn": member.bpn,
        "name": member.name,
        "standing": member.standing.value,
        "did": member.did,
        "since": member.since,
        "invitedUntil": member.invited_until if member.standing is Standing.INVITED else None,
        "attributes": member.attributes,
    }


def credential_json(issued: Issued, now: int) -> dict[str, Any]:
    """A credential as it is shown: not itself."""
    state = "REVOKED" if issued.revoked is not None else "EXPIRED" if issued.expires <= now else "IN_FORCE"
    return {
        "id": issued.id,
        "bpn": issued.bpn,
        "holder": issued.holder,
        "type": issued.type,
        "profile": issued.profile.value,
        "state": state,
        "issued": issued.issued,
        "expires": issued.expires,
        "revoked": issued.revoked,
        "statusList": issued.list_number,
        "statusIndex": issued.index,
    }


def request_json(request: Request) -> dict[str, Any]:
    """A request as it is shown."""
    return {
        "issuerPid": request.issuer_pid,
        "holderPid": request.holder_pid,
        "holder": request.holder,
        "credentials": list(request.wanted),
        "status": request.status.value,
        "reason": request.reason,
        "received": request.received,
    }


def delivery_json(delivery: Delivery) -> dict[str, Any]:
    """A delivery as it is shown: not what it holds."""
    return {
        "id": delivery.id,
        "holder": delivery.holder,
        "path": delivery.path,
        "due": delivery.due,
        "attempts": delivery.attempts,
        "failure": delivery.failure,
    }
