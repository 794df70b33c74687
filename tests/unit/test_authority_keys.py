"""A new key for an authority: which one signs, which ones are published, for how long, and what a fall leaves."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from connector.authority.keys import SPARE_MS, Keys, open_keys, rotate
from connector.authority.model import Issued
from connector.authority.register import Register
from connector.identity.credentials import Profile
from connector.identity.did import parse_did_document
from connector.identity.former_keys import MOST
from connector.identity.keys import SigningKey
from connector.protocol.errors import Conflict, LocalError

NOW = 1_790_000_000_000
DAY = 86_400_000
YEAR = 365 * DAY
DID = "did:web:authority.example"


@dataclass
class World:
    """A register, and the file with the key."""

    register: Register
    file: Path

    async def open(self, now: int = NOW) -> Keys:
        return await open_keys(self.file, DID, self.register, now)

    async def rotate(self, keys: Keys, now: int = NOW, validity: int = YEAR) -> None:
        await rotate(keys, self.file, self.register, validity=validity, now=now)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    register = await Register.open()
    yield World(register, tmp_path / "signing-key.pem")
    await register.close()


def published(keys: Keys) -> list[str]:
    """Ids of the keys in the document, as a reader has them."""
    document = keys.document([])
    assert set(parse_did_document(document, DID).methods) == {m["id"] for m in document["verificationMethod"]}
    return [method["id"] for method in document["verificationMethod"]]


async def test_a_new_key_signs_and_the_old_one_is_published_still(world: World) -> None:
    keys = await world.open()
    first = keys.current.kid
    signed = keys.current.sign(b"issued before")
    await world.rotate(keys)
    second = keys.current.kid
    await world.rotate(keys)
    assert len({first, second, keys.current.kid}) == 3
    assert published(keys) == [keys.current.kid, second, first]
    old = parse_did_document(keys.document([]), DID).methods[first]
    assert old is not None
    assert old.verify("ES256", b"issued before", signed)


async def test_it_is_the_same_after_a_restart(world: World) -> None:
    keys = await world.open()
    await world.rotate(keys)
    again = await world.open()
    assert published(again) == published(keys)
    assert again.current.kid == keys.current.kid
    assert world.file.stat().st_mode & 0o077 == 0
    assert [path.name for path in world.file.parent.iterdir()] == [world.file.name]


async def test_of_an_old_key_only_the_public_half_is_kept(world: World) -> None:
    await world.rotate(await world.open())
    ((_, jwk),) = await world.register.run(lambda tx: tx.former_keys(NOW))
    assert set(json.loads(jwk)) == {"kty", "crv", "x", "y"}


async def test_an_old_key_goes_when_the_last_credential_by_it_has_ended(world: World) -> None:
    keys = await world.open()
    await world.rotate(keys)
    assert len(published(await world.open(NOW + YEAR + SPARE_MS - 1))) == 2
    assert published(await world.open(NOW + YEAR + SPARE_MS)) == [keys.current.kid]


async def test_what_lives_longer_than_credentials_do_now_counts(world: World) -> None:
    issued: dict[str, Any] = {"id": "urn:uuid:1", "bpn": "B", "holder": "H", "type": "T", "profile": Profile.VC11}
    until = NOW + 3 * YEAR

    def add(number: int) -> Issued:
        return Issued(**issued, list_number=number, index=1, issued=NOW, expires=until, jwt="a.b.c")

    await world.register.run(lambda tx: tx.add_credential(add(tx.open_list(Profile.VC11, 1))))
    await world.rotate(await world.open(), validity=DAY)
    assert len(published(await world.open(until + SPARE_MS - 1))) == 2


async def test_a_key_that_cannot_be_written_is_not_used(world: World) -> None:
    keys = await world.open()
    before = published(keys)
    moved = world.file.rename(world.file.with_name("moved"))
    world.file.mkdir()  # nothing can take the place of a folder
    with pytest.raises(LocalError, match=r"signing-key\.pem"):
        await world.rotate(keys)
    assert published(keys) == before
    world.file.rmdir()
    moved.rename(world.file)
    assert published(await world.open()) == before, "what was noted for the old one does no harm"
    await world.rotate(keys)
    assert published(keys)[1:] == before


async def test_two_at_once_lose_no_key(world: World) -> None:
    keys = await world.open()
    first = keys.current.kid
    await asyncio.gather(*(world.rotate(keys) for _ in range(3)))
    assert len(published(keys)) == 4
    assert published(keys)[-1] == first
    assert published(await world.open()) == published(keys)


async def test_a_document_is_not_longer_than_its_readers_take(world: World) -> None:
    keys = await world.open()
    for _ in range(MOST - 1):
        key = SigningKey.generate(DID)
        await world.register.run(lambda tx, key=key: tx.put_former_key(key.kid, "{}", NOW + YEAR))  # type: ignore[misc]
    with pytest.raises(Conflict, match="the oldest goes when"):
        await world.rotate(keys)
    await world.rotate(keys, now=NOW + YEAR)
    assert len(published(keys)) == 2
