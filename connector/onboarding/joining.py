"""How a node becomes a member: it asks the authority for its credentials, and shows its invitation with that.

The invitation is the pre-authorized code of DCP 1.0. The authority takes the DID from the node's token, so that nobody
has to type it; to check the token it fetches the node's DID document, and it delivers to the node's wallet. So the node
has to run and be reached: one that does not is run for this moment, in this process.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Final

from connector.client import ApiError, Client
from connector.client.api import failure
from connector.client.credentials import Credential
from connector.config import Config
from connector.onboarding.doctor import management_of

WAIT_S: Final = 30.0
ISSUED: Final = "ISSUED"
_WAITING: Final = "REQUESTED"
_REACHED: Final = (
    "each has to reach the other: the authority fetches the node's DID document at public.url and delivers to its "
    "wallet; then do this again"
)


@asynccontextmanager
async def reached(config: Config) -> AsyncIterator[Client]:
    """The management API of a node that runs, or that is started for as long as this lasts.

    Raise LocalError if it cannot be started, ApiError if what answers there is not this node's API.
    """
    async with Client(management_of(config), config.management_key) as client:
        if await _answers(client):
            yield client
            return
    from connector import wiring  # noqa: PLC0415 - a whole node, only where none runs

    quiet = replace(config, management_port=0, wallet_issuer="")  # it asks when it is told to, with its invitation
    async with (
        wiring.start(quiet) as node,
        Client(node.management.url + config.management_path, config.management_key) as client,
    ):
        yield client


async def _answers(node: Client) -> bool:
    try:
        await node.check("liveness")
    except ApiError as error:
        if error.status == 0:
            return False
        raise
    return True


async def join(
    node: Client, authority: str, invitation: str | None = None, *, timeout_s: float = WAIT_S
) -> list[Credential]:
    """Get the credentials that the node needs and has not; all in force that it holds then.

    authority: the issuer's DID. invitation: its code, for who is no member yet.
    Raise ApiError if the authority refuses, or if nothing has come in time.
    """
    if missing := await node.credentials.missing():
        asked = await node.credentials.request(authority, missing, code=invitation)
        request = await node.credentials.requested(asked.id, wait_s=timeout_s)
        if request.state != ISSUED:
            why = request.error or f"nothing has come within {timeout_s:g} s"
            step = f"; {_REACHED}" if request.state == _WAITING else ""
            raise failure(f"the authority {authority} issued no credentials: {why}{step}")
    return [credential for credential in await node.credentials.list() if credential.state == ISSUED]
