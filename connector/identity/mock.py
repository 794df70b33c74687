"""EDC's mock identity: everybody is who they say they are. For test beds and conformance kits, never for production.

The form is that of EDC's `iam-mock`: the bare JSON object {"region", "audience", "clientId"} as Authorization header,
`audience` being the address the message goes to.
"""

from collections.abc import Mapping
from typing import Final

import orjson
from typing_extensions import override

from connector.exchange.ports import Caller, Directory, Identity
from connector.identity.authorization import credentials
from connector.identity.jws import json_object
from connector.protocol.errors import Invalid, PeerError

FAULTY: Final = "faultyClientId"
"""EDC's default for the client id that is always refused."""
_MEMBERS: Final = frozenset({"region", "audience", "clientId"})


class MockIdentity(Identity):
    """Participants by what they say.

    anonymous: the participant id given to callers that send no token, as a conformance kit does; None refuses them.
    """

    def __init__(
        self, client_id: str, directory: Directory, *, region: str = "eu", anonymous: str | None = None
    ) -> None:
        if not client_id.strip() or client_id == FAULTY or (anonymous is not None and not anonymous.strip()):
            raise Invalid(f"a mock participant id must be neither blank nor {FAULTY}", value=client_id)
        self._client_id = client_id
        self._directory = directory
        self._region = region
        self._anonymous = anonymous

    @property
    @override
    def id(self) -> str:
        """Our client id."""
        return self._client_id

    @override
    async def token(
        self,
        audience: str,  # the mock form names the address instead
        *,
        address: str,
        claims: Mapping[str, str] | None = None,
    ) -> str:
        """The header for a message to `address`; `claims` become further members (plain EDC does not expect any)."""
        if claims and (clash := _MEMBERS & claims.keys()):
            raise Invalid(f"the claims {', '.join(sorted(clash))} cannot be set", "/claims")
        members = {"region": self._region, "audience": address, "clientId": self._client_id, **(claims or {})}
        return orjson.dumps(members).decode()

    @override
    async def verify(
        self,
        authorization: str | None,
        *,
        single_use: bool = True,  # as DidIdentity; there is nothing here that could be used up
    ) -> Caller:
        """Who the header says it is. Raise PeerError 401 if it says nothing that can be read."""
        text = credentials(authorization)
        if text is None and self._anonymous is not None:
            return Caller(self._anonymous, self._directory.bpn_of(self._anonymous), {})
        try:
            claims = json_object((text or "").encode())
        except ValueError:
            raise PeerError(401, 'the mock identity needs an Authorization header {"clientId": "..."}') from None
        client_id = claims.get("clientId")
        if not isinstance(client_id, str) or not client_id.strip() or client_id == FAULTY:
            raise PeerError(401, "clientId must name the sender", "/clientId")
        return Caller(client_id, self._directory.bpn_of(client_id), claims)
