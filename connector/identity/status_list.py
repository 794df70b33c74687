"""Status lists: a bit for each credential that an issuer can take back (StatusList2021, Bitstring Status List 1.0).

The list is a credential of its own that says which credentials are revoked without naming them: a gzipped bit string,
most significant bit first, at least 131,072 bits long so that nobody can tell who is asked about. Both kinds differ in
names and in how the string is written; both ways of writing are read for both.
"""

import base64
import binascii
import gzip
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

from connector.protocol.errors import Invalid, PeerError
from connector.protocol.reading import at, checked, items, obj, text

MIN_BITS: Final = 131_072
MAX_BYTES: Final = 4 << 20
"""Accepted size of an unpacked list: 33 million credentials."""
CONTEXT: Final = "https://w3id.org/vc/status-list/2021/v1"
"""Of StatusList2021; the terms of the other kind are in the context of VC 2.0."""
REVOCATION: Final = "revocation"
SUSPENSION: Final = "suspension"
DENYING: Final = frozenset({REVOCATION, SUSPENSION})
"""Purposes whose bit takes the credential's force; others (refresh, message) only tell something."""

_LISTS: Final = {
    "StatusList2021Entry": ("StatusList2021", "StatusList2021Credential"),
    "BitstringStatusListEntry": ("BitstringStatusList", "BitstringStatusListCredential"),
}
_MAX_DIGITS: Final = 10


@dataclass(frozen=True, slots=True)
class StatusEntry:
    """`credentialStatus` of a credential: its place in a list. `index` is in bits from 0."""

    type: str
    purpose: str
    index: int
    list_url: str

    def __post_init__(self) -> None:
        if self.type not in _LISTS or self.index < 0:
            raise Invalid(f"a status entry is one of {', '.join(_LISTS)}, with an index from 0", "/type", self.type)

    def to_json(self) -> dict[str, str]:
        """The entry as a credential carries it."""
        return {
            "id": f"{self.list_url}#{self.index}",
            "type": self.type,
            "statusPurpose": self.purpose,
            "statusListIndex": str(self.index),
            "statusListCredential": self.list_url,
        }


def parse_status(entry: object, place: str) -> StatusEntry:
    """Read an entry. Raise PeerError 400 with its place: a status that we cannot look up must not count as good."""
    doc = obj(entry, place)
    kind = text(doc, "type", place)
    if kind not in _LISTS or doc.get("statusSize", 1) != 1:
        raise PeerError(400, f"this kind of status cannot be checked; known are {', '.join(_LISTS)}", at(place, "type"))
    index = doc.get("statusListIndex")
    written = str(index) if isinstance(index, int) and not isinstance(index, bool) else index
    digits = isinstance(written, str) and written.isascii() and written.isdecimal() and len(written) <= _MAX_DIGITS
    if not isinstance(written, str) or not digits:
        raise PeerError(400, "the index is a decimal number", at(place, "statusListIndex"))
    return StatusEntry(kind, text(doc, "statusPurpose", place), int(written), text(doc, "statusListCredential", place))


@dataclass(frozen=True, slots=True)
class StatusList:
    """A list as its credential's subject says it. `bits` unpacked; `ttl` in ms, None if it does not say."""

    type: str
    purposes: frozenset[str]
    bits: bytes
    ttl: int | None

    @classmethod
    def parse(cls, subject: Mapping[str, Any], place: str = "/credentialSubject") -> Self:
        """Read the subject of a list's credential. Raise PeerError 400 with its place."""
        doc = dict(subject)
        kind, ttl = text(doc, "type", place), doc.get("ttl")
        if kind not in {known for known, _ in _LISTS.values()}:
            raise PeerError(400, f"{kind[:80]} is no status list that is known", at(place, "type"))
        if ttl is not None and (isinstance(ttl, bool) or not isinstance(ttl, int) or ttl < 0):
            raise PeerError(400, "ttl is a number of milliseconds", at(place, "ttl"))
        purposes = frozenset(checked(value, p) for value, p in items(doc, "statusPurpose", place))
        encoded = checked(doc.get("encodedList"), at(place, "encodedList"), limit=MAX_BYTES)
        return cls(kind, purposes, unpack(encoded, at(place, "encodedList")), ttl)

    def is_set(self, entry: StatusEntry) -> bool:
        """Whether the entry's bit is set. Raise PeerError 400 if the entry is not one of this list."""
        if _LISTS[entry.type][0] != self.type or entry.purpose not in self.purposes:
            raise PeerError(400, f"the list is a {self.type} for other purposes than the credential says")
        if entry.index >= len(self.bits) * 8:
            raise PeerError(400, "the list is shorter than the credential's index")
        return bool(self.bits[entry.index // 8] & (0x80 >> entry.index % 8))


def unpack(encoded: str, pointer: str = "/encodedList", *, max_bytes: int = MAX_BYTES) -> bytes:
    """The bits of an `encodedList`. Raise PeerError 400: not base64, not gzip, or more than `max_bytes` unpacked.

    Base64 of either alphabet, with or without padding; the multibase prefix `u` may stand in front (a gzip stream
    never begins with it).
    """
    plain = encoded.removeprefix("u").rstrip("=").replace("+", "-").replace("/", "_")
    inflate = zlib.decompressobj(wbits=31)
    try:
        packed = base64.b64decode(plain + "=" * (-len(plain) % 4), altchars=b"-_", validate=True)
        bits = inflate.decompress(packed, max_bytes + 1)
    except (binascii.Error, ValueError, zlib.error):
        raise PeerError(400, "the list must be base64url of a gzip stream", pointer) from None
    if len(bits) > max_bytes:
        raise PeerError(400, f"the list unpacks to more than {max_bytes} bytes", pointer)
    if not inflate.eof or inflate.unused_data:
        raise PeerError(400, "the gzip stream is cut off, or goes on after its end", pointer)
    return bits


def pack(bits: bytes, *, multibase: bool) -> str:
    """An `encodedList` of these bits: base64url without padding, `u` in front where the kind wants it."""
    packed = base64.urlsafe_b64encode(gzip.compress(bits, mtime=0)).rstrip(b"=").decode("ascii")
    return f"u{packed}" if multibase else packed


def with_bit(bits: bytes, index: int, *, value: bool) -> bytes:
    """The same bits with one set or taken back. Raise Invalid if there is no such bit."""
    if not 0 <= index < len(bits) * 8:
        raise Invalid("the list has no such index", "/index", index)
    changed, mask = bytearray(bits), 0x80 >> index % 8
    changed[index // 8] = changed[index // 8] | mask if value else changed[index // 8] & ~mask
    return bytes(changed)


def list_subject(entry_type: str, *, url: str, purpose: str, bits: bytes, ttl: int | None = None) -> dict[str, Any]:
    """The subject of a list's credential, for entries of `entry_type`. `ttl` in ms."""
    kind, _ = _LISTS[entry_type]
    return {
        "id": f"{url}#list",
        "type": kind,
        "statusPurpose": purpose,
        "encodedList": pack(bits, multibase=kind == "BitstringStatusList"),
        **({} if ttl is None else {"ttl": ttl}),
    }


def list_type(entry_type: str) -> str:
    """The type of a list's credential, for entries of `entry_type`."""
    return _LISTS[entry_type][1]
