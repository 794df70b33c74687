"""Who is let in under DCP, and who is not: each failing check denies, says nothing to the peer, and is in the log."""

import asyncio
import base64
import gzip
import hmac
import re
import tomllib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import jwt
import orjson
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from structlog.testing import capture_logs

from connector.config import parse
from connector.exchange.ports import Identity
from connector.identity.credentials import Profile, iso, sign_credential
from connector.identity.dcp import DcpIdentity
from connector.identity.did import did_document, did_web_url
from connector.identity.jws import CompactJws, b64url
from connector.identity.keys import SigningKey
from connector.identity.refusal import Check
from connector.identity.tokens import SelfIssuedToken
from connector.protocol.errors import Invalid, PeerError, Unreachable
from connector.storage.connection import Unavailable
from tests.unit.dcp_world import (
    AUTHORITY,
    BPN,
    GOVERNANCE,
    LIST,
    MEMBERSHIP,
    OTHER_BPN,
    PARTNER,
    SCOPES,
    STRANGER,
    TYPES,
    WALLET,
    YEAR_MS,
    DcpWorld,
    Remembered,
    Reply,
)
from tests.unit.identity_world import NOW, OURS, THEIRS

ADDRESS = "https://provider.example/dsp"
Change = Callable[[DcpWorld], Any]


@pytest.fixture(params=list(Profile))
def world(request: pytest.FixtureRequest) -> DcpWorld:
    return DcpWorld(request.param)


async def denied(identity: DcpIdentity, header: str | None) -> tuple[int, dict[str, Any]]:
    """(status, log line) of a refusal; the peer must not be told what was wrong."""
    with capture_logs() as logs, pytest.raises(PeerError) as caught:
        await identity.verify(header)
    (line,) = [entry for entry in logs if entry["event"] == "denied"]
    assert caught.value.pointer == ""
    assert line["reason"] not in str(caught.value)
    assert caught.value.reason in {
        "the sender is not authenticated",
        "the sender's credentials do not allow this",
        "the sender cannot be verified right now; send again later with a fresh token",
    }
    assert line["log_level"] == "warning"
    assert header is None or header.removeprefix("Bearer ")[:40] not in str(line) or len(header) < 50
    return caught.value.status, dict(line)


# Who is let in


async def test_a_member_is_let_in_with_the_bpn_that_its_credentials_prove(world: DcpWorld) -> None:
    port: Identity = world.identity()
    caller = await port.verify(world.header())
    assert (port.id, caller.id, caller.bpn) == (OURS, THEIRS, BPN)
    assert [says.types for says in caller.credentials] == [(name,) for name in TYPES]
    assert caller.credentials[2].subject["contractVersion"] == "1.0"
    assert {(says.issuer, says.valid_until) for says in caller.credentials} == {(AUTHORITY, NOW + YEAR_MS // 2)}


async def test_what_a_sender_says_of_itself_is_no_credential(world: DcpWorld) -> None:
    caller = await world.identity().verify(with_claims(credentials=[{"types": ["DismantlerCredential"]}])(world))
    assert [says.types for says in caller.credentials] == [(name,) for name in TYPES]
    refresh = with_claims(credentials=[{"types": ["MembershipCredential"]}])(world)
    with pytest.raises(PeerError):
        await world.identity().verify(refresh, single_use=False)


async def test_an_optional_credential_is_asked_for_and_may_be_missing(world: DcpWorld) -> None:
    dismantler = "org.eclipse.tractusx.vc.type:DismantlerCredential:read"
    us = world.identity(optional=[dismantler], keep_s=0)
    assert len((await us.verify(world.header())).credentials) == 3
    assert world.wallet.queries[0].scope == (*SCOPES, dismantler)
    world.shown = [*world.shown, world.vc("DismantlerCredential", subject={"activityType": "vehicleDismantle"})]
    assert (await us.verify(world.header())).credentials[3].subject["activityType"] == "vehicleDismantle"
    header = await us.token(THEIRS, address=ADDRESS)
    access = SelfIssuedToken.parse(header.removeprefix("Bearer ")).jws.payload["token"]
    assert dismantler in CompactJws.parse(access).payload["scope"].split()


async def test_the_wallet_is_asked_once_with_a_token_of_ours_that_carries_the_senders(world: DcpWorld) -> None:
    await world.identity().verify(world.header(access="the access token"))
    assert world.wallet.urls == [f"{WALLET}/presentations/query"]
    assert world.wallet.queries[0].scope == SCOPES
    token = SelfIssuedToken.parse(world.wallet.tokens[0])
    assert (token.issuer, token.audience, token.jws.payload["token"]) == (OURS, (THEIRS,), "the access token")


async def test_our_messages_carry_an_access_token_to_our_wallet_for_the_receiver_alone(world: DcpWorld) -> None:
    header = await world.identity(directory={BPN: THEIRS}).token(BPN, address=ADDRESS)
    token = SelfIssuedToken.parse(header.removeprefix("Bearer "))
    assert (token.issuer, token.audience) == (OURS, (THEIRS,))
    access = CompactJws.parse(token.jws.payload["token"]).payload
    assert (access["iss"], access["aud"], access["sub"]) == (OURS, OURS, THEIRS)
    assert access["scope"].split() == list(SCOPES)
    assert access["jti"].startswith("accesstoken-")
    assert access["exp"] - access["iat"] == 300


async def test_a_token_refresh_is_asserted_by_a_token_alone(world: DcpWorld) -> None:
    header = await world.identity().token(THEIRS, address=ADDRESS, claims={"token": "data"})
    assert SelfIssuedToken.parse(header.removeprefix("Bearer ")).jws.payload["token"] == "data"  # noqa: S105 - no secret
    refresh = world.header(access="data")
    world.shown = [world.vc(GOVERNANCE)]
    us = world.identity(directory={BPN: THEIRS}, scopes=SCOPES[2:])
    await us.verify(world.header())
    for _ in range(2):
        caller = await us.verify(refresh, single_use=False)
        assert (caller.id, caller.bpn, caller.claims["token"]) == (THEIRS, BPN, "data")
    assert len(world.wallet.queries) == 1


async def test_a_refresh_of_somebody_who_has_shown_nothing_is_denied(world: DcpWorld) -> None:
    us = world.identity(directory={BPN: THEIRS})
    with capture_logs() as logs, pytest.raises(PeerError):
        await us.verify(world.header(access="data"), single_use=False)
    assert logs[-1]["check"] == "credential-missing"
    assert await us.shown(THEIRS) == ()
    await us.verify(world.header())
    assert (await us.verify(world.header(access="data"), single_use=False)).bpn == BPN


async def test_a_counterparty_that_is_neither_did_nor_known_bpn_gets_no_token(world: DcpWorld) -> None:
    with pytest.raises(Invalid):
        await world.identity().token(BPN, address=ADDRESS)


async def test_a_token_takes_no_claim_but_a_token(world: DcpWorld) -> None:
    with pytest.raises(Invalid):
        await world.identity().token(THEIRS, address=ADDRESS, claims={"iss": STRANGER})


async def test_more_credentials_than_asked_for_are_no_fault(world: DcpWorld) -> None:
    caller = await world.identity(scopes=SCOPES[:1]).verify(world.header())
    assert len(caller.credentials) == 3


async def test_a_member_without_partner_number_is_let_in_without_one(world: DcpWorld) -> None:
    world.shown = [world.vc(subject={"memberOf": "Catena-X"})]
    caller = await world.identity(scopes=SCOPES[:1]).verify(world.header())
    assert caller.bpn is None


async def test_who_is_not_trusted_to_give_out_partner_numbers_does_not(world: DcpWorld) -> None:
    dismantler = world.vc("DismantlerCredential", subject={"holderIdentifier": OTHER_BPN, "activityType": "x"})
    world.shown = [dismantler]
    identity = world.identity(
        scopes=["org.eclipse.tractusx.vc.type:DismantlerCredential:read"],
        trusted={AUTHORITY: ["DismantlerCredential"]},
    )
    assert (await identity.verify(world.header())).bpn is None


async def test_several_presentations_count_together(world: DcpWorld) -> None:
    world.wallet.answer = lambda _: world.answer(*(world.vp(jwt) for jwt in world.shown))
    assert (await world.identity().verify(world.header())).bpn == BPN


async def test_an_issuer_with_a_new_key_is_still_known(world: DcpWorld) -> None:
    us = world.identity(keep_s=0)
    await us.verify(world.header())
    world.clock.tick(10)
    new = SigningKey.generate(AUTHORITY)
    world.web.publish(AUTHORITY, did_document(AUTHORITY, [new, world.keys[AUTHORITY]]))
    world.shown = [world.vc(name, key=new) for name in TYPES]
    assert (await us.verify(world.header())).bpn == BPN


# What the wallet showed is kept


async def test_the_wallet_is_not_asked_again_for_a_while(world: DcpWorld) -> None:
    us = world.identity(keep_s=300)
    for _ in range(3):
        assert (await us.verify(world.header())).bpn == BPN
    assert len(world.wallet.queries) == 1
    world.clock.tick(301)
    await us.verify(world.header())
    assert len(world.wallet.queries) == 2


async def test_nothing_is_kept_if_the_operator_says_so(world: DcpWorld) -> None:
    us = world.identity(keep_s=0)
    await us.verify(world.header())
    await us.verify(world.header())
    assert len(world.wallet.queries) == 2


async def test_many_messages_at_once_cost_one_query(world: DcpWorld) -> None:
    us = world.identity()
    callers = await asyncio.gather(*(us.verify(world.header()) for _ in range(20)))
    assert {caller.bpn for caller in callers} == {BPN}
    assert len(world.wallet.queries) == 1


async def test_a_kept_credential_is_no_good_once_it_is_revoked(world: DcpWorld) -> None:
    us = world.identity(keep_s=3600)
    await us.verify(world.header())
    world.publish_list(7)
    await us.verify(world.header())  # the list at hand is still good
    world.clock.tick(301)
    status, line = await denied(us, world.header())
    assert (status, line["check"]) == (403, "credential-revoked")
    assert len(world.wallet.queries) == 2


async def test_a_refresh_is_denied_once_what_was_shown_last_is_revoked(world: DcpWorld) -> None:
    us = world.identity(keep_s=30)
    await us.verify(world.header())
    world.clock.tick(60)  # nothing is kept any more, but what was shown last is known
    again = await us.verify(world.header(access="data"), single_use=False)
    assert [says.types for says in again.credentials] == [(name,) for name in TYPES]
    assert again.bpn == BPN
    assert await us.shown(THEIRS) == again.credentials
    world.publish_list(7)
    world.clock.tick(301)
    with capture_logs() as logs, pytest.raises(PeerError) as caught:
        await us.verify(world.header(access="data"), single_use=False)
    assert (caught.value.status, logs[-1]["check"]) == (403, "credential-revoked")
    assert await us.shown(THEIRS) == await us.shown(STRANGER) == ()
    await denied(us, world.header())  # a message that is refused does not make anybody forget
    with pytest.raises(PeerError):
        await us.verify(world.header(access="data"), single_use=False)
    assert len(world.wallet.queries) == 2


async def test_what_was_shown_last_outlives_a_restart_and_is_proved_anew_once(world: DcpWorld) -> None:
    remembered = Remembered()
    await world.identity(remembered=remembered).verify(world.header())
    us = world.identity(remembered=remembered)
    asked = len(world.web.asked)
    for _ in range(2):
        caller = await us.verify(world.header(access="data"), single_use=False)
        assert ([says.types for says in caller.credentials], caller.bpn) == ([(name,) for name in TYPES], BPN)
    assert world.web.asked[asked:] == [LIST], "a list is fetched once, to the keys of issuers this is nothing new"
    world.publish_list(7)
    world.clock.tick(301)
    with capture_logs() as logs, pytest.raises(PeerError):
        await us.verify(world.header(access="data"), single_use=False)
    assert logs[-1]["check"] == "credential-revoked"
    assert len(world.wallet.queries) == 1


@pytest.mark.parametrize(
    ("trusted", "kept", "check"),
    [
        ({STRANGER: ["*"]}, None, "credential-issuer"),  # the operator has changed its mind meanwhile
        (None, lambda w: w.vc(subject={"id": STRANGER}), "credential-subject"),
        (None, lambda w: w.vc(key=SigningKey.generate(AUTHORITY)), "credential-signature"),
        (None, lambda w: w.vc()[:-6] + "AAAAAA", "credential-signature"),
        (None, lambda _: "no credential", "credential"),
    ],
)
async def test_what_is_in_the_database_is_not_believed_without_proof(
    world: DcpWorld, trusted: dict[str, list[str]] | None, kept: Callable[[DcpWorld], str] | None, check: str
) -> None:
    remembered = Remembered()
    await world.identity(remembered=remembered).verify(world.header())
    if kept is not None:
        remembered.last[THEIRS] = (kept(world),)
    us = world.identity(remembered=remembered, trusted=trusted)
    with capture_logs() as logs, pytest.raises(PeerError):
        await us.verify(world.header(access="data"), single_use=False)
    assert logs[-1]["check"] == check


async def test_a_replica_judges_by_what_another_was_shown_last(world: DcpWorld) -> None:
    remembered = Remembered()
    here, there = (world.identity(remembered=remembered, keep_s=0) for _ in range(2))
    await here.verify(world.header())
    world.shown = [*world.shown, world.vc("DismantlerCredential", subject={"activityType": "vehicleDismantle"})]
    await there.verify(world.header())
    for us in (here, there):
        caller = await us.verify(world.header(access="data"), single_use=False)
        assert [says.types for says in caller.credentials][3:] == [("DismantlerCredential",)]


async def test_who_cannot_be_remembered_has_to_come_again(world: DcpWorld) -> None:
    disk = Remembered(full=True)
    us = world.identity(remembered=disk)
    with pytest.raises(Unavailable):
        await us.verify(world.header())
    disk.full = False
    assert (await us.verify(world.header())).bpn == BPN
    assert len(world.wallet.queries) == 2


async def test_a_refresh_is_not_decided_while_a_status_list_is_out_of_reach(world: DcpWorld) -> None:
    us = world.identity(keep_s=3600)
    await us.verify(world.header())
    del world.web.pages[LIST]
    world.clock.tick(301)
    with pytest.raises(PeerError) as caught:
        await us.verify(world.header(access="data"), single_use=False)
    assert caught.value.status == 503
    assert await us.shown(THEIRS) == ()


async def test_what_is_kept_outlives_an_outage_of_the_list_but_opens_nothing(world: DcpWorld) -> None:
    us = world.identity(keep_s=3600)
    await us.verify(world.header())
    page = world.web.pages.pop(LIST)
    world.clock.tick(301)
    status, line = await denied(us, world.header())
    assert (status, line["check"]) == (503, "status-list")
    world.web.pages[LIST] = page
    world.clock.tick(6)
    assert (await us.verify(world.header())).bpn == BPN
    assert len(world.wallet.queries) == 1


async def test_a_list_says_itself_how_long_it_is_good(world: DcpWorld) -> None:
    world.publish_list(ttl=20_000)
    us = world.identity(keep_s=3600)
    await us.verify(world.header())
    world.publish_list(7)
    world.clock.tick(21)
    assert (await denied(us, world.header()))[1]["check"] == "credential-revoked"


async def test_a_kept_credential_that_expires_is_asked_for_again(world: DcpWorld) -> None:
    end = {Profile.VC11: "expirationDate", Profile.VC20: "validUntil"}[world.profile]
    soon: dict[str, Any] = {end: iso(NOW + 10_000)}
    world.shown = [world.vc(name, **soon) for name in TYPES]
    us = world.identity(keep_s=3600)
    await us.verify(world.header())
    world.clock.tick(20)
    assert (await denied(us, world.header()))[1]["check"] == "credential-time"
    world.shown = [world.vc(name) for name in TYPES]
    assert (await us.verify(world.header())).bpn == BPN


async def test_a_refusal_is_not_kept(world: DcpWorld) -> None:
    good, world.shown = world.shown, [world.vc()]
    us = world.identity()
    assert (await denied(us, world.header()))[1]["check"] == "credential-missing"
    world.shown = good
    assert (await us.verify(world.header())).bpn == BPN


# Tokens


def forged(world: DcpWorld) -> str:
    return world.header(key=SigningKey.generate(THEIRS))


def by_a_key_of_ours(world: DcpWorld) -> str:
    head, payload, _ = world.header().removeprefix("Bearer ").split(".")
    signature = b64url(world.keys[OURS].sign(f"{head}.{payload}".encode()))
    return f"Bearer {head}.{payload}.{signature}"


def with_claims(**changes: Any) -> Change:
    def header(world: DcpWorld) -> str:
        now = world.clock.now() // 1000
        claims = {"iss": THEIRS, "sub": THEIRS, "aud": OURS, "jti": "j", "iat": now, "exp": now + 60, "token": "a"}
        return f"Bearer {world.keys[THEIRS].sign_jwt(claims | changes)}"

    return header


def confuse(token: str, key: SigningKey, algorithm: str) -> str:
    """The same payload "signed" with what everybody knows."""
    head, payload = b64url(orjson.dumps({"alg": algorithm, "kid": key.kid})), token.split(".")[1]
    secret = orjson.dumps(key.public_jwk())
    tag = b"" if algorithm == "none" else hmac.digest(secret, f"{head}.{payload}".encode(), "sha256")
    return f"{head}.{payload}.{b64url(tag)}"


def confused(algorithm: str) -> Change:
    """A token that names the holder's key with an algorithm in which its public key would be the secret."""

    def header(world: DcpWorld) -> str:
        return f"Bearer {confuse(world.header().removeprefix('Bearer '), world.keys[THEIRS], algorithm)}"

    return header


NOW_S = NOW // 1000


@pytest.mark.parametrize(
    ("change", "check", "reason"),
    [
        (lambda _: None, "header", "Bearer"),
        (lambda _: "", "header", "Bearer"),
        (lambda w: w.header().removeprefix("Bearer "), "header", "Bearer"),
        (lambda w: "Basic " + w.header().removeprefix("Bearer "), "header", "Bearer"),
        (lambda _: "Bearer garbage", "si-token", "not a signed JWT"),
        (forged, "si-token", "not in the sender's DID document"),
        (by_a_key_of_ours, "si-token", "not by the key it names"),
        (confused("none"), "si-token", "not by the key it names"),
        (confused("HS256"), "si-token", "not by the key it names"),
        (with_claims(aud=STRANGER), "si-token", "not for this participant"),
        (with_claims(sub=STRANGER), "si-token", "iss and sub"),
        (with_claims(exp=NOW_S - 60, iat=NOW_S - 120), "si-token", "expired"),
        (with_claims(iat=NOW_S + 60, exp=NOW_S + 120), "si-token", "future"),
        (with_claims(nbf=NOW_S + 60), "si-token", "not valid yet"),
        (with_claims(jti=None), "si-token", "jti"),
        (lambda w: w.header(access=None), "access-token", "access token"),
        (with_claims(token=""), "access-token", "access token"),
        (with_claims(token=17), "access-token", "access token"),
        (with_claims(token="t" * 20_000), "access-token", "access token"),
    ],
)
async def test_a_bad_token_is_denied(world: DcpWorld, change: Change, check: str, reason: str) -> None:
    status, line = await denied(world.identity(), change(world))
    assert (status, line["check"]) == (401, check)
    assert reason in line["reason"]
    assert world.wallet.queries == []


async def test_a_token_that_was_used_is_denied(world: DcpWorld) -> None:
    us, header = world.identity(), world.header()
    await us.verify(header)
    status, line = await denied(us, header)
    assert (status, line["check"], line["place"]) == (401, "si-token", "/jti")
    first, second = with_claims(jti="same")(world), with_claims(jti="same", token=ADDRESS)(world)
    await us.verify(first)
    assert (await denied(us, second))[1]["place"] == "/jti"


async def test_the_log_names_the_sender_and_whether_it_is_proven(world: DcpWorld) -> None:
    _, line = await denied(world.identity(), forged(world))
    assert (line["peer"], line["proven"]) == (THEIRS, False)
    world.shown = []
    world.wallet.answer = lambda _: world.answer()
    _, line = await denied(world.identity(), world.header())
    assert (line["peer"], line["proven"]) == (THEIRS, True)
    assert (await denied(world.identity(), "Bearer x.y.z"))[1]["peer"] is None


async def test_a_sender_whose_document_is_out_of_reach_is_asked_to_come_again(world: DcpWorld) -> None:
    del world.web.pages[did_web_url(THEIRS)]
    status, line = await denied(world.identity(), world.header())
    assert (status, line["check"]) == (503, "si-token")


# Documents that lead elsewhere


async def test_a_document_that_redirects_or_points_inward_is_not_followed(world: DcpWorld) -> None:
    """What Outbound says of a redirect, and of an address inside."""
    for reason in ("consumer.example:443: answered 302 instead of the document", "refused to connect: loopback"):
        world.web.down = lambda reason=reason: Unreachable(reason)
        status, line = await denied(world.identity(), world.header())
        assert (status, line["check"]) == (503, "si-token")
        world.clock.tick(6)


@pytest.mark.parametrize("endpoint", ["http://127.0.0.1:5432", "http://consumer.example/dcp"])
async def test_a_wallet_that_we_may_not_call_is_not_called(world: DcpWorld, endpoint: str) -> None:
    services = [{"id": f"{THEIRS}#cs", "type": "CredentialService", "serviceEndpoint": endpoint}]
    world.web.publish(THEIRS, did_document(THEIRS, [world.keys[THEIRS]], services))
    status, line = await denied(world.identity(), world.header())
    assert (status, line["check"]) == (401, "wallet")
    assert world.wallet.urls == []


async def test_a_sender_without_wallet_is_denied(world: DcpWorld) -> None:
    world.web.publish(THEIRS, did_document(THEIRS, [world.keys[THEIRS]]))
    status, line = await denied(world.identity(), world.header())
    assert (status, line["check"]) == (401, "wallet")
    assert "CredentialService" in line["reason"]


# Wallets


@pytest.mark.parametrize(
    ("reply", "status", "check"),
    [
        (Reply(401), 401, "wallet"),
        (Reply(404), 401, "wallet"),
        (Reply(302), 401, "wallet"),
        (Reply(500), 503, "wallet"),
        (Reply(200, b"not JSON"), 401, "wallet"),
        (Reply(200, b"[]"), 401, "wallet"),
        (Reply(200, b'{"type":"PresentationResponseMessage"}'), 401, "wallet"),
        (Reply(200, b'{"type":"PresentationResponseMessage","type":"PresentationResponseMessage"}'), 401, "wallet"),
    ],
)
async def test_a_wallet_that_does_not_answer_as_it_must_is_denied(
    world: DcpWorld, reply: Reply, status: int, check: str
) -> None:
    world.wallet.answer = lambda _: reply
    found, line = await denied(world.identity(), world.header())
    assert (found, line["check"]) == (status, check)


async def test_a_wallet_out_of_reach_is_asked_for_later(world: DcpWorld) -> None:
    def gone(_: object) -> Reply:
        raise Unreachable("consumer.example:443: no connection in time")

    world.wallet.answer = gone
    status, line = await denied(world.identity(), world.header())
    assert (status, line["check"]) == (503, "wallet")


async def test_a_wallet_that_shows_more_than_anybody_reads_is_denied(world: DcpWorld) -> None:
    world.wallet.answer = lambda _: world.answer(*[world.vp(world.shown[0])] * 5)
    assert (await denied(world.identity(), world.header()))[1]["check"] == "wallet"


# Presentations


@pytest.mark.parametrize(
    ("presenter", "check"),
    [
        ({"by": STRANGER}, "presentation-holder"),
        ({"audience": STRANGER}, "presentation-audience"),
        ({"key": SigningKey.generate(THEIRS)}, "presentation-signature"),
    ],
)
async def test_a_presentation_of_somebody_else_is_denied(
    world: DcpWorld, presenter: dict[str, Any], check: str
) -> None:
    world.presenter = presenter
    status, line = await denied(world.identity(), world.header())
    assert (status, line["check"]) == (401, check)


async def test_a_presentation_of_another_time_is_denied(world: DcpWorld) -> None:
    for offset, check in ((-66, "presentation-time"), (6, "presentation-time")):
        world.clock.tick(offset)
        vp = world.vp(*world.shown)
        world.clock.tick(-offset)
        world.wallet.answer = partial(lambda vp, _: world.answer(vp), vp)
        status, line = await denied(world.identity(), world.header())
        assert (status, line["check"]) == (401, check)


async def test_a_presentation_by_a_key_that_is_not_for_authentication_is_denied(world: DcpWorld) -> None:
    services = [{"id": f"{THEIRS}#cs", "type": "CredentialService", "serviceEndpoint": WALLET}]
    document = did_document(THEIRS, [world.keys[THEIRS]], services) | {"authentication": []}
    world.web.publish(THEIRS, document)
    status, line = await denied(world.identity(), world.header())
    assert (status, line["check"]) == (401, "presentation-signature")


async def test_a_presentation_that_shows_nothing_is_denied(world: DcpWorld) -> None:
    for presentations in ([], [world.vp()]):
        world.wallet.answer = partial(lambda shown, _: world.answer(*shown), presentations)
        status, line = await denied(world.identity(), world.header())
        assert (status, line["check"]) == (403, "credential-missing")


# Credentials


def bad(*, name: str = PARTNER, **changes: Any) -> Change:
    """Replace one of the three credentials."""
    return lambda world: [world.vc(n, **(changes if n == name else {})) for n in TYPES]


def self_issued(world: DcpWorld) -> list[str]:
    return [world.vc(name, by=THEIRS) for name in TYPES]


def by_a_stranger(world: DcpWorld) -> list[str]:
    return [world.vc(name, by=STRANGER) for name in TYPES]


def with_a_foreign_key(world: DcpWorld) -> list[str]:
    return [world.vc(name, key=SigningKey.generate(AUTHORITY)) for name in TYPES]


def tampered(world: DcpWorld) -> list[str]:
    head, _, signature = world.vc(PARTNER).split(".")
    doc = orjson.loads(base64.urlsafe_b64decode(world.vc(PARTNER).split(".")[1] + "=="))
    doc.get("vc", doc)["credentialSubject"]["bpn"] = OTHER_BPN
    return [world.vc(), f"{head}.{b64url(orjson.dumps(doc))}.{signature}", world.vc(GOVERNANCE)]


def of_another_issuer_inside(world: DcpWorld) -> list[str]:
    """`iss` and key are the authority's, the credential in it says somebody else."""
    doc = world.vc_json() | {"issuer": STRANGER}
    claims = {"iss": AUTHORITY, "vc": doc} if world.profile is Profile.VC11 else doc | {"iss": AUTHORITY}
    return [world.keys[AUTHORITY].sign_jwt(claims)]


def of_no_date(world: DcpWorld) -> list[str]:
    doc = world.vc_json(validUntil="soon", expirationDate="soon")
    return [world.keys[AUTHORITY].sign_jwt({"iss": AUTHORITY, "vc": doc} if world.profile is Profile.VC11 else doc)]


@pytest.mark.parametrize(
    ("change", "check", "reason"),
    [
        (lambda w: [w.vc()], "credential-missing", "BpnCredential"),
        (self_issued, "credential-issuer", f"{THEIRS} is not a trusted issuer"),
        (by_a_stranger, "credential-issuer", f"{STRANGER} is not a trusted issuer"),
        (with_a_foreign_key, "credential-signature", "has no key"),
        (tampered, "credential-signature", "not by the key"),
        (of_another_issuer_inside, "credential", "issuer must be the same"),
        (bad(subject={"id": STRANGER}), "credential-subject", "somebody else"),
        (bad(subject={"id": None}), "credential-subject", "somebody else"),
        (bad(subject={"bpn": OTHER_BPN}), "bpn", "different partners"),
        (bad(subject={"bpn": "BPNL1"}), "bpn", "that is none"),
        (bad(subject={"bpn": ["x"]}), "bpn", "that is none"),
        (bad(expirationDate=iso(NOW - 20_000)), "credential-time", "has expired"),
        (bad(validUntil=iso(NOW - 20_000)), "credential-time", "has expired"),
        (bad(issuanceDate=iso(NOW + 60_000)), "credential-time", "not valid yet"),
        (bad(validFrom=iso(NOW + 60_000)), "credential-time", "not valid yet"),
        (of_no_date, "credential", "date and time"),
        (bad(credentialStatus={"type": "Other"}), "credential", "cannot be checked"),
    ],
)
async def test_a_bad_credential_is_denied(world: DcpWorld, change: Change, check: str, reason: str) -> None:
    world.shown = change(world)
    status, line = await denied(world.identity(), world.header())
    assert (status, line["check"]) == (403, check)
    assert reason in line["reason"]


@pytest.mark.parametrize("algorithm", ["none", "HS256", "RS256", "ES256K"])
async def test_no_algorithm_makes_a_signature_of_what_everybody_knows(world: DcpWorld, algorithm: str) -> None:
    good = world.shown
    world.shown = [confuse(token, world.keys[AUTHORITY], algorithm) for token in good]
    status, line = await denied(world.identity(), world.header())
    assert (status, line["check"]) == (403, "credential-signature")
    world.wallet.answer = lambda _: world.answer(confuse(world.vp(*good), world.keys[THEIRS], algorithm))
    status, line = await denied(world.identity(), world.header())
    assert (status, line["check"]) == (401, "presentation-signature")


async def test_an_issuer_counts_for_its_types_only(world: DcpWorld) -> None:
    trusted = {AUTHORITY: [MEMBERSHIP, GOVERNANCE], STRANGER: [PARTNER]}
    status, line = await denied(world.identity(trusted=trusted), world.header())
    assert (status, line["check"]) == (403, "credential-issuer")
    assert line["reason"] == f"{AUTHORITY} is not trusted for this type: BpnCredential"
    world.shown = [world.vc(), world.vc(GOVERNANCE), world.vc(PARTNER, by=STRANGER, credentialStatus=None)]
    assert (await world.identity(trusted=trusted).verify(world.header())).bpn == BPN


async def test_a_credential_by_an_issuer_out_of_reach_is_not_taken(world: DcpWorld) -> None:
    del world.web.pages[did_web_url(AUTHORITY)]
    status, line = await denied(world.identity(), world.header())
    assert (status, line["check"]) == (503, "credential-signature")


async def test_the_directory_knows_the_partner_as_somebody_else(world: DcpWorld) -> None:
    for directory in ({BPN: STRANGER}, {OTHER_BPN: THEIRS}):
        status, line = await denied(world.identity(directory=directory), world.header())
        assert (status, line["check"]) == (403, "bpn")
    assert (await world.identity(directory={BPN: THEIRS}).verify(world.header())).bpn == BPN


# Status lists


def published(content: bytes) -> Change:
    def change(world: DcpWorld) -> None:
        world.web.pages[LIST] = content

    return change


def unsigned(world: DcpWorld) -> None:
    world.web.pages[LIST] = orjson.dumps({"type": ["VerifiableCredential"], "credentialSubject": {}})


def bomb(world: DcpWorld) -> None:
    world.web.pages[LIST] = world.list_jwt(bytes(5 << 20)).encode()


def of_a_stranger(world: DcpWorld) -> None:
    world.publish_list(by=STRANGER)


def forged_list(world: DcpWorld) -> None:
    world.publish_list()
    head, payload, _ = world.web.pages[LIST].decode().split(".")
    world.web.pages[LIST] = f"{head}.{payload}.{b64url(bytes(64))}".encode()


def too_short(world: DcpWorld) -> None:
    world.shown = [world.vc(name, credentialStatus=world.entry(999_999).to_json()) for name in TYPES]


@pytest.mark.parametrize(
    ("change", "status", "check", "reason"),
    [
        (lambda w: w.publish_list(7), 403, "credential-revoked", "revoked"),
        (lambda w: w.web.pages.pop(LIST), 503, "status-list", "answered 404"),
        (unsigned, 403, "status-list", "not signed"),
        (published(b"\xff"), 403, "status-list", "not a credential as JWT"),
        (published(b"a" * (1 << 19)), 403, "status-list", "not a credential as JWT"),
        (bomb, 403, "status-list", "unpacks to more than"),
        (of_a_stranger, 403, "status-list", "another issuer's"),
        (forged_list, 403, "status-list", "signature"),
        (lambda w: w.publish_list(purpose="suspension"), 403, "status-list", "other purposes"),
        (too_short, 403, "status-list", "shorter than"),
    ],
)
async def test_a_status_that_is_not_good_denies(
    world: DcpWorld, change: Change, status: int, check: str, reason: str
) -> None:
    change(world)
    found, line = await denied(world.identity(), world.header())
    assert (found, line["check"]) == (status, check)
    assert reason in line["reason"]


async def test_a_suspended_credential_is_denied(world: DcpWorld) -> None:
    world.publish_list(7, purpose="suspension")
    entry = world.entry(purpose="suspension").to_json()
    world.shown = [world.vc(name, credentialStatus=[entry]) for name in TYPES]
    _, line = await denied(world.identity(), world.header())
    assert (line["check"], "suspended" in line["reason"]) == ("credential-revoked", True)


async def test_a_list_out_of_reach_is_not_asked_for_by_each_message(world: DcpWorld) -> None:
    page = world.web.pages.pop(LIST)
    us = world.identity()
    for _ in range(5):
        assert (await denied(us, world.header()))[0] == 503
    assert world.web.asked.count(LIST) == 1
    world.web.pages[LIST] = page
    world.clock.tick(6)
    assert (await us.verify(world.header())).bpn == BPN


async def test_nothing_is_fetched_for_a_credential_that_nobody_vouches_for(world: DcpWorld) -> None:
    """Neither status list nor schema: a stranger could have named any address."""
    evil = "https://10.0.0.1/list"
    status = world.entry(list_url=evil).to_json()
    schema = {"id": evil, "type": "JsonSchema"}
    for options in ({"by": STRANGER}, {"key": SigningKey.generate(AUTHORITY)}):
        world.shown = [world.vc(name, credentialStatus=status, credentialSchema=schema, **options) for name in TYPES]
        await denied(world.identity(), world.header())
    assert evil not in world.web.asked


async def test_a_key_of_secp256k1_is_understood(world: DcpWorld) -> None:
    """Real credentials of Catena-X are signed with ES256K."""
    private = ec.generate_private_key(ec.SECP256K1())
    jwk = jwt.algorithms.ECAlgorithm.to_jwk(private.public_key(), as_dict=True)
    kid = f"{AUTHORITY}#k1"
    method = {"id": kid, "type": "JsonWebKey2020", "controller": AUTHORITY, "publicKeyJwk": jwk}
    world.web.publish(AUTHORITY, {"id": AUTHORITY, "verificationMethod": [method], "assertionMethod": [kid]})

    def sign(token: str) -> str:
        return jwt.encode(dict(CompactJws.parse(token).payload), private, algorithm="ES256K", headers={"kid": kid})

    world.shown = [sign(token) for token in world.shown]
    world.web.pages[LIST] = sign(world.web.pages[LIST].decode()).encode()
    assert (await world.identity().verify(world.header())).bpn == BPN


async def test_a_list_in_the_claim_vc_is_read_for_both_data_models(world: DcpWorld) -> None:
    payload = CompactJws.parse(world.web.pages[LIST].decode()).payload
    doc = payload.get("vc", {k: v for k, v in payload.items() if k not in {"iss", "jti", "iat", "nbf", "sub"}})
    world.web.pages[LIST] = sign_credential(world.keys[AUTHORITY], doc, wrapped=True).encode()
    assert (await world.identity().verify(world.header())).bpn == BPN


def test_the_verifier_and_the_token_service_are_of_one_participant(world: DcpWorld) -> None:
    us = world.identity()
    with pytest.raises(Invalid):
        DcpIdentity(
            us._sts,  # noqa: SLF001 - put together wrongly on purpose
            type(us._verifier)(THEIRS, world.resolver, us._verifier._guard, world.clock),  # noqa: SLF001 - the same
            us._wallets,  # noqa: SLF001 - the same
            world.proofs,
            us._checks,  # noqa: SLF001 - the same
            us._directory,  # noqa: SLF001 - the same
            us._last,  # noqa: SLF001 - the same
            world.clock,
            scopes=us._scopes,  # noqa: SLF001 - the same
        )


def test_the_bomb_is_one() -> None:
    assert len(gzip.compress(bytes(5 << 20))) < 8000


def test_each_check_is_explained_to_operators() -> None:
    page = (Path(__file__).parents[2] / "docs" / "how-to" / "trust-partners.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| `([a-z-]+)` \|", page, re.MULTILINE)[1:] == [check.value for check in Check]
    settings = tomllib.loads(re.findall(r"```toml\n(.*?)```", page, re.DOTALL)[0])
    good = {"did": OURS, "data": "data"}, {"url": "https://node.example"}, {"key": "env:KEY"}
    node = dict(zip(("node", "public", "management"), good, strict=True))
    config = parse(node | settings, {"KEY": "k" * 20})
    assert (config.scopes, len(config.trusted_issuers)) == (SCOPES, 2)
