"""A secure token service elsewhere: the wallet of this participant holds the key (DCP 1.0, 4.3; as EDC's `sts-remote`).

OAuth2 client credentials: a form with our client id and secret, whom the token is for, and what it is to carry; the
answer's `access_token` is the self-issued token. The node then signs no message and no presentation by itself.
"""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Final
from urllib.parse import urlencode

from typing_extensions import override

from connector.exchange.ports import Wire
from connector.identity.jws import CompactJws, json_object
from connector.identity.sts import SecureTokenService
from connector.protocol.errors import PeerError, Unreachable
from connector.protocol.reading import text

TIMEOUT_S: Final = 5.0
MAX_TOKEN: Final = 1 << 14
_FORM: Final = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}


class RemoteTokenService(SecureTokenService):
    """Asks the service at `url` (without `/token`) for each token; tokens are good for one message."""

    def __init__(self, did: str, url: str, client_id: str, client_secret: str, wire: Wire) -> None:
        self._did = did
        self._url = f"{url.rstrip('/')}/token"
        self._client = {"grant_type": "client_credentials", "client_id": client_id, "client_secret": client_secret}
        self._wire = wire

    @property
    @override
    def did(self) -> str:
        return self._did

    @override
    async def with_scopes(self, audience: str, scopes: Sequence[str]) -> str:
        return await self._ask(audience, {"bearer_access_scope": " ".join(scopes)})

    @override
    async def with_token(self, audience: str, token: str) -> str:
        return await self._ask(audience, {"token": token})

    async def _ask(self, audience: str, what: Mapping[str, str]) -> str:
        body = urlencode({**self._client, "audience": audience, **what}).encode()
        answer = await self._wire.send("POST", self._url, headers=_FORM, body=body, timeout_s=TIMEOUT_S)
        if answer.status != HTTPStatus.OK:
            hint = ": check sts.client_id and sts.client_secret" if answer.status == HTTPStatus.UNAUTHORIZED else ""
            raise Unreachable(f"the token service answered {answer.status}{hint}")
        try:
            token = text(json_object(answer.body), "access_token")
            claims = CompactJws.parse(token, max_chars=MAX_TOKEN).payload
        except (ValueError, PeerError):
            raise Unreachable("the token service's answer holds no access_token that is a JWT") from None
        if claims.get("iss") != self._did or claims.get("aud") not in (audience, [audience]):
            raise Unreachable(f"the token service gave a token that is not {self._did}'s for {audience}: check sts.url")
        return token
