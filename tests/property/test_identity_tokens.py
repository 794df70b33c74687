"""Whatever is done to a token, a document or a DID on its way, it is either the same or refused."""

import string
from typing import Any

import orjson
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from connector.identity.did import did_document_path, did_of_url, did_web_url, parse_did_document
from connector.identity.jws import b64url, unb64url
from connector.identity.tokens import issue_token
from connector.protocol.errors import PeerError
from tests.unit.identity_world import NOW, OURS, THEIRS, World

WORLD = World()
TOKEN = issue_token(WORLD.key, audience=OURS, jti="jti-1", now=NOW, claims={"token": "access"})
ALPHABET = string.ascii_letters + string.digits + "-_.="
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


async def answer(token: str) -> int:
    try:
        await WORLD.verifier.verify(token, single_use=False)
    except PeerError as refusal:
        return refusal.status
    return 200


async def refused(token: str) -> None:
    assert await answer(token) in {401, 503}


async def test_the_token_itself_is_good() -> None:
    assert await answer(TOKEN) == 200


@given(at=st.integers(0, len(TOKEN) - 1), sign=st.sampled_from(ALPHABET))
async def test_a_changed_character_is_noticed(at: int, sign: str) -> None:
    assume(TOKEN[at] != sign)
    await refused(TOKEN[:at] + sign + TOKEN[at + 1 :])


@given(at=st.integers(0, len(TOKEN)), text=st.text(ALPHABET, min_size=1, max_size=8))
async def test_an_addition_is_noticed(at: int, text: str) -> None:
    changed = TOKEN[:at] + text + TOKEN[at:]
    assume(changed != TOKEN)
    await refused(changed)


@given(start=st.integers(0, len(TOKEN) - 1), length=st.integers(1, len(TOKEN)))
async def test_an_omission_is_noticed(start: int, length: int) -> None:
    await refused(TOKEN[:start] + TOKEN[start + length :])


@given(part=st.sampled_from([0, 1]), name=st.text(max_size=8), value=JSON)
async def test_another_header_or_claim_is_noticed(part: int, name: str, value: object) -> None:
    parts = TOKEN.split(".")
    before = orjson.loads(unb64url(parts[part]))
    for member in (name, *before):
        changed = orjson.dumps({**before, member: value})
        if changed != unb64url(parts[part]):
            await refused(".".join([*parts[:part], b64url(changed), *parts[part + 1 :]]))


def _compact(parts: list[Any]) -> str:
    return ".".join([*(b64url(orjson.dumps(part)) for part in parts), "AA"])


@given(text=st.text(max_size=64) | st.lists(JSON, min_size=2, max_size=3).map(_compact))
async def test_whatever_else_is_sent_is_refused(text: str) -> None:
    await refused(text)


@given(members=st.dictionaries(st.sampled_from(["iss", "sub", "aud", "jti", "iat", "exp", "nbf"]), JSON))
async def test_the_senders_own_odd_claims_raise_nothing_but_a_refusal(members: dict[str, Any]) -> None:
    assert await answer(WORLD.key.sign_jwt({**WORLD.claims(), **members})) in {200, 401, 503}


@given(
    members=st.dictionaries(
        st.sampled_from(["verificationMethod", "authentication", "capabilityInvocation", "assertionMethod", "service"]),
        JSON | st.lists(st.dictionaries(st.sampled_from(["id", "controller", "publicKeyJwk"]), JSON), max_size=3),
    )
)
def test_odd_documents_raise_nothing_but_a_refusal(members: dict[str, Any]) -> None:
    methods, status = {}, 200
    try:
        methods = dict(parse_did_document({"id": THEIRS, **members}, THEIRS).methods)
    except PeerError as refusal:
        status = refusal.status
    assert status in {200, 401}
    assert all(identifier.startswith(f"{THEIRS}#") for identifier in methods)


HOST = st.from_regex(r"[a-z][a-z0-9]{0,8}(\.[a-z]{2,5}){0,2}", fullmatch=True)
SEGMENTS = st.lists(st.from_regex(r"[A-Za-z0-9_-]{1,8}", fullmatch=True), max_size=3)


@given(host=HOST, port=st.none() | st.integers(1, 65535).filter(lambda port: port != 443), segments=SEGMENTS)
def test_did_and_address_say_the_same(host: str, port: int | None, segments: list[str]) -> None:
    assume(".well-known" not in segments)
    did = ":".join(["did:web", host + (f"%3A{port}" if port else ""), *segments])
    assert did_of_url(did_web_url(did)) == did
    assert did_web_url(did).endswith(did_document_path(did))


@settings(max_examples=300)
@given(rest=st.text(string.ascii_letters + string.digits + ".:/\\%@?#[]-_ \n", max_size=24))
def test_a_did_never_leads_off_its_host(rest: str) -> None:
    try:
        url = did_web_url(f"did:web:{rest}")
    except PeerError:
        return
    host = rest.replace("%3A", ":").replace("%3a", ":").partition(":")[0]
    assert url.startswith((f"https://{host}/", f"https://{host}:"))
    assert url.endswith("/did.json")
    assert not set(url) & set("@?#\\ \n")
    assert "/../" not in url
    assert "/./" not in url
