"""The node's secure token service for others (DCP 1.0, 4.3): a connector that has no key of its own, and test kits.

OAuth2 client credentials, for one client that the settings name. Whoever has its secret speaks in our name, so this is
served beside the management API and not to strangers, and only if a client is named.
"""

import hmac
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Final, Protocol
from urllib.parse import parse_qsl

from aiohttp import web

from connector.http.body import read_body
from connector.http.door import Door
from connector.protocol.errors import ConnectorError, PeerError

MAX_FORM: Final = 64 << 10
_MAX_FIELDS: Final = 16
_LONGEST: Final = 1 << 14
_NOT_STORED: Final = {"Cache-Control": "no-store"}


class TokenService(Protocol):
    """What is behind it (identity.sts)."""

    async def with_scopes(self, audience: str, scopes: Sequence[str]) -> str:
        """A token for a DID with an access token to what the scopes name."""
        ...

    async def with_token(self, audience: str, token: str) -> str:
        """A token for a DID that carries this token."""
        ...


def sts_routes(
    service: TokenService, client_id: str, client_secret: str, *, lifetime_s: int, door: Door | None = None
) -> list[web.RouteDef]:
    """The token endpoint. lifetime_s: how long the service's tokens are good. door: counts wrong secrets."""
    known, counting = f"{client_id}\0{client_secret}".encode(), door or Door()

    async def token(request: web.Request) -> web.Response:
        form = _form(await read_body(request, max_bytes=MAX_FORM))
        if form.get("grant_type") != "client_credentials":
            return _refused("unsupported_grant_type", "grant_type is client_credentials")
        given = f"{form.get('client_id', '')}\0{form.get('client_secret', '')}".encode(errors="surrogateescape")

        async def compare() -> None:
            if not hmac.compare_digest(given, known):
                raise PeerError(401, "client_id and client_secret are not those of a client")

        await counting.proven(request, "client", compare)
        audience = form.get("audience", "")
        if not audience.startswith("did:"):
            return _refused("invalid_request", "audience is the DID of whom the token is for")
        scopes, carried = form.get("bearer_access_scope", "").split(), form.get("token", "")
        if bool(scopes) is bool(carried):
            return _refused("invalid_request", "exactly one of bearer_access_scope and token")
        made = await (service.with_scopes(audience, scopes) if scopes else service.with_token(audience, carried))
        doc = {"access_token": made, "expires_in": lifetime_s, "token_type": "Bearer"}
        return web.json_response(doc, headers=_NOT_STORED)

    return [web.post("/token", token)]


def _form(body: bytes) -> Mapping[str, str]:
    """The fields of a form. Raise PeerError 400 if it is none, or if a field comes twice."""
    try:
        fields = parse_qsl(
            body.decode("ascii"), keep_blank_values=True, strict_parsing=bool(body), max_num_fields=_MAX_FIELDS
        )
    except ValueError:
        raise PeerError(400, "send a form (application/x-www-form-urlencoded)") from None
    if len(dict(fields)) != len(fields) or any(len(value) > _LONGEST for _, value in fields):
        raise PeerError(400, "a field of the form comes twice or is too long")
    return dict(fields)


def _refused(error: str, description: str, *, status: int = 400) -> web.Response:
    """An error as RFC 6749 (5.2) has it."""
    doc = {"error": error, "error_description": description}
    return web.json_response(doc, status=status, headers=_NOT_STORED)


def render(_: web.Request, error: ConnectorError) -> web.Response:
    """An error outside of the request's words: a form that cannot be read, a client that is none."""
    if isinstance(error, PeerError):
        kind = "invalid_client" if error.status == HTTPStatus.UNAUTHORIZED else "invalid_request"
        return _refused(kind, error.reason, status=error.status)
    return _refused("server_error", "the token cannot be made right now", status=500)
