"""Who makes a part: what a code without a provider needs to be told, and what a maker has to tell."""

from typing import Protocol

import structlog

from connector.protocol.errors import ConnectorError

log = structlog.get_logger()


class Makers(Protocol):
    """The data space's register of who makes what."""

    async def of_part(self, part: str) -> list[str]:
        """The BPNs of those who say that they make a part (`manufacturerPartId`). Raise Unreachable."""
        ...

    async def announce(self, part: str) -> None:
        """Make known that we make a part; once is enough. Raise Unreachable."""
        ...


async def announce(makers: Makers | None, part: str) -> None:
    """Make a part known where there is a register. What goes wrong is logged: the next publication tries again."""
    if makers is None:
        return
    try:
        await makers.announce(part)
    except ConnectorError as error:
        log.warning("part not announced", part=part, reason=error.reason, next="publish a passport of it again")
