"""`/v3/credentials`: what the node's wallet holds, and asking issuers for more."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Self

from connector.client.api import Api, path
from connector.client.model import Doc

_ROOT = "/v3/credentials"


@dataclass(frozen=True, slots=True)
class Credential:
    """A credential in the wallet. `state`: ISSUED, EXPIRED or REVOKED; `valid_until` in ms, None without an end.

    `error`: why partners would refuse it, if it was asked for with `status_now`, or "".
    """

    id: str
    types: tuple[str, ...]
    issuer: str
    state: str
    valid_until: int | None
    error: str
    raw: Doc = field(repr=False)

    @classmethod
    def of(cls, doc: Doc) -> Self:
        """Read one."""
        until = doc.get("validUntil")
        return cls(
            id=str(doc.get("@id", "")),
            types=tuple(map(str, doc.get("types", ()))),
            issuer=str(doc.get("issuer", "")),
            state=str(doc.get("state", "")),
            valid_until=until if isinstance(until, int) else None,
            error=str(doc.get("errorDetail", "")),
            raw=doc,
        )


@dataclass(frozen=True, slots=True)
class CredentialRequest:
    """A request to an issuer. `state`: REQUESTED, ISSUED or REJECTED; `error`: why it is not (yet) issued, or ""."""

    id: str
    issuer: str
    state: str
    error: str
    raw: Doc = field(repr=False)

    @classmethod
    def of(cls, doc: Doc) -> Self:
        """Read one."""
        ident, issuer, state, error = (str(doc.get(name, "")) for name in ("@id", "issuer", "state", "errorDetail"))
        return cls(ident, issuer, state, error, doc)


class Credentials:
    """The wallet of the node."""

    def __init__(self, api: Api) -> None:
        self._api = api

    async def list(self, *, status_now: bool = False) -> tuple[Credential, ...]:
        """Everything it holds, what is in force first.

        status_now: ask the issuers first what they have revoked, which takes seconds if one of them is away.
        """
        return tuple(map(Credential.of, await self._api.get(f"{_ROOT}?status=now" if status_now else _ROOT)))

    async def missing(self) -> tuple[str, ...]:
        """The types that partners ask for and it has not."""
        return tuple(await self._api.get(f"{_ROOT}/missing"))

    async def request(
        self, issuer: str | None = None, types: Sequence[str] = (), *, code: str | None = None
    ) -> CredentialRequest:
        """Ask an issuer (a DID; `wallet.issuer` if None) for types, all that are needed if none are named.

        code: what the issuer gave out of band. The credentials come later.
        """
        body: dict[str, object] = {"credentials": [*types]} if types else {}
        body |= {name: value for name, value in (("issuer", issuer), ("preAuthorizedCode", code)) if value}
        made = await self._api.post(f"{_ROOT}/requests", body)
        return await self.requested(made["@id"])

    async def requested(self, request_id: str, *, wait_s: float = 0.0) -> CredentialRequest:
        """A request as the node knows it. wait_s: when it is decided, or after so many seconds."""
        where, wait = path("v3", "credentials", "requests", request_id), "ISSUED,REJECTED" if wait_s else None
        return CredentialRequest.of(await self._api.get(where, wait=wait, timeout_s=wait_s))

    async def status(self, request_id: str) -> str:
        """How far the issuer says that a request is: RECEIVED, REJECTED or ISSUED."""
        return str((await self._api.get(path("v3", "credentials", "requests", request_id, "status")))["state"])
