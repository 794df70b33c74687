"""A push: the provider sends an asset's data to the address that the consumer named (HttpData-PUSH).

The destination comes from a stranger, so it is called through the guarded client for peers, and has to keep pace: one
that takes or answers a byte now and then would hold a connection and a lane of the dispatcher without end. Only what
describes the body travels with it, and what the destination itself asks for. Each call is one attempt; the engine
repeats it.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Final, Protocol, Self

from multidict import CIMultiDict

from connector.dataplane.access import Access, Gate
from connector.dataplane.headers import FIELD_NAME, FIELD_VALUE, HOP_BY_HOP, fold
from connector.dataplane.source import Ask, Content
from connector.dataplane.upload import Upload
from connector.http.client import Stream
from connector.protocol.errors import Invalid, Unreachable
from connector.protocol.transfer_messages import short_name

PATIENCE_S: Final = 120.0
SLOWEST: Final = 16 << 10
"""A push may take `PATIENCE_S`, and one second more for every so many bytes."""
METHODS: Final = ("POST", "PUT", "PATCH")
_NOT_THEIRS: Final = HOP_BY_HOP | {fold("Host"), fold("Content-Length")}


class Outbound(Protocol):
    """The guarded client for peers, as far as a push needs it (`http.client.Outbound`)."""

    def stream(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | AsyncIterator[bytes] | None = None,
    ) -> AbstractAsyncContextManager[Stream]:
        """Send a request and hand over the answer. Raise Unreachable if there is none."""
        ...


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a push goes: EDC's HttpData keys, or those of a DSP data address."""

    url: str
    method: str = "POST"
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)

    @classmethod
    def parse(cls, address: Mapping[str, str]) -> Self:
        """Read a destination. Raise Invalid with the place of the fault; whether to call the URL is not judged here."""
        given = {short_name(key): value for key, value in address.items()}
        url = given.get("baseUrl") or given.get("endpoint") or ""
        if not url:
            raise Invalid("the destination of a push needs a baseUrl", "/dataAddress/baseUrl")
        if path := given.get("path", "").lstrip("/"):
            url = f"{url.rstrip('/')}/{path}"
        method = given.get("method", "POST").upper()
        if method not in METHODS:
            raise Invalid(f"the method of a push must be one of {', '.join(METHODS)}", "/dataAddress/method")
        headers = {key.removeprefix("header:"): value for key, value in given.items() if key.startswith("header:")}
        if authorization := given.get("authorization"):
            headers["Authorization"] = authorization
        if (key := given.get("authKey")) and (code := given.get("authCode")):
            headers[key] = code
        for name, value in headers.items():
            if not FIELD_NAME.fullmatch(name) or not FIELD_VALUE.fullmatch(value) or fold(name) in _NOT_THEIRS:
                raise Invalid("the destination asks for a header that cannot be sent", "/dataAddress")
        return cls(url, method, headers)


async def push(
    outbound: Outbound, gate: Gate, access: Access, destination: Destination, also: Mapping[str, str]
) -> None:
    """Send the data, and the headers `also`, unless the destination asks for others of these names.

    Raise Unreachable with the reason if the source or the destination fails, is slow, or access is revoked.
    """
    async with paced() as more, access.prepared.open(Ask()) as content:
        access = await gate.still(access)
        if content.status != 200:  # noqa: PLR2004 - HTTP: anything else is not the data
            raise Unreachable(f"the source of the data answered {content.status}")
        headers = _describing(content)
        headers.update(also)
        headers.update(destination.headers)
        more(len(content.body))
        body = content.body if content.read is None else Upload(_guarded(gate, access, content.read, more))
        async with outbound.stream(destination.method, destination.url, headers=headers, body=body) as answer:
            if not 200 <= answer.status < 300:  # noqa: PLR2004 - HTTP
                raise Unreachable(f"the destination answered {answer.status}")


def _describing(content: Content) -> CIMultiDict[str]:
    """The fields that belong to the data itself, its proofs among them."""
    kept = [(k, v) for k, v in content.headers.items() if k.lower().startswith(("content-", "payload-"))]
    return CIMultiDict(kept)


async def _guarded(
    gate: Gate, access: Access, read: Callable[[], Awaitable[bytes]], more: Callable[[int], None]
) -> AsyncIterator[bytes]:
    while chunk := await read():
        access = await gate.still(access)
        more(len(chunk))
        yield chunk


@asynccontextmanager
async def paced() -> AsyncIterator[Callable[[int], None]]:
    """Raise Unreachable as soon as what happens inside is too slow; it says how many bytes there are to send."""
    end = asyncio.get_running_loop().time() + PATIENCE_S

    def more(count: int) -> None:
        nonlocal end
        end += count / SLOWEST
        if not limit.expired():
            limit.reschedule(end)

    try:
        async with asyncio.timeout_at(end) as limit:
            yield more
    except TimeoutError as late:
        if not limit.expired():
            raise
        raise Unreachable(f"the push took too long: less than {SLOWEST >> 10} KiB per second") from late
