"""What stands on a battery, and what it says: whose it is, and by what its twin is known.

    CX:<manufacturerPartId>:<partInstanceId>   the form that Catena-X's applications print
    https://maker.example/p/<passport>         the page that a data carrier leads to (`http.passport_page`)
    did:web:maker.example#<partInstanceId>     whose and which, in one text
    urn:...                                    the global id of the battery
    anything else                              a serial number

A code that does not say whose battery it is needs the provider beside it.
"""

from dataclasses import dataclass
from typing import Final, Self

from connector.protocol.errors import Invalid, PeerError
from connector.protocol.reading import checked
from connector.twins.shell import GLOBAL_ASSET_ID, AssetLink

PART: Final = "manufacturerPartId"
SERIAL: Final = "partInstanceId"
_CX: Final = "CX:"


@dataclass(frozen=True, slots=True)
class Code:
    """A code, read: `provider` is a DID or a BPN, `page` a URL that tells the rest. Raises Invalid if it is empty."""

    links: tuple[AssetLink, ...] = ()
    provider: str | None = None
    page: str | None = None

    def __post_init__(self) -> None:
        if not self.links and self.page is None:
            raise Invalid("the code names no battery", "/code")

    @classmethod
    def read(cls, text: str, provider: str | None = None) -> Self:
        """Read a code. provider: who it is asked of, whatever the code says. Raise Invalid."""
        try:
            said = checked(text.strip(), "/code")
        except PeerError as error:
            raise Invalid(error.reason, "/code") from error
        if said.startswith(("https://", "http://")):
            if provider is not None:
                raise Invalid("a page says itself whose it is: leave the provider out", "/provider", provider)
            return cls(page=said)
        if said.startswith(_CX):
            part, _, serial = said.removeprefix(_CX).partition(":")
            if not part or not serial:
                raise Invalid("such a code is CX:<manufacturerPartId>:<partInstanceId>", "/code", said)
            return cls((AssetLink(PART, part), AssetLink(SERIAL, serial)), provider)
        if said.startswith("did:"):
            whose, _, serial = said.partition("#")
            if not serial:
                raise Invalid("a DID alone names no battery: add # and the serial number", "/code", said)
            return cls((AssetLink(SERIAL, serial),), provider or whose)
        name = GLOBAL_ASSET_ID if said.startswith("urn:") else SERIAL
        return cls((AssetLink(name, said),), provider)
