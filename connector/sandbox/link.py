"""The line between a node and the process that started it: one socket pair.

The node writes one JSON line when its listeners are up, so nobody has to ask again and again whether it is ready. The
other end closes when the parent is gone, however it went; then the node ends too, so no node outlives its sandbox.
"""

import asyncio
import json
import signal
import socket
from dataclasses import asdict, dataclass
from typing import Self

from connector.protocol.errors import LocalError


@dataclass(frozen=True, slots=True)
class Ready:
    """What a node says of itself: the real URLs of its listeners, with the management API's path."""

    management: str
    dsp: str
    public: str

    def to_line(self) -> str:
        """One line of JSON."""
        return json.dumps({"ready": True, **asdict(self)})


async def report(fd: int, ready: Ready) -> asyncio.Task[None]:
    """In the node: tell the parent, then follow it. Keep the task; when the parent goes it sends us a SIGTERM."""
    reader, writer = await asyncio.open_unix_connection(sock=socket.socket(fileno=fd))
    writer.write(f"{ready.to_line()}\n".encode())
    await writer.drain()

    async def follow() -> None:
        try:
            await reader.read()
        except ConnectionError:
            pass  # gone without a farewell
        finally:
            writer.close()
        signal.raise_signal(signal.SIGTERM)

    return asyncio.create_task(follow())


class Link:
    """In the parent: the other end. `child_fd` is for the child alone (`pass_fds`)."""

    def __init__(self) -> None:
        self._ours, self._theirs = socket.socketpair()
        self._writer: asyncio.StreamWriter | None = None

    @property
    def child_fd(self) -> int:
        """The descriptor to hand to the node."""
        return self._theirs.fileno()

    async def ready(self) -> Ready:
        """Wait for the node's line; call it once, when the node has been started. Raise LocalError if none comes."""
        self._theirs.close()
        reader, self._writer = await asyncio.open_unix_connection(sock=self._ours)
        try:
            said = json.loads(await reader.readline() or b"null")
        except (ConnectionError, ValueError):
            said = None
        if not isinstance(said, dict) or said.get("ready") is not True:
            raise LocalError("it ended before it was ready")
        return Ready(str(said.get("management")), str(said.get("dsp")), str(said.get("public")))

    def close(self) -> None:
        """Let the node go: it ends."""
        self._theirs.close()
        if self._writer is not None:
            self._writer.close()
        else:
            self._ours.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
