"""The real EDC: one connector of the pair in the folder of tools, which is provider and consumer as it is needed.

It is driven through its management API (v3) with our own client. EDC answers no question late, so this side asks again
and again; every such wait has an end. Its memory store forgets everything when it is stopped.
"""

import asyncio
import contextlib
import json
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

from connector.client import ApiError, Client, Offer, Provider
from connector.client.exchanging import by_id, one_dataset
from connector.exchange.query import Criterion
from connector.protocol.vocabulary import HTTP_PULL, PROTOCOL
from tests.bench.program import run
from tests.interop.matrix import Wrong, must

TOOL: Final = "edc-pair"
SIDE: Final = "provider"
UP_S: Final = 280.0
"""The first time, Maven fetches the jars."""
STOP_S: Final = 20.0
OVER: Final = ("TERMINATED", "DEPROVISIONING", "DEPROVISIONED")
"""How a transfer ends with EDC: it goes on by itself from the first of these to the last."""
COMPLETED: Final = ("COMPLETED", "DEPROVISIONING", "DEPROVISIONED")
ENDED: Final = frozenset({"FINALIZED", *COMPLETED, *OVER})
ASK_S: Final = 0.01
T = TypeVar("T")


class Unusable(Exception):
    """EDC could not be started, or did not come back."""


async def until(what: str, seconds: float, probe: Callable[[], Awaitable[T | None]], every_s: float = ASK_S) -> T:
    """The first answer of `probe` that is not None. Raise Wrong if there is none in time."""
    end = asyncio.get_running_loop().time() + seconds
    while (found := await probe()) is None:
        if asyncio.get_running_loop().time() > end:
            raise Wrong(f"{what}: not in {seconds:g} s")
        await asyncio.sleep(every_s)
    return found


@dataclass(slots=True)
class Edc:
    """A running EDC."""

    id: str
    client: Client
    dsp: str
    file: Path
    pid: int
    command: tuple[str, ...]

    @property
    def provider(self) -> Provider:
        """EDC as a counterparty."""
        return Provider(self.id, self.dsp)

    async def publish(self, asset: str, url: str, *, access: Mapping[str, Any], contract: Mapping[str, Any]) -> None:
        """Offer an asset of type HttpData."""
        address = {"type": "HttpData", "baseUrl": url}
        await self.client.assets.create(asset, data_address=address)
        await self.client.policies.create(f"{asset}-access", access)
        await self.client.policies.create(f"{asset}-contract", contract)
        await self.client.definitions.create(
            f"{asset}-offer", access_policy=f"{asset}-access", contract_policy=f"{asset}-contract", assets=[asset]
        )

    async def offer_of(self, peer: Provider, asset: str) -> Offer:
        """The first offer of a dataset of the peer's catalog, as EDC has it from there."""
        return one_dataset(await self.client.catalogs.request(peer, by_id(asset)), asset).offers[0]

    async def transfer(self, peer: Provider, agreement: str, kind: str = HTTP_PULL, push_to: str | None = None) -> str:
        """Have EDC ask for the data of an agreement. Return its transfer's id."""
        destination = {"dataDestination": {"type": "HttpData", "baseUrl": push_to}} if push_to else {}
        body = {"@type": "TransferRequest", "counterPartyAddress": peer.address, "contractId": agreement}
        more = {"transferType": kind, "protocol": PROTOCOL, **destination}
        return str((await self.client.api.post("/v3/transferprocesses", {**body, **more}))["@id"])

    async def agree(self, peer: Provider, asset: str) -> str:
        """Have EDC negotiate a dataset of the peer. Return the agreement's id."""
        negotiation = await self.client.negotiations.start(peer, await self.offer_of(peer, asset))
        found = await self.negotiation_at(negotiation, "FINALIZED")
        return str(found["contractAgreementId"])

    async def pull(self, peer: Provider, agreement: str) -> str:
        """Have EDC pull. Return its transfer's id when it is started and has its token."""
        transfer = await self.transfer(peer, agreement)
        await self.transfer_at(transfer, "STARTED")
        await self.address(transfer)
        return transfer

    async def negotiation_at(self, negotiation: str, *states: str, seconds: float = 20.0) -> dict[str, Any]:
        """EDC's record of its negotiation, in one of `states`. Raise Wrong if it ends elsewhere."""
        return await self._at(f"/v3/contractnegotiations/{negotiation}", states, seconds)

    async def transfer_at(self, transfer: str, *states: str, seconds: float = 20.0) -> dict[str, Any]:
        """EDC's record of its transfer, in one of `states`. Raise Wrong if it ends elsewhere."""
        return await self._at(f"/v3/transferprocesses/{transfer}", states, seconds)

    async def _at(self, where: str, states: tuple[str, ...], seconds: float) -> dict[str, Any]:
        async def probe() -> dict[str, Any] | None:
            found = dict(await self.client.api.get(where))
            if found["state"] in ENDED:
                must(f"EDC's {where} ({found.get('errorDetail')})", found["state"], *states)
            return found if found["state"] in states else None

        return await until(f"EDC's {where} in {' or '.join(states)}", seconds, probe)

    async def twin(self, kind: str, our_pid: str) -> str:
        """EDC's id of a process (contractnegotiations, transferprocesses) that we know under ours."""
        query = {"@type": "QuerySpec", "filterExpression": [Criterion("correlationId", "=", our_pid).to_json()]}

        async def probe() -> str | None:
            found = await self.client.api.post(f"/v3/{kind}/request", query)
            return str(found[0]["@id"]) if found else None

        return await until(f"EDC's twin of {our_pid}", 10, probe)

    async def address(self, transfer: str) -> dict[str, Any]:
        """The endpoint data reference of a pull that EDC has started, as soon as it has it."""

        async def probe() -> dict[str, Any] | None:
            return await self.address_now(transfer)

        return await until(f"EDC's endpoint data reference of {transfer}", 10, probe)

    async def address_now(self, transfer: str) -> dict[str, Any] | None:
        """The endpoint data reference that EDC has now, or None."""
        try:
            return dict(await self.client.api.get(f"/v3/edrs/{transfer}/dataaddress"))
        except ApiError as error:
            if error.status != 404:
                raise
            return None

    async def stop(self) -> None:
        """End EDC's process; what it knew is gone."""
        await end(self.pid)

    async def start(self) -> None:
        """Start EDC anew, with the same command, settings and keys, and wait until it is ready."""
        with self.file.with_name(f"{SIDE}-again.log").open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                *self.command,
                cwd=self.file.parent,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.pid = process.pid
        pair = json.loads(self.file.read_bytes())
        pair[SIDE]["pid"] = process.pid  # so that the tool finds what it is to stop, whatever becomes of us
        self.file.write_text(json.dumps(pair), encoding="utf-8")

        async def ready() -> bool | None:
            if process.returncode is not None:
                raise Unusable(f"EDC has ended with {process.returncode}, see {SIDE}-again.log")
            with contextlib.suppress(ApiError):
                planes = await self.client.api.get("/v3/dataplanes")
                return HTTP_PULL in json.dumps(planes) or None
            return None

        await until("EDC is ready again", 60, ready, every_s=0.05)


@asynccontextmanager
async def edc(tools: Path, folder: Path) -> AsyncIterator[Edc]:
    """One running EDC whose state machines wait 50 ms instead of a second. Raise Unusable if it does not start."""
    tool, options = str(tools / TOOL), ("--workdir", str(folder))
    file = folder / "pair.json"
    await _run(UP_S, tool, "up", "--tuned", "--only", SIDE, *options)
    try:
        side = json.loads(file.read_bytes())[SIDE]
        command = command_of(side["pid"])
        async with Client(side["management"], side["api_key"]) as client:
            yield Edc(side["participant_id"], client, side["dsp"], file, side["pid"], command)
    finally:
        await _run(STOP_S, tool, "down", *options)


def command_of(pid: int) -> tuple[str, ...]:
    """With what a process was started; () for one that has ended, also if it only waits to be reaped."""
    try:
        return tuple(Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8").split("\0")[:-1])
    except OSError:
        return ()


async def end(pid: int) -> None:
    """End a process: politely, and after some seconds for certain."""

    async def gone() -> bool | None:
        return None if command_of(pid) else True

    for wish in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError, Wrong):
            os.kill(pid, wish)
            await until(f"process {pid} has ended", 8, gone, every_s=0.05)
            return


async def _run(limit_s: float, *command: str) -> None:
    """Run the tool to its end. Raise Unusable with the end of what it said."""
    try:
        code, said = await run(limit_s, *command)
    except TimeoutError as error:
        raise Unusable(f"{TOOL} was not ready in {limit_s:g} s") from error
    if code:
        raise Unusable(f"{TOOL} has ended with {code}: {said}")
