"""Whose word counts for what: the issuers that this node trusts, each for the types of credentials it may issue.

Trust is per type, because the operator of one register is not the operator of all: an issuer trusted for dismantlers
must not be able to make members. A credential of several types needs trust for each of them.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from connector.identity.did import did_web_url
from connector.identity.refusal import Check, Refusal
from connector.protocol.errors import Invalid, PeerError
from connector.protocol.reading import at

EVERY: Final = "*"
"""Instead of types: trusted for all of them."""


class TrustedIssuers:
    """A fixed trust list: types of credentials (short names, or `*`) by issuer (a did:web)."""

    def __init__(self, issuers: Mapping[str, Sequence[str]]) -> None:
        """Raise Invalid naming the entry that is wrong; an empty list is wrong, because nobody could come in."""
        if not issuers:
            raise Invalid("no issuer is trusted: nobody could prove anything", "/trusted_issuers")
        for did, types in issuers.items():
            place = at("/trusted_issuers", did)
            try:
                did_web_url(did)
            except PeerError:
                raise Invalid("an issuer is named by its did:web", place, did) from None
            if not types:
                raise Invalid(f"name the types this issuer is trusted for, or {EVERY}", place, did)
        self._types = {did: frozenset(types) for did, types in issuers.items()}

    def __iter__(self) -> Iterator[str]:
        return iter(self._types)

    def trusts(self, issuer: str, types: Sequence[str]) -> bool:
        """Whether the issuer is trusted for every one of these types, and for any at all."""
        trusted = self._types.get(issuer, frozenset())
        return EVERY in trusted or (bool(trusted) and bool(types) and trusted.issuperset(types))

    def check(self, issuer: str, types: Sequence[str]) -> None:
        """Raise Refusal 403 (`credential-issuer`) unless it is trusted for them."""
        if not self.trusts(issuer, types):
            known = "is not trusted for this type" if issuer in self._types else "is not a trusted issuer"
            raise Refusal(Check.CREDENTIAL_ISSUER, f"{issuer} {known}: {', '.join(types) or 'no type'}")
