"""The issuer service over HTTP, as DCP 1.0 has it (clause 6): exact statuses, and what reaches the wallet.

The cases of the official kit by their numbers (`dcp_cases.py`), and those that it does not try.
"""

import gzip
import json
import time
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from connector.authority.issuing import UNDELIVERED
from connector.client.api import ApiError
from connector.http.limits import Allowed
from connector.identity.credentials import Profile, VerifiableCredential
from connector.identity.did import service_endpoints
from connector.identity.keys import SigningKey
from connector.identity.presentations import sign_presentation
from connector.identity.proofs import ASSERTING
from connector.identity.status_list import StatusList
from tests.integration.authority_world import BPN, OTHER_BPN, AuthorityWorld, Holder, authority_world
from tests.integration.dcp_cases import case, proving
from tests.integration.dcp_world import forged


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[AuthorityWorld]:
    async with authority_world(tmp_path) as made:
        yield made


async def credentials_of(world: AuthorityWorld, *ids: str) -> list[VerifiableCredential]:
    """What a request of the member brings to its wallet."""
    assert (await world.ask(body=world.body(*ids))).status == 201
    message = await world.holder.next()
    return [VerifiableCredential.parse(each["payload"]) for each in message.doc["credentials"]]


# --- discovery and metadata


@case("is_6_2_endpointDiscovery")
async def test_6_2_the_did_document_names_the_issuer_service(world: AuthorityWorld) -> None:
    assert service_endpoints(await world.document(), "IssuerService") == (f"{world.root}/issuer",)


@case("is_6_7_issuerMetadata")
async def test_6_7_metadata_is_for_everybody(world: AuthorityWorld) -> None:
    answer = await world.http.get(f"{world.root}/issuer/metadata")
    doc = await answer.json()
    assert (answer.status, doc["type"], doc["issuer"]) == (200, "IssuerMetadata", world.did)
    assert [o["id"] for o in doc["credentialsSupported"]] == [
        "membership",
        "bpn",
        "data-exchange-governance",
        "dismantler",
    ]
    required = {"id", "type", "credentialType", "credentialSchema", "offerReason", "bindingMethods", "profile"}
    assert all(required <= o.keys() for o in doc["credentialsSupported"])
    assert {o["profile"] for o in doc["credentialsSupported"]} == {"vc11-sl2021/jwt"}


async def test_the_schemas_that_metadata_names_are_there_and_fit(world: AuthorityWorld) -> None:
    import jsonschema  # noqa: PLC0415 - heavy

    metadata = await (await world.http.get(f"{world.root}/issuer/metadata")).json()
    urls = {o["credentialType"]: o["credentialSchema"] for o in metadata["credentialsSupported"]}
    for credential in await credentials_of(world, "membership", "bpn", "data-exchange-governance"):
        answer = await world.http.get(urls[credential.types[0]])
        assert answer.status == 200
        jsonschema.validate(dict(credential.subjects[0]), await answer.json(content_type=None))


# --- requests that are granted


@case("is_6_4_1_credentialRequest")
async def test_6_4_1_a_request_is_answered_with_its_place_and_the_credentials_come(world: AuthorityWorld) -> None:
    body = world.body("membership", "bpn")
    answer = await world.ask(body=body)
    doc = await answer.json()
    assert (answer.status, doc["type"], doc["holderPid"]) == (201, "CredentialStatus", body["holderPid"])
    assert answer.headers["Location"] == f"{world.root}/issuer/requests/{doc['issuerPid']}"
    message = await world.holder.next()
    assert (message.path, message.doc["type"], message.doc["status"]) == (
        "/dcp/credentials",
        "CredentialMessage",
        "ISSUED",
    )
    assert (message.doc["holderPid"], message.doc["issuerPid"]) == (body["holderPid"], doc["issuerPid"])
    assert [c["credentialType"] for c in message.doc["credentials"]] == ["MembershipCredential", "BpnCredential"]
    assert {c["format"] for c in message.doc["credentials"]} == {"vc11-sl2021/jwt"}
    assert (message.token.issuer, message.token.audience) == (world.did, (world.holder.did,))


async def test_a_credential_says_what_catena_x_wants_and_is_the_authoritys(world: AuthorityWorld) -> None:
    document = await world.document()
    membership, partner, governance = await credentials_of(world, "membership", "bpn", "data-exchange-governance")
    for credential in (membership, partner, governance):
        assert credential.profile is Profile.VC11
        assert (credential.issuer, credential.subjects[0]["id"]) == (world.did, world.holder.did)
        assert credential.subjects[0]["holderIdentifier"] == BPN
        kid = credential.jws.header["kid"]
        assert kid in document.relationships[ASSERTING]
        key = document.methods[kid]
        assert key is not None
        assert key.verify("ES256", credential.jws.signing_input, credential.jws.signature)
        credential.check_time(int(time.time() * 1000))
        assert credential.valid_until is not None
    assert membership.subjects[0]["memberOf"] == "Catena-X"
    assert partner.subjects[0]["bpn"] == BPN
    assert (governance.subjects[0]["group"], governance.subjects[0]["contractVersion"]) == ("UseCaseFramework", "1.0")
    assert len({c.status[0].index for c in (membership, partner, governance)}) == 3


async def test_both_profiles_can_be_issued(tmp_path: Path) -> None:
    profiles = ["vc11-sl2021/jwt", "vc20-bssl/jwt"]
    async with authority_world(tmp_path, profiles=profiles) as world:
        old, new = await credentials_of(world, "membership", "membership-vc20")
        assert [old.profile, new.profile] == [Profile.VC11, Profile.VC20]
        assert [c.status[0].type for c in (old, new)] == ["StatusList2021Entry", "BitstringStatusListEntry"]
        assert old.status[0].list_url != new.status[0].list_url


async def test_the_holders_access_token_is_given_back(world: AuthorityWorld) -> None:
    access = "open my wallet"
    await world.ask(world.bearer(token=access))
    assert (await world.holder.next()).token.jws.payload["token"] == access


async def test_without_an_access_token_none_is_given_back(world: AuthorityWorld) -> None:
    await world.ask()
    assert "token" not in (await world.holder.next()).token.jws.payload


async def test_a_repeated_request_is_decided_once_and_delivered_again(world: AuthorityWorld) -> None:
    body = world.body()
    first, second = await world.ask(body=body), await world.ask(body=body)
    assert (first.status, second.status) == (201, 201)
    assert first.headers["Location"] == second.headers["Location"]
    one, two = await world.holder.next(), await world.holder.next()
    assert one.doc == two.doc
    assert len(await world.operator.get("/credentials")) == 2


async def test_repeats_for_a_wallet_that_is_not_there_do_not_fill_the_register(
    world: AuthorityWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("connector.authority.delivery.PAUSES_S", (3600,))
    world.holder.answers = [503] * 10 * UNDELIVERED
    body = world.body("membership")
    statuses = [(await world.ask(body=body)).status for _ in range(UNDELIVERED + 2)]
    assert statuses == [201] * UNDELIVERED + [429] * 2
    assert len(await world.operator.get("/deliveries")) == UNDELIVERED


async def test_a_pid_stands_for_one_request(world: AuthorityWorld) -> None:
    body = world.body("membership")
    assert (await world.ask(body=body)).status == 201
    assert (await world.ask(body={**body, "credentials": [{"id": "bpn"}]})).status == 409


async def test_a_repeat_of_what_was_revoked_meanwhile_is_refused(world: AuthorityWorld) -> None:
    body = world.body("membership")
    await world.ask(body=body)
    (issued,) = await world.operator.get("/credentials")
    await world.operator.post(f"/credentials/{issued['id']}/revoke")
    assert (await world.ask(body=body)).status == 409


async def test_a_credential_that_the_register_does_not_support_is_rejected_with_the_reason(
    world: AuthorityWorld,
) -> None:
    answer = await world.ask(body=world.body("membership", "dismantler"))
    assert (answer.status, (await answer.json())["status"]) == (201, "REJECTED")
    message = await world.holder.next()
    assert message.doc["status"] == "REJECTED"
    assert "DismantlerCredential" in message.doc["rejectionReason"]
    assert "credentials" not in message.doc
    assert await world.operator.get("/credentials") == []


async def test_a_dismantler_gets_its_credential(world: AuthorityWorld) -> None:
    known = {"activityType": "vehicleDismantle", "allowedVehicleBrands": ["Aurelis", "Borealis"]}
    await world.operator.post("/members", {"bpn": BPN, "attributes": {"DismantlerCredential": known}})
    (credential,) = await credentials_of(world, "dismantler")
    assert credential.subjects[0]["activityType"] == "vehicleDismantle"
    assert credential.subjects[0]["allowedVehicleBrands"] == ["Aurelis", "Borealis"]


# --- requests that are refused


@case("is_6_4_2_credentialRequest_noAuthHeader")
async def test_6_4_2_no_header(world: AuthorityWorld) -> None:
    assert (await world.ask({})).status == 401


@case("is_6_4_3_credentialRequest_noBearerPrefix")
async def test_6_4_3_no_bearer_prefix(world: AuthorityWorld) -> None:
    assert (await world.ask({"Authorization": world.holder.token(world.did)})).status == 401


@pytest.mark.parametrize(
    "changes",
    [
        proving("is_6_4_4_credentialRequest_invalidBody", {"credentials": None}),
        {"credentials": []},
        proving("is_6_4_12_credentialRequest_missingHolderPid", {"holderPid": None}),
        {"type": "CredentialOfferMessage"},
    ],
)
async def test_6_4_4_a_body_that_lacks_something(world: AuthorityWorld, changes: dict[str, Any]) -> None:
    assert (await world.ask(body=world.body(**changes))).status == 400


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null"])
async def test_a_body_that_is_no_message(world: AuthorityWorld, body: bytes) -> None:
    answer = await world.http.post(f"{world.root}/issuer/credentials", data=body, headers=world.bearer())
    assert answer.status == 400


async def test_a_body_that_is_too_large(world: AuthorityWorld) -> None:
    answer = await world.http.post(f"{world.root}/issuer/credentials", data=b" " * 70_000, headers=world.bearer())
    assert answer.status == 413


async def test_an_id_that_is_not_in_the_metadata(world: AuthorityWorld) -> None:
    answer = await world.ask(body=world.body("membership", "gold-card"))
    assert answer.status == 400
    assert (await answer.json())["errors"][0]["path"] == "/credentials/1/id"


SOMEBODY = "did:web:somebody.example"
BAD_TOKENS: dict[str, tuple[dict[str, Any], ...]] = {
    "6_tokenExpired": ({"exp": -60}, {"iat": -180, "exp": -60}),
    "7_iatInFuture": ({"iat": 60, "exp": 600}, {"iat": 60, "exp": 120}),
    "8_nbfViolated": ({"nbf": 60, "exp": 600},),
    "8_invalidAud": ({"aud": SOMEBODY},),
    "10_issNotEqualSub": ({"iss": SOMEBODY}, {"sub": SOMEBODY}),
}
"""What is wrong with a holder's token, by the ends of the cases' names: as the kit has it, and nothing but that."""


def cases(end: str) -> pytest.MarkDecorator:
    """The cases of this end: of requests (6.4) and of looking at them (6.8)."""
    number, _, what = end.partition("_")
    return case(f"is_6_4_{number}_credentialRequest_{what}", f"is_6_8_{number}_credentialStatusRequest_{what}")


def timed(changes: dict[str, Any]) -> dict[str, Any]:
    """Offsets in seconds made times."""
    now_s = int(time.time())
    return {name: now_s + value if name in ("iat", "exp", "nbf") else value for name, value in changes.items()}


@pytest.mark.parametrize(
    "tokens",
    [
        *(pytest.param(tokens, marks=cases(end), id=end) for end, tokens in BAD_TOKENS.items()),
        pytest.param(({"jti": None}, {"exp": 86_400}, {"vp": {}}), id="no jti, lives for days, a presentation"),
    ],
)
async def test_a_bad_token_opens_neither_request_nor_status(
    world: AuthorityWorld, tokens: tuple[dict[str, Any], ...]
) -> None:
    location = (await world.ask()).headers["Location"]
    for changes in tokens:
        assert (await world.ask(world.bearer(**timed(changes)))).status == 401
        assert (await world.look(location, world.bearer(**timed(changes)))).status == 401
    assert len(await world.operator.get("/requests")) == 1


@cases("5_tokenSignedWithWrongKey")
async def test_nor_does_a_token_by_another_key(world: AuthorityWorld) -> None:
    location = (await world.ask()).headers["Location"]
    unknown, false = SigningKey.generate(world.holder.did), forged(world.holder.key)
    assert (await world.look(location, world.bearer(key=unknown))).status == 401
    assert (await world.look(location, world.bearer(key=false))).status == 401
    assert (await world.ask(world.bearer(key=false))).status == 401
    assert len(await world.operator.get("/requests")) == 1


@case("is_6_4_11_credentialRequest_jtiAlreadyUsed")
async def test_6_4_11_a_token_that_was_used_before(world: AuthorityWorld) -> None:
    headers, body = world.bearer(), world.body()
    assert (await world.ask(headers, body)).status == 201
    assert (await world.ask(headers, body)).status == 401


async def test_who_is_not_in_the_register_gets_nothing(world: AuthorityWorld) -> None:
    async with Holder("stranger") as stranger:
        assert (await world.ask(world.bearer(stranger))).status == 403
    assert await world.operator.get("/credentials") == []


async def test_a_holder_may_not_ask_for_ever(world: AuthorityWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("connector.authority.issuing.REQUESTS_A_DAY", 2)
    assert [(await world.ask()).status for _ in range(3)] == [201, 201, 429]


async def test_whoever_proves_who_it_is_may_not_ask_all_the_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("connector.authority.program.ALLOWED", Allowed(requests_per_second=1, burst=2))
    async with authority_world(tmp_path) as world, Holder("stranger") as stranger:
        assert [(await world.ask(world.bearer(stranger))).status for _ in range(3)] == [403, 403, 429]
        assert (await world.ask()).status == 201


async def test_refused_tokens_of_one_address_are_limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("connector.authority.program.ALLOWED", Allowed(failures_per_minute=3))
    async with authority_world(tmp_path) as world:
        wrong = {"Authorization": "Bearer wrong"}
        assert [await directory(world, wrong) for _ in range(4)] == [401, 401, 401, 429]
        assert (await world.ask()).status == 201  # which counts for itself


# --- the status of a request


@case("is_6_8_1_credentialStatusRequest")
async def test_6_8_1_the_holder_sees_how_far_its_request_is(world: AuthorityWorld) -> None:
    body = world.body()
    location = (await world.ask(body=body)).headers["Location"]
    answer = await world.look(location)
    doc = await answer.json()
    assert (answer.status, doc["type"], doc["status"]) == (200, "CredentialStatus", "ISSUED")
    assert (doc["holderPid"], doc["issuerPid"]) == (body["holderPid"], location.rpartition("/")[2])


@case("is_6_8_2_credentialStatusRequest_noAuthHeader", "is_6_8_3_credentialStatusRequest_noBearerPrefix")
async def test_6_8_2_and_3_no_header_and_no_prefix(world: AuthorityWorld) -> None:
    location = (await world.ask()).headers["Location"]
    assert (await world.look(location, {})).status == 401
    assert (await world.look(location, {"Authorization": world.holder.token(world.did)})).status == 401


@case("is_6_8_11_credentialStatusRequest_jtiAlreadyUsed")
async def test_6_8_11_a_token_that_was_used_before(world: AuthorityWorld) -> None:
    asked, looked = world.bearer(), world.bearer()
    location = (await world.ask(asked)).headers["Location"]
    assert [(await world.look(location, headers)).status for headers in (asked, looked, looked)] == [401, 200, 401]


@case("is_6_8_12_credentialStatusRequest_requestIdNotFound")
async def test_6_8_12_a_request_that_does_not_exist(world: AuthorityWorld) -> None:
    for identifier in ("not-exist", uuid.uuid4()):
        assert (await world.look(f"{world.root}/issuer/requests/{identifier}")).status == 404


async def test_others_do_not_learn_that_a_request_exists(world: AuthorityWorld) -> None:
    location = (await world.ask()).headers["Location"]
    async with Holder("other") as other:
        await world.operator.post("/members", {"bpn": OTHER_BPN, "did": other.did})
        foreign = await world.look(location, world.bearer(other))
        missing = await world.look(f"{world.root}/issuer/requests/{uuid.uuid4()}", world.bearer(other))
        assert (foreign.status, missing.status) == (404, 404)
        assert await foreign.text() == await missing.text()


# --- invitations


async def test_an_invitation_makes_a_member_of_the_did_that_comes_with_it(world: AuthorityWorld) -> None:
    invited = await world.operator.post("/members", {"bpn": OTHER_BPN, "name": "Other"})
    assert invited["standing"] == "INVITED"
    async with Holder("other") as other:
        headers = world.bearer(other, **{"pre-authorized_code": invited["invitation"]})
        assert (await world.ask(headers, world.body("bpn"))).status == 201
        (container,) = (await other.next()).doc["credentials"]
        credential = VerifiableCredential.parse(container["payload"])
        assert (credential.subjects[0]["id"], credential.subjects[0]["bpn"]) == (other.did, OTHER_BPN)
        assert (await world.ask(world.bearer(other))).status == 201  # a member now, without the code


async def test_an_invitation_is_good_once(world: AuthorityWorld) -> None:
    invited = await world.operator.post("/members", {"bpn": OTHER_BPN})
    code = {"pre-authorized_code": invited["invitation"]}
    async with Holder("first") as first, Holder("second") as second:
        assert (await world.ask(world.bearer(first, **code))).status == 201
        assert (await world.ask(world.bearer(second, **code))).status == 403


async def test_a_newer_invitation_replaces_the_older_one(world: AuthorityWorld) -> None:
    old = await world.operator.post("/members", {"bpn": OTHER_BPN})
    new = await world.operator.post("/members", {"bpn": OTHER_BPN})
    async with Holder("other") as other:
        assert (await world.ask(world.bearer(other, **{"pre-authorized_code": old["invitation"]}))).status == 403
        assert (await world.ask(world.bearer(other, **{"pre-authorized_code": new["invitation"]}))).status == 201


async def test_a_guessed_invitation_is_refused(world: AuthorityWorld) -> None:
    await world.operator.post("/members", {"bpn": OTHER_BPN})
    async with Holder("other") as other:
        assert (await world.ask(world.bearer(other, **{"pre-authorized_code": "guess"}))).status == 403


# --- revocation and status lists


async def list_of(world: AuthorityWorld, url: str) -> tuple[VerifiableCredential, StatusList]:
    answer = await world.http.get(url, headers={"Accept": "*/*"})
    assert (answer.status, answer.content_type) == (200, "application/vc+jwt")
    credential = VerifiableCredential.parse(await answer.text())
    return credential, StatusList.parse(credential.subjects[0])


@pytest.mark.parametrize("profile", list(Profile))
async def test_a_revoked_credential_is_set_in_its_list_and_no_other(tmp_path: Path, profile: Profile) -> None:
    async with authority_world(tmp_path, profiles=[profile.value]) as world:
        membership, partner = await credentials_of(world, "membership", "bpn")
        await world.operator.post(f"/credentials/{membership.id}/revoke")
        signed, content = await list_of(world, membership.status[0].list_url)
        assert signed.issuer == world.did
        assert len(content.bits) * 8 == 131_072
        assert [content.is_set(c.status[0]) for c in (membership, partner)] == [True, False]
        assert sum(byte.bit_count() for byte in content.bits) == 1


async def test_a_list_is_signed_in_the_claim_vc_and_plain_for_who_asks_for_json(world: AuthorityWorld) -> None:
    (credential,) = await credentials_of(world, "membership")
    url = credential.status[0].list_url
    answer = await world.http.get(url, headers={"Accept": "application/json"})
    assert answer.content_type == "application/json"
    signed, _ = await list_of(world, url)
    assert signed.jws.payload["vc"] == await answer.json()
    assert (await answer.json())["credentialSubject"]["ttl"] == 300_000


async def test_there_is_no_list_before_there_is_a_credential(world: AuthorityWorld) -> None:
    assert (await world.http.get(f"{world.root}/status/1")).status == 404
    assert (await world.http.get(f"{world.root}/status/one")).status == 404


async def test_revoking_twice_changes_nothing_more(world: AuthorityWorld) -> None:
    (credential,) = await credentials_of(world, "membership")
    first = await world.operator.post(f"/credentials/{credential.id}/revoke")
    assert first["state"] == "REVOKED"
    assert await world.operator.post(f"/credentials/{credential.id}/revoke") == first


async def test_the_end_of_a_membership_revokes_everything_and_gives_nothing_new(world: AuthorityWorld) -> None:
    mine = await credentials_of(world, "membership", "bpn")
    revoked = (await world.operator.call("DELETE", f"/members/{BPN}")).body
    assert {r["id"] for r in revoked} == {c.id for c in mine}
    _, content = await list_of(world, mine[0].status[0].list_url)
    assert all(content.is_set(c.status[0]) for c in mine)
    assert (await world.ask()).status == 403


# --- a new key


async def test_what_was_issued_before_a_new_key_stays_good_and_the_rest_is_signed_with_it(tmp_path: Path) -> None:
    async with Holder() as holder:
        async with authority_world(tmp_path, holder=holder) as world:
            (before,) = await credentials_of(world, "membership")
            old, _ = await list_of(world, before.status[0].list_url)
            said = await world.operator.post("/keys")
            (after,) = await credentials_of(world, "membership")
            new, _ = await list_of(world, before.status[0].list_url)
            assert old.jws.header["kid"] == before.jws.header["kid"] == said["formerKids"][0]
            assert new.jws.header["kid"] == after.jws.header["kid"] == said["kid"] != said["formerKids"][0]
            await signed_by_the_authority(world, before, after, old, new)
            assert [await directory(world, presented(world, [each])) for each in (before, after)] == [200, 200]
            port = world.running.public.port
        async with authority_world(tmp_path, port=port, holder=holder) as world:
            await signed_by_the_authority(world, before, after)
            (last,) = await credentials_of(world, "membership")
            assert last.jws.header["kid"] == said["kid"]
            assert [await directory(world, presented(world, [each])) for each in (before, last)] == [200, 200]


async def test_deliveries_are_signed_with_the_new_key(world: AuthorityWorld) -> None:
    said = await world.operator.post("/keys")
    assert (await world.ask()).status == 201
    assert (await world.holder.next()).token.jws.header["kid"] == said["kid"]


async def signed_by_the_authority(world: AuthorityWorld, *credentials: VerifiableCredential) -> None:
    document = await world.document()
    for credential in credentials:
        kid = credential.jws.header["kid"]
        assert kid in document.relationships[ASSERTING]
        key = document.methods[kid]
        assert key is not None
        assert key.verify("ES256", credential.jws.signing_input, credential.jws.signature)


# --- the BPN directory


def presented(world: AuthorityWorld, credentials: list[VerifiableCredential], **changes: Any) -> dict[str, str]:
    """A presentation of the member for itself, as CX-0167 wants it."""
    holder: Holder = changes.pop("by", world.holder)
    audience = changes.pop("audience", holder.did)
    now = int(time.time() * 1000) + changes.pop("shift", 0)
    jwts = [c.jwt for c in credentials]
    jwt = sign_presentation(changes.pop("key", holder.key), jwts, audience=audience, jti=str(uuid.uuid4()), now=now)
    return {"Authorization": f"Bearer {jwt}"}


async def directory(world: AuthorityWorld, headers: dict[str, str]) -> int:
    return (await world.http.get(f"{world.root}/bpn-directory", headers=headers)).status


async def test_a_member_gets_the_directory_packed(world: AuthorityWorld) -> None:
    mine = await credentials_of(world, "membership")
    await world.operator.post("/members", {"bpn": OTHER_BPN, "did": "did:web:other.example"})
    await world.operator.post("/members", {"bpn": "BPNL00000INVITED"})
    url = f"{world.root}/bpn-directory"
    async with world.http.get(url, headers=presented(world, mine), auto_decompress=False) as answer:
        packed = await answer.read()
        assert (answer.status, answer.headers["Content-Encoding"]) == (200, "gzip")
    assert json.loads(gzip.decompress(packed)) == {BPN: world.holder.did, OTHER_BPN: "did:web:other.example"}


async def test_who_shows_no_membership_does_not_get_the_directory(world: AuthorityWorld) -> None:
    mine = await credentials_of(world, "bpn")
    with capture_logs() as logs:
        assert await directory(world, presented(world, mine)) == 403
        assert await directory(world, presented(world, [])) == 403
        assert await directory(world, world.bearer()) == 401
        assert await directory(world, {}) == 401
    denied = [entry["peer"] for entry in logs if entry["event"] == "denied"]
    assert denied == [world.holder.did, world.holder.did, world.holder.did, None], "who it claims to be is in the log"


async def test_a_revoked_membership_does_not_open_the_directory(world: AuthorityWorld) -> None:
    mine = await credentials_of(world, "membership")
    assert await directory(world, presented(world, mine)) == 200
    await world.operator.post(f"/credentials/{mine[0].id}/revoke")
    assert await directory(world, presented(world, mine)) == 403


async def test_a_presentation_for_somebody_else_does_not_open_the_directory(world: AuthorityWorld) -> None:
    mine = await credentials_of(world, "membership")
    assert await directory(world, presented(world, mine, audience="did:web:verifier.example")) == 401
    assert await directory(world, presented(world, mine, key=SigningKey.generate(world.holder.did))) == 401
    assert await directory(world, presented(world, mine, shift=-180_000)) == 401
    async with Holder("thief") as thief:
        assert await directory(world, presented(world, mine, by=thief)) == 403


async def test_a_membership_by_somebody_else_does_not_open_the_directory(world: AuthorityWorld, tmp_path: Path) -> None:
    async with authority_world(tmp_path / "other") as other:
        await other.operator.call("DELETE", f"/members/{BPN}")
        await other.operator.post("/members", {"bpn": BPN, "did": world.holder.did})
        headers = {"Authorization": f"Bearer {world.holder.token(other.did)}"}
        assert (await other.ask(headers, other.body("membership"))).status == 201
        (container,) = (await world.holder.next()).doc["credentials"]
    foreign = VerifiableCredential.parse(container["payload"])
    assert await directory(world, presented(world, [foreign])) == 403


# --- deliveries


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("connector.authority.delivery.PAUSES_S", (0,) * 9)


async def test_a_wallet_that_is_busy_is_tried_again(world: AuthorityWorld) -> None:
    world.holder.answers = [503]
    await world.ask()
    assert (await world.holder.next()).doc == (await world.holder.next()).doc


async def test_what_a_wallet_refuses_is_not_sent_again_but_told_to_the_operator(world: AuthorityWorld) -> None:
    world.holder.answers = [400]
    await world.ask()
    await world.holder.next()
    await world.ask(body=world.body("bpn"))
    await world.holder.next()  # the second delivery: the first one is settled
    (given_up,) = await world.operator.get("/deliveries")
    assert (given_up["due"], given_up["attempts"]) == (None, 1)
    assert "answered 400" in given_up["failure"]
    assert world.holder.got.empty()


async def test_what_was_not_delivered_is_sent_after_a_restart(tmp_path: Path) -> None:
    async with Holder() as holder:
        holder.answers = [503]
        async with authority_world(tmp_path, holder=holder) as world:
            await world.ask()
            first, port = await holder.next(), world.running.public.port
        async with authority_world(tmp_path, port=port, holder=holder):
            assert (await holder.next()).doc == first.doc


async def test_a_holder_without_a_wallet_is_told_to_the_operator(world: AuthorityWorld) -> None:
    async with Holder("bare", services=False) as bare, Holder("other") as other:
        await world.operator.post("/members", {"bpn": OTHER_BPN, "did": bare.did})
        await world.operator.post("/members", {"bpn": "BPNL00000000LAST", "did": other.did})
        assert (await world.ask(world.bearer(bare))).status == 201
        for _ in range(3):  # so that the first one is settled
            assert (await world.ask(world.bearer(other))).status == 201
            await other.next()
        (given_up,) = await world.operator.get("/deliveries")
    assert (given_up["due"], given_up["failure"]) == (
        None,
        f"the DID document of {bare.did} names no CredentialService",
    )


# --- offers and what the operator sees


async def test_an_offer_reaches_the_wallet(world: AuthorityWorld) -> None:
    await world.operator.post(f"/members/{BPN}/offers", {"credentials": ["membership"]})
    message = await world.holder.next()
    assert (message.path, message.doc["type"], message.doc["issuer"]) == (
        "/dcp/offers",
        "CredentialOfferMessage",
        world.did,
    )
    assert [(c["id"], c["type"]) for c in message.doc["credentials"]] == [("membership", "CredentialObject")]


async def test_an_offer_names_what_the_member_may_have(world: AuthorityWorld) -> None:
    await world.operator.post(f"/members/{BPN}/offers")
    offered = [c["id"] for c in (await world.holder.next()).doc["credentials"]]
    assert offered == ["membership", "bpn", "data-exchange-governance"]


async def test_credentials_can_be_made_by_hand(world: AuthorityWorld) -> None:
    (issued,) = await world.operator.post(f"/members/{BPN}/credentials", {"credentials": ["membership"]})
    assert VerifiableCredential.parse(issued["jwt"]).subjects[0]["id"] == world.holder.did
    (listed,) = await world.operator.get(f"/credentials?bpn={BPN}")
    assert (listed["state"], "jwt" in listed) == ("IN_FORCE", False)


@pytest.mark.parametrize(
    ("where", "body", "status"),
    [
        ("/members", {"bpn": "nonsense"}, 400),
        ("/members", {"bpn": OTHER_BPN, "did": "did:example:1"}, 400),
        ("/members", {"bpn": BPN, "did": "did:web:elsewhere.example"}, 409),
        ("/members", {"bpn": OTHER_BPN, "attributes": {"MembershipCredential": {}}}, 400),
        ("/members", {"bpn": OTHER_BPN, "attributes": {"DismantlerCredential": {"activityType": "x"}}}, 400),
        (f"/members/{OTHER_BPN}/offers", {}, 404),
        (f"/members/{BPN}/offers", {"credentials": ["gold-card"]}, 400),
        (f"/members/{BPN}/offers", {"credentials": ["dismantler"]}, 400),
        (f"/members/{BPN}/credentials", {}, 400),
        (f"/members/{BPN}/credentials", {"credentials": ["dismantler"]}, 400),
        ("/credentials/urn:uuid:none/revoke", {}, 404),
    ],
)
async def test_the_operator_is_told_what_is_wrong(
    world: AuthorityWorld, where: str, body: dict[str, Any], status: int
) -> None:
    with pytest.raises(ApiError) as caught:
        await world.operator.post(where, body)
    assert (caught.value.status, bool(caught.value.errors[0].message)) == (status, True)


async def test_two_members_have_two_dids(world: AuthorityWorld) -> None:
    with pytest.raises(ApiError) as caught:
        await world.operator.post("/members", {"bpn": OTHER_BPN, "did": world.holder.did})
    assert caught.value.status == 409


async def test_the_operators_api_wants_its_key(world: AuthorityWorld) -> None:
    for path in ("/members", "/credentials", "/requests", "/deliveries"):
        answer = await world.http.get(world.running.management_url + path)
        assert answer.status == 401
    assert (await world.http.get(f"{world.running.management.url}/api/check/readiness")).status == 200


async def test_the_operators_key_cannot_be_tried_out(world: AuthorityWorld) -> None:
    statuses = []
    for number in range(40):
        headers = {"X-Api-Key": f"guess-{number}"}
        async with world.http.get(f"{world.running.management_url}/members", headers=headers) as answer:
            statuses.append(answer.status)
    assert (set(statuses[:30]), statuses[-1]) == ({401}, 429)
    with pytest.raises(ApiError, match="too many tokens or keys"):
        await world.operator.get("/members")


async def test_requests_are_listed(world: AuthorityWorld) -> None:
    await world.ask()
    (listed,) = await world.operator.get("/requests")
    assert (listed["holder"], listed["status"], listed["credentials"]) == (
        world.holder.did,
        "ISSUED",
        ["membership", "bpn"],
    )


async def test_a_fault_of_ours_does_not_stop_other_deliveries(
    world: AuthorityWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("connector.authority.delivery.PAUSES_S", (3600,))
    with monkeypatch.context() as broken:
        broken.setattr("connector.authority.delivery.service_endpoints", lambda *_: 1 / 0)
        assert (await world.ask()).status == 201
        for _ in range(100):
            (waiting,) = await world.operator.get("/deliveries")
            if waiting["attempts"]:
                break
    assert (waiting["attempts"], waiting["failure"]) == (1, "an internal fault: see the log")
    assert (await world.ask(body=world.body("bpn"))).status == 201
    assert len((await world.holder.next()).doc["credentials"]) == 1
