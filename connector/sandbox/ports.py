"""Free ports that stay free until the node that is to have them listens.

A port that is looked up and let go may belong to somebody else a moment later: a neighbour that starts at the same
time, or an outgoing connection. So the socket stays bound, without listening. On Linux a second socket with
SO_REUSEADDR may bind and listen beside it, nothing else gets the port; elsewhere the socket is let go at the start.
"""

import socket
import sys
from typing import Final, Self

HOST: Final = "127.0.0.1"
_MAY_STAY: Final = sys.platform == "linux"


class Ports:
    """Ports of the loopback address, held until `release`."""

    def __init__(self) -> None:
        self._held: list[socket.socket] = []

    def take(self) -> int:
        """Take a free port."""
        held = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind((HOST, 0))
        self._held.append(held)
        return int(held.getsockname()[1])

    def hand_over(self) -> None:
        """The nodes are about to listen: let go where holding on would be in their way."""
        if not _MAY_STAY:
            self.release()

    def release(self) -> None:
        """Let go of everything."""
        while self._held:
            self._held.pop().close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()
