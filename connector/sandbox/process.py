"""One node, or the authority, in a process of its own."""

import asyncio
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from connector.protocol.errors import LocalError
from connector.sandbox.link import Link, Ready

SERVE: Final = ("serve",)
SERVE_AUTHORITY: Final = ("authority", "serve")
READY_S: Final = 30.0
STOP_S: Final = 5.0
TAIL: Final = 15
"""Lines of a log that are shown when a node fails."""


@dataclass(slots=True)
class NodeProcess:
    """A node that was started. `ready_s` is the time from its start until its listeners were up."""

    name: str
    log: Path
    process: asyncio.subprocess.Process
    link: Link
    ready: Ready
    ready_s: float

    @classmethod
    async def start(cls, name: str, config: Path, log: Path, command: Sequence[str] = SERVE) -> "NodeProcess":
        """Start a node from its settings and wait until it listens. Raise LocalError with the end of its log."""
        link, began = Link(), time.monotonic()
        options = ["--config", str(config), "--parent-fd", str(link.child_fd)]
        with log.open("ab") as out:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "connector", *command, *options),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                pass_fds=(link.child_fd,),
                start_new_session=True,  # Ctrl-C is for the parent, which ends the nodes in order
            )
        try:
            async with asyncio.timeout(READY_S):
                ready = await link.ready()
        except BaseException as error:
            link.close()
            await _end(process)
            if isinstance(error, TimeoutError | LocalError):
                why = error.reason if isinstance(error, LocalError) else f"it was not ready in {READY_S:g} s"
                raise LocalError(f"{name} did not start: {why}\n{tail(log)}") from error
            raise
        return cls(name, log, process, link, ready, time.monotonic() - began)

    async def ended(self) -> str:
        """Wait until the process ends by itself, and say so with the end of its log."""
        code = await self.process.wait()
        return f"{self.name} has ended with code {code}\n{tail(self.log)}"

    async def stop(self) -> None:
        """End the node: politely, and after a few seconds for certain."""
        await _end(self.process)
        self.link.close()  # only now: told twice, it might hear the signal when nobody minds it any more


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.terminate()
    try:
        async with asyncio.timeout(STOP_S):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


def tail(log: Path) -> str:
    """The end of a log, indented, for an error text."""
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    return "\n".join(f"    {line}" for line in lines[-TAIL:])
