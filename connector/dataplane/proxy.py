"""Assets behind HTTP: a transparent proxy (EDC's HttpData and Tractus-X's ProxyHttpData, which here are the same).

Status, header fields, ranges and bodies pass as they are; nothing is buffered, nothing is unpacked. EDC's HttpData
flattens every status but 2xx to 500, which hides a backend's 404 or 409 from the consumer; Tractus-X had to add a type
for passing them on. What of a request passes is said by the address (`http_address`), which fields by `headers`.

The backend is told who asks, `Edc-Bpn` and `Edc-Contract-Agreement-Id`: registries and notification receivers decide by
them, so a consumer's own fields of these names are dropped in every spelling.
"""

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field

import aiohttp
from multidict import CIMultiDict
from typing_extensions import override
from yarl import URL

from connector.dataplane.backend import FAULTS, Backends, failed
from connector.dataplane.headers import EDC_AGREEMENT, EDC_BPN, to_backend, to_consumer
from connector.dataplane.http_address import HttpAddress, OAuth2
from connector.dataplane.oauth2 import ClientCredentials
from connector.dataplane.source import Ask, Content, Prepared, Reader, Source, SourceFault
from connector.exchange.ports import Tx
from connector.exchange.records import Asset

_BODILESS = frozenset({"GET", "HEAD", "OPTIONS"})


class HttpSource(Source):
    """Assets whose address names a backend. public_url: what a backend's own redirects are rewritten to."""

    def __init__(self, backends: Backends, public_url: str) -> None:
        self._backends = backends
        self._clients = ClientCredentials(backends)
        self._public_url = public_url

    @override
    def check(self, asset: Asset) -> None:
        HttpAddress.parse(asset.data_address)

    @override
    def prepare(self, tx: Tx, asset: Asset, reader: Reader) -> Prepared:
        address = HttpAddress.parse(asset.data_address)
        secrets = {}
        for name in address.secret_names():
            if (secret := tx.secrets.find(name)) is None:
                raise SourceFault(f"the asset's data address names the secret '{name}', which does not exist")
            secrets[name] = secret.value
        return Prepared(_Backend(self._backends, self._clients, self._public_url, address, secrets, reader).open)


@dataclass(frozen=True, slots=True)
class _Backend:
    """One backend, ready for one reader."""

    backends: Backends
    clients: ClientCredentials
    public_url: str
    address: HttpAddress
    secrets: dict[str, str] = field(repr=False)
    reader: Reader
    own: dict[str, str] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        address = self.address
        own = dict(address.headers)
        if address.auth_key:
            own[address.auth_key] = address.auth_code or self.secrets[address.secret_name or ""]
        own[EDC_AGREEMENT] = self.reader.agreement_id
        if self.reader.bpn:
            own[EDC_BPN] = self.reader.bpn
        object.__setattr__(self, "own", own)

    def open(self, ask: Ask) -> AbstractAsyncContextManager[Content]:
        """Call the backend as the address says."""
        return _Call(self, ask)

    async def request(self, ask: Ask, target: URL) -> aiohttp.ClientResponse:
        """The backend's answer to what a consumer asks for."""
        address = self.address
        method = ask.method if address.proxy_method else address.method
        passes = address.proxy_body and ask.body is not None
        own = self.own if address.oauth2 is None else await self._with_token(address.oauth2)
        body = ask.body if passes else None
        static = None
        if not passes and address.body is not None and method not in _BODILESS:
            static = address.body
            own = {**own, "Content-Type": address.content_type or "application/octet-stream"}
        headers = to_backend(ask.headers, own, body=passes)
        response = await self.backends.request(method, target, headers, body or static)
        if response.status == 401 and address.oauth2:  # noqa: PLR2004 - HTTP: the token was revoked early
            self.clients.forget(address.oauth2, self.secrets[address.oauth2.secret_name])
        return response

    def fields(self, response: aiohttp.ClientResponse) -> CIMultiDict[str]:
        """What of the head of an answer passes to the consumer."""
        fields = to_consumer(response.headers)
        given = response.headers.get("Location")
        if given is not None and (location := self.address.public_location(given, self.public_url)) is not None:
            fields["Location"] = location
        return fields

    async def _with_token(self, client: OAuth2) -> dict[str, str]:
        token = await self.clients.authorization(client, self.secrets[client.secret_name])
        return {**self.own, "Authorization": token}


class _Call(AbstractAsyncContextManager[Content]):
    """One call of a backend. Leaving it frees the connection, or ends it if there is more to come on it.

    A class and not a generator: those that stood here, one in another, took a tenth of the time of a small pull.
    """

    __slots__ = ("_ask", "_backend", "_response", "_target")
    _response: aiohttp.ClientResponse

    def __init__(self, backend: _Backend, ask: Ask) -> None:
        self._backend = backend
        self._ask = ask
        self._target = backend.address.target(ask)

    @override
    async def __aenter__(self) -> Content:
        self._response = response = await self._backend.request(self._ask, self._target)
        return Content(response.status, self._backend.fields(response), read=self._read, reason=response.reason)

    @override
    async def __aexit__(self, *_: object) -> None:
        await self._response.__aexit__(None, None, None)

    async def _read(self) -> bytes:
        try:
            return await self._response.content.readany()
        except FAULTS as error:
            raise failed(self._target, error) from error
