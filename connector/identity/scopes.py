"""Scopes of a presentation query (DCP 1.0, 5.4.1.2): which credentials are asked for, and may be shown.

A scope is `alias:discriminator`; EDC and Catena-X (CX-0149) append `:read`. Two aliases are the standard's own, the
third is Catena-X's; EDC writes its own name into the same form. Read in all forms, written as configured.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

from typing_extensions import override

from connector.protocol.errors import Invalid, PeerError

TYPE: Final = "org.eclipse.dspace.dcp.vc.type"
"""Discriminator: the type of the credential."""
ID: Final = "org.eclipse.dspace.dcp.vc.id"
"""Discriminator: the id of the credential; it may have colons of its own."""
CATENA_X_TYPE: Final = "org.eclipse.tractusx.vc.type"
"""CX-0149."""
EDC_TYPE: Final = "org.eclipse.edc.vc.type"

_TYPES: Final = frozenset({TYPE, CATENA_X_TYPE, EDC_TYPE})
_READING: Final = frozenset({"read", "*", "all"})
_OPERATIONS: Final = _READING | {"write"}
_MAX_CHARS: Final = 512


@dataclass(frozen=True, slots=True)
class Scope:
    """One scope. `operation` is "" in the two-part form of the standard, which means reading."""

    alias: str
    discriminator: str
    operation: str = ""

    @classmethod
    def parse(cls, text: str, pointer: str = "") -> Self:
        """Read a scope. Raise PeerError 400 if it has not this form."""
        alias, _, rest = text.partition(":")
        name, colon, operation = rest.rpartition(":")
        discriminator, operation = (name, operation) if colon and operation in _OPERATIONS else (rest, "")
        printable = text.isascii() and text.isprintable() and " " not in text
        if not alias or not discriminator or not printable or len(text) > _MAX_CHARS:
            raise PeerError(400, "a scope is alias:discriminator, or alias:discriminator:read", pointer)
        return cls(alias, discriminator, operation)

    @property
    def readable(self) -> bool:
        """Whether it is for reading, under an alias that we know."""
        return (self.alias in _TYPES or self.alias == ID) and (not self.operation or self.operation in _READING)

    @property
    def credential_type(self) -> str | None:
        """The type of credential it is about, None if it names a single one."""
        return self.discriminator if self.alias in _TYPES else None

    def covers(self, types: tuple[str, ...], identifier: str | None) -> bool:
        """Whether a credential of these types and with this id is meant. An alias that is not known covers nothing."""
        if not self.readable:
            return False
        return self.discriminator == identifier if self.alias == ID else self.discriminator in types

    @override
    def __str__(self) -> str:
        return ":".join(part for part in (self.alias, self.discriminator, self.operation) if part)


def read_scopes(texts: Sequence[str], place: str = "/identity/scopes") -> tuple[Scope, ...]:
    """Our own scopes, from configuration. Raise Invalid for one that asks for nothing that we know."""
    found = []
    for text in texts:
        try:
            scope = Scope.parse(text)
        except PeerError as fault:
            raise Invalid(fault.reason, place, text) from None
        if not scope.readable:
            raise Invalid(f"a scope has one of the aliases {', '.join(sorted(_TYPES | {ID}))}, to read", place, text)
        found.append(scope)
    return tuple(found)
