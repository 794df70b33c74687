"""A machine of the simulation: a database that survives, and the processes that live on it one after another.

A process is a real node: its store (`DatabaseStore` on SQLite in memory), its engine, its aiohttp applications, its
data plane. What is not real is the thread of the store: its jobs run in the loop, some virtual time after they were put
there, so that a process can die before or after each commit, or before anybody has heard of it.
"""

import asyncio
import functools
import random
import sqlite3
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from contextvars import Context
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any, Final, TypeVar

from aiohttp import web
from multidict import CIMultiDict
from typing_extensions import override

from connector.config import DSP_PATH
from connector.dataplane.plane import EmbeddedDataPlane
from connector.dataplane.refresh import Refresher
from connector.dataplane.source import Content, Prepared, Reader, Source
from connector.dataplane.tokens import AccessTokens
from connector.engine.engine import Engine
from connector.exchange.node import Node
from connector.exchange.ports import Tx
from connector.exchange.records import Asset, Negotiation, Transfer
from connector.exchange.strategy import NegotiationStrategy, TransferStrategy
from connector.http.dsp import dsp_application
from connector.http.middleware import application
from connector.http.public import public_routes, render
from connector.identity.directory import Directory
from connector.identity.keys import SigningKey
from connector.identity.mock import MockIdentity
from connector.protocol.process import Process
from connector.protocol.vocabulary import VERSION
from connector.storage import sqlite
from connector.storage.connection import Connection, Unavailable
from connector.storage.jobs import Job, Queue, Worker
from connector.storage.store import DatabaseStore
from connector.storage.tx import StoreTx
from tests.integration.exchange_world import NoProof
from tests.simulation.network import DATA, SUFFIX, SimulatedWire
from tests.simulation.story import DISK_FULL
from tests.simulation.virtual import WallClock, between

if TYPE_CHECKING:
    from tests.simulation.world import World

T = TypeVar("T")
NAMES: Final = ("a", "b", "c", "d", "e")
DIRECTORY: Final = Directory({f"BPNL00000000000{name.upper()}": name for name in NAMES})
TOKEN_S: Final = 60
BOOT_S: Final = 0.3
_KEYS: Final = {name: SigningKey.generate(name) for name in NAMES}
_HISTORY: Final = ("negotiation", "agreement", "transfer", "edr", "access_grant", "secret", "outbox", "timer")
_SPARE: Final[list[sqlite3.Connection]] = []


class Died(Exception):
    """The process ended while somebody waited for it."""


def new_database() -> sqlite3.Connection:
    """A database in memory with empty tables."""
    opened = sqlite._opened(":memory:", sqlite.SETTINGS)  # noqa: SLF001 - as the store opens it
    sqlite._bring_up(opened)  # noqa: SLF001 - as the store opens it
    return opened


@contextmanager
def database(template: bytes) -> Iterator[sqlite3.Connection]:
    """A database with what `template` has. They are used again: opening one costs more than emptying it."""
    kept = _SPARE.pop() if _SPARE else None
    if kept is None:
        kept = sqlite._opened(":memory:", sqlite.SETTINGS)  # noqa: SLF001 - as the store opens it
        kept.deserialize(template)
    yield kept
    kept.execute("BEGIN")
    for table in _HISTORY:
        kept.execute(f"DELETE FROM {table}")  # noqa: S608 - our own names
    kept.execute("COMMIT")
    _SPARE.append(kept)  # not after an error: then its state is not known


def connection_to(opened: sqlite3.Connection, begins: str = "BEGIN") -> Connection:
    return Connection(opened, sqlite._SQL, sqlite.FAULTS, begins)  # noqa: SLF001 - as the store does


class InlineWorker(Worker):
    """Does in the loop what a thread of the store does; crashes happen here."""

    def __init__(
        self,
        name: str,
        queue: Queue,
        work: Callable[[Sequence[Job]], None],
        report: Callable[[Sequence[Job]], None],
        *,
        at_once: int,
        life: "Life",
    ) -> None:
        self._queue = queue
        self._work = work
        self._report = report
        self._at_once = at_once
        self._life = life
        self._writes = name == "store-writer"
        self._reported_at = 0.0

    @override
    def end(self) -> None:
        """There is no thread."""

    @override
    def join(self) -> None:
        """There is no thread."""

    def step(self) -> None:
        """Take what waits, and commit it."""
        life = self._life
        if life.dead or self._queue.empty():
            return
        if self._writes and life.at_boundary(after=False):
            return
        jobs, _ = self._drain()
        life.machine.clock.offset_ms += life.machine.jump_ms
        life.machine.jump_ms = 0
        if self._writes and life.machine.disk_full:
            for job in jobs:
                job.fail(Unavailable(DISK_FULL))
        else:
            self._work(jobs)
        if self._writes and life.at_boundary(after=True):
            life.unheard_of += jobs
            return
        loop, world = life.machine.loop, life.machine.world
        self._reported_at = max(self._reported_at, loop.time() + between(world.chance, 1e-5, 5e-4))
        life.unheard += 1
        loop.call_at(self._reported_at, self._tell, jobs)

    def _tell(self, jobs: Sequence[Job]) -> None:
        self._life.unheard -= 1
        if not self._life.dead:
            self._report(jobs)


class SimulatedStore(DatabaseStore):
    """The real store on a database that belongs to the machine, without threads."""

    def __init__(self, opened: sqlite3.Connection, life: "Life") -> None:
        self._life = life
        writer, reader = connection_to(opened, "BEGIN IMMEDIATE"), connection_to(opened)
        super().__init__(writer, (reader,), functools.partial(InlineWorker, life=life))

    @override
    async def _put(self, queue: Queue, fn: Callable[[Tx], T], *, reads: bool) -> T:
        await self._life.alive()
        worker: Any = self._readers[0] if reads else self._writer
        self._loop.call_later(between(self._life.machine.world.chance, 1e-4, 3e-3), worker.step)
        return await super()._put(queue, fn, reads=reads)


class Shelves(Source):
    """Data in memory that says which asset and which agreement it leaves for; it comes at once, late, or in pieces."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance

    @override
    def prepare(self, tx: Tx, asset: Asset, reader: Reader) -> Prepared:
        return Prepared(lambda _: self._open(f"{asset.id}|{reader.agreement_id}\n".encode()))

    @asynccontextmanager
    async def _open(self, data: bytes) -> AsyncIterator[Content]:
        pieces = self._chance.choice((0, 1, 4))
        left = [data] * pieces

        async def read() -> bytes:
            await asyncio.sleep(between(self._chance, 0.001, 3.0))
            return left.pop() if left else b""

        headers: CIMultiDict[str] = CIMultiDict({"Content-Type": "text/plain"})
        if self._chance.random() < 0.5:
            headers["Content-Length"] = str(len(data) * (pieces or 1))
        yield Content(200, headers, read=read) if pieces else Content(200, headers, body=data)


class Life:
    """One process, from its start to its end."""

    def __init__(self, machine: "Machine") -> None:
        self.machine = machine
        self.dead = False
        self.unheard = 0
        """Commits that nobody has been told of yet."""
        self.unheard_of: list[Job] = []
        """Committed when the process died. Kept, as all of a dead process is, so that who waits is not collected."""
        self._never: asyncio.Future[None] = machine.loop.create_future()
        machine.lives.append(self)
        self.app: web.Application | None = None
        self._tasks: dict[asyncio.Task[Any], None] = {}
        self._end: asyncio.Future[None] = machine.loop.create_future()
        store = SimulatedStore(machine.database, self)
        self.node, plane = machine.node(self, store)
        self.engine = Engine(self.node)
        store.listen(lambda commit: machine.world.committed(self, commit))
        self.spawn(self._boot(plane))

    async def _boot(self, plane: EmbeddedDataPlane) -> None:
        await asyncio.sleep(BOOT_S)
        try:
            await self.engine.start()
        except Unavailable:  # the command ends with an error, and is started again by what watches over it
            self.end()
            await self.alive()
        app = application(render)
        app.add_subapp(DSP_PATH, dsp_application(self.node, self.engine.release))
        data = application(render)
        data.add_routes(public_routes(plane, ""))
        app.add_subapp(DATA, data)
        app.freeze()
        self.app = app

    def spawn(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run `work` as part of this process."""
        task = self.machine.loop.create_task(work, context=Context())
        self._tasks[task] = None
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.pop(task, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.machine.world.failed(f"{self.machine.name}: {error!r} in {task.get_coro()}")

    async def call(self, work: Coroutine[Any, Any, T]) -> T:
        """What somebody at this node gets from `work`. Raise Died if the process ends before."""

        async def caught() -> T | Exception:
            try:
                return await work
            except Exception as error:  # noqa: BLE001 - it is raised where it was called
                return error

        task = self.spawn(caught())
        await asyncio.wait((task, self._end), return_when=asyncio.FIRST_COMPLETED)
        if self.dead:
            raise Died
        result = task.result()
        if isinstance(result, Exception):
            raise result
        return result

    async def alive(self) -> None:
        """A dead process goes no further."""
        if self.dead:
            await asyncio.shield(self._never)

    def at_boundary(self, *, after: bool) -> bool:
        """Before or after a commit: whether this is where the process dies."""
        machine = self.machine
        machine.commits += after
        if machine.world.crashes(machine, after=after):
            self.end()
        return self.dead

    def end(self) -> None:
        """Die at once: nothing this process does from now on reaches anything."""
        if self.dead:
            return
        self.dead = True
        self._end.set_result(None)
        for task in self._tasks:
            task.cancel()
        self.machine.loop.create_task(self.engine.close())
        self.machine.fallen()


@dataclass(frozen=True, slots=True)
class Strategies:
    """Who decides at a machine."""

    negotiations: NegotiationStrategy
    transfers: TransferStrategy


class Machine:
    """A database, a clock, and the process that runs now (None: it is down)."""

    def __init__(
        self, world: "World", name: str, opened: sqlite3.Connection, strategies: Strategies, offset_ms: int
    ) -> None:
        self.world = world
        self.name = name
        self.loop = asyncio.get_running_loop()
        self.clock = WallClock(self.loop, offset_ms)
        self.database = opened
        self.disk_full = False
        self.jump_ms = 0
        """By how much the clock is set in the middle of the next transaction."""
        self.commits = 0
        self.received: list[bytes] = []
        self.address = f"http://{name}{SUFFIX}{DSP_PATH}/{VERSION}"
        self._strategies = strategies
        self._ids = count(1)
        self._peeking = StoreTx(connection_to(opened))
        self.lives: list[Life] = []
        self.life: Life | None = None
        self.start()

    def start(self) -> None:
        """Begin a new life."""
        if self.life is None:
            self.world.note("starts", self.name)
            self.life = Life(self)

    def fallen(self) -> None:
        """The process has died; there will be another one."""
        self.world.note("dies", self.name)
        self.life = None
        self.loop.call_later(between(self.world.chance, 0.05, 60.0), self.start)

    def node(self, life: Life, store: DatabaseStore) -> tuple[Node, EmbeddedDataPlane]:
        """The real thing, but for its wire, its clock and its ids."""
        identity = MockIdentity(self.name, DIRECTORY)
        wire = SimulatedWire(self.world.network, life)
        plane = EmbeddedDataPlane(
            public_url=f"http://{self.name}{SUFFIX}{DATA}",
            store=store,
            clock=self.clock,
            tokens=AccessTokens(_KEYS[self.name], self.clock, TOKEN_S),
            sources={"Shelf": Shelves(self.world.chance)},
            assertions=identity,
            outbound=wire,
        )
        node = Node(
            dsp_address=self.address,
            store=store,
            clock=self.clock,
            ids=lambda: f"{self.name}{next(self._ids)}",
            identity=identity,
            wire=wire,
            hooks=wire,
            data_plane=plane,
            directory=DIRECTORY,
            notary=NoProof(),
            refresher=Refresher(store, identity, wire, self.clock),
            negotiations=self._strategies.negotiations,
            transfers=self._strategies.transfers,
            connectors_of=self._connectors_of,
            jitter=self.world.chance.random,
        )
        return node, plane

    @staticmethod
    async def _connectors_of(did: str) -> Sequence[str]:
        return (f"http://{did}{SUFFIX}{DSP_PATH}",)

    def peek(self, read: Callable[[Tx], T]) -> T:
        """What the database says at this moment, to an eye that is not part of the simulation."""
        return read(self._peeking)

    def has_promised(self, message: str) -> bool:
        """Whether a message of ours is still in the outbox."""
        found = self.database.execute("SELECT 1 FROM outbox WHERE id = ?", (message,)).fetchone()
        return found is not None

    def process_of(self, message: dict[str, Any]) -> Process[Any, Any] | None:
        """Our side of the process that a message is about, None if we know of none."""
        pids = [pid for name in ("consumerPid", "providerPid") if (pid := message.get(name))]

        def find(tx: Tx) -> Negotiation | Transfer | None:
            contract, moving = tx.negotiations.get_many(pids), tx.transfers.get_many(pids)
            return next(iter(contract.values()), None) or next(iter(moving.values()), None)

        record = self.peek(find)
        return None if record is None else record.process
