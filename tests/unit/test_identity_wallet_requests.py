"""Requests to issuers: what is asked for by which id, and what their many kinds of answers mean."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson
import pytest
from typing_extensions import override

from connector.exchange.ports import Answer, Receipt, Wire
from connector.exchange.records import Asked, CredentialRequest
from connector.identity.did import did_document
from connector.identity.jws import CompactJws
from connector.identity.keys import SigningKey
from connector.identity.resolver import DidResolver
from connector.identity.sts import EmbeddedTokenService
from connector.identity.wallet_requests import IssuerClient
from connector.protocol.errors import Conflict, PeerError, Unreachable
from tests.unit.identity_world import OURS, Counter, StillClock, Web

ISSUER = "did:web:issuer.example"
BASE = "https://issuer.example/issuer"
CONTEXT = "https://w3id.org/dspace-dcp/v1.0/dcp.jsonld"


@dataclass
class Reply(Answer):
    code: int
    content: bytes = b""
    fields: Mapping[str, str] = field(default_factory=dict)

    @property
    @override
    def status(self) -> int:
        return self.code

    @property
    @override
    def headers(self) -> Mapping[str, str]:
        return self.fields

    @property
    @override
    def body(self) -> bytes:
        return self.content

    @override
    def json(self) -> object:
        return orjson.loads(self.content)


def supported(*objects: tuple[str, str, str | None]) -> bytes:
    listed = [
        {"id": ident, "type": "CredentialObject", "credentialType": kind} | ({"profile": profile} if profile else {})
        for ident, kind, profile in objects
    ]
    doc = {"@context": [CONTEXT], "type": "IssuerMetadata", "issuer": ISSUER, "credentialsSupported": listed}
    return orjson.dumps(doc)


@dataclass
class Issuer(Wire):
    """The issuer on the wire."""

    metadata: bytes = field(default_factory=lambda: supported(("m", "MembershipCredential", "vc11-sl2021/jwt")))
    answer: Reply = field(default_factory=lambda: Reply(201))
    got: list[tuple[str, str, Any, str]] = field(default_factory=list)

    @override
    def check(self, url: str) -> None:
        if not url.startswith("https://"):
            raise PeerError(400, "the URL must be https")

    @override
    async def send(
        self, method: str, url: str, *, headers: Mapping[str, str], body: bytes | None = None, timeout_s: float = 10.0
    ) -> Answer:
        self.got.append((method, url, orjson.loads(body) if body else None, headers["Authorization"]))
        return Reply(200, self.metadata) if url.endswith("/metadata") else self.answer


def client(issuer: Issuer, endpoint: str = BASE) -> IssuerClient:
    web, clock = Web(), StillClock()
    service = {"id": f"{ISSUER}#i", "type": "IssuerService", "serviceEndpoint": endpoint}
    web.publish(ISSUER, did_document(ISSUER, [SigningKey.generate(ISSUER)], [service] if endpoint else []))
    sts = EmbeddedTokenService(SigningKey.generate(OURS), clock, Counter())

    async def recheck() -> Mapping[str, str]:
        return {"c": "it is suspended"}

    return IssuerClient(DidResolver(web.fetch, clock), sts.for_issuer, issuer, recheck)


def request(*wanted: str, **changes: Any) -> CredentialRequest:
    return CredentialRequest("h-1", 1, 1, ISSUER, Asked.REQUESTED, wanted or ("MembershipCredential",), **changes)


async def test_the_request_names_ids_of_the_metadata_and_carries_the_code() -> None:
    issuer = Issuer()
    await client(issuer).ask(request(), "an invitation")
    (_, looked, _, _), (method, url, doc, header) = issuer.got
    assert looked == f"{BASE}/metadata"
    assert (method, url) == ("POST", f"{BASE}/credentials")
    assert (doc["type"], doc["holderPid"], doc["credentials"]) == ("CredentialRequestMessage", "h-1", [{"id": "m"}])
    claims = CompactJws.parse(header.removeprefix("Bearer ")).payload
    assert (claims["iss"], claims["sub"], claims["aud"]) == (OURS, OURS, ISSUER)
    assert claims["pre-authorized_code"] == "an invitation"
    assert "token" not in claims


async def test_the_profile_of_catena_x_is_preferred_and_unknown_ones_are_passed_over() -> None:
    kind = "MembershipCredential"
    issuer = Issuer(supported(("two", kind, "vc20-bssl/jwt"), ("odd", kind, "ldp"), ("one", kind, "vc11-sl2021/jwt")))
    await client(issuer).ask(request(), None)
    assert issuer.got[1][2]["credentials"] == [{"id": "one"}]
    await client(issuer).ask(request("two", "MembershipCredential"), None)
    assert issuer.got[3][2]["credentials"] == [{"id": "two"}, {"id": "one"}]


@pytest.mark.parametrize(
    ("answer", "receipt"),
    [
        (Reply(201, fields={"Location": f"{BASE}/requests/7"}), Receipt("7", f"{BASE}/requests/7")),
        (Reply(201, fields={"Location": "/issuer/requests/7"}), Receipt("7", f"{BASE}/requests/7")),
        (Reply(201, b'{"issuerPid":"i-1"}', {"Location": "requests/7"}), Receipt("i-1", f"{BASE}/requests/7")),
        (Reply(200, b'{"issuerPid":"i-1"}'), Receipt("i-1", None)),
        (Reply(201), Receipt(None, None)),
        (Reply(201, b"created"), Receipt(None, None)),
        (Reply(409), Receipt(None, None)),  # it knows our pid: it was taken before
        (Reply(201, fields={"Location": "https://10.0.0.1/requests/7"}), Receipt(None, None)),
    ],
)
async def test_receipts_in_all_their_forms(answer: Reply, receipt: Receipt) -> None:
    assert await client(Issuer(answer=answer)).ask(request(), None) == receipt


@pytest.mark.parametrize("status", [400, 401, 403, 404])
async def test_a_refusal_is_final(status: int) -> None:
    with pytest.raises(PeerError, match=f"answered {status}: no member") as refusal:
        await client(Issuer(answer=Reply(status, b"no member"))).ask(request(), None)
    assert refusal.value.status == status


@pytest.mark.parametrize("status", [408, 425, 429, 500, 503])
async def test_what_may_be_better_later_is_tried_again(status: int) -> None:
    with pytest.raises(Unreachable):
        await client(Issuer(answer=Reply(status))).ask(request(), None)


async def test_who_is_no_issuer_and_where_we_may_not_go_is_not_asked() -> None:
    issuer = Issuer()
    with pytest.raises(PeerError, match="names no IssuerService"):
        await client(issuer, "").ask(request(), None)
    with pytest.raises(PeerError, match="https"):
        await client(issuer, "http://inside.example").ask(request(), None)
    assert issuer.got == []


async def test_metadata_that_cannot_be_read_ends_the_attempt() -> None:
    with pytest.raises(PeerError):
        await client(Issuer(metadata=b"[]")).ask(request(), None)


async def test_the_status_is_asked_where_the_issuer_said_or_by_its_pid() -> None:
    doc = {"@context": [CONTEXT], "type": "CredentialStatus", "issuerPid": "i-1", "holderPid": "h-1"}
    issuer = Issuer(answer=Reply(200, orjson.dumps(doc | {"status": "RECEIVED"})))
    assert await client(issuer).status(request(issuer_pid="a/b")) == "RECEIVED"
    assert await client(issuer).status(request(status_url=f"{BASE}/requests/7")) == "RECEIVED"
    assert [url for _, url, _, _ in issuer.got] == [f"{BASE}/requests/a%2Fb", f"{BASE}/requests/7"]
    with pytest.raises(Conflict):
        await client(issuer).status(request())


async def test_the_status_of_credentials_is_what_the_wallet_says() -> None:
    assert await client(Issuer()).recheck() == {"c": "it is suspended"}
