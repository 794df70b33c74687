"""A request body that passes through this node, from a consumer to a backend or from a source to a push destination."""

from collections.abc import AsyncIterator

from aiohttp.abc import AbstractStreamWriter
from aiohttp.payload import Payload
from typing_extensions import override


class Upload(Payload, AsyncIterator[bytes]):
    """A body that can be sent once.

    aiohttp repeats a PUT or DELETE whose connection broke. With a stream it would send what is left of the body as if
    that were all of it, and the receiver would store a torn document. A consumed payload is not repeated.
    """

    _autoclose = True

    def __init__(self, chunks: AsyncIterator[bytes]) -> None:
        super().__init__(chunks)
        self._chunks = chunks

    @override
    async def __anext__(self) -> bytes:
        return await anext(self._chunks)

    @override
    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        raise TypeError("a body that passes through is never text")

    @override
    async def write(self, writer: AbstractStreamWriter) -> None:
        self._consumed = True
        async for chunk in self._chunks:
            await writer.write(chunk)
