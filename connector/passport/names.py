"""What a battery passport calls itself and its battery, whoever asks: who publishes, who has scanned, who proves.

The members are those of the aspect BatteryPass; DigitalProductPassport has the same ones a level higher. Passports of
others are read here too, so nothing is taken for granted: what is not there, or is no text, is not said.
"""

from dataclasses import dataclass
from typing import Final, Self

_URN: Final = "urn:"
_INSTANCE: Final = "partInstanceId"


def urn_of(identifier: str) -> str:
    """A passport's identifier as a URN: the aspect allows a bare UUID too."""
    return identifier if identifier.startswith(_URN) else f"urn:uuid:{identifier}"


@dataclass(frozen=True, slots=True)
class Names:
    """`passport_id` (a URN), the maker's `part` number, the `serial` number; None for what a passport does not say."""

    passport_id: str | None = None
    part: str | None = None
    serial: str | None = None

    @classmethod
    def of(cls, passport: object) -> Self:
        """Read a passport, or what is visible of one. The serial number is the part instance's id, or else the code."""
        identifier = _text(passport, "metadata", "passportIdentifier")
        about = _member(passport, "identification")
        named = _member(about, "identification") or about
        rows = _member(named, "serial")
        instances = [_text(row, "value") for row in (rows if isinstance(rows, list) else []) if _is_instance(row)]
        return cls(
            None if identifier is None else urn_of(identifier),
            _text(named, "type", "manufacturerPartId"),
            next(filter(None, instances), None) or _text(about, "idDmc"),
        )


def _is_instance(row: object) -> bool:
    return _member(row, "key") == _INSTANCE


def _text(doc: object, *path: str) -> str | None:
    found = _member(doc, *path)
    return found if isinstance(found, str) else None


def _member(doc: object, *path: str) -> object:
    for name in path:
        doc = doc.get(name) if isinstance(doc, dict) else None
    return doc
