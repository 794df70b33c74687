"""What a node remembers of the passports it has published: every version, each once and for good."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from connector.passport.credential import Issued
from connector.passport.sdjwt import Disclosure
from connector.protocol.errors import Invalid

MAX_ID: Final = 512


@dataclass(frozen=True, slots=True)
class PassportVersion:
    """A version as it was signed. `created_at` in ms; `number` counts from 1; `id` is made of passport and number.

    `body` is the whole aspect in canonical JSON, `credential` the issuer-signed JWT over the groups in `disclosures`
    (encoded, with their salts). All three hold more than most readers may see.
    """

    id: str
    created_at: int
    passport_id: str
    number: int
    serial: str
    semantic_id: str
    body: bytes = field(repr=False)
    credential: str = field(repr=False)
    disclosures: tuple[str, ...] = field(repr=False)

    def __post_init__(self) -> None:
        if self.id != version_id(self.passport_id, self.number):
            raise Invalid("the id of a passport's version is made of passport and number", "/@id", self.id)

    @property
    def passport(self) -> Mapping[str, Any]:
        """The aspect as JSON."""
        doc: dict[str, Any] = orjson.loads(self.body)
        return doc

    @property
    def issued(self) -> Issued:
        """The credential with everything that can be disclosed of it."""
        return Issued(self.credential, tuple(map(Disclosure.parse, self.disclosures)))


def version_id(passport_id: str, number: int) -> str:
    """The id of a version."""
    if not passport_id.strip() or len(passport_id) > MAX_ID or number < 1:
        raise Invalid("a passport's version needs the passport's id and a number from 1")
    return f"{passport_id}#{number}"
