"""The keys of an authority: the one it signs with, and those that it had before.

A new key takes the place of the old one at once. Of the old one only the public half is kept, in the register; the DID
document publishes it until the last credential that it may have signed has ended, so that whoever holds one need not
be given another. The key file is written last: what is interrupted before leaves the old key in use.
"""

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from connector.authority.register import Register, Tx
from connector.identity.did import did_document
from connector.identity.former_keys import MOST, FormerKey
from connector.identity.keys import SigningKey, load_or_create, replace_key
from connector.protocol.errors import Conflict

SPARE_MS: Final = 86_400_000
"""How long a key is published longer than needed, because clocks differ and decisions are under way."""


@dataclass(slots=True)
class Keys:
    """`current` signs, `former` are published besides, the latest first; only `rotate` changes them."""

    current: SigningKey
    former: tuple[FormerKey, ...] = ()
    changing: asyncio.Lock = field(default_factory=asyncio.Lock, repr=False)

    def document(self, services: Sequence[Mapping[str, str]]) -> dict[str, Any]:
        """The authority's DID document as JSON."""
        return did_document(self.current.did, [self.current], services, former=self.former)


async def open_keys(path: Path, did: str, register: Register, now: int) -> Keys:
    """The key in the file, made if missing, with those before it. Raise LocalError if they cannot be had."""
    current = load_or_create(path, did)
    former = await register.run(lambda tx: _former(tx, now))
    return Keys(current, tuple(key for key in former if key.kid != current.kid))  # a change that was interrupted


async def rotate(keys: Keys, path: Path, register: Register, *, validity: int, now: int) -> None:
    """Sign with a new key from now on. validity: of credentials, in ms.

    Raise Conflict if as many keys are published as may be, LocalError if the new one cannot be kept; then the old one
    stays in use.
    """
    async with keys.changing:
        old, new = keys.current, SigningKey.generate(keys.current.did)

        def retire(tx: Tx) -> tuple[FormerKey, ...]:
            until = max(tx.last_end() or 0, now + validity) + SPARE_MS
            tx.put_former_key(old.kid, json.dumps(old.public_jwk()), until)
            former = _former(tx, now)
            if len(former) >= MOST:
                raise Conflict(f"{MOST} keys are published already; the oldest goes when its last credential has ended")
            return former

        former = await register.run(retire)
        await asyncio.to_thread(replace_key, path, new)
        keys.current, keys.former = new, former


def _former(tx: Tx, now: int) -> tuple[FormerKey, ...]:
    return tuple(FormerKey(kid, json.loads(jwk)) for kid, jwk in tx.former_keys(now))
