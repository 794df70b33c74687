"""Whatever a stranger puts into a credential, a presentation, a status list or a message: it is read or refused."""

from collections.abc import Callable
from typing import Any

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from connector.identity import dcp_messages
from connector.identity.credentials import Profile, VerifiableCredential
from connector.identity.jws import CompactJws
from connector.identity.presentations import VerifiablePresentation
from connector.identity.refusal import Refusal
from connector.identity.scopes import Scope
from connector.identity.status_list import StatusList, list_subject, pack, parse_status, unpack, with_bit
from connector.protocol.errors import PeerError
from tests.property.test_identity_tokens import JSON
from tests.unit.dcp_world import AUTHORITY, LIST, DcpWorld
from tests.unit.identity_world import NOW, OURS, THEIRS
from tests.unit.test_identity_dcp_messages import MESSAGES

WORLDS = {profile: DcpWorld(profile) for profile in Profile}
PAYLOADS = [dict(CompactJws.parse(world.vc()).payload) for world in WORLDS.values()]
SHOWN = [dict(CompactJws.parse(world.vp(world.vc())).payload) for world in WORLDS.values()]
KEYS = WORLDS[Profile.VC11].keys


def places(doc: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:  # noqa: ANN401 - any JSON
    """The path of every member and item."""
    pairs = doc.items() if isinstance(doc, dict) else enumerate(doc) if isinstance(doc, list) else ()
    found = [(*path, key) for key, _ in pairs]
    return found + [deeper for key, value in list(pairs) for deeper in places(value, (*path, key))]


def changed(doc: Any, path: tuple[Any, ...], value: Any) -> Any:  # noqa: ANN401 - any JSON
    copy = orjson.loads(orjson.dumps(doc))
    inner = copy
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = value
    return copy


def status_of(read: Callable[[Any], object], sent: object) -> int:
    """200, or the status of the refusal."""
    try:
        read(sent)
    except PeerError as refusal:
        return refusal.status
    return 200


@st.composite
def mutations(draw: st.DrawFn, docs: list[dict[str, Any]]) -> dict[str, Any]:
    """A good document with one thing in it made any other JSON."""
    doc = draw(st.sampled_from(docs))
    result: dict[str, Any] = changed(doc, draw(st.sampled_from(places(doc))), draw(JSON))
    return result


@given(mutations(PAYLOADS))
def test_a_credential_is_read_or_refused(payload: dict[str, Any]) -> None:
    try:
        read = VerifiableCredential.parse(KEYS[AUTHORITY].sign_jwt(payload))
    except Refusal:
        return
    assert read.issuer == AUTHORITY
    assert all(isinstance(says.subject, dict) for says in read.proven())


@given(mutations(SHOWN))
def test_a_presentation_is_read_or_refused(payload: dict[str, Any]) -> None:
    try:
        read = VerifiablePresentation.parse(KEYS[THEIRS].sign_jwt(payload))
        read.check(holder=THEIRS, audience=OURS, now=NOW)
    except Refusal:
        return
    assert (read.holder, OURS in read.audience) == (THEIRS, True)


@given(mutations(SHOWN))
async def test_who_is_let_in_is_the_one_who_asks(payload: dict[str, Any]) -> None:
    """With any mutated presentation signed by its holder: refused, or let in as this holder and no other."""
    world = WORLDS[Profile.VC11]
    jwt = KEYS[THEIRS].sign_jwt(payload)
    world.wallet.answer = lambda _: world.answer(jwt)
    identity = world.identity(keep_s=0, scopes=["org.eclipse.tractusx.vc.type:MembershipCredential"])
    try:
        who, status = (await identity.verify(world.header())).id, 200
    except PeerError as refusal:
        who, status = None, refusal.status
    assert (who, status) == (THEIRS, 200) or status in {401, 403, 503}


@given(JSON)
def test_any_json_is_no_message_or_one(doc: object) -> None:
    for message in MESSAGES:
        kind: Any = type(message)
        sent = {"@context": [dcp_messages.CONTEXT], "type": kind.TYPE, **doc} if isinstance(doc, dict) else doc
        assert status_of(kind.parse, sent) in {200, 400}


@given(st.sampled_from(MESSAGES), st.data())
def test_a_message_with_one_thing_changed_is_read_or_refused(message: Any, data: st.DataObject) -> None:  # noqa: ANN401 - any
    doc = message.to_json()
    sent = changed(doc, data.draw(st.sampled_from(places(doc))), data.draw(JSON))
    status = status_of(type(message).parse, sent)
    if status == 200:
        read = type(message).parse(sent)
        assert type(message).parse(read.to_json()) == read
    else:
        assert status == 400


@given(st.text(max_size=60))
def test_a_scope_is_read_or_refused(text: str) -> None:
    try:
        scope = Scope.parse(text)
    except PeerError:
        return
    assert Scope.parse(str(scope)) == scope
    assert str(scope) == text


@given(st.binary(min_size=1, max_size=300), st.sets(st.integers(0, 2399)), st.booleans())
def test_bits_survive_their_way(noise: bytes, chosen: set[int], multibase: bool) -> None:
    bits = noise.ljust(300, b"\0")
    for index in chosen:
        bits = with_bit(bits, index, value=index % 2 == 0)
    assert unpack(pack(bits, multibase=multibase)) == bits
    kind = "BitstringStatusListEntry" if multibase else "StatusList2021Entry"
    found = StatusList.parse(list_subject(kind, url=LIST, purpose="revocation", bits=bits))
    for index in chosen:
        entry = parse_status(
            {"type": kind, "statusPurpose": "revocation", "statusListIndex": index, "statusListCredential": LIST}, ""
        )
        assert found.is_set(entry) is (index % 2 == 0)


@given(st.text(max_size=200) | st.binary(max_size=200).map(lambda raw: pack(raw, multibase=True)[:-3]))
@settings(max_examples=200)
def test_what_is_no_list_is_refused_and_nothing_else_happens(encoded: str) -> None:
    assert status_of(unpack, encoded) in {200, 400}
