"""Keys that signed before: what they signed stays good for as long as the DID document publishes their public halves.

A key is replaced by a new one in its file; of the old one only the public half is kept. An authority keeps it in its
register, a node in a file beside the key, as a JWK Set (RFC 7517, 5) that an operator can read, copy and shorten. The
DID document has former keys for assertions only (DID Core 1.0, 5.3.2): nobody takes a new token or a presentation
that is signed with one of them.
"""

import fcntl
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from connector.identity.did import MAX_METHODS, did_document
from connector.identity.jws import json_object
from connector.identity.keys import SigningKey, VerificationKey, load_or_create, replace_file, replace_key
from connector.protocol.errors import Conflict, Invalid, LocalError, PeerError

MOST: Final = MAX_METHODS // 2
"""Keys in a document: some readers take no more than twice as many."""
MAX_BYTES: Final = 1 << 16


@dataclass(frozen=True, slots=True)
class FormerKey:
    """The public half of a key that signs nothing any more; `jwk` as it was published."""

    kid: str
    jwk: Mapping[str, str]

    def public_jwk(self) -> Mapping[str, str]:
        """As the DID document wants it."""
        return self.jwk


@dataclass(frozen=True, slots=True)
class NodeKeys:
    """`current` signs, `former` are published besides, the latest first."""

    current: SigningKey
    former: tuple[FormerKey, ...] = ()

    def document(self, services: Sequence[Mapping[str, str]]) -> dict[str, Any]:
        """The node's DID document as JSON."""
        return did_document(self.current.did, [self.current], services, former=self.former)


def former_file(path: Path) -> Path:
    """Where the former keys of a key file are: `signing-key.former.json` beside `signing-key.pem`."""
    return path.with_suffix(".former.json")


def open_node_keys(path: Path, did: str) -> NodeKeys:
    """The key in the file, made if missing, with those before it. Raise Invalid naming the file that is no good."""
    current = load_or_create(path, did)
    former = _read(former_file(path), did)
    return NodeKeys(current, tuple(key for key in former if key.kid != current.kid))  # a change that was interrupted


def rotate_node_key(path: Path, did: str) -> NodeKeys:
    """Put a new key into the file and the public half of the old one beside it; a node has them at its next start.

    The key file is written last: what is interrupted before leaves the old key in use. Raise Conflict if as many keys
    are published as may be, LocalError if a file cannot be written; then the old key stays.
    """
    load_or_create(path, did)  # and its folder
    with _alone(path.parent):
        old = open_node_keys(path, did)
        if len(old.former) + 2 > MOST:
            raise Conflict(f"{MOST} keys are published already; take one from {former_file(path)} that proves nothing")
        kept = FormerKey(old.current.kid, old.current.public_jwk())
        new = NodeKeys(SigningKey.generate(did), (kept, *old.former))
        body = json.dumps({"keys": [{"kid": key.kid, **key.jwk} for key in new.former]}, indent=2)
        replace_file(former_file(path), body.encode())
        replace_key(path, new.current)
        return new


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One change at a time: of two at once, one would not know the other's key."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)
    except OSError as error:
        raise LocalError(f"the folder {folder} cannot be used: {error.strerror}") from error


def _read(file: Path, did: str) -> tuple[FormerKey, ...]:
    try:
        with file.open("rb") as stream:
            content = stream.read(MAX_BYTES + 1)
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise Invalid(f"the file of former keys {file} cannot be read: {error.strerror}") from error
    try:
        return _parse(content, did)
    except ValueError as fault:
        raise Invalid(f"the file of former keys {file}: it is no JSON object of at most {MAX_BYTES} bytes") from fault
    except (Invalid, PeerError) as fault:
        raise Invalid(f"the file of former keys {file}: {fault.pointer} {fault.reason}") from None


def _parse(content: bytes, did: str) -> tuple[FormerKey, ...]:
    keys = json_object(content if len(content) <= MAX_BYTES else b"").get("keys")
    if not isinstance(keys, list) or len(keys) >= MOST:
        raise Invalid(f"it must be a JWK Set of fewer than {MOST} keys", "/keys")
    found: dict[str, FormerKey] = {}
    for number, jwk in enumerate(keys):
        pointer = f"/keys/{number}"
        VerificationKey.from_jwk(jwk, pointer)
        kid = jwk.pop("kid", None)
        if not isinstance(kid, str) or not kid.startswith(f"{did}#") or kid in found:
            raise Invalid(f"kid must be {did}# and the key's name, once", f"{pointer}/kid")
        found[kid] = FormerKey(kid, jwk)
    return tuple(found.values())
