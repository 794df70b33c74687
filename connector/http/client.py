"""The outgoing side: every request this node sends to somebody else passes here.

One session per node, its limits explicit (dsp bindings over HTTPS; RFC 9110). What strangers can do to a client is
answered once: addresses are guarded (guard.py), redirects are not followed, cookies are not kept, answers are capped in
packed and unpacked size and in time. Every fault becomes `Unreachable` with a reason that names host and phase; whether
and when to try again is decided by the caller (the engine), never here.
"""

import errno
import os
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from ssl import SSLContext, SSLError, create_default_context
from typing import Final, Self

import aiohttp
from aiohttp.abc import AbstractResolver
from multidict import CIMultiDictProxy
from yarl import URL

from connector.http.body import collect, parse_json
from connector.http.guard import AddressPolicy
from connector.protocol.errors import LocalError, PeerError, Unreachable

MAX_ANSWER: Final = 4 << 20
MAX_DOCUMENT: Final = 256 << 10
CONNECT_TIMEOUT_S: Final = 5.0
_FIELD: Final = 16 << 10
_SILENT: Final = "the peer hangs or is overloaded, or it does not answer what does not fit its schema (some connectors)"
_AGENT: Final = {"User-Agent": "battery-passport-connector"}

# What the peer's machine did, from the most to the least special fault.
_PHASES: Final[tuple[tuple[type[BaseException], str], ...]] = (
    (aiohttp.ConnectionTimeoutError, "no connection in time"),
    (aiohttp.ClientConnectorDNSError, "the host name is not known"),
    (aiohttp.ClientConnectorCertificateError, "the TLS certificate is not trusted"),
    (aiohttp.ClientConnectorSSLError, "the TLS handshake failed"),
    (aiohttp.ClientConnectorError, "no connection"),
    (aiohttp.ServerDisconnectedError, "the peer closed the connection without an answer"),
    (aiohttp.ClientPayloadError, "the answer broke off"),
    (aiohttp.ClientResponseError, "the answer is not HTTP"),
    (aiohttp.ClientError, "the connection broke"),
    (OSError, "the connection broke"),
)


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete answer, whatever its status; the body is unpacked."""

    status: int
    headers: CIMultiDictProxy[str]
    body: bytes

    def json(self) -> object:
        """Parse the body whatever its content type says; None if empty. Raises Unreachable if it is not JSON."""
        try:
            return parse_json(self.body)
        except PeerError as exc:
            raise Unreachable(f"the peer answered {self.status}, but {exc.reason}") from exc


@dataclass(frozen=True, slots=True)
class Stream:
    """An answer whose body is still on the wire, packed as the peer sent it (`response.content`)."""

    status: int
    headers: CIMultiDictProxy[str]
    response: aiohttp.ClientResponse

    async def read(self) -> bytes:
        """Return the next bytes, b"" at the end. Raises Unreachable if the peer falls silent or breaks off."""
        with _faults(self.response.url, "the data stopped for too long"):
            return await self.response.content.readany()


class Outbound:
    """The node's HTTP client. Build it anywhere; its one session opens with the first request; `close()` ends it.

    policy: where it may connect to. trust: a PEM file with additional certificate authorities (a development CA); the
    system's are always trusted. resolver: how names become addresses; the system's way unless given.
    Raises LocalError if `trust` cannot be read.
    """

    def __init__(
        self,
        policy: AddressPolicy,
        *,
        trust: Path | None = None,
        resolver: AbstractResolver | None = None,
        connections: int = 512,
        connections_per_host: int = 64,
    ) -> None:
        self._policy = policy
        self._tls = _trusting(trust) if trust else True
        self._resolver = resolver
        self._limits = (connections, connections_per_host)
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections; requests under way fail."""
        session, self._session = self._session, None
        if session:
            await session.close()

    def check(self, url: str) -> None:
        """Raise PeerError 400 if requests must not go to `url`; names are checked again when they are resolved."""
        self._policy.check_url(url)

    async def send(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        timeout_s: float = 10,
        max_bytes: int = MAX_ANSWER,
    ) -> Answer:
        """Send a request and return the whole answer, 3xx to 5xx included.

        timeout_s: for everything from name look-up to the last byte; half of it, 5 s at most, for the connection.
        max_bytes: accepted size of the answer, packed and unpacked.
        Raises Unreachable: refused address, network, TLS or time fault, answer too large or broken.
        """
        target = self._checked(url)
        connect_s = min(CONNECT_TIMEOUT_S, timeout_s / 2)
        timeout = aiohttp.ClientTimeout(total=timeout_s, connect=connect_s, sock_connect=connect_s)
        silence = f"no answer within {timeout_s:g} s: {_SILENT}"
        sent = {"Accept-Encoding": "gzip", **_AGENT, **(headers or {})}
        with _faults(target, silence):
            async with self._open().request(
                method, target, headers=sent, data=body, timeout=timeout, allow_redirects=False
            ) as response:
                packing = response.headers.get("Content-Encoding", "")
                return Answer(response.status, response.headers, await collect(response.content, packing, max_bytes))

    async def get(self, url: str, *, accept: str = "application/json", max_bytes: int = MAX_DOCUMENT) -> bytes:
        """Fetch a small document (DID document, status list, ...). Raises Unreachable unless answered with 200."""
        answer = await self.send("GET", url, headers={"Accept": accept}, timeout_s=5, max_bytes=max_bytes)
        if answer.status != 200:  # noqa: PLR2004 - HTTP status
            raise Unreachable(f"{_host(URL(url))}: answered {answer.status} instead of the document")
        return answer.body

    @asynccontextmanager
    async def stream(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | AsyncIterator[bytes] | None = None,
        idle_s: float = 60,
    ) -> AsyncIterator[Stream]:
        """Send a request and hand over the answer as it comes, for as long as it comes (the data plane's way).

        No header is added but Host, Accept and the body's; the answer stays packed.
        idle_s: longest silence while waiting for the head or for more data; there is no total limit.
        Raises Unreachable on entry (refused address, no connection, no head); later `Stream.read` does.
        """
        target = self._checked(url)
        timeout = aiohttp.ClientTimeout(
            total=None, connect=CONNECT_TIMEOUT_S, sock_connect=CONNECT_TIMEOUT_S, sock_read=idle_s
        )
        skipped = ("User-Agent", "Accept-Encoding", "Content-Type")
        with _faults(target, f"no answer within {idle_s:g} s"):
            response = await self._open().request(
                method,
                target,
                headers=headers,
                data=body,
                timeout=timeout,
                allow_redirects=False,
                skip_auto_headers=skipped,
            )
        async with response:
            yield Stream(response.status, response.headers, response)

    def _checked(self, url: str) -> URL:
        try:
            return self._policy.check_url(url)
        except PeerError as exc:
            raise Unreachable(f"refused to connect: {exc.reason}") from exc

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            total, per_host = self._limits
            connector = aiohttp.TCPConnector(
                ssl=self._tls,
                limit=total,
                limit_per_host=per_host,
                resolver=self._resolver,
                socket_factory=self._policy.open_socket,
            )
            self._session = aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                max_line_size=_FIELD,
                max_field_size=_FIELD,
            )
        return self._session


def _trusting(authorities: Path) -> SSLContext:
    context = create_default_context()
    try:
        context.load_verify_locations(authorities)
    except (OSError, SSLError) as exc:
        raise LocalError(f"cannot read certificate authorities from {authorities}: a PEM file is expected") from exc
    return context


def _host(url: URL) -> str:
    return f"{url.host}:{url.port}"


@contextmanager
def _faults(url: URL, silence: str) -> Iterator[None]:
    """Turn what can go wrong between two machines into Unreachable; `silence` is said of a timeout after connecting."""
    try:
        yield
    except PeerError as exc:
        raise Unreachable(f"{_host(url)}: answered, but {exc.reason}") from exc
    except (aiohttp.ClientError, OSError) as exc:
        phase = next(text for kind, text in _PHASES if isinstance(exc, kind))
        if isinstance(exc, TimeoutError) and not isinstance(exc, aiohttp.ConnectionTimeoutError):
            phase = silence
        raise Unreachable(f"{_host(url)}: {phase}{_detail(exc)}") from exc


def _detail(exc: BaseException) -> str:
    """Give the system's own words where they help: a refused address, a refused connection, a bad certificate."""
    match exc:
        case aiohttp.ClientConnectorCertificateError():
            return f": {getattr(exc.certificate_error, 'verify_message', '')}"
        case aiohttp.ClientConnectorSSLError():
            return f": {getattr(exc.os_error, 'reason', '')}"
        case aiohttp.ClientConnectorDNSError():
            return ""
        case aiohttp.ClientConnectorError(os_error=OSError(errno=int(code))) if code != errno.EACCES:
            return f": {os.strerror(code)}"
        case aiohttp.ClientConnectorError():  # EACCES is the guard's, with words of its own
            return f": {exc.os_error.strerror or exc.os_error}"
        case _:
            return ""
