"""A new key for a node: which one signs, which ones are published and what for, and what an interruption leaves."""

import json
import threading
from pathlib import Path
from typing import Any

import pytest

from connector.identity import former_keys
from connector.identity.credentials import Profile
from connector.identity.did import keys_in, parse_did_document
from connector.identity.former_keys import MOST, NodeKeys, former_file, open_node_keys, rotate_node_key
from connector.identity.jws import CompactJws
from connector.identity.presentations import sign_presentation
from connector.identity.proofs import ASSERTING, PRESENTING, Proofs
from connector.passport.signature import sign
from connector.passport.signature import verify as verify_signature
from connector.protocol.errors import Conflict, Invalid, LocalError, PeerError
from tests.unit.identity_world import NOW, OURS, THEIRS, World

DID = "did:web:node.example"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "signing-key.pem"


def kids(keys: NodeKeys) -> list[str]:
    return [keys.current.kid, *(key.kid for key in keys.former)]


def rewritten(file: Path, **changes: Any) -> None:
    """Change the first entry of the former keys."""
    doc = json.loads(former_file(file).read_text())
    doc["keys"][0] |= changes
    former_file(file).write_text(json.dumps(doc))


def test_a_new_key_signs_and_those_before_it_are_published_still(file: Path) -> None:
    first = open_node_keys(file, DID)
    second, third = rotate_node_key(file, DID), rotate_node_key(file, DID)
    assert kids(third) == [third.current.kid, second.current.kid, first.current.kid]
    assert len(set(kids(third))) == 3
    assert kids(open_node_keys(file, DID)) == kids(third)
    assert open_node_keys(file, DID).document([]) == third.document([])


def test_a_former_key_is_published_for_what_was_signed_and_for_nothing_else(file: Path) -> None:
    first = open_node_keys(file, DID)
    second = rotate_node_key(file, DID)
    document = parse_did_document(second.document([]), DID)
    assert set(document.methods) == set(kids(second))
    new, both = frozenset({second.current.kid}), frozenset({second.current.kid, first.current.kid})
    assert document.relationships == {"authentication": new, "assertionMethod": both, "capabilityInvocation": new}


def test_of_a_former_key_only_the_public_half_is_kept_and_nobody_else_may_write(file: Path) -> None:
    rotate_node_key(file, DID)
    (jwk,) = json.loads(former_file(file).read_text())["keys"]
    assert set(jwk) == {"kid", "kty", "crv", "x", "y"}
    assert {path.name for path in file.parent.iterdir()} == {"signing-key.pem", "signing-key.former.json"}
    assert {path.stat().st_mode & 0o077 for path in file.parent.iterdir()} == {0}


def test_payload_signatures_of_every_key_verify_by_their_kids_in_one_document(file: Path) -> None:
    first = open_node_keys(file, DID)
    signatures = [sign({"a": 1}, first.current)]
    signatures += [sign({"a": 1}, rotate_node_key(file, DID).current) for _ in range(2)]
    find = keys_in(open_node_keys(file, DID).document([]))
    signers = [verify_signature({"a": 1}, signature, find).kid for signature in signatures]
    assert signers == kids(open_node_keys(file, DID))[::-1]
    with pytest.raises(PeerError):
        verify_signature({"a": 2}, signatures[0], find)


async def test_a_token_by_a_former_key_is_refused(file: Path) -> None:
    world = World()
    first = open_node_keys(file, THEIRS)
    second = rotate_node_key(file, THEIRS)
    world.web.publish(THEIRS, second.document([]))
    assert (await world.verifier.verify(world.token(second.current))).issuer == THEIRS
    with pytest.raises(PeerError, match="capabilityInvocation") as refusal:
        await world.verifier.verify(world.token(first.current, jti="jti-2"))
    assert refusal.value.status == 401


async def test_a_presentation_by_a_former_key_is_refused_a_credential_is_not(file: Path) -> None:
    world = World()
    first, second = open_node_keys(file, THEIRS), rotate_node_key(file, THEIRS)
    world.web.publish(THEIRS, second.document([]))
    signed = CompactJws.parse(
        sign_presentation(first.current, [], audience=OURS, jti="1", now=NOW, profile=Profile.VC11)
    )
    proofs = Proofs(world.resolver, world.clock)
    await proofs.check(signed, THEIRS, ASSERTING)
    with pytest.raises(PeerError, match="authentication"):
        await proofs.check(signed, THEIRS, PRESENTING)


def test_a_key_that_cannot_be_written_is_not_used(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = kids(open_node_keys(file, DID))

    def full(*_: object) -> None:
        raise LocalError("the key file cannot be written: no space")

    with monkeypatch.context() as patched:
        patched.setattr(former_keys, "replace_key", full)
        with pytest.raises(LocalError, match="no space"):
            rotate_node_key(file, DID)
    assert kids(open_node_keys(file, DID)) == before, "what was noted for the old one does no harm"
    assert kids(rotate_node_key(file, DID))[1:] == before


def test_two_at_once_lose_no_key(file: Path) -> None:
    first = open_node_keys(file, DID)
    threads = [threading.Thread(target=rotate_node_key, args=(file, DID)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = kids(open_node_keys(file, DID))
    assert (len(set(found)), found[-1]) == (5, first.current.kid)


def test_a_document_is_not_longer_than_its_readers_take(file: Path) -> None:
    for _ in range(MOST - 1):
        keys = rotate_node_key(file, DID)
    assert len(keys.document([])["verificationMethod"]) == MOST
    with pytest.raises(Conflict, match=r"signing-key\.former\.json"):
        rotate_node_key(file, DID)
    assert kids(open_node_keys(file, DID)) == kids(keys)


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"kid": "did:web:other.example#1"}, "/keys/0/kid"),
        ({"kid": 1}, "/keys/0/kid"),
        ({"d": "c2VjcmV0"}, "/keys/0/d"),
        ({"x": "AA"}, "/keys/0"),
    ],
)
def test_a_former_key_that_readers_would_refuse_is_named(file: Path, changes: dict[str, Any], where: str) -> None:
    rotate_node_key(file, DID)
    rewritten(file, **changes)
    with pytest.raises(Invalid, match=r"signing-key\.former\.json") as refusal:
        open_node_keys(file, DID)
    assert f" {where} " in refusal.value.reason
    assert "c2VjcmV0" not in str(refusal.value)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"keys": 1}', b"\xff", b"[" * 60_000, b"{" * 70_000])
def test_a_file_that_is_no_key_set_is_named(file: Path, content: bytes) -> None:
    open_node_keys(file, DID)
    former_file(file).write_bytes(content)
    with pytest.raises(Invalid, match=r"signing-key\.former\.json"):
        open_node_keys(file, DID)
