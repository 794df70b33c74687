"""What the unit tests of passports share: a maker with a key, versions it has issued, bundles for readers."""

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any, Final

from connector.demo_data import passports
from connector.identity.did import did_document
from connector.identity.keys import SigningKey
from connector.passport import credential, sdjwt
from connector.passport.audiences import Reading, lattice
from connector.passport.credential import AGREEMENT, About, Issued
from connector.passport.disclosure import class_map
from connector.passport.report import Bundle
from connector.passport.sdjwt import SdJwt
from connector.passport.signature import sign

MAKER: Final = "did:web:maker.example"
READER: Final = "did:web:reader.example"
KEY: Final = SigningKey.generate(MAKER)
OTHER: Final = SigningKey.generate("did:web:other.example")
NOW: Final = 1_790_000_000_000
PASSPORT_ID: Final = "urn:uuid:7d0f3a52-6a0e-4c5b-9f58-2b6f1c1f7a01"
RECYCLER: Final = Reading("interest", "recycle")
AUTHORITY: Final = Reading("authority", "surveillance")
PARTNER: Final = Reading("partner", "cx.circular.dpp:1")


def passport() -> dict[str, Any]:
    return passports()[0]


def salts(seed: str = "") -> Iterator[bytes]:
    """The same salts for the same seed, so that digests can be compared."""
    number = 0
    while True:
        yield hashlib.sha256(f"{seed}{number}".encode()).digest()[: sdjwt.SALT_BYTES]
        number += 1


def about(version: int = 1) -> About:
    known = class_map()
    return About(PASSPORT_ID, known.aspect, version, NOW // 1000, known.edition, "2026-11-22")


def issued(doc: Mapping[str, Any] | None = None, seed: str = "", key: SigningKey = KEY) -> Issued:
    known = class_map()
    fields = known.split(passport() if doc is None else doc).fields
    return credential.issue(about(), fields, known, key, salts(seed))


def presented(reading: Reading, made: Issued | None = None, **bound: str) -> SdJwt:
    classes = lattice().classes(reading, PASSPORT_ID)
    shown = credential.present(made or issued(), class_map(), classes)
    said = {"audience": READER, "nonce": "n-1", AGREEMENT: "agreement-1"} | bound
    return sdjwt.bind(shown, KEY, now_s=NOW // 1000, **said)


def bundle(reading: Reading = RECYCLER, **changed: Any) -> Bundle:
    aspect = class_map().project(passport(), lattice().classes(reading, PASSPORT_ID))
    members: dict[str, Any] = {
        "presentation": presented(reading).text,
        "aspect": aspect,
        "aspect_signature": sign(aspect, KEY),
        "semantic_id": class_map().aspect,
        "audience": READER,
        "nonce": "n-1",
        "agreement_id": "agreement-1",
        "fetched_at": NOW,
        "did_document": did_document(MAKER, [KEY]),
    }
    return Bundle(**(members | changed))
