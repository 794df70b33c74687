"""Nothing polls: two running nodes that have nothing to do do nothing, and still act at once when there is something.

What "nothing" means is observed from outside: SQL statements, callbacks and timers of the event loop, and on Linux how
often the kernel has put the store's threads to sleep, which counts every wait with a time limit.
"""

import asyncio
import sys
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from contextvars import Context
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVarTuple, cast

import pytest
from typing_extensions import override

from connector import wiring
from connector.client import Client, Provider, template
from connector.config import Config
from connector.demo_data import PASSPORT_SEMANTIC_ID, passports
from connector.identity.did import did_of_url
from connector.sandbox.authority import CERTIFICATE, TRUST
from connector.sandbox.authority import KEY as KEY_FILE
from connector.sandbox.ports import HOST, Ports
from connector.storage.sqlite import SqliteStore
from connector.wiring import RunningNode

Ts = TypeVarTuple("Ts")
KEY: Final = "the-operators-key"
BPNS: Final = ("BPNL0000000MAKER", "BPNL0000000BUYER")
WINDOW_S: Final = 0.25
OWN: Final = 2
"""Callbacks of `window` itself: its event wakes it."""
SOON_S: Final = 5.0
"""A timer that rings earlier than this would be a poll: keep-alives and time limits of HTTP are longer."""


class WatchedLoop(asyncio.SelectorEventLoop):
    """An event loop that notes what it is asked to do."""

    def __init__(self) -> None:
        self.soon = 0
        self.timers: list[asyncio.TimerHandle] = []
        super().__init__()

    @override
    def call_soon(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        self.soon += 1
        return super().call_soon(callback, *args, context=context)

    @override
    def call_at(
        self, when: float, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        handle = super().call_at(when, callback, *args, context=context)
        self.timers.append(handle)
        return handle

    @property
    def earliest_s(self) -> float:
        """Seconds until the first timer rings."""
        now = self.time()
        return min(t.when() - now for t in self.timers if not t.cancelled() and t.when() > now)


@dataclass(frozen=True)
class Done:
    """What has been done so far."""

    statements: tuple[int, ...]
    soon: int
    timers: int
    switches: int

    @classmethod
    def now(cls, nodes: Sequence[RunningNode]) -> "Done":
        loop = cast("WatchedLoop", asyncio.get_running_loop())
        stores = [node.node.store for node in nodes]
        assert all(isinstance(store, SqliteStore) for store in stores)
        statements = tuple(cast("SqliteStore", store).statements for store in stores)
        return cls(statements, loop.soon, len(loop.timers), switches())


def switches() -> int:
    """How often the threads of the stores have gone to sleep; 0 where the kernel does not tell."""
    files = [
        Path(f"/proc/self/task/{thread.native_id}/status")
        for thread in threading.enumerate()
        if thread.name.startswith("store-")
    ]
    assert files
    lines = [line for file in files if file.exists() for line in file.read_text().splitlines()]
    return sum(int(line.split()[1]) for line in lines if line.startswith("voluntary_ctxt_switches"))


@asynccontextmanager
async def pair(
    folder: Path, tls: Path | None = None, tracing: str = ""
) -> AsyncIterator[tuple[RunningNode, RunningNode]]:
    """Two nodes that know one another. `tls`: a folder with a certificate for localhost, made by `certify`."""
    with Ports() as ports:
        public = [ports.take(), ports.take()]
        dids = [did_of_url(f"http://localhost:{port}") for port in public]
        settings = [
            Config(
                did=did,
                bpn=bpn,
                data=folder / bpn,
                development=True,
                url=f"http://{HOST}:{port}" if tls is None else f"https://localhost:{port}",
                host=HOST,
                port=port,
                management_host=HOST,
                management_port=0,
                management_key=KEY,
                directory=dict(zip(BPNS, dids, strict=True)),
                certificate=tls and tls / CERTIFICATE,
                certificate_key=tls and tls / KEY_FILE,
                trust=tls and tls / TRUST,
                tracing=tracing,
            )
            for did, bpn, port in zip(dids, BPNS, public, strict=True)
        ]
        ports.hand_over()
        async with wiring.start(settings[0]) as maker, wiring.start(settings[1]) as buyer:
            yield maker, buyer


def client(node: RunningNode) -> Client:
    return Client(f"{node.management.url}/management", KEY)


async def publish(maker: RunningNode) -> None:
    async with client(maker) as api:
        await api.payloads.publish("passport", passports()[0], semantic_id=PASSPORT_SEMANTIC_ID)
        access, contract = (template(name, [BPNS[1]]) for name in ("by-bpn", "by-bpn-until-date"))
        await api.offer("offer", ["passport"], access=access, contract=contract)


async def exchange(maker: RunningNode, buyer: RunningNode) -> str:
    """A whole exchange whose transfer goes on, with a timer for the far end of its agreement."""
    async with client(buyer) as api:
        transfer = await api.pull(await api.agree(Provider(maker.node.id, maker.node.dsp_address), "passport"))
        fetched = await api.transfers.fetch(transfer, semantic_id=PASSPORT_SEMANTIC_ID)
        assert fetched.verified is not None
        assert fetched.verified.ok
        return transfer


async def rest() -> None:
    """Let everything that is under way come to its end: nothing has been asked for in many turns of the loop."""
    loop = cast("WatchedLoop", asyncio.get_running_loop())
    for _ in range(20):
        before = loop.soon
        await window(WINDOW_S / 10)
        if loop.soon - before <= OWN:
            return
    pytest.fail("the nodes do not come to rest")


async def window(seconds: float) -> None:
    over = asyncio.Event()
    asyncio.get_running_loop().call_later(seconds, over.set)
    await over.wait()


async def story(folder: Path) -> None:
    loop = cast("WatchedLoop", asyncio.get_running_loop())
    async with pair(folder) as (maker, buyer):
        await publish(maker)
        transfer = await exchange(maker, buyer)
        async with client(maker) as api:
            (served,) = (await api.transfers.query()).items
            waiting = asyncio.create_task(api.transfers.wait(served.id, "SUSPENDED"))  # somebody waits all the time
            await rest()
            before = Done.now((maker, buyer))
            await window(WINDOW_S)
            after = Done.now((maker, buyer))
            assert after.statements == before.statements
            assert after.switches == before.switches
            assert after.timers - before.timers == 1  # the window's own
            assert after.soon - before.soon <= OWN
            assert loop.earliest_s > SOON_S
            assert not waiting.done()
            await wake(buyer, transfer)
            assert (await waiting).state == "SUSPENDED"
        awake = Done.now((maker, buyer))
        assert all(more > less for more, less in zip(awake.statements, after.statements, strict=True))
        assert awake.switches > after.switches or sys.platform != "linux"


async def wake(buyer: RunningNode, transfer: str) -> None:
    async with client(buyer) as api:
        await api.transfers.suspend(transfer, "a pause")


def test_an_idle_pair_runs_no_statement_and_sets_no_timer(tmp_path: Path) -> None:
    with asyncio.Runner(loop_factory=WatchedLoop) as runner:
        runner.run(story(tmp_path))
