"""Which business partner number belongs to which DID, from configuration.

In DSP 2025-1 partners are DIDs; policies, agreements and audits still speak of BPNs (Catena-X CX-0010). The data space
runs a directory service for that (BDRS); a node without it is told its partners.
"""

import re
from collections.abc import Mapping
from typing import Final

from typing_extensions import override

from connector.exchange import ports
from connector.protocol.errors import Invalid

BPN: Final = re.compile(r"BPN[LSA][0-9A-Z]{12}")
"""Legal entity, site or address number (CX-0010)."""


class Directory(ports.Directory):
    """A fixed BPN directory. One BPN has one id and one id has one BPN; anything else is refused at start-up."""

    def __init__(self, entries: Mapping[str, str]) -> None:
        """Take participant ids (DIDs, or mock client ids) by BPN. Raise Invalid naming the bad entry."""
        self._dids = dict(entries)
        self._bpns: dict[str, str] = {}
        for bpn, did in self._dids.items():
            if not BPN.fullmatch(bpn):
                raise Invalid("a BPN is BPNL, BPNS or BPNA and 12 digits or capital letters", f"/{_token(bpn)}", bpn)
            if not did.strip():
                raise Invalid("the participant id must not be blank", f"/{bpn}", did)
            if (other := self._bpns.setdefault(did, bpn)) != bpn:
                raise Invalid(f"this participant id already has the BPN {other}", f"/{bpn}", did)

    @override
    def bpn_of(self, participant_id: str) -> str | None:
        """The BPN of a participant id, or None."""
        return self._bpns.get(participant_id)

    @override
    def did_of(self, bpn: str) -> str | None:
        """The participant id of a BPN, or None."""
        return self._dids.get(bpn)

    @override
    async def find(self, bpn: str) -> str | None:
        return self.did_of(bpn)


def receiver_of(audience: str, directory: ports.Directory) -> str:
    """Whom a token is for: a DID, or the one of a BPN that the directory knows. Raise Invalid if it is neither."""
    receiver = audience if audience.startswith("did:") else directory.did_of(audience)
    if receiver is None:
        raise Invalid("the counterparty must be a DID, or a BPN with an entry in the BPN directory", value=audience)
    return receiver


def _token(text: str) -> str:
    return text.replace("~", "~0").replace("/", "~1")
