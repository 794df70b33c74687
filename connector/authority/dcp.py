"""What participants reach: the issuer service of DCP 1.0 (6.4, 6.7, 6.8), status lists, BPN directory (CX-0167).

Metadata, schemas and status lists are for everybody. A request and its status want a self-issued token; the directory
wants a presentation of the asker's membership, made for itself (CX-0167). What a token or a presentation lacks is
logged, not told.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, TypeVar

import orjson
import structlog
from aiohttp import web

from connector.authority.issuing import Asked, Chance, Office, take_request
from connector.authority.kinds import MEMBERSHIP
from connector.authority.published import Published
from connector.authority.register import Register
from connector.authority.settings import DIRECTORY_PATH, ISSUER_PATH, STATUS_PATH
from connector.exchange.ports import Caller, Clock
from connector.http.body import read_json
from connector.http.door import Door
from connector.http.middleware import finish_response
from connector.identity.authorization import claimed_sender
from connector.identity.credentials import VerifiableCredential
from connector.identity.dcp_messages import CredentialRequestMessage, CredentialStatus, IssuerMetadata
from connector.identity.presentations import MAX_CHARS, VerifiablePresentation
from connector.identity.proofs import ASSERTING, PRESENTING, Proofs
from connector.identity.refusal import Check, Refusal, refusing
from connector.identity.tokens import TokenVerifier
from connector.protocol.errors import ConnectorError, LocalError, PeerError

MAX_BODY: Final = 64 << 10
_LONGEST_TOKEN: Final = 1 << 14
_DIRECTORY: Final = "directory"
_FULL_LISTS: Final = frozenset({"application/json", "application/vc+ld+json", "application/ld+json"})
_TOLD: Final = {401: "not authenticated", 403: "not allowed", 503: "cannot be verified right now; try again later"}
T = TypeVar("T")

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Counter:
    """What the routes work with. `changed` is called after a commit that has changed the register.

    `rotate` makes a new signing key.
    """

    office: Office
    register: Register
    published: Published
    verifier: TokenVerifier
    proofs: Proofs
    clock: Clock
    rotate: Callable[[], Awaitable[None]]
    chance: Callable[[], Chance]
    changed: Callable[[], None]
    door: Door


def dcp_routes(counter: Counter) -> list[web.RouteDef]:
    """Every route for participants, DID document aside."""
    surface = _Surface(counter)
    return [
        web.get(f"{ISSUER_PATH}/metadata", surface.metadata),
        web.get(f"{ISSUER_PATH}/schemas/{{type}}", surface.schema),
        web.post(f"{ISSUER_PATH}/credentials", surface.request),
        web.get(f"{ISSUER_PATH}/requests/{{id}}", surface.status),
        web.get(f"{STATUS_PATH}/{{number:[0-9]{{1,9}}}}", surface.status_list),
        web.get(DIRECTORY_PATH, surface.directory),
    ]


def render(_: web.Request, error: ConnectorError) -> web.Response:
    """An error; DCP names no form for it."""
    status = error.status if isinstance(error, PeerError | LocalError) else 500
    return web.json_response({"errors": [{"message": error.reason, "path": error.pointer or None}]}, status=status)


class _Surface:
    def __init__(self, counter: Counter) -> None:
        self._counter = counter
        office = counter.office
        objects = tuple(each.to_object(office.schemas) for each in office.supported.values())
        self._metadata = orjson.dumps(IssuerMetadata(issuer=office.key.did, credentials_supported=objects).to_json())
        self._schemas = {s.kind.type: orjson.dumps(s.kind.schema()) for s in office.supported.values()}

    async def metadata(self, _: web.Request) -> web.Response:
        return web.Response(body=self._metadata, content_type="application/json")

    async def schema(self, request: web.Request) -> web.Response:
        found = self._schemas.get(request.match_info["type"])
        if found is None:
            raise PeerError(404, "there is no such schema")
        return web.Response(body=found, content_type="application/schema+json")

    async def request(self, request: web.Request) -> web.StreamResponse:
        """Take a request; the delivery goes out after the answer has."""
        counter = self._counter
        sender = await sender_of(self._counter, request)
        message = CredentialRequestMessage.parse(await read_json(request, max_bytes=MAX_BODY))
        asked = Asked(
            holder=sender.id,
            message=message,
            code=_text(sender.claims.get("pre-authorized_code")),
            token=_text(sender.claims.get("token")),
        )
        chance = counter.chance()
        decided = await counter.register.run(lambda tx: take_request(tx, asked, counter.office, chance))
        log.info("requested", holder=asked.holder, issuer_pid=decided.issuer_pid, status=decided.status.value)
        body = CredentialStatus(
            issuer_pid=decided.issuer_pid, holder_pid=decided.holder_pid, status=decided.status
        ).to_json()
        location = f"{counter.office.issuer_url}/requests/{decided.issuer_pid}"
        response = web.json_response(body, status=201, headers={"Location": location})
        await finish_response(request, response)
        counter.changed()
        return response

    async def status(self, request: web.Request) -> web.Response:
        """How far a request is; to its holder alone, others learn not even that it exists."""
        sender = await sender_of(self._counter, request)
        identifier = request.match_info["id"]
        found = await self._counter.register.run(lambda tx: tx.request(identifier))
        if found is None or found.holder != sender.id:
            raise PeerError(404, "you have made no such request")
        status = CredentialStatus(issuer_pid=found.issuer_pid, holder_pid=found.holder_pid, status=found.status)
        return web.json_response(status.to_json())

    async def status_list(self, request: web.Request) -> web.Response:
        """A list as JWT; plain to those who ask for JSON by name."""
        found = await self._counter.published.status_list(int(request.match_info["number"]))
        accepted = {part.partition(";")[0].strip().lower() for part in request.headers.get("Accept", "").split(",")}
        headers = {"Vary": "Accept", "Access-Control-Allow-Origin": "*"}
        if accepted & _FULL_LISTS and not accepted & {"*/*", "application/vc+jwt"}:
            return web.Response(body=found.json, content_type="application/json", headers=headers)
        return web.Response(text=found.jwt, content_type="application/vc+jwt", headers=headers)

    async def directory(self, request: web.Request) -> web.Response:
        """The BPN directory, to members."""
        counter = self._counter
        await counter.door.proven(request, _DIRECTORY, lambda: _logged(request, self._member(request)))
        packed = await counter.published.directory()
        headers = {"Content-Encoding": "gzip", "Cache-Control": "private, max-age=60"}
        return web.Response(body=packed, content_type="application/json", headers=headers)

    async def _member(self, request: web.Request) -> None:
        """Raise Refusal unless the header is a presentation of a membership that is in force."""
        counter = self._counter
        text = _bearer(request)
        if len(text) > MAX_CHARS:
            raise Refusal(Check.PRESENTATION, "the presentation is too long", status=401)
        presentation = VerifiablePresentation.parse(text)
        holder = presentation.holder
        presentation.check(holder=holder, audience=holder, now=counter.clock.now())
        with refusing(Check.PRESENTATION_SIGNATURE, 401):
            await counter.proofs.check(presentation.jws, holder, PRESENTING)
        memberships = [credential for credential in presentation.credentials if MEMBERSHIP in credential.types]
        if not memberships:
            raise Refusal(Check.CREDENTIAL_MISSING, f"no {MEMBERSHIP} was presented")
        for membership in memberships:
            await self._check(membership, holder)

    async def _check(self, membership: VerifiableCredential, holder: str) -> None:
        """Raise Refusal unless it is the holder's, ours, and in force; of what is ours the register knows the state."""
        counter = self._counter
        if any(subject.get("id") != holder for subject in membership.subjects):
            raise Refusal(Check.CREDENTIAL_SUBJECT, "the membership is about somebody else than its holder")
        if membership.issuer != counter.office.key.did:
            raise Refusal(Check.CREDENTIAL_ISSUER, f"{membership.issuer} is not this authority")
        membership.check_time(counter.clock.now())
        with refusing(Check.CREDENTIAL_SIGNATURE):
            await counter.proofs.check(membership.jws, membership.issuer, ASSERTING)
        issued = await counter.register.run(lambda tx: tx.credential(membership.id or ""))
        if issued is None or issued.revoked is not None:
            raise Refusal(Check.CREDENTIAL_REVOKED, "the membership is revoked")


async def sender_of(counter: Counter, request: web.Request) -> Caller:
    """Whose token a request carries, member or not, within its limits. Raise PeerError 401, 429 or 503."""

    async def verify() -> Caller:
        text = _bearer(request)
        with refusing(Check.SI_TOKEN, 401):
            token = await counter.verifier.verify(text)
        return Caller(token.issuer, None, token.jws.payload)

    return await counter.door.caller(request, lambda: _logged(request, verify()))


async def _logged(request: web.Request, check: Awaitable[T]) -> T:
    """Do a check; why it has failed, and who it claims to be from, stands in the log, the sender learns only that."""
    try:
        return await check
    except Refusal as refusal:
        peer = claimed_sender(request.headers.get("Authorization"), max_chars=MAX_CHARS)
        log.warning("denied", check=refusal.check.value, reason=refusal.reason, place=refusal.pointer, peer=peer)
        raise PeerError(refusal.status, _TOLD[refusal.status]) from None


def _bearer(request: web.Request) -> str:
    scheme, _, text = request.headers.get("Authorization", "").strip().partition(" ")
    if scheme.lower() != "bearer" or not text.strip():
        raise Refusal(Check.HEADER, "an Authorization header `Bearer <token>` is required", status=401)
    return text.strip()


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and 0 < len(value) <= _LONGEST_TOKEN else None
