"""Client credentials for backends (RFC 6749, 4.4): a token is fetched once and used until shortly before its end."""

import time
from collections.abc import Callable
from hashlib import sha256
from typing import Final
from urllib.parse import urlencode

import structlog
from yarl import URL

from connector.dataplane.backend import FAULTS, Backends, failed
from connector.dataplane.http_address import OAuth2
from connector.dataplane.recent import Recent, SingleFlight
from connector.http.body import collect, parse_json
from connector.protocol.errors import PeerError, Unreachable

MARGIN: Final = 0.9
"""Share of a token's life after which it is not used any more."""
_MAX_ANSWER: Final = 64 << 10
_HEADERS: Final = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
_log = structlog.get_logger(__name__)


class ClientCredentials:
    """Tokens by client. monotonic: seconds of a clock that only runs forward."""

    def __init__(self, backends: Backends, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._backends = backends
        self._now = monotonic
        self._tokens: Recent[tuple[OAuth2, bytes], tuple[str, float]] = Recent(1000)
        self._flights: SingleFlight[tuple[OAuth2, bytes], str] = SingleFlight()

    async def authorization(self, client: OAuth2, secret: str) -> str:
        """The Authorization header for a backend. Raise Unreachable if the token endpoint gives none."""
        key = (client, sha256(secret.encode()).digest())
        kept = self._tokens.get(key)
        if kept is not None and self._now() < kept[1]:
            return kept[0]
        return await self._flights.do(key, lambda: self._fetch(key, secret))

    def forget(self, client: OAuth2, secret: str) -> None:
        """Drop a token that a backend has refused, so that the next request brings a new one."""
        self._tokens.drop((client, sha256(secret.encode()).digest()))

    async def _fetch(self, key: tuple[OAuth2, bytes], secret: str) -> str:
        client, began = key[0], self._now()
        form = {"grant_type": "client_credentials", "client_id": client.client_id, "client_secret": secret}
        if client.scope:
            form["scope"] = client.scope
        url = URL(client.token_url, encoded=True)
        async with await self._backends.request("POST", url, _HEADERS, urlencode(form).encode()) as response:
            try:
                packing = response.headers.get("Content-Encoding", "")
                body = parse_json(await collect(response.content, packing, _MAX_ANSWER))
            except PeerError:
                body = None
            except FAULTS as error:
                raise failed(url, error) from error
        token = body.get("access_token") if isinstance(body, dict) else None
        if response.status != 200 or not isinstance(body, dict) or not (isinstance(token, str) and token):  # noqa: PLR2004 - HTTP
            _log.warning("no token for a backend", host=url.host, status=response.status)
            raise Unreachable("the provider's backend cannot be used: its token endpoint gave no token")
        self._tokens.put(key, (f"Bearer {token}", began + _seconds(body.get("expires_in")) * MARGIN))
        return f"Bearer {token}"


def _seconds(expires_in: object) -> float:
    """The token's life; one that does not say how long it is good for is used once."""
    try:
        return max(0.0, float(expires_in)) if isinstance(expires_in, int | float | str) else 0.0
    except ValueError:
        return 0.0
