"""What the authority tells everybody: its status lists, and to members its BPN directory (CX-0167).

Both follow from the register and are made anew after a change, not for each who asks. A list is signed as a credential;
who asks for JSON gets it plain. The directory is packed once.
"""

import gzip
from dataclasses import dataclass, field
from typing import Any

import orjson

from connector.authority.issuing import Office, entry_type
from connector.authority.model import Standing
from connector.authority.register import Register, Tx
from connector.exchange.ports import Clock
from connector.identity.credentials import Profile, credential, sign_credential
from connector.identity.status_list import CONTEXT, MIN_BITS, REVOCATION, list_subject, list_type
from connector.protocol.errors import PeerError


@dataclass(frozen=True, slots=True)
class PublishedList:
    """A status list as credential: `jwt` is `json`, signed."""

    jwt: str
    json: bytes


@dataclass(slots=True)
class _Kept:
    """What was made since the last change. What a change has overtaken is written into one that nobody reads."""

    lists: dict[int, PublishedList] = field(default_factory=dict)
    directory: bytes | None = None


class Published:
    """Status lists and directory, kept until `changed`. `ttl` of lists in ms."""

    def __init__(self, register: Register, office: Office, clock: Clock, *, ttl: int) -> None:
        self._register = register
        self._office = office
        self._clock = clock
        self._ttl = ttl
        self._kept = _Kept()

    def changed(self) -> None:
        """Something in the register has changed."""
        self._kept = _Kept()

    async def status_list(self, number: int) -> PublishedList:
        """A list by its number. Raise PeerError 404 if there is none."""
        kept = self._kept
        if number not in kept.lists:
            profile, revoked = await self._register.run(lambda tx: (tx.profile_of(number), tx.revoked_places(number)))
            if profile is None:
                raise PeerError(404, "there is no such status list")
            kept.lists[number] = self._make(number, profile, revoked)
        return kept.lists[number]

    def _make(self, number: int, profile: Profile, revoked: list[int]) -> PublishedList:
        url, kind = self._office.status_url(number), entry_type(profile)
        bits = bytearray(MIN_BITS // 8)
        for place in revoked:
            bits[place // 8] |= 0x80 >> place % 8
        doc: dict[str, Any] = credential(
            profile,
            identifier=url,
            types=[list_type(kind)],
            issuer=self._office.key.did,
            subject=list_subject(kind, url=url, purpose=REVOCATION, bits=bytes(bits), ttl=self._ttl),
            valid_from=self._clock.now(),
            contexts=[CONTEXT] if profile is Profile.VC11 else (),
        )
        return PublishedList(sign_credential(self._office.key, doc, wrapped=True), orjson.dumps(doc))

    async def directory(self) -> bytes:
        """All members' DIDs by BPN, as a gzipped JSON object."""
        kept = self._kept
        if kept.directory is None:
            known = await self._register.run(_directory)
            kept.directory = gzip.compress(orjson.dumps(known), mtime=0)
        return kept.directory


def _directory(tx: Tx) -> dict[str, str]:
    return {m.bpn: m.did for m in tx.members() if m.did is not None and m.standing is Standing.MEMBER}
