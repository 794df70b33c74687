"""The client for the operator's own backends, apart from the one for peers: other addresses are allowed, nothing else.

Answers stay packed, redirects are not followed (a backend must not send our credentials elsewhere), cookies are not
kept. Buffers are bounded per stream: a slow consumer costs no more than `READ_BUFFER` twice, as aiohttp stops reading
there. Back-pressure does the rest in both directions.
"""

from collections.abc import AsyncIterator, Callable, Mapping
from ssl import SSLContext
from typing import Final

import aiohttp
import structlog
from yarl import URL

from connector.dataplane.http_address import BACKENDS
from connector.dataplane.source import SourceSilent
from connector.dataplane.upload import Upload
from connector.protocol.errors import Unreachable

READ_BUFFER: Final = 256 << 10
CONNECT_TIMEOUT_S: Final = 5.0
IDLE_S: Final = 60.0
CONNECTIONS: Final = 1024
_SKIPPED: Final = ("User-Agent", "Accept", "Accept-Encoding", "Content-Type")
FAULTS: Final = (aiohttp.ClientError, OSError, ValueError)
"""What a request and the reading of its answer raise."""
_log = structlog.get_logger(__name__)


class Backends:
    """One session for all backends of a node. Build it anywhere; it opens with the first request.

    idle_s: longest silence of a backend. tls: how https backends are trusted, the system's way unless given.
    """

    def __init__(self, *, idle_s: float = IDLE_S, tls: SSLContext | None = None) -> None:
        self._timeout = aiohttp.ClientTimeout(
            total=None, connect=CONNECT_TIMEOUT_S * 2, sock_connect=CONNECT_TIMEOUT_S, sock_read=idle_s
        )
        self._tls = tls or True
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Close all connections."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def request(
        self,
        method: str,
        url: URL,
        headers: Mapping[str, str],
        body: bytes | Callable[[], AsyncIterator[bytes]] | None = None,
    ) -> aiohttp.ClientResponse:
        """The answer with its body still on the wire, to be used as a context manager.

        Raise Unreachable, or SourceSilent if nothing came in time.
        """
        data = Upload(body()) if callable(body) else body
        try:
            return await self._open().request(method, url, headers=headers, data=data, allow_redirects=False)
        except FAULTS as error:
            raise failed(url, error) from error

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    ssl=self._tls, limit=CONNECTIONS, limit_per_host=0, socket_factory=BACKENDS.open_socket
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
                skip_auto_headers=_SKIPPED,
                auto_decompress=False,
                read_bufsize=READ_BUFFER,
                timeout=self._timeout,
            )
        return self._session


def failed(url: URL, error: Exception) -> Unreachable:
    """Say of a backend's fault no more than a consumer may know; the operator finds the rest in the log."""
    _log.warning("backend failed", host=url.host, port=url.port, fault=type(error).__name__, detail=str(error))
    if isinstance(error, TimeoutError):
        return SourceSilent("the provider's backend did not answer in time")
    return Unreachable("the provider's backend cannot be reached")
