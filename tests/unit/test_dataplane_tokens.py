"""Access and refresh tokens of a pull: bound, short-lived, and refreshed without a way to lose them."""

import base64
import hashlib
from dataclasses import replace

import pytest

from connector.dataplane import tokens as subject
from connector.dataplane.tokens import LEEWAY_S, AccessTokens
from connector.exchange.records import Grant
from connector.identity.jws import CompactJws
from connector.identity.keys import SigningKey
from connector.identity.tokens import SelfIssuedToken
from connector.protocol.errors import Invalid, PeerError
from tests.unit.identity_world import NOW, StillClock

OURS, THEIRS = "did:web:provider.example", "did:web:consumer.example"


@pytest.fixture
def clock() -> StillClock:
    return StillClock()


@pytest.fixture(scope="module")
def key() -> SigningKey:
    return SigningKey.generate(OURS)


@pytest.fixture
def tokens(key: SigningKey, clock: StillClock) -> AccessTokens:
    return AccessTokens(key, clock)


GRANT = Grant("transfer-1", NOW, THEIRS, None, "agreement-1", "asset-1")


def test_an_access_token_names_agreement_and_counterparty_and_lives_five_minutes(tokens: AccessTokens) -> None:
    claims = CompactJws.parse(tokens.issue(GRANT, NOW)).payload
    assert (claims["iss"], claims["sub"], claims["aud"]) == (OURS, THEIRS, THEIRS)
    assert claims["exp"] - claims["iat"] == 300
    assert claims["agreement"] == "agreement-1"
    assert claims["jti"].startswith("transfer-1/")


def test_who_holds_a_data_token_cannot_speak_to_the_consumer_as_the_provider(tokens: AccessTokens) -> None:
    with pytest.raises(PeerError, match="iss and sub") as refusal:
        SelfIssuedToken.parse(tokens.issue(GRANT, NOW))
    assert refusal.value.status == 401


def test_a_token_is_good_until_its_end_and_not_longer(tokens: AccessTokens, clock: StillClock) -> None:
    token = tokens.issue(GRANT, NOW)
    assert tokens.verify(token).transfer_id == "transfer-1"
    clock.tick(300 + LEEWAY_S)
    assert tokens.verify(token).consumer_id == THEIRS
    clock.tick(0.001)
    with pytest.raises(PeerError, match="expired") as refusal:
        tokens.verify(token)
    assert refusal.value.status == 403
    assert tokens.verify(token, expired_too=True).agreement_id == "agreement-1"


def test_a_verified_token_is_looked_up_and_a_changed_one_is_not(
    tokens: AccessTokens, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = tokens.issue(GRANT, NOW)
    first = tokens.verify(token)

    def never(_: str) -> CompactJws:
        raise PeerError(401, "parsed again")

    monkeypatch.setattr(subject, "CompactJws", type("No", (), {"parse": staticmethod(never)}))
    assert tokens.verify(token) is first
    with pytest.raises(PeerError, match="parsed again"):
        tokens.verify(token + "A")


def test_tokens_of_other_keys_and_purposes_are_refused(
    tokens: AccessTokens, key: SigningKey, clock: StillClock
) -> None:
    stranger = AccessTokens(SigningKey.generate(OURS), clock).issue(GRANT, NOW)
    dcp = key.sign_jwt({"iss": OURS, "sub": OURS, "aud": THEIRS, "jti": "x", "iat": 1, "exp": 2**40})
    head, _, signature = tokens.issue(GRANT, NOW).split(".")
    payload = base64.urlsafe_b64encode(b'{"iss":"%s","aud":"evil"}' % OURS.encode()).decode().rstrip("=")
    for token in (stranger, dcp, f"{head}.{payload}.{signature}", "nonsense", "a.b.c", ""):
        with pytest.raises(PeerError) as refusal:
            tokens.verify(token)
        assert refusal.value.status == 403


def test_a_lifetime_of_nothing_is_refused(key: SigningKey, clock: StillClock) -> None:
    with pytest.raises(Invalid):
        AccessTokens(key, clock, 0)


def test_the_store_holds_only_the_digest_of_a_refresh_token(tokens: AccessTokens) -> None:
    grant = tokens.opened(GRANT)
    token = tokens.refresh_token(grant)
    assert grant.refresh_token == hashlib.sha256(token.encode()).hexdigest()
    assert token not in repr(grant)
    assert grant.previous_refresh_token is None


def test_a_used_refresh_token_is_replaced(tokens: AccessTokens) -> None:
    before = tokens.opened(GRANT)
    first = tokens.refresh_token(before)
    after = tokens.refreshed(before, first)
    assert tokens.refresh_token(after) != first
    assert after.previous_refresh_token == before.refresh_token


def test_the_predecessor_brings_the_same_successor_until_that_is_used(tokens: AccessTokens) -> None:
    grant = tokens.opened(GRANT)
    first = tokens.refresh_token(grant)
    grant = tokens.refreshed(grant, first)
    second = tokens.refresh_token(grant)
    for _ in range(3):  # the answer was lost, and lost again
        assert tokens.refreshed(grant, first) is grant
    grant = tokens.refreshed(grant, second)
    with pytest.raises(PeerError) as refusal:
        tokens.refreshed(grant, first)
    assert refusal.value.status == 401
    assert tokens.refreshed(grant, second) is grant


def test_refresh_tokens_survive_a_restart_and_die_with_their_opening(
    tokens: AccessTokens, key: SigningKey, clock: StillClock
) -> None:
    grant = tokens.opened(GRANT)
    token = tokens.refresh_token(grant)
    assert AccessTokens(SigningKey.from_pem(key.to_pem(), OURS), clock).refresh_token(grant) == token
    anew = tokens.opened(replace(GRANT, created_at=NOW + 1))
    with pytest.raises(PeerError):
        tokens.refreshed(anew, token)


@pytest.mark.parametrize("presented", ["", "x", "0" * 64])
def test_anything_else_is_no_refresh_token(tokens: AccessTokens, presented: str) -> None:
    grant = tokens.opened(GRANT)
    for candidate in (presented, grant.refresh_token or ""):
        with pytest.raises(PeerError):
            tokens.refreshed(grant, candidate)
