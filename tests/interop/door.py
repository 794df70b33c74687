"""A port in front of another one that refuses connections until it is opened.

EDC forgets its offers when it stops. A message that waits for it has to find them again, so it waits at the door.
"""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Final

HOST: Final = "127.0.0.1"
CHUNK: Final = 65_536


@dataclass(slots=True)
class Door:
    """`held` is bound and does not listen: whoever calls is refused."""

    held: socket.socket
    target: int
    _server: asyncio.Server | None = None

    @property
    def port(self) -> int:
        """Where the door is."""
        return int(self.held.getsockname()[1])

    async def open(self) -> None:
        """From now on, whoever comes is led to the target."""
        self._server = await asyncio.start_server(self._lead, sock=self.held)

    async def _lead(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, onward = await asyncio.open_connection(HOST, self.target)
        await asyncio.gather(_copy(reader, onward), _copy(there, writer))

    def close(self) -> None:
        """For good; who is inside stays inside."""
        if self._server is not None:
            self._server.close()
        self.held.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(CHUNK):
            writer.write(data)
            await writer.drain()
    writer.close()


@asynccontextmanager
async def door(target: int) -> AsyncIterator[Door]:
    """A closed door."""
    held = socket.socket()
    held.bind((HOST, 0))
    there = Door(held, target)
    try:
        yield there
    finally:
        there.close()
