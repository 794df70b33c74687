"""The verifier scenarios of DCP 1.0 against a started node, over HTTP and with exact answers.

These are the cases of the official kit under `presentation.verifier` (`dcp_cases.py`), in the form of DCP 1.0 (the kit
accepts any status from 400 to 500), and what else a stranger may try. Each refusal has a line in the log that says
which check.
"""

import gzip
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from structlog.testing import capture_logs

from connector.identity.jws import CompactJws
from connector.identity.keys import SigningKey
from connector.protocol.errors import PeerError
from tests.integration.dcp_cases import case, proving
from tests.integration.dcp_world import (
    BITSTRING,
    CATALOG_REQUEST,
    LIST,
    NODE,
    SCOPE,
    Counterparty,
    DcpNode,
    dcp_node,
    forged,
    lasting,
    now_ms,
    started,
)

KITS_REQUEST = {
    "@type": "https://w3id.org/dspace/2025/1/CatalogRequestMessage",
    "https://w3id.org/dspace/2025/1/filter": {},
}
"""Expanded JSON-LD without a context, with an empty filter."""


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[DcpNode]:
    async with dcp_node(tmp_path) as started:
        yield started


async def refused(node: DcpNode, header: str | None, cause: str = "") -> tuple[int, str]:
    """(status, check in the log); the answer is the protocol's error and says no more than that.

    cause: what the log says besides of the document that the sender's DID leads to.
    """
    with capture_logs() as logs:
        status, answer = await node.catalog(header)
    assert answer["@type"] == "CatalogError"
    (line,) = [entry for entry in logs if entry["event"] == "denied"]
    assert line["reason"] not in str(answer)
    if cause:
        (unfetched,) = [entry for entry in logs if entry["event"] == "a DID document cannot be fetched"]
        assert cause in unfetched["reason"]
        assert cause not in str(answer)
    return status, line["check"]


@case("presentationResponse_endpointDiscovery")
async def test_the_document_names_the_credential_service(node: DcpNode) -> None:
    services = {service["type"]: service for service in (await node.document())["service"]}
    assert services["CredentialService"].keys() == {"id", "type", "serviceEndpoint"}
    assert services["CredentialService"]["serviceEndpoint"].startswith("http")


@case("verifier_05_01_presentationResponse_success")
@pytest.mark.parametrize("doc", [CATALOG_REQUEST, KITS_REQUEST], ids=["compact", "as the kit writes it"])
async def test_a_member_sees_the_catalog(node: DcpNode, doc: dict[str, Any]) -> None:
    status, answer = await node.catalog(node.them.header(), doc)
    assert (status, answer["@type"]) == (200, "Catalog")
    ((query, token),) = node.them.queries
    assert (query.scope, token.issuer, token.audience) == ((SCOPE,), NODE, (node.them.did("holder"),))
    assert token.jws.payload["token"] == "access"  # noqa: S105 - no secret


@case("verifier_05_04_02_02_presentationResponse_tooManyCredentials")
async def test_more_than_asked_for_is_no_fault(node: DcpNode) -> None:
    node.them.show = lambda _: [node.them.vp(node.them.vc(), node.them.vc("SensitiveDataCredential"))]
    assert (await node.catalog(node.them.header()))[0] == 200


@case("verifier_04_03_03_idTokenJtiUsedTwice")
async def test_a_jti_counts_once(node: DcpNode) -> None:
    first, second = (node.them.header(jti="same", token=token) for token in ("one", "two"))
    assert (await node.catalog(first))[0] == 200
    assert await refused(node, second) == (401, "si-token")


Header = Callable[[Counterparty], str | None]
TOKEN = "verifier_04_03_03_idToken"  # noqa: S105 - how the names of cases begin


@pytest.mark.parametrize(
    ("header", "check"),
    [
        (lambda _: None, "header"),
        proving(
            "presentationResponse_rejectMissingBearerPrefix", lambda t: t.header().removeprefix("Bearer "), "header"
        ),
        proving(f"{TOKEN}InvalidIssuerSub", lambda t: t.header("thirdparty", aud=t.did("holder")), "si-token"),
        pytest.param(
            lambda t: t.header(sub=t.did("thirdparty")),
            "si-token",
            marks=case(f"{TOKEN}InvalidSub", f"{TOKEN}IncorrectSub"),
            id=f"{TOKEN}InvalidSub",
        ),
        proving(f"{TOKEN}IncorrectSub", lambda t: t.header("thirdparty", key=t.named("thirdparty")), "si-token"),
        (lambda t: t.header("thirdparty", sub=t.did("holder")), "si-token"),
        (lambda t: t.header(iss=t.did("thirdparty")), "si-token"),
        proving(f"{TOKEN}IncorrectAud", lambda t: t.header(aud=t.did("thirdparty")), "si-token"),
        proving(
            f"{TOKEN}NbfInFuture", lambda t: t.header(nbf=now_ms() // 1000 + 1_000_000, **lasting(0, 600)), "si-token"
        ),
        proving(f"{TOKEN}NbfInFuture", lambda t: t.header(nbf=now_ms() // 1000 + 60, **lasting(0, 600)), "si-token"),
        proving(f"{TOKEN}Expired", lambda t: t.header(**lasting(0, -1_000_000)), "si-token"),
        proving(f"{TOKEN}Expired", lambda t: t.header(**lasting(-120, -60)), "si-token"),
        (lambda t: t.header(**lasting(60, 120)), "si-token"),
        (lambda t: t.header(jti=None), "si-token"),
        (lambda t: t.header(key=t.keys["thirdparty"]), "si-token"),
        (lambda t: t.header(key=forged(t.keys["holder"])), "si-token"),
        (lambda t: f"Bearer {t.vp(t.vc())}", "si-token"),
        proving(
            "verifier_04_03_01_presentationResponse_idTokenNoTokenClaim", lambda t: t.header(token=None), "access-token"
        ),
    ],
)
async def test_a_bad_token_is_refused_with_401(node: DcpNode, header: Header, check: str) -> None:
    assert await refused(node, header(node.them)) == (401, check)
    assert node.them.queries == []


@case("verifier_04_03_03_idTokenInvalidIssuerSub")
async def test_an_access_token_is_no_good_with_somebody_else(node: DcpNode) -> None:
    """A third party, proved, brings what the holder has given it: the wallet refuses, or shows somebody else's."""
    node.them.show = lambda _: 401
    assert await refused(node, node.them.header("thirdparty")) == (401, "wallet")
    node.them.show = lambda _: [node.them.vp(node.them.vc())]
    assert await refused(node, node.them.header("thirdparty")) == (401, "presentation-holder")


async def test_a_key_that_is_not_published_is_worth_one_look_at_the_document(node: DcpNode) -> None:
    assert (await node.catalog(node.them.header()))[0] == 200
    header = node.them.header(key=SigningKey.generate(node.them.did("holder")))
    assert await refused(node, header) == (401, "si-token")
    assert node.them.asked.count("/holder/did.json") == 2


Show = Callable[[Counterparty], list[Any] | int]
SHOWN = "presentationResponse"


@pytest.mark.parametrize(
    ("show", "status", "check"),
    [
        proving(f"verifier_05_04_02_01_{SHOWN}_tooFewCredentials", lambda _: 401, 401, "wallet"),
        proving(
            f"verifier_05_04_02_01_{SHOWN}_tooFewCredentials",
            lambda t: [t.vp(t.vc("SensitiveDataCredential"))],
            403,
            "credential-missing",
        ),
        (lambda _: 500, 503, "wallet"),
        proving(f"verifier_05_04_02_03_{SHOWN}_emptyPresentations", lambda _: [], 403, "credential-missing"),
        proving(f"verifier_05_04_02_04_{SHOWN}_emptyCredentials", lambda t: [t.vp()], 403, "credential-missing"),
        (lambda t: [t.vp(t.vc(), by="thirdparty")], 401, "presentation-holder"),
        (lambda t: [t.vp(t.vc(), audience=t.did("thirdparty"))], 401, "presentation-audience"),
        proving(
            f"verifier_05_04_03_{SHOWN}_holderNotEqualSubjectId",
            lambda t: [t.vp(t.vc(subject="thirdparty"))],
            403,
            "credential-subject",
        ),
        (lambda t: [t.vp(t.vc(by="holder"))], 403, "credential-issuer"),
        (lambda t: [t.vp(t.vc("OtherCredential"))], 403, "credential-missing"),
        (lambda t: [t.vp(t.vc(), t.vc("OtherCredential"))], 403, "credential-issuer"),
        proving(
            f"verifier_05_04_03_07_{SHOWN}_expiredCredential",
            lambda t: [t.vp(t.vc(valid_until=now_ms() - 100_000))],
            403,
            "credential-time",
        ),
        proving(
            f"verifier_05_04_03_06_{SHOWN}_notYetValidCredential",
            lambda t: [t.vp(t.vc(valid_from=now_ms() + 3_600_000))],
            403,
            "credential-time",
        ),
    ],
)
async def test_what_the_wallet_shows_is_not_enough(node: DcpNode, show: Show, status: int, check: str) -> None:
    node.them.show = lambda _: show(node.them)
    assert await refused(node, node.them.header()) == (status, check)


@case("verifier_05_04_03_06_presentationResponse_credentialRevoked")
@pytest.mark.parametrize("kind", [LIST, BITSTRING])
async def test_a_revoked_credential_is_refused(node: DcpNode, kind: str) -> None:
    node.them.publish_list(1, kind=kind)
    node.them.show = lambda _: [node.them.vp(node.them.vc(credentialStatus=node.them.status(0, kind)))]
    assert (await node.catalog(node.them.header()))[0] == 200
    node.them.show = lambda _: [node.them.vp(node.them.vc(credentialStatus=node.them.status(1, kind)))]
    assert await refused(node, node.them.header()) == (403, "credential-revoked")


@case("verifier_05_04_03_06_presentationResponse_credentialRevoked")
async def test_the_kits_own_list_is_not_signed_and_lets_nobody_in(node: DcpNode) -> None:
    jwt = node.them.publish_list(1, kind=BITSTRING)
    bare = {name: value for name, value in CompactJws.parse(jwt).payload.items() if name not in ("iss", "iat", "jti")}
    node.them.pages["/statuslist/1"] = lambda _: web.json_response(bare)
    node.them.show = lambda _: [node.them.vp(node.them.vc(credentialStatus=node.them.status(1, BITSTRING)))]
    assert await refused(node, node.them.header()) == (403, "status-list")


def bomb(_: web.Request) -> web.Response:
    """30 MB of nothing in 30 kB."""
    headers = {"Content-Encoding": "gzip", "Content-Type": "application/vc+jwt"}
    return web.Response(body=gzip.compress(bytes(30 << 20)), headers=headers)


def elsewhere(_: web.Request) -> web.Response:
    return web.Response(status=302, headers={"Location": "/statuslist/2"})


@pytest.mark.parametrize(
    ("page", "status"),
    [
        (lambda _: web.json_response({"type": ["VerifiableCredential"]}), 403),
        (lambda _: web.Response(status=404), 503),
        (elsewhere, 503),
        (lambda _: web.Response(body=bytes(300 << 10)), 503),
        (bomb, 503),
    ],
    ids=["unsigned", "absent", "redirected", "oversized", "bomb"],
)
async def test_without_a_good_status_list_nobody_comes_in(
    node: DcpNode, page: Callable[[web.Request], web.Response], status: int
) -> None:
    node.them.pages["/statuslist/2"] = node.them.pages["/statuslist/1"]
    node.them.pages["/statuslist/1"] = page
    node.them.show = lambda _: [node.them.vp(node.them.vc(credentialStatus=node.them.status()))]
    assert await refused(node, node.them.header()) == (status, "status-list")
    assert "/statuslist/2" not in node.them.asked


SCHEMA = {
    "$schema": "http://json-schema.org/draft-04/schema#",
    "type": "object",
    "properties": {"id": {"type": "string"}, "foo": {"type": "string"}},
    "required": ["id", "foo"],
}


@case("verifier_x_x_presentationResponse_invalidCredentialSchema")
async def test_a_credential_that_lacks_what_its_schema_wants_is_refused(node: DcpNode) -> None:
    reference = {"id": f"{node.them.root}/schema/1", "type": "JsonSchemaValidator2018"}
    node.them.pages["/schema/1"] = lambda _: web.json_response(SCHEMA)
    subject = {"id": node.them.did("holder"), "baz": "quazz"}
    node.them.show = lambda _: [node.them.vp(node.them.vc(credentialSchema=reference, credentialSubject=subject))]
    assert await refused(node, node.them.header()) == (403, "credential-schema")


@pytest.mark.parametrize(
    ("schema", "status"),
    [
        (SCHEMA, 200),
        (SCHEMA | {"required": ["bar"]}, 403),
        ({"properties": {"credentialSubject": {"required": ["foo"]}}, "required": ["issuer"]}, 200),
        ({"properties": {"credentialSubject": {"required": ["bar"]}}}, 403),
        ({"$ref": "http://127.0.0.1:9/other.json"}, 403),
        ({"type": "nonsense"}, 403),
        (None, 503),
    ],
)
async def test_a_credential_fits_its_schema(node: DcpNode, schema: dict[str, Any] | None, status: int) -> None:
    reference = {"id": f"{node.them.root}/schema/1", "type": "JsonSchemaValidator2018"}
    if schema is not None:
        node.them.pages["/schema/1"] = lambda _: web.json_response(schema)
    node.them.show = lambda _: [node.them.vp(node.them.vc(credentialSchema=reference))]
    if status == 200:
        assert (await node.catalog(node.them.header()))[0] == 200
    else:
        assert await refused(node, node.them.header()) == (status, "credential-schema")


async def test_a_document_that_redirects_is_not_followed(node: DcpNode) -> None:
    node.them.pages["/holder/moved.json"] = node.them.pages["/holder/did.json"]
    moved = {"Location": f"{node.them.root}/holder/moved.json"}
    node.them.pages["/holder/did.json"] = lambda _: web.Response(status=301, headers=moved)
    assert await refused(node, node.them.header(), cause="answered 301") == (503, "si-token")
    assert node.them.asked == ["/holder/did.json"]


async def test_a_wallet_elsewhere_is_not_followed(node: DcpNode) -> None:
    node.them.pages["/presentations/query"] = lambda _: web.Response(status=307, headers={"Location": "/other"})
    assert await refused(node, node.them.header()) == (401, "wallet")
    assert "/other" not in node.them.asked


async def test_a_document_that_points_inward_is_not_asked_for_in_production(tmp_path: Path) -> None:
    production: dict[str, dict[str, Any]] = {"node": {"development": False}, "public": {"url": "https://verifier.test"}}
    async with dcp_node(tmp_path, **production) as node:
        assert await refused(node, node.them.header(), cause="loopback") == (503, "si-token")
        assert node.them.asked == []


async def test_shown_credentials_are_kept(tmp_path: Path) -> None:
    async with dcp_node(tmp_path, identity={"keep_credentials": 60}) as node:
        for _ in range(3):
            assert (await node.catalog(node.them.header()))[0] == 200
        assert len(node.them.queries) == 1


async def test_nobody_is_served_before_it_is_proved(node: DcpNode) -> None:
    """A message that could not be read is not even looked at."""
    assert (await node.catalog(None, {"@type": "Nonsense"}))[0] == 401
    assert (await node.catalog(node.them.header(), {"@type": "Nonsense"}))[0] == 400


async def test_a_node_that_started_again_knows_what_was_shown(tmp_path: Path) -> None:
    async with Counterparty() as them:
        shown = them.vc(credentialStatus=them.status())
        them.show = lambda _: [them.vp(shown)]
        async with started(tmp_path, them, {}) as node:
            assert (await node.catalog(them.header()))[0] == 200
        async with started(tmp_path, them, {}) as node:
            identity = node.running.node.identity
            caller = await identity.verify(them.header(token="data"), single_use=False)  # noqa: S106 - no secret
            assert [says.types for says in caller.credentials] == [("MembershipCredential",)]
        them.publish_list(7)
        async with started(tmp_path, them, {}) as node:
            with capture_logs() as logs, pytest.raises(PeerError):
                await node.running.node.identity.verify(them.header(token="data"), single_use=False)  # noqa: S106 - as above
            assert logs[-1]["check"] == "credential-revoked"
        assert len(them.queries) == 1
