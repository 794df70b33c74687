"""The holder scenarios of DCP 1.0 against a started node, over HTTP and with exact answers.

These are the cases of the official kit under `presentation.cs` and `issuance.cs` (`dcp_cases.py`), in the form of DCP
1.0 (the kit accepts any status from 400 to 500), and what else a stranger may try. Each refusal has a line in the log.
"""

import time
import uuid
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from connector.exchange import credentials
from connector.exchange.records import Asked, HeldCredential
from connector.identity.authorization import claimed_sender
from connector.identity.credentials import Profile, VerifiableCredential
from connector.identity.dcp_messages import CONTEXT, PresentationQueryMessage
from connector.identity.did import parse_did_document
from connector.identity.jws import CompactJws
from connector.identity.keys import SigningKey
from connector.identity.presentations import VerifiablePresentation
from connector.identity.sts import issue_access_token
from tests.integration.dcp_cases import case, proving
from tests.integration.dcp_world import DAY_MS, forged, lasting, now_ms, renamed
from tests.integration.wallet_world import SECRET, Holder, Others, holder, others

DCP = "org.eclipse.dspace.dcp.vc.type"
MEMBERSHIP, SENSITIVE = "MembershipCredential", "SensitiveDataCredential"
ONE, OTHER = f"{DCP}:{MEMBERSHIP}:read", f"{DCP}:{SENSITIVE}:read"
BOTH = f"{ONE} {OTHER}"
QUERY = "/presentations/query"


class World:
    """A holder with two credentials, and everybody else."""

    def __init__(self, node: Holder, people: Others) -> None:
        self.node, self.people = node, people
        self.verifier, self.issuer, self.stranger = (people[name] for name in ("verifier", "issuer", "stranger"))

    async def access(self, scopes: str = BOTH, audience: str | None = None) -> str:
        """An access token from the node's token service."""
        status, doc = await self.node.token(audience or self.verifier.did, scopes)
        assert status == 200
        return str(CompactJws.parse(doc["access_token"]).payload["token"])

    async def header(self, scopes: str = BOTH, by: str = "verifier", **changes: Any) -> str:
        token = changes.pop("token") if "token" in changes else await self.access(scopes)
        return self.people[by].header(self.node.did, token=token, **changes)

    async def shown(self, header: str, *scopes: str) -> list[str]:
        """Types that are shown, in a presentation that is good for the verifier."""
        status, doc = await self.node.post(QUERY, header, query(*scopes))
        assert (status, doc["type"]) == (200, "PresentationResponseMessage")
        found: list[str] = []
        for presented in doc["presentation"]:
            presentation = VerifiablePresentation.parse(presented)
            presentation.check(holder=self.node.did, audience=self.verifier.did, now=now_ms())
            async with self.node.http.get(f"{self.node.running.public.url}/.well-known/did.json") as answer:
                document = parse_did_document(await answer.json(content_type=None), self.node.did)
            key = document.methods[presentation.jws.header["kid"]]
            assert key is not None
            assert key.verify("ES256", presentation.jws.signing_input, presentation.jws.signature)
            for credential in presentation.credentials:
                assert self.issuer.signed(credential.jws)
                found += credential.types
        return sorted(found)

    async def state(self) -> tuple[list[HeldCredential], int]:
        """What is held, and how many requests there are: what issuers can change."""
        requests = await self.node.running.node.store.read(lambda tx: tx.credential_requests.count())
        return await self.node.held(), requests

    async def refused(self, path: str, header: str | None, doc: object, **headers: str) -> tuple[int, str | None]:
        """(status, check in the log); the answer says no more than the kind of it."""
        with capture_logs() as logs:
            status, answer = await self.node.post(path, header, doc, **headers)
        lines = [entry for entry in logs if entry["event"] == "denied"]
        assert all(line["reason"] not in str(answer) for line in lines)
        assert answer["errors"]
        assert all(line["peer"] == claimed_sender(header) for line in lines), "who sent it, or claims to have"
        return status, lines[0]["check"] if lines else None


def query(*scopes: str, **changes: Any) -> dict[str, Any]:
    message = PresentationQueryMessage(scope=scopes or (ONE,)).to_json() | changes
    return {name: value for name, value in message.items() if value is not None}


DEFINITION = {"id": "d", "input_descriptors": [{"id": "i"}]}
NOTHING = query(scope=None)
"""A question that asks for nothing."""

Changes = Callable[[World], dict[str, Any]]


def as_stranger(world: World) -> dict[str, Any]:
    """Changes that make a token the stranger's, but for the key, which is not in the stranger's document."""
    did = world.stranger.did
    return {"iss": did, "sub": did, "key": renamed(world.verifier.key, did)}


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with others() as people:
        trusted = {people["issuer"].did: [MEMBERSHIP, SENSITIVE]}
        async with holder(tmp_path, trusted, identity={"scopes": [ONE]}) as node:
            doc = people.message(people.vc(node.did, MEMBERSHIP), people.vc(node.did, SENSITIVE))
            assert await node.post("/credentials", people["issuer"].header(node.did), doc) == (200, None)
            yield World(node, people)


class TestPresentations:
    @case("cs_05_04_01_02_scopeByTypeRequest")
    async def test_scopes_by_type_show_what_they_name_signed(self, world: World) -> None:
        assert await world.shown(await world.header(ONE), ONE) == [MEMBERSHIP]
        assert await world.shown(await world.header(BOTH), ONE, OTHER) == [MEMBERSHIP, SENSITIVE]

    @case("cs_05_04_01_02_lessScopesThanAuthorizedByTypeRequest")
    async def test_less_than_granted_is_shown_if_less_is_asked_for(self, world: World) -> None:
        assert await world.shown(await world.header(BOTH), OTHER) == [SENSITIVE]

    @case("cs_05_04_01_02_invalidScopeEscalationRequest")
    async def test_more_than_granted_is_not_shown(self, world: World) -> None:
        """Scope escalation: 2xx with what was granted."""
        assert await world.shown(await world.header(ONE), ONE, OTHER) == [MEMBERSHIP]
        assert await world.shown(await world.header(ONE), OTHER) == []

    async def test_a_scope_without_an_operation_is_for_reading(self, world: World) -> None:
        assert await world.shown(await world.header(ONE), f"{DCP}:{MEMBERSHIP}") == [MEMBERSHIP]

    async def test_the_right_to_write_shows_nothing(self, world: World) -> None:
        header = await world.header(f"{DCP}:{MEMBERSHIP}:write")
        assert await world.shown(header, ONE) == []

    async def test_an_access_token_counts_once(self, world: World) -> None:
        token = await world.access()
        assert await world.shown(await world.header(token=token)) == [MEMBERSHIP]
        assert await world.refused(QUERY, await world.header(token=token), query()) == (401, "access-token")

    @case("cs_04_03_03_idtokenJtiUsedTwice")
    async def test_a_jti_counts_once(self, world: World) -> None:
        first, second = await world.header(jti="same"), await world.header(jti="same")
        assert await world.shown(first) == [MEMBERSHIP]
        assert await world.refused(QUERY, second, query()) == (401, "si-token")

    async def test_a_token_for_the_protocol_is_not_taken_here_again(self, world: World) -> None:
        """One memory of used tokens for all surfaces."""
        header = await world.header()
        async with world.node.http.post(
            f"{world.node.running.public.url}/api/v1/dsp/2025-1/catalog/request",
            json={},
            headers={"Authorization": header},
        ) as answer:
            assert answer.status == 401  # the verifier has no wallet
        assert await world.refused(QUERY, header, query()) == (401, "si-token")

    @pytest.mark.parametrize(
        ("changes", "check"),
        [
            proving("cs_04_03_03_idTokenInvalidSub", lambda w: {"sub": w.stranger.did}, "si-token"),
            (lambda w: {"iss": w.stranger.did}, "si-token"),
            proving("cs_04_03_03_idtokenIncorrectAud", lambda w: {"aud": w.verifier.did}, "si-token"),
            proving("cs_04_03_03_idtokenIncorrectSub", as_stranger, "si-token"),
            proving("cs_04_03_03_idtokenIncorrectSub", lambda w: as_stranger(w) | {"aud": w.verifier.did}, "si-token"),
            proving("cs_04_03_03_idtokenNbfInFuture", lambda _: {"nbf": time.time() + 1_000_000}, "si-token"),
            proving("cs_04_03_03_idtokenNbfInFuture", lambda _: {"nbf": time.time() + 60}, "si-token"),
            proving("cs_04_03_03_idtokenExpired", lambda _: lasting(0, -1_000_000), "si-token"),
            proving("cs_04_03_03_idtokenExpired", lambda _: lasting(-3600, -3000), "si-token"),
            (lambda _: lasting(3600, 4000), "si-token"),
            (lambda _: {"jti": None}, "si-token"),
            (lambda _: {"vp": {}}, "si-token"),
            (lambda _: {"token": None}, "access-token"),
            proving("cs_05_04_invalidTokenNotAuthorized", lambda _: {"token": "garbage"}, "access-token"),
            (lambda _: {"token": 7}, "access-token"),
        ],
    )
    async def test_a_bad_token_is_refused_with_401(self, world: World, changes: Changes, check: str) -> None:
        assert await world.refused(QUERY, await world.header(**changes(world)), query()) == (401, check)

    @case("cs_05_03_01_accessTokenInvalidHeader")
    async def test_without_a_header_or_with_another_scheme(self, world: World) -> None:
        bare = (await world.header()).removeprefix("Bearer ")
        for header in (None, "", bare, f"Basic {bare}", "Bearer "):
            assert await world.refused(QUERY, header, query()) == (401, "header")
        assert await world.refused(QUERY, "Bearer garbage", query()) == (401, "si-token")

    async def test_a_token_with_another_key_is_refused(self, world: World) -> None:
        for key in (forged(world.verifier.key), SigningKey.generate(world.verifier.did)):
            header = await world.header(key=key)
            assert await world.refused(QUERY, header, query()) == (401, "si-token")

    @case("cs_04_03_03_idTokenInvalidIssuerSub")
    async def test_an_access_token_that_was_given_to_another_is_refused(self, world: World) -> None:
        header = await world.header(by="stranger", token=await world.access())
        assert await world.refused(QUERY, header, query()) == (401, "access-token")

    async def test_an_access_token_of_ones_own_making_is_refused(self, world: World) -> None:
        forged = issue_access_token(
            SigningKey.generate(world.node.did), world.verifier.did, [ONE], jti="x", now=now_ms()
        )
        assert await world.refused(QUERY, await world.header(token=forged), query()) == (401, "access-token")

    async def test_a_self_issued_token_of_ours_opens_nothing(self, world: World) -> None:
        """What we sent to a partner is signed by us, but is no access token."""
        _, doc = await world.node.token(world.verifier.did, ONE)
        header = await world.header(token=doc["access_token"])
        assert await world.refused(QUERY, header, query()) == (401, "access-token")

    @case("cs_05_04_01_invalidScopeAndPresentationRequest")
    async def test_both_ways_of_asking_are_400(self, world: World) -> None:
        doc = query(presentationDefinition=DEFINITION)
        assert await world.refused(QUERY, await world.header(), doc) == (400, None)

    @pytest.mark.parametrize(
        "docs",
        [
            proving(
                "cs_05_04_01_emptyPresentationDefinition",
                [NOTHING | {"presentationDefinition": {}}, NOTHING | {"presentationDefinition": None}],
            ),
            proving("cs_05_04_02_emptyScopeExpect4xx", [NOTHING | {"scope": []}, NOTHING]),
        ],
    )
    async def test_neither_way_of_asking_is_400_and_uses_no_access_token_up(
        self, world: World, docs: list[dict[str, Any]]
    ) -> None:
        access = await world.access()
        for doc in docs:
            assert await world.refused(QUERY, await world.header(token=access), doc) == (400, None)
        assert await world.shown(await world.header(token=access)) == [MEMBERSHIP]

    async def test_what_is_no_question_is_400(self, world: World) -> None:
        docs: tuple[object, ...] = (
            query() | {"presentationDefinition": None},
            query(scope=["no scope"]),
            query(scope=7),
            query(type="Other"),
            query(**{"@context": ["https://other.example"]}),
            [],
            None,
        )
        for doc in docs:
            assert await world.refused(QUERY, await world.header(), doc) == (400, None), doc

    async def test_a_presentation_definition_is_501(self, world: World) -> None:
        doc = NOTHING | {"presentationDefinition": DEFINITION}
        assert await world.refused(QUERY, await world.header(), doc) == (501, None)

    async def test_other_media_types_are_415_and_too_much_is_413(self, world: World) -> None:
        header = await world.header()
        assert (await world.refused(QUERY, header, query(), **{"Content-Type": "text/plain"}))[0] == 415
        assert (await world.refused(QUERY, await world.header(), query(x="a" * (1 << 20))))[0] == 413
        assert (await world.refused(QUERY, await world.header(), query(scope=["a:b"] * 65)))[0] == 400

    async def test_expired_credentials_are_not_shown(self, world: World) -> None:
        await world.node.hold(world.people.vc(world.node.did, MEMBERSHIP, valid_until=now_ms() - 60_000))
        assert await world.shown(await world.header()) == []

    async def test_credentials_of_both_data_models_come_in_two_presentations(self, world: World) -> None:
        await world.node.hold(world.people.vc(world.node.did, SENSITIVE, profile=Profile.VC20))
        status, doc = await world.node.post(QUERY, await world.header(), query(ONE, f"{DCP}:{SENSITIVE}"))
        assert status == 200
        assert [type(item) for item in doc["presentation"]] == [str, dict]
        assert doc["presentation"][1]["type"] == "EnvelopedVerifiablePresentation"

    async def test_only_post_and_only_these_paths(self, world: World) -> None:
        async with world.node.http.get(world.node.url + QUERY) as answer:
            assert answer.status == 405
        assert (await world.refused("/other", await world.header(), query()))[0] == 404


def offer(world: World, **changes: Any) -> dict[str, Any]:
    """A good offer as an issuer makes it that has a credential anew, some members changed."""
    credential = {
        "id": "m",
        "type": "CredentialObject",
        "credentialType": MEMBERSHIP,
        "offerReason": "reissue",
        "bindingMethods": ["did:web:"],
        "profile": "vc11-sl2021/jwt",
        "issuancePolicy": {},
    }
    message = {"@context": [CONTEXT], "type": "CredentialOfferMessage", "issuer": world.issuer.did}
    return {**message, "credentials": [credential], **changes}


def delivery(world: World) -> dict[str, Any]:
    """A good delivery of a newer membership."""
    return world.people.message(world.people.vc(world.node.did))


DOORS = (
    ("/credentials", delivery, "cs_06_05_01_credentialMessage"),
    ("/offers", offer, "cs_06_06_01_credentialOfferMessage"),
)
BAD_TOKENS: dict[str, tuple[Changes, ...]] = {
    "tokenSignedWithWrongKey": (
        lambda w: {"key": SigningKey.generate(w.issuer.did)},
        lambda w: {"key": forged(w.issuer.key)},
    ),
    "tokenExpired": (lambda _: lasting(0, -3600), lambda _: lasting(-7200, -3600)),
    "iatInFuture": (lambda _: lasting(3600, 600), lambda _: lasting(3600, 4200)),
    "nbfViolated": (lambda _: {"nbf": time.time() + 3600, **lasting(0, 600)},),
    "incorrectAudience": (lambda w: {"aud": w.stranger.did},),
    "issNotEqualToSub": (lambda w: {"sub": w.stranger.did},),
}
"""What is wrong with an issuer's token, by the ends of the cases' names: as the kit has it, and nothing but that."""
Make = Callable[[World], dict[str, Any]]


class TestIssuersTokens:
    """Who delivers and who offers is asked before the message is read; the messages here are good."""

    @pytest.mark.parametrize(
        ("path", "make", "tokens"),
        [
            proving(f"{name}_{wrong}", path, make, tokens)
            for path, make, name in DOORS
            for wrong, tokens in BAD_TOKENS.items()
        ],
    )
    async def test_a_bad_one_is_401(self, world: World, path: str, make: Make, tokens: tuple[Changes, ...]) -> None:
        before = await world.state()
        for changes in tokens:
            header = world.issuer.header(world.node.did, **changes(world))
            assert await world.refused(path, header, make(world)) == (401, "si-token")
        assert await world.state() == before

    @pytest.mark.parametrize(
        ("path", "make"),
        [
            pytest.param(path, make, marks=case(f"{name}_noAuthHeader", f"{name}_missingBearerPrefix"))
            for path, make, name in DOORS
        ],
    )
    async def test_none_and_one_without_bearer_are_401(self, world: World, path: str, make: Make) -> None:
        before, header = await world.state(), world.issuer.header(world.node.did)
        assert await world.refused(path, None, make(world)) == (401, "header")
        assert await world.refused(path, header.removeprefix("Bearer "), make(world)) == (401, "header")
        assert await world.state() == before

    @pytest.mark.parametrize(
        ("path", "make"), [proving(f"{name}_jtiAlreadyUsed", path, make) for path, make, name in DOORS]
    )
    async def test_a_used_one_is_401(self, world: World, path: str, make: Make) -> None:
        header = world.issuer.header(world.node.did)
        assert await world.node.post(path, header, make(world)) == (200, None)
        after = await world.state()
        assert await world.refused(path, header, make(world)) == (401, "si-token")
        assert await world.state() == after

    @pytest.mark.parametrize(("path", "make"), [(path, make) for path, make, _ in DOORS])
    async def test_a_good_one_is_used_up_by_a_bad_message(self, world: World, path: str, make: Make) -> None:
        header = world.issuer.header(world.node.did)
        assert await world.refused(path, header, {}) == (400, None)
        assert await world.refused(path, header, make(world)) == (401, "si-token")


class TestStorage:
    async def deliver(self, world: World, *jwts: str, **changes: Any) -> tuple[int, Any]:
        header = world.issuer.header(world.node.did)
        return await world.node.post("/credentials", header, world.people.message(*jwts, **changes))

    @case("cs_06_05_01_credentialMessage")
    async def test_a_trusted_issuer_delivers(self, world: World) -> None:
        jwts = [world.people.vc(world.node.did, name) for name in (MEMBERSHIP, SENSITIVE)]
        for _ in range(2):  # a delivery may be repeated
            assert await self.deliver(world, *jwts) == (200, None)
        assert sorted(held.jwt for held in await world.node.held()) == sorted(jwts), "newer ones replace the older"

    async def test_formats_in_the_wild_are_taken(self, world: World) -> None:
        for name in ("vc11-sl2021/jwt", "vc10-sl2021/jwt", "VC1_0_JWT", "jwt"):
            doc = world.people.message(world.people.vc(world.node.did))
            doc["credentials"][0]["format"] = name
            assert (await world.node.post("/credentials", world.issuer.header(world.node.did), doc))[0] == 200

    @pytest.mark.parametrize(
        "changes",
        [
            proving("cs_06_05_01_credentialMessage_invalidBody", {"holderPid": None}),
            {"issuerPid": None},
            proving("cs_06_05_01_credentialMessage_invalidStatus", {"status": "INVALID_STATUS"}),
            {"status": None},
            {"credentials": []},
            {"credentials": None},
            {"credentials": [{"credentialType": "X", "format": "ldp", "payload": "x"}]},
            {"credentials": [{"credentialType": "X", "format": "jwt", "payload": "x"}]},
            {"credentials": [{"credentialType": "X", "format": "jwt"}]},
            {"credentials": ["x"] * 65},
            {"type": "Other"},
        ],
    )
    async def test_a_malformed_message_is_400(self, world: World, changes: dict[str, Any]) -> None:
        before = await world.node.held()
        doc = world.people.message(world.people.vc(world.node.did), **changes)
        assert (await world.refused("/credentials", world.issuer.header(world.node.did), doc)) == (400, None)
        assert await world.node.held() == before

    async def test_a_stranger_stores_nothing(self, world: World) -> None:
        before = await world.node.held()
        doc = world.people.message(world.people.vc(world.node.did, by="stranger"))
        header = world.stranger.header(world.node.did)
        assert await world.refused("/credentials", header, doc) == (403, "credential-issuer")
        good = world.people.message(world.people.vc(world.node.did))  # a real one, brought by somebody else
        header = world.stranger.header(world.node.did)
        assert await world.refused("/credentials", header, good) == (403, "credential-issuer")
        assert await world.node.held() == before

    Bad = Callable[[World], str]

    @pytest.mark.parametrize(
        ("make", "check"),
        [
            (lambda w: w.people.vc(w.stranger.did), "credential-subject"),
            (lambda w: w.people.vc(w.node.did, "OtherCredential"), "credential-issuer"),
            (lambda w: w.people.vc(w.node.did, by="stranger"), "credential-issuer"),
            (lambda w: w.people.vc(w.node.did, valid_until=now_ms() - DAY_MS // 2), "credential-time"),
            (lambda w: w.people.vc(w.node.did)[:-8] + "AAAAAAAA", "credential-signature"),
            (lambda w: w.people.vc(w.node.did, index=3), "credential-revoked"),
        ],
    )
    async def test_what_does_not_hold_is_not_kept(self, world: World, make: Bad, check: str) -> None:
        before = await world.node.held()
        world.people.publish_list(3)
        doc = world.people.message(world.people.vc(world.node.did), make(world))  # the good one is not kept either
        header = world.issuer.header(world.node.did)
        assert await world.refused("/credentials", header, doc) == (403, check)
        assert await world.node.held() == before

    async def test_a_request_is_answered_only_by_the_issuer_that_was_asked(self, world: World) -> None:
        asked = await world.node.running.node.store.run(
            lambda tx: credentials.ask(
                tx, world.stranger.did, [MEMBERSHIP], now=now_ms(), ids=lambda: str(uuid.uuid4())
            )
        )
        doc = world.people.message(world.people.vc(world.node.did), holderPid=asked.id)
        header = world.issuer.header(world.node.did)
        assert await world.refused("/credentials", header, doc) == (403, "delivery")
        assert (await self.request(world, asked.id)).state is not Asked.ISSUED

    async def test_a_rejection_is_noted(self, world: World) -> None:
        asked = await world.node.running.node.store.run(
            lambda tx: credentials.ask(tx, world.issuer.did, [MEMBERSHIP], now=now_ms(), ids=lambda: str(uuid.uuid4()))
        )
        members: dict[str, Any] = {"status": "REJECTED", "credentials": None, "rejectionReason": "not a member"}
        header = world.issuer.header(world.node.did)
        assert await world.refused("/credentials", header, world.people.message(**members)) == (404, None)
        assert (await self.deliver(world, holderPid=asked.id, **members))[0] == 200
        after = await self.request(world, asked.id)
        assert (after.state, after.error) == (Asked.REJECTED, "not a member")

    async def request(self, world: World, identifier: str) -> Any:  # noqa: ANN401 - CredentialRequest
        return await world.node.running.node.store.read(lambda tx: tx.credential_requests.get(identifier))


class TestOffers:
    @case("cs_06_06_01_credentialOfferMessage")
    async def test_an_offer_is_taken(self, world: World) -> None:
        assert await world.node.post("/offers", world.issuer.header(world.node.did), offer(world)) == (200, None)

    @case("cs_06_06_01_credentialOfferMessage_onlyIds")
    async def test_an_offer_may_name_ids_alone(self, world: World) -> None:
        doc = offer(world, credentials=[{"id": "one"}, {"id": "two"}])
        assert await world.node.post("/offers", world.issuer.header(world.node.did), doc) == (200, None)

    async def test_what_is_offered_anew_is_asked_for_once(self, world: World) -> None:
        again = [{"id": "m", "type": "CredentialObject", "credentialType": MEMBERSHIP, "offerReason": "reissue"}]
        have = [{"id": "m", "type": "CredentialObject", "credentialType": MEMBERSHIP, "offerReason": "issuance"}]
        requests = world.node.running.node.store
        for offered, expected in ((have, 0), (again, 1)):
            doc = offer(world, credentials=offered)
            assert (await world.node.post("/offers", world.issuer.header(world.node.did), doc))[0] == 200
            assert await requests.read(lambda tx: tx.credential_requests.count()) == expected

    @pytest.mark.parametrize(
        "changes",
        [
            proving("cs_06_06_01_credentialOfferMessage_invalidBody", {"issuer": None}),
            {"credentials": []},
            {"credentials": [{}]},
            {"type": "X"},
        ],
    )
    async def test_a_malformed_offer_is_400(self, world: World, changes: dict[str, Any]) -> None:
        header = world.issuer.header(world.node.did)
        assert await world.refused("/offers", header, offer(world, **changes)) == (400, None)

    async def test_offers_of_strangers_and_in_somebody_elses_name_are_403(self, world: World) -> None:
        header = world.stranger.header(world.node.did)
        doc = offer(world, issuer=world.stranger.did)
        assert await world.refused("/offers", header, doc) == (403, "credential-issuer")
        header = world.issuer.header(world.node.did)
        assert await world.refused("/offers", header, doc) == (403, "delivery")


class TestTokenService:
    async def test_tokens_are_bound_to_one_party_and_its_scopes_for_minutes(self, world: World) -> None:
        status, doc = await world.node.token(world.verifier.did, BOTH)
        assert (status, doc["token_type"], doc["expires_in"]) == (200, "Bearer", 60)
        outer = CompactJws.parse(doc["access_token"]).payload
        inner = CompactJws.parse(outer["token"]).payload
        assert (outer["iss"], outer["sub"], outer["aud"]) == (world.node.did, world.node.did, world.verifier.did)
        assert (inner["aud"], inner["sub"], inner["scope"]) == (world.node.did, world.verifier.did, BOTH)
        assert inner["exp"] - inner["iat"] == 300

    @pytest.mark.parametrize(
        ("changes", "status", "error"),
        [
            ({"client_secret": "wrong"}, 401, "invalid_client"),
            ({"client_id": "wrong"}, 401, "invalid_client"),
            ({"client_id": "", "client_secret": ""}, 401, "invalid_client"),
            ({"client_id": f"tests\0{SECRET}", "client_secret": ""}, 401, "invalid_client"),
            ({"grant_type": "password"}, 400, "unsupported_grant_type"),
            ({"audience": ""}, 400, "invalid_request"),
            ({"audience": "https://somebody.example"}, 400, "invalid_request"),
            ({"bearer_access_scope": ""}, 400, "invalid_request"),
            ({"token": "given"}, 400, "invalid_request"),
            ({"x": "a" * 20_000}, 400, "invalid_request"),
            ({"x": "a" * 70_000}, 413, "invalid_request"),
        ],
    )
    async def test_refusals_are_oauths(self, world: World, changes: dict[str, str], status: int, error: str) -> None:
        answered, doc = await world.node.token(world.verifier.did, ONE, **changes)
        assert (answered, doc["error"]) == (status, error)
        assert SECRET not in str(doc)

    async def test_strangers_do_not_reach_it(self, world: World) -> None:
        async with world.node.http.post(f"{world.node.running.public.url}/sts/token") as answer:
            assert answer.status == 404

    async def test_without_a_client_there_is_none(self, tmp_path: Path) -> None:
        async with others() as people:
            off = {"client_id": "", "client_secret": "env:SECRET"}
            trusted = {people["issuer"].did: ["*"]}
            async with (
                holder(tmp_path, trusted, sts=off) as node,
                node.http.post(f"{node.running.management.url}/sts/token") as answer,
            ):
                assert answer.status == 404


@case("cs_05_02_endpointDiscovery")
async def test_the_document_names_the_wallet(world: World) -> None:
    async with world.node.http.get(f"{world.node.running.public.url}/.well-known/did.json") as answer:
        document = await answer.json(content_type=None)
    services = {service["type"]: service for service in document["service"]}
    assert services["CredentialService"]["serviceEndpoint"].endswith("/dcp")
    assert services["CredentialService"].keys() == {"id", "type", "serviceEndpoint"}


async def test_what_an_issuer_calls_its_credential_does_not_matter(world: World) -> None:
    """Types are read from the credential, never from `credentialType` of the delivery."""
    doc = world.people.message(world.people.vc(world.node.did, SENSITIVE))
    doc["credentials"][0]["credentialType"] = MEMBERSHIP
    assert (await world.node.post("/credentials", world.issuer.header(world.node.did), doc))[0] == 200
    kept = [VerifiableCredential.parse(held.jwt).types for held in await world.node.held()]
    assert sorted(kept) == [(MEMBERSHIP,), (SENSITIVE,)]
